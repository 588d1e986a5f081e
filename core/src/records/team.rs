use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::rules;
use crate::{
    context::Unit,
    engine::{Record, Saved, Scope},
    error::{Result, Violation},
};

/// People who work together; teams form a tree.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "team")]
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
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// What sort of unit it is, in the tenant's own words: team, office, region.
    #[schema(max_length = 50)]
    #[sea_orm(column_type = "Text", nullable)]
    pub kind: Option<String>,
    /// The team it is part of.
    pub parent_id: Option<Uuid>,
    /// Who leads it.
    pub lead_id: Option<Uuid>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "team";
    const PLURAL: &'static str = "teams";
    const SCOPE: Scope = Scope::Tenant;
    const AFFECTS_ACCESS: bool = true;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("parent_id", "team"), ("lead_id", "user")];
    const SEARCH: &'static [&'static str] = &["name"];

    fn example() -> Json {
        json!({"name": "Key accounts", "kind": "team"})
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        rules::loops(unit, "team", "parent_id", slice, |team| (team.id, team.parent_id)).await
    }

    async fn effects(unit: &Unit<'_>, _saved: &[Saved<Model>]) -> Result<()> {
        unit.changes_access();
        Ok(())
    }
}
