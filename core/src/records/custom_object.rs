use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    context::Unit,
    custom::{define, rules},
    engine::{Record, Scope as Rows},
    error::{Result, Violation},
};

/// Whose the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomObjectScope)]
pub enum Scope {
    /// People own them, as they own accounts.
    Owner,
    /// The whole tenant's, set up by admins, as products are.
    Tenant,
}

/// A kind of record of the tenant's own: `project` is `/v1/projects`, with every ability of a built-in kind.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "custom_object")]
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
    /// Singular `snake_case`, `project`; fixed once made.
    #[schema(min_length = 2, max_length = 63, pattern = "^[a-z][a-z0-9_]*$")]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Plural kebab-case, the segment of its path: `projects`; fixed once made.
    #[schema(min_length = 2, max_length = 63, pattern = "^[a-z][a-z0-9-]*$")]
    #[sea_orm(column_type = "Text")]
    pub plural: String,
    /// What people call it, by language: `{"en": "Project", "zh": "项目"}`.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub label: Option<Json>,
    #[schema(max_length = 2000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub description: Option<String>,
    /// Fixed once made.
    pub scope: Scope,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "custom_object";
    const PLURAL: &'static str = "custom-objects";
    const SCOPE: Rows = Rows::Tenant;
    const AFFECTS_ACCESS: bool = true;
    const DEFINES: bool = true;
    const UNIQUE: &'static [&'static [&'static str]] = &[&["name"], &["plural"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("scope", "owner")];

    fn example() -> Json {
        json!({"name": "warranty", "plural": "warranties", "label": {"en": "Warranty"}, "scope": "owner"})
    }

    fn check(after: &Model) -> Vec<Violation> {
        define::object(after)
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        rules::objects(unit, slice).await
    }
}
