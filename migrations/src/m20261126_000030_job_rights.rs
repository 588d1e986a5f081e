//! Jobs say which rights asking for them took, and which key they were asked with.

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
        let (json, id) = match manager.get_database_backend() {
            DbBackend::Postgres => ("json", "uuid"),
            _ => ("json_text", "uuid_text"),
        };
        // of jobs that are there nobody knows what they took: those that have ended are left to whoever may end everybody's, the
        // others, and those that may be tried again, were looked at when they were asked for and go on
        let rights = format!("alter table \"job\" add column \"rights\" {json} not null default '[\"job:cancel\"]'");
        let key = format!("alter table \"job_queue\" add column \"key_id\" {id}");
        let on = "update \"job\" set \"rights\" = '[]' where \"id\" in (select \"job_id\" from \"job_queue\")";
        for sql in [&rights, &key, on] {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [("job_queue", "key_id"), ("job", "rights")] {
            let drop = format!("alter table \"{table}\" drop column \"{column}\"");
            manager.get_connection().execute_unprepared(&drop).await?;
        }
        Ok(())
    }
}
