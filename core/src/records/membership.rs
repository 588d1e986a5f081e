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

/// What a member is in the team. Leads and managers reach the records of the team and of those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = MembershipRole)]
pub enum Role {
    Member,
    Lead,
    Manager,
}

/// Who belongs to which team, as what, and from when to when.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "membership")]
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
    pub user_id: Uuid,
    pub team_id: Uuid,
    pub role: Role,
    /// Null: since ever.
    pub from_at: Option<DateTime<Utc>>,
    /// The first instant it no longer holds; null while it does.
    pub to_at: Option<DateTime<Utc>>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "membership";
    const PLURAL: &'static str = "memberships";
    const SCOPE: Scope = Scope::Tenant;
    const AFFECTS_ACCESS: bool = true;
    const ABOUT: &'static [&'static str] = &["user_id"];
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("user_id", "user"), ("team_id", "team")];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("role", "member")];

    fn example() -> Json {
        json!({"role": "member", "from_at": "2026-01-01T00:00:00.000Z"})
    }

    fn check(after: &Model) -> Vec<Violation> {
        rules::ordered(("from_at", after.from_at), ("to_at", after.to_at)).into_iter().collect()
    }

    async fn effects(unit: &Unit<'_>, _saved: &[Saved<Model>]) -> Result<()> {
        unit.changes_access();
        Ok(())
    }
}
