//! The change log in an order that readers may rely on.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// A transaction's own number tells when it began to write, not what it had seen by then: two that overlap could log
/// versions of one record in the wrong order. The newest transaction that had ended is never before anything seen.
const NEWEST_SEEN: &str =
    "greatest(pg_current_xact_id(), ((pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)::text)::xid8)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        default(manager, NEWEST_SEEN).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        default(manager, "pg_current_xact_id()").await
    }
}

async fn default(manager: &SchemaManager<'_>, value: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        let sql = format!("alter table \"change\" alter column \"xid\" set default {value}");
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}
