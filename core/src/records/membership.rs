use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, QueryResult,
    entity::prelude::*,
    sea_query::{Alias, ExprTrait, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::rules;
use crate::{
    context::Unit,
    engine::{Record, Saved, Scope},
    error::{Code, Result, Violation},
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
        json!({"role": "member", "from_at": "2026-01-01T00:00:00.000Z", "to_at": "2027-01-01T00:00:00.000Z"})
    }

    fn check(after: &Model) -> Vec<Violation> {
        rules::ordered(("from_at", after.from_at), ("to_at", after.to_at)).into_iter().collect()
    }

    /// Whoever ends a membership ends what it gave: nobody is in a team twice at a time. One statement for the slice; a
    /// partial unique index holds it against others.
    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let place = |member: &Model| (member.to_at, member.deleted_at, member.user_id, member.team_id);
        let opened = slice.iter().enumerate().filter(|(_, (before, after))| {
            let moved = before.as_ref().is_none_or(|before| place(before) != place(after));
            moved && after.to_at.is_none() && after.deleted_at.is_none()
        });
        let opened: Vec<_> = opened.map(|(at, (_, after))| (at, after)).collect();
        if opened.is_empty() {
            return Ok(Vec::new());
        }
        let mut members = current(unit, opened.iter().map(|(_, after)| after.user_id)).await?;
        let mut broken = Vec::new();
        for (at, after) in opened {
            let holder = *members.entry((after.user_id, after.team_id)).or_insert(after.id);
            if holder != after.id {
                let detail = format!("is in the team already: end membership {holder} first");
                broken.push((at, Violation::field("user_id", Code::Duplicate, detail)));
            }
        }
        Ok(broken)
    }

    async fn effects(unit: &Unit<'_>, _saved: &[Saved<Model>]) -> Result<()> {
        unit.changes_access();
        Ok(())
    }
}

/// The memberships of these users that have no end, by user and team.
async fn current(unit: &Unit<'_>, users: impl Iterator<Item = Uuid>) -> Result<HashMap<(Uuid, Uuid), Uuid>> {
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let select = Query::select()
        .columns(["user_id", "team_id", "id"].map(Alias::new))
        .from(Alias::new(Entity::NAME))
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .and_where(col("deleted_at").is_null())
        .and_where(col("to_at").is_null())
        .and_where(col("user_id").is_in(users))
        .take();
    let rows = unit.txn.query_all(&select).await?.into_iter();
    let member =
        |row: QueryResult| Ok(((row.try_get_by_index(0)?, row.try_get_by_index(1)?), row.try_get_by_index(2)?));
    rows.map(member).collect()
}
