//! Records that were found to be one.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Id, Instant, Integer, Json, Text},
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
        Table::new(manager, "merge")
            .required(&[
                ("tenant_id", Id),
                ("id", Id),
                ("version", Integer),
                ("created_at", Instant),
                ("updated_at", Instant),
            ])
            .optional(&[("created_by", Id), ("deleted_at", Instant)])
            .required(&[("subject_kind", Text), ("subject_id", Id), ("merged_id", Id)])
            .required(&[("moved", Json), ("before", Json), ("after", Json)])
            .optional(&[("undone_at", Instant)])
            .key(&["tenant_id", "id"])
            .foreign("created_by", "user")
            .index(&["subject_id"])
            .index(&["merged_id"])
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["merge"]).await
    }
}
