//! The limit on SQLite.

use std::{str::FromStr, time::Duration};

use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode::Wal, SqlitePool, SqlitePoolOptions, SqliteSynchronous::Full,
};

pub type Db = Sqlite;
pub const CONTAINS: &str = "instr(lower(email), $2) > 0";

/// Four connections read, one writes.
pub async fn open(url: &str) -> Result<[SqlitePool; 2], sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?.journal_mode(Wal).synchronous(Full).foreign_keys(true);
    let options = options.busy_timeout(Duration::from_secs(30));
    let pool = |n| SqlitePoolOptions::new().max_connections(n).test_before_acquire(false);
    Ok([pool(4).connect_with(options.clone()).await?, pool(1).connect_with(options).await?])
}

#[expect(clippy::duplicate_mod, reason = "the same text for another database: sqlx is typed by it")]
#[path = "server.rs"]
pub mod server;
