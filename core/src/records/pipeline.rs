use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::engine::{Record, Scope};

/// A way of selling: the ordered stages an opportunity goes through.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "pipeline")]
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
    /// Unique in the tenant.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Its place among the pipelines, smallest first.
    pub position: i64,
    /// Takes opportunities. Otherwise none is made in it or moved into it, but for imported history; those in it stay.
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
    const NAME: &'static str = "pipeline";
    const PLURAL: &'static str = "pipelines";
    const SCOPE: Scope = Scope::Tenant;
    const UNIQUE: &'static [&'static [&'static str]] = &[&["name"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("position", "0"), ("active", "true")];

    fn example() -> Json {
        json!({"name": "New business"})
    }
}
