//! A kind that the product does not have. Its file, its line (`with(sample::Entity)`) and its migration are all there is of
//! it: `CONTRIBUTING.md` shows how to add a kind by them, and every test of every kind runs over it too.

use chrono::{DateTime, Utc};
use ripen_core::engine::{Record, Scope};
use ripen_migrations::table::{Table, Type, drop};
use sea_orm::entity::prelude::*;
use sea_orm_migration::{MigrationTrait, SchemaManager, async_trait, prelude::DeriveMigrationName};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

/// A car that a customer drives.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "vehicle")]
#[schema(as = Vehicle)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The record's key in another system; unique in the tenant.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub external_id: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// The user whose record it is.
    pub owner_id: Option<Uuid>,
    /// Registration number; unique in the tenant.
    #[schema(max_length = 20)]
    #[sea_orm(column_type = "Text")]
    pub plate: String,
    /// Make and model.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Who drives it.
    pub account_id: Option<Uuid>,
    /// Kilometres driven.
    pub mileage: Option<i64>,
    pub bought_on: Option<Date>,
    /// What it cost.
    pub price_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub price_currency: Option<String>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "vehicle";
    const PLURAL: &'static str = "vehicles";
    const SCOPE: Scope = Scope::Owner;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("account_id", "account")];
    const UNIQUE: &'static [&'static [&'static str]] = &[&["plate"]];
    const SEARCH: &'static [&'static str] = &["name", "plate", "external_id"];

    fn example() -> Json {
        json!({"plate": "B-RP 100", "name": "Kestrel 2", "mileage": 12000, "bought_on": "2025-03-01",
               "price": {"amount": "23900.00", "currency": "EUR"}})
    }
}

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Table::record(manager, "vehicle")
            .owned()
            .extensible()
            .required(&[("plate", Type::Text), ("name", Type::Text)])
            .refers("account_id", "account")
            .optional(&[("mileage", Type::Integer), ("bought_on", Type::Date)])
            .money("price")
            .unique(&["plate"])
            .index(&["name"])
            .create()
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["vehicle"]).await
    }
}
