//! Lines of orders.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::ConnectionTrait,
    sea_orm::{DbBackend, DbErr},
};

use crate::table::{
    Table,
    Type::{Id, Instant, Integer, Number, Text},
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
        let json = if manager.get_database_backend() == DbBackend::Postgres { "json" } else { "json_text" };
        let add = format!("alter table \"order\" add column \"lines\" {json}");
        manager.get_connection().execute_unprepared(&add).await?;
        Table::new(manager, "order_line")
            .required(&[("tenant_id", Id), ("id", Id), ("version", Integer)])
            .required(&[("created_at", Instant), ("updated_at", Instant)])
            .optional(&[("created_by", Id), ("deleted_at", Instant)])
            .required(&[("order_id", Id), ("position", Integer)])
            .optional(&[("product_id", Id), ("description", Text)])
            .required(&[("quantity", Number)])
            .money("unit_price")
            .optional(&[("discount", Number), ("tax", Number)])
            .money("amount")
            .money("unit_cost")
            .key(&["tenant_id", "id"])
            .foreign("created_by", "user")
            .foreign("order_id", "order")
            .foreign("product_id", "product")
            .plain_index(&["tenant_id", "order_id", "position", "id"], "")
            .plain_index(&["tenant_id", "product_id", "id"], "")
            .plain_index(&["tenant_id", "created_at", "id"], "")
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["order_line"]).await?;
        manager.get_connection().execute_unprepared("alter table \"order\" drop column \"lines\"").await?;
        Ok(())
    }
}
