//! Roles of a tenant's own.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Json, Text},
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
        Table::record(manager, "role")
            .required(&[("key", Text), ("name", Text)])
            .optional(&[("description", Text)])
            .required(&[("rights", Json)])
            .optional(&[("rows", Json), ("fields", Json)])
            .unique(&["key"])
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["role"]).await
    }
}
