use chrono::{DateTime, Utc};
use sea_orm::{
    Condition, ConnectionTrait, DbBackend,
    entity::prelude::*,
    sea_query::{Alias, ExprTrait, LockType, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::rules;
use crate::{
    access::{self, Role},
    context::Unit,
    engine::{Record, Saved, Scope},
    error::{Code, Result, Violation, unknown},
    values::{Email, Skills},
};

/// Where a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = UserState)]
pub enum State {
    Invited,
    Active,
    Suspended,
}

/// Someone who works in the tenant. Passwords and tokens are kept elsewhere and never shown.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "user")]
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
    /// Signs in with it; unique in the tenant.
    #[sea_orm(column_type = "Text")]
    pub email: Email,
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// `admin`, `manager`, `rep`, or the `key` of a role of the tenant's own. Only admins give roles.
    #[schema(max_length = 50)]
    #[sea_orm(column_type = "Text")]
    pub role: String,
    pub state: State,
    /// Whom they report to.
    pub manager_id: Option<Uuid>,
    pub hired_on: Option<Date>,
    /// BCP 47 language tag: `en-GB`, `zh-Hans-CN`.
    #[schema(max_length = 35)]
    #[sea_orm(column_type = "Text", nullable)]
    pub locale: Option<String>,
    /// IANA name, `Europe/Berlin`, where it is not the tenant's.
    #[schema(max_length = 50)]
    #[sea_orm(column_type = "Text", nullable)]
    pub time_zone: Option<String>,
    #[schema(max_length = 20)]
    #[sea_orm(column_type = "Text", nullable)]
    pub phone_extension: Option<String>,
    pub skills: Option<Skills>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

fn is_admin(user: &Model) -> bool {
    Role::of(&user.role) == Some(Role::Admin) && user.state == State::Active && user.deleted_at.is_none()
}

/// Someone must be left who can let others in: an active admin who can log in, which takes a password.
async fn last_admin(unit: &Unit<'_>, slice: &[(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
    let leaving = |(before, after): &(Option<Model>, Model)| before.as_ref().is_some_and(is_admin) && !is_admin(after);
    if !slice.iter().any(leaving) {
        return Ok(Vec::new());
    }
    // Two requests that each demote one of two admins must not both succeed.
    let (lock, tenant) = (LockType::NoKeyUpdate, Alias::new("tenant"));
    let mut turn = Query::select();
    turn.column(Alias::new("id")).from(tenant).and_where(Expr::col(Alias::new("id")).eq(unit.cx.tenant.id));
    if unit.cx.backend() == DbBackend::Postgres {
        unit.txn.query_one(turn.lock(lock)).await?;
    }
    let (staying, others): (Vec<_>, Vec<_>) = slice.iter().map(|(_, after)| after).partition(|user| is_admin(user));
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let passwords = Query::select()
        .column(Alias::new("user_id"))
        .from(Alias::new("credential"))
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .take();
    let unchanged = Condition::all()
        .add(col("deleted_at").is_null())
        .add(col("role").eq("admin"))
        .add(col("state").eq("active"))
        .add(col("id").is_not_in(others.iter().map(|user| user.id)));
    let others = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("user"))
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .and_where(col("id").in_subquery(passwords))
        .cond_where(Condition::any().add(unchanged).add(col("id").is_in(staying.iter().map(|user| user.id))))
        .limit(1)
        .take();
    if unit.txn.query_one(&others).await?.is_some() {
        return Ok(Vec::new());
    }
    let detail = "the tenant needs an active admin with a password: make someone else admin first";
    let places = slice.iter().enumerate().filter(|(_, pair)| leaving(pair));
    Ok(places.map(|(at, _)| (at, Violation::field("role", Code::InvalidState, detail))).collect())
}

/// A role that changes must be there, and be given by someone who could not make themselves more than they are.
async fn roles(unit: &Unit<'_>, slice: &[(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
    let given = |(before, after): &(Option<Model>, Model)| match before {
        Some(before) => before.role != after.role,
        None => after.role != Role::Rep.key(),
    };
    let given: Vec<_> =
        slice.iter().enumerate().filter(|(_, pair)| given(pair)).map(|(at, (_, u))| (at, &u.role)).collect();
    let own: Vec<_> = given.iter().map(|(_, role)| role.as_str()).filter(|role| Role::of(role).is_none()).collect();
    let mut known: Vec<String> = Role::ALL.iter().map(|role| role.key().to_owned()).collect();
    if !own.is_empty() {
        let col = |name: &'static str| Expr::col(Alias::new(name));
        let select = Query::select()
            .column(Alias::new("key"))
            .from(Alias::new("role"))
            .and_where(col("tenant_id").eq(unit.cx.tenant.id))
            .and_where(col("deleted_at").is_null())
            .order_by(Alias::new("key"), sea_orm::Order::Asc)
            .take();
        for row in unit.txn.query_all(&select).await? {
            known.push(row.try_get_by_index(0)?);
        }
    }
    let mut broken = Vec::new();
    for (at, role) in given {
        if !known.contains(role) {
            let detail = unknown("role", role, known.iter().map(String::as_str));
            broken.push((at, Violation::field("role", Code::InvalidValue, detail)));
        } else if !unit.cx.actor.is_admin() {
            broken.push((at, Violation::field("role", Code::OutsideYourReach, "only an admin gives roles")));
        }
    }
    Ok(broken)
}

impl Record for Entity {
    const NAME: &'static str = "user";
    const PLURAL: &'static str = "users";
    const SCOPE: Scope = Scope::Tenant;
    const AFFECTS_ACCESS: bool = true;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("manager_id", "user")];
    const UNIQUE: &'static [&'static [&'static str]] = &[&["email"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("role", "rep"), ("state", "active")];
    const SEARCH: &'static [&'static str] = &["name", "email", "phone_extension"];
    const PERSONAL: &'static [&'static str] = &["email", "name", "phone_extension", "hired_on"];
    const ERASED_ONCE: Option<(&'static str, &'static str)> = Some(("state", "suspended"));

    fn example() -> Json {
        json!({"email": "ann@example.com", "name": "Ann Archer", "role": "rep", "time_zone": "Europe/Berlin"})
    }

    fn check(after: &Model) -> Vec<Violation> {
        let unknown = after.time_zone.as_ref().filter(|zone| zone.parse::<chrono_tz::Tz>().is_err());
        let detail = |zone| format!("`{zone}` is not an IANA time zone such as `Europe/Berlin`");
        unknown.map(|zone| Violation::field("time_zone", Code::InvalidValue, detail(zone))).into_iter().collect()
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let mut broken = rules::loops(unit, "user", "manager_id", slice, |user| (user.id, user.manager_id)).await?;
        broken.extend(roles(unit, slice).await?);
        broken.extend(last_admin(unit, slice).await?);
        Ok(broken)
    }

    async fn effects(unit: &Unit<'_>, saved: &[Saved<Model>]) -> Result<()> {
        unit.changes_access();
        // A one-time token was sent to the address before.
        let moved = |saved: &&Saved<Model>| saved.before.as_ref().is_some_and(|user| user.email != saved.after.email);
        access::forget_tokens(unit, saved.iter().filter(moved).map(|saved| saved.after.id)).await
    }
}
