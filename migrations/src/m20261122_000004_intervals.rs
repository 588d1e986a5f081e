//! Who owned it, which stage it was in, how it was graded: half-open, at most one open interval a record.

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
        create(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["grade_interval", "stage_interval", "ownership"]).await
    }
}

pub(crate) async fn create(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    interval(manager, "ownership").belongs("user_id", "user").required(&[("how", Text)]).create().await?;
    interval(manager, "stage_interval").belongs("stage_id", "stage").create().await?;
    interval(manager, "grade_interval").required(&[("grade", Text), ("source", Text)]).create().await
}

fn interval<'a>(manager: &'a SchemaManager<'a>, name: &'static str) -> Table<'a> {
    Table::new(manager, name)
        .required(&[("tenant_id", Id), ("id", Id), ("kind", Text), ("record_id", Id)])
        .optional(&[("from_at", Instant), ("to_at", Instant)])
        .key(&["tenant_id", "id"])
        .unique_where(&["kind", "record_id"], " where \"to_at\" is null")
        .index(&["record_id", "from_at"])
}
