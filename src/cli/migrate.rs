use super::Outcome;
use crate::{Config, migrate};

pub(super) async fn run(config: &Config) -> Outcome {
    println!("{} migration(s) applied; the database is that of this release", migrate(config).await?);
    Ok(())
}
