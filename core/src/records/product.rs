use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::engine::{Record, Scope};

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "product")]
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
    /// Stock keeping unit: the product's number; unique in the tenant.
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text")]
    pub sku: String,
    #[schema(max_length = 300)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// The group it belongs to.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub family: Option<String>,
    /// What one of it is: piece, licence, hour.
    #[schema(max_length = 50)]
    #[sea_orm(column_type = "Text", nullable)]
    pub unit: Option<String>,
    /// List price of one unit.
    pub price_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub price_currency: Option<String>,
    /// Cost of one unit.
    pub cost_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub cost_currency: Option<String>,
    /// Still sold, for those who choose among products: what is written may name others, because it may have happened before.
    pub active: bool,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "product";
    const PLURAL: &'static str = "products";
    const SCOPE: Scope = Scope::Tenant;
    const UNIQUE: &'static [&'static [&'static str]] = &[&["sku"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("active", "true")];
    const SEARCH: &'static [&'static str] = &["name", "sku", "family", "external_id"];

    fn example() -> Json {
        json!({"sku": "GTX-PRO", "name": "GTX Pro", "family": "GTX", "unit": "licence",
               "price": {"amount": "4821.00", "currency": "USD"}})
    }
}
