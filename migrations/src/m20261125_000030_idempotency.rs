//! Answers to requests with an `Idempotency-Key`, for a day.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Bytes, Id, Instant, Text},
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
        Table::new(manager, "idempotency_key")
            .required(&[("tenant_id", Id), ("principal_id", Id), ("name", Text)])
            .required(&[("request", Text), ("answer", Bytes), ("at", Instant)])
            .key(&["tenant_id", "principal_id", "name"])
            .plain_index(&["tenant_id", "at"], "")
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["idempotency_key"]).await
    }
}
