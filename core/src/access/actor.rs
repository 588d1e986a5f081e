//! Who asks, and whose rows they reach.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value, sea_query::Expr};
use uuid::Uuid;

use super::Role;
use crate::{
    context::{Context, Tenant},
    error::Result,
    records::user::State,
    store::Store,
};

/// Whose rows an actor reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everyone's, and those that belong to nobody.
    All,
    /// Those of these users: oneself, or one's team tree.
    Users(Arc<[Uuid]>),
}

/// Who asks: a user in a role, or the product itself (migrations, the demo's first steps).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `None` for the product itself.
    pub user: Option<Uuid>,
    pub role: Role,
    pub reach: Reach,
}

impl Actor {
    /// The product itself, where no user stands behind a write.
    pub fn system() -> Self {
        Self { user: None, role: Role::Admin, reach: Reach::All }
    }

    pub fn reaches(&self, owner: Option<Uuid>) -> bool {
        match &self.reach {
            Reach::All => true,
            Reach::Users(users) => owner.is_some_and(|owner| users.contains(&owner)),
        }
    }
}

/// The user as an actor, as of now; `None` where there is no such user or they may not act (suspended, invited).
///
/// # Errors
/// The database.
pub async fn actor_of_user(store: &Store, tenant: &Tenant, user: Uuid, now: DateTime<Utc>) -> Result<Option<Actor>> {
    let sql = "select role, state from \"user\" where tenant_id = $1 and id = $2 and deleted_at is null";
    let found = Statement::from_sql_and_values(store.backend, sql, [tenant.id.into(), user.into()]);
    let Some(row) = store.read.query_one_raw(found).await? else { return Ok(None) };
    if row.try_get::<State>("", "state")? != State::Active {
        return Ok(None);
    }
    let role: Role = row.try_get("", "role")?;
    let reach = match role {
        Role::Admin => Reach::All,
        Role::Manager => Reach::Users(below(store, tenant, user, now).await?.into()),
        Role::Rep => Reach::Users([user].into()),
    };
    Ok(Some(Actor { user: Some(user), role, reach }))
}

/// Tenant, user and moment are `$1`, `$2` and `$3`.
const TEAM: &str = r#"
        with recursive
        member(user_id, team_id, role) as (
            select user_id, team_id, role from membership
            where tenant_id = $1 and deleted_at is null
              and (from_at is null or from_at <= $3) and (to_at is null or to_at > $3)),
        led(id) as (
            select id from team
            where tenant_id = $1 and deleted_at is null
              and (lead_id = $2 or id in (select team_id from member where user_id = $2 and role in ('lead', 'manager')))
            union
            select team.id from team join led on team.parent_id = led.id
            where team.tenant_id = $1 and team.deleted_at is null),
        below(id) as (
            select id from "user"
            where tenant_id = $1 and (id = $2 or id in (select user_id from member where team_id in (select id from led)))
            union
            select report.id from "user" as report join below on report.manager_id = below.id
            where report.tenant_id = $1)
        select id from below"#;

/// The ids of `user` and of those below them at `now`, as a subquery: for whoever asks, in whatever role.
pub(crate) fn team(cx: &Context, user: Uuid, now: DateTime<Utc>) -> Expr {
    let (sql, values) = team_sql(cx.backend(), cx.tenant.id, user, now);
    Expr::cust_with_values(format!("({sql})"), values)
}

/// [`TEAM`] with the placeholders of the database, and their values.
fn team_sql(backend: DbBackend, tenant: Uuid, user: Uuid, now: DateTime<Utc>) -> (String, Vec<Value>) {
    let given: [Value; 3] = [tenant.into(), user.into(), now.into()];
    let mut parts = TEAM.split('$');
    let mut sql = parts.next().unwrap_or_default().to_owned();
    let mut values = Vec::new();
    for part in parts {
        let (digit, rest) = part.split_at(1);
        values.extend(digit.parse::<usize>().ok().and_then(|n| given.get(n.wrapping_sub(1))).cloned());
        match backend {
            DbBackend::Postgres => sql.push_str(&["$", &values.len().to_string(), rest].concat()),
            _ => sql.push_str(&["?", rest].concat()),
        }
    }
    (sql, values)
}

/// A manager reaches themselves; the members of the teams they lead (as the team's `lead_id`, or by a current membership
/// as `lead` or `manager`) and of every team below those; and everyone who reports to any of these, directly or not. People
/// who have left stay within reach: their records have to be worked on.
async fn below(store: &Store, tenant: &Tenant, user: Uuid, now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let (sql, values) = team_sql(store.backend, tenant.id, user, now);
    let rows = store
        .read
        .query_all_raw(Statement::from_sql_and_values(store.backend, format!("{sql} order by id"), values))
        .await?;
    rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
}
