//! The records of every custom object, in one table. A tenant's kind is this entity under another shape.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::engine::{Record, Scope};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "custom_record")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The record's key in another system; unique in its kind.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub external_id: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// The custom object it is a record of.
    pub object_id: Uuid,
    pub owner_id: Option<Uuid>,
    #[schema(max_length = 300)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// The kind's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "custom_record";
    const PLURAL: &'static str = "custom-records";
    const SCOPE: Scope = Scope::Owner;
    const PERSONAL: &'static [&'static str] = &["name"];
    const SEARCH: &'static [&'static str] = &["name", "external_id"];

    fn example() -> Json {
        json!({"name": "The first one"})
    }
}
