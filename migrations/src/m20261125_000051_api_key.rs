//! Keys by which programs act as a user.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Bytes, Id, Instant, Json, Text},
    drop,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Table::new(manager, "api_key")
            .required(&[
                ("tenant_id", Id),
                ("id", Id),
                ("user_id", Id),
                ("hash", Bytes),
                ("prefix", Text),
                ("name", Text),
            ])
            .required(&[("scopes", Json), ("created_at", Instant)])
            .optional(&[("expires_at", Instant), ("last_used_at", Instant)])
            .key(&["tenant_id", "id"])
            .line("unique (\"hash\")")
            .foreign("user_id", "user")
            .plain_index(&["tenant_id", "user_id"], "")
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["api_key"]).await
    }
}
