use ripen_migrations::{Migrator, MigratorTrait};

use super::Outcome;
use crate::{Config, pending, store};

pub(super) async fn run(config: &Config) -> Outcome {
    let store = store(config).await?;
    let before = pending(&store).await?;
    Migrator::up(&store.write, None).await?;
    store.close().await?;
    println!("{before} migration(s) applied; the database is that of this release");
    Ok(())
}
