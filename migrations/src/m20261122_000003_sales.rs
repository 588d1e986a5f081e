//! Products, pipelines, opportunities, orders, interactions.

use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::table::{
    Table,
    Type::{Boolean, Date, Instant, Integer, Number, Text},
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
        setup(manager).await?;
        deals(manager).await?;
        Table::record(manager, "interaction")
            .owned()
            .required(&[("channel", Text), ("start_at", Instant)])
            .optional(&[("direction", Text), ("end_at", Instant), ("talk_seconds", Integer), ("outcome", Text)])
            .optional(&[("note", Text), ("recording_reference", Text), ("source", Text), ("source_key", Text)])
            .refers("account_id", "account")
            .refers("contact_id", "contact")
            .refers("opportunity_id", "opportunity")
            .unique(&["source", "source_key"])
            .index(&["account_id", "start_at"])
            .index(&["start_at"])
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["interaction", "order", "opportunity", "stage", "pipeline", "product"]).await
    }
}

async fn setup(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    Table::record(manager, "product")
        .required(&[("sku", Text), ("name", Text), ("active", Boolean)])
        .optional(&[("family", Text), ("unit", Text)])
        .money("price")
        .money("cost")
        .unique(&["sku"])
        .index(&["name"])
        .create()
        .await?;
    Table::record(manager, "pipeline")
        .required(&[("name", Text), ("position", Integer), ("active", Boolean)])
        .unique(&["name"])
        .create()
        .await?;
    Table::record(manager, "stage")
        .required(&[("name", Text), ("position", Integer), ("kind", Text)])
        .optional(&[("probability", Number), ("rotten_after_days", Integer)])
        .belongs("pipeline_id", "pipeline")
        .unique(&["pipeline_id", "name"])
        .create()
        .await
}

async fn deals(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    Table::record(manager, "opportunity")
        .owned()
        .required(&[("name", Text)])
        .optional(&[("opened_on", Date), ("expected_close_on", Date), ("closed_at", Instant)])
        .money("amount")
        .optional(&[("won_reason", Text), ("lost_reason", Text), ("competitor", Text), ("next_step", Text)])
        .refers("account_id", "account")
        .refers("product_id", "product")
        .refers("pipeline_id", "pipeline")
        .belongs("stage_id", "stage")
        .index(&["account_id", "closed_at"])
        .index(&["name"])
        .index(&["closed_at"])
        .index(&["expected_close_on"])
        .create()
        .await?;
    Table::record(manager, "order")
        .owned()
        .required(&[("state", Text)])
        .optional(&[("number", Text), ("placed_on", Date), ("due_on", Date), ("fulfilled_on", Date)])
        .money("amount")
        .belongs("account_id", "account")
        .unique(&["number"])
        .index(&["account_id", "placed_on"])
        .index(&["placed_on"])
        .create()
        .await
}
