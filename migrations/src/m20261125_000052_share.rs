//! Records that someone beside their owner may see or change.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Id, Instant, Text},
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
        Table::record(manager, "share")
            .required(&[("subject_kind", Text), ("subject_id", Id)])
            .refers("user_id", "user")
            .refers("team_id", "team")
            .required(&[("access", Text)])
            .optional(&[("until_at", Instant)])
            .index(&["subject_id"])
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["share"]).await
    }
}
