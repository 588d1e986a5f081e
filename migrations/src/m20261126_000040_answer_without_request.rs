//! An erasure empties every answer of its tenant that is kept for an `Idempotency-Key`: which request it is of tells nothing.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop = "alter table \"idempotency_key\" drop column \"request_id\"";
        manager.get_connection().execute_unprepared(drop).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = if manager.get_database_backend() == DbBackend::Postgres { "text collate \"C\"" } else { "text" };
        let add = format!("alter table \"idempotency_key\" add column \"request_id\" {text}");
        manager.get_connection().execute_unprepared(&add).await?;
        Ok(())
    }
}
