//! Lines of orders: written with their order, as its `lines`, and read here.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Verb,
    engine::{Record, Scope},
};

/// What was ordered: one line of an order, written with it.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "order_line")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// The order.
    pub order_id: Uuid,
    /// Its place in the order, from 1.
    pub position: i64,
    pub product_id: Option<Uuid>,
    /// What it is, where the product does not say it.
    #[schema(max_length = 500)]
    #[sea_orm(column_type = "Text", nullable)]
    pub description: Option<String>,
    /// How many units; negative for what comes back.
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000)]
    pub quantity: f64,
    /// Price of one unit; the product's where it is not given.
    pub unit_price_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub unit_price_currency: Option<String>,
    /// Taken off the price, in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub discount: Option<f64>,
    /// In percent of the amount.
    #[schema(minimum = 0, maximum = 100)]
    pub tax: Option<f64>,
    /// Quantity by unit price less discount, without tax, half a unit of the currency rounded away from zero.
    #[schema(read_only)]
    pub amount_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub amount_currency: Option<String>,
    /// The product's cost of one unit when the line was made: it does not move later.
    #[schema(read_only)]
    pub unit_cost_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub unit_cost_currency: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "order_line";
    const PLURAL: &'static str = "order-lines";
    const SCOPE: Scope = Scope::Part;
    const PARENT: Option<(&'static str, &'static str)> = Some(("order_id", "order"));
    const VERBS: &'static [Verb] = Verb::READ;
    const LOGGED: bool = false;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("order_id", "order"), ("product_id", "product")];

    fn example() -> Json {
        json!({"quantity": 20.0, "unit_price": {"amount": "482.10", "currency": "USD"}})
    }
}
