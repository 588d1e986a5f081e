//! The limit on PostgreSQL.

use sqlx::postgres::{PgPool, PgPoolOptions, Postgres};

pub type Db = Postgres;
pub const CONTAINS: &str = "strpos(lower(email collate \"C\"), $2) > 0";

/// The pool to read from and the pool to write to.
pub async fn open(url: &str) -> Result<[PgPool; 2], sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect(url).await?;
    Ok([pool.clone(), pool])
}

#[path = "server.rs"]
pub mod server;
