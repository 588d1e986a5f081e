use std::path::Path;

use ripen_core::store::{Fence, Store, sqlite_version};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::Outcome;
use crate::{Config, Outside, fence_trouble, pending, store};

/// Seconds that the database's clock may differ from this machine's.
const CLOCK_TOLERANCE_S: i64 = 5;

pub(super) async fn run(config: &Config) -> Outcome {
    let url = config.database_url();
    if let Some(file) = url.strip_prefix("sqlite://").and_then(|rest| rest.split('?').next())
        && !Path::new(file).exists()
    {
        // opening it would make it
        say(
            false,
            "database",
            &format!("there is none at {file}: run `ripen serve` or `ripen migrate` here, or name another"),
        );
        return Err("not everything is well".into());
    }
    let store = store(config).await?;
    let trouble =
        [database(&store).await?, migrations(&store).await?, tenants(&store, config).await?, clock(&store).await?]
            .iter()
            .any(|good| !good);
    let limits = &config.limits;
    say(
        true,
        "limits",
        &format!("body {} bytes within {} s, head within {} s", limits.body_bytes, limits.body_s, limits.head_s),
    );
    store.close().await?;
    if trouble { Err("not everything is well".into()) } else { Ok(()) }
}

fn say(good: bool, what: &str, text: &str) -> bool {
    println!("{}  {what:<11} {text}", if good { "ok     " } else { "TROUBLE" });
    good
}

async fn database(store: &Store) -> Result<bool, ripen_core::error::Error> {
    let text = match store.backend {
        DbBackend::Sqlite => format!("SQLite {}", sqlite_version(&store.read).await?),
        _ => format!("PostgreSQL {}", answer(store, "show server_version").await?.unwrap_or_default()),
    };
    Ok(say(true, "database", &text))
}

async fn migrations(store: &Store) -> Result<bool, ripen_core::error::Error> {
    Ok(match pending(store).await? {
        0 => say(true, "migrations", "all applied"),
        behind => say(false, "migrations", &format!("{behind} missing: run `ripen migrate`")),
    })
}

async fn tenants(store: &Store, config: &Config) -> Result<bool, sea_orm::DbErr> {
    let fence = config.database.row_security;
    Ok(match store.backend {
        DbBackend::Postgres if fence == Fence::Off => {
            say(true, "tenants", "kept apart by the server only: row_security is off")
        }
        DbBackend::Postgres => match fence_trouble(store).await? {
            None if fence == Fence::Reads => {
                say(true, "tenants", "kept apart by the database too, in all they read and write")
            }
            None => say(true, "tenants", "kept apart by the database too, in every unit of work"),
            Some(trouble) => say(false, "tenants", &trouble),
        },
        _ => say(true, "tenants", "kept apart by the server"),
    })
}

async fn clock(store: &Store) -> Result<bool, ripen_core::error::Error> {
    let now = Outside::real().clock.now();
    let sql = match store.backend {
        DbBackend::Sqlite => "select strftime('%s', 'now')",
        _ => "select extract(epoch from clock_timestamp())::bigint::text",
    };
    let theirs = answer(store, sql).await?.and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
    let apart = (now.timestamp() - theirs).abs();
    Ok(say(apart <= CLOCK_TOLERANCE_S, "clock", &format!("{}, {apart} s from the database's", now.to_rfc3339())))
}

async fn answer(store: &Store, sql: &str) -> Result<Option<String>, sea_orm::DbErr> {
    let row = store.read.query_one_raw(Statement::from_string(store.backend, sql)).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}
