//! Settings of a tenant, and the version by which two who change them do not overwrite each other.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbErr},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: [(&str, &str); 2] =
    [("version", "bigint not null default 1"), ("require_preconditions", "boolean not null default false")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, kind) in COLUMNS {
            let sql = format!("alter table \"tenant\" add column \"{name}\" {kind}");
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in COLUMNS {
            let sql = format!("alter table \"tenant\" drop column \"{name}\"");
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}
