//! Who asks, and whose rows they reach.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value, sea_query::Expr};
use uuid::Uuid;

use super::{Definition, Extent, Grants, Role, Verb, rights::right};
use crate::{
    context::{Context, Tenant},
    engine::{Registry, Scope, Shape, filter::Filter},
    error::Result,
    records::{role, share, user::State},
    store::Store,
};

/// Whose rows of one kind an actor reaches.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// Everyone's, and those that belong to nobody.
    All,
    /// Those of these users: oneself, one's team, or one's team tree.
    Users(&'a [Uuid]),
    /// Those that the filter keeps.
    Where(&'a Filter),
}

/// Who asks: a user in a role, or the product itself (migrations, the demo's first steps).
#[derive(Clone, Debug)]
pub struct Actor {
    /// `None` for the product itself.
    pub user: Option<Uuid>,
    /// The role's key.
    pub role: Arc<str>,
    grants: Arc<Grants>,
    key: Option<Key>,
    circles: Circles,
    /// Records that are shared with them, whatever their role says of rows.
    shared: Arc<Shared>,
    /// Rows and fields are no matter, whatever the role says.
    everywhere: bool,
}

/// The key they came with.
#[derive(Clone, Debug)]
struct Key {
    id: Uuid,
    /// Rights of the role that it leaves them.
    scopes: Arc<BTreeSet<String>>,
}

/// The users whose rows one may reach; those that the role does not ask for are empty.
#[derive(Clone, Debug, Default)]
struct Circles {
    own: Arc<[Uuid]>,
    team: Arc<[Uuid]>,
    tree: Arc<[Uuid]>,
}

/// By kind.
#[derive(Clone, Debug, Default)]
struct Shared(BTreeMap<String, Vec<Held>>);

#[derive(Clone, Copy, Debug)]
struct Held {
    record: Uuid,
    write: bool,
    until: Option<DateTime<Utc>>,
}

/// Records that may be shared with one user: the latest count.
const MOST_SHARED: u64 = 1000;

impl Actor {
    /// The product itself, where no user stands behind a write.
    pub fn system() -> Self {
        Self::system_for(None)
    }

    /// The product itself, in a user's name.
    pub fn system_for(user: Option<Uuid>) -> Self {
        Self::of(user, Role::Admin)
    }

    /// Someone in a built-in role who leads nobody.
    pub fn of(user: Option<Uuid>, role: Role) -> Self {
        let grants = Arc::new(Grants::built_in(role));
        let own: Arc<[Uuid]> = user.into_iter().collect();
        let circles = Circles { team: Arc::clone(&own), tree: Arc::clone(&own), own };
        Self { user, role: role.key().into(), grants, key: None, circles, shared: Arc::default(), everywhere: false }
    }

    /// The same with everybody's rows and every field.
    #[must_use]
    pub fn everywhere(&self) -> Self {
        Self { everywhere: true, ..self.clone() }
    }

    /// The same with a key that has these scopes.
    pub(super) fn within(self, key: Uuid, scopes: BTreeSet<String>) -> Self {
        Self { key: Some(Key { id: key, scopes: scopes.into() }), ..self }
    }

    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The key that they came with.
    pub fn key(&self) -> Option<Uuid> {
        self.key.as_ref().map(|key| key.id)
    }

    pub(super) fn may(&self, verb: Verb, shape: &Shape) -> bool {
        self.grants.may(verb, shape) && self.key.as_ref().is_none_or(|key| key.scopes.contains(&right(shape, verb)))
    }

    pub(super) fn may_act(&self, right: &str) -> bool {
        self.grants.may_act(right) && self.key.as_ref().is_none_or(|key| key.scopes.contains(right))
    }

    /// Whether they have the role that does everything, and came with no key, which may not make admins.
    pub fn is_admin(&self) -> bool {
        Role::of(&self.role) == Some(Role::Admin) && self.key.is_none()
    }

    /// Whose rows of the kind they see.
    pub fn reach(&self, shape: &Shape) -> Reach<'_> {
        if self.everywhere {
            return Reach::All;
        }
        match self.grants.extent(shape) {
            Extent::All => Reach::All,
            Extent::Own => Reach::Users(&self.circles.own),
            Extent::Team => Reach::Users(&self.circles.team),
            Extent::TeamTree => Reach::Users(&self.circles.tree),
            Extent::Where(filter) => Reach::Where(filter),
        }
    }

    /// Whether they may make someone the owner of a record of the kind. Where a filter says what they see, what they wrote
    /// is looked at as a whole.
    pub fn reaches(&self, shape: &Shape, owner: Option<Uuid>) -> bool {
        match self.reach(shape) {
            Reach::All | Reach::Where(_) => true,
            Reach::Users(users) => owner.is_some_and(|owner| users.contains(&owner)),
        }
    }

    /// The ids of records of the kind that are shared with them at a moment, or of those alone that they may change.
    pub fn shared(&self, kind: &str, now: DateTime<Utc>, write: bool) -> Vec<Uuid> {
        let held = |share: &&Held| (share.write || !write) && share.until.is_none_or(|until| now < until);
        self.shared.0.get(kind).into_iter().flatten().filter(held).map(|share| share.record).collect()
    }

    /// Whether they see every row of every kind, and every field.
    pub fn sees_all(&self) -> bool {
        self.everywhere || self.grants.whole()
    }

    /// The tenant's kinds as they see them.
    pub(crate) fn kinds<'a>(&'a self, of_tenant: &'a Registry) -> &'a Registry {
        if self.everywhere { of_tenant } else { self.grants.kinds(of_tenant) }
    }
}

/// The user as an actor, as of now; `None` where there is no such user, they may not act (suspended, invited), or their role
/// is not there.
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
    let key: String = row.try_get("", "role")?;
    let Some(grants) = grants_of(store, tenant, &key).await? else { return Ok(None) };
    let mut circles = Circles { own: [user].into(), ..Circles::default() };
    for shape in tenant.kinds.shapes().filter(|shape| shape.scope == Scope::Owner) {
        match grants.extent(shape) {
            Extent::Team if circles.team.is_empty() => {
                circles.team = among(store, tenant, TEAM, user, now).await?.into();
            }
            Extent::TeamTree if circles.tree.is_empty() => {
                circles.tree = among(store, tenant, TREE, user, now).await?.into();
            }
            _ => {}
        }
    }
    let shared = if grants.whole() { Arc::default() } else { shared(store, tenant, user, now).await?.into() };
    Ok(Some(Actor {
        user: Some(user),
        role: key.into(),
        grants: Arc::new(grants),
        key: None,
        circles,
        shared,
        everywhere: false,
    }))
}

/// The records that are shared with the user, or with a team they are in.
async fn shared(store: &Store, tenant: &Tenant, user: Uuid, now: DateTime<Utc>) -> Result<Shared> {
    let (sql, values) = filled(SHARED, store.backend, tenant.id, user, now);
    let sql = format!("{sql} order by id desc limit {MOST_SHARED}");
    let mut shared = Shared::default();
    for row in store.read.query_all_raw(Statement::from_sql_and_values(store.backend, sql, values)).await? {
        let access: share::Access = row.try_get("", "access")?;
        let held = Held {
            record: row.try_get("", "subject_id")?,
            write: access == share::Access::Write,
            until: row.try_get("", "until_at")?,
        };
        shared.0.entry(row.try_get("", "subject_kind")?).or_default().push(held);
    }
    Ok(shared)
}

/// What the role of that key grants; `None` where there is none, or what it says cannot be read any more: its users are kept
/// out until an admin mends it.
async fn grants_of(store: &Store, tenant: &Tenant, key: &str) -> Result<Option<Grants>> {
    if let Some(role) = Role::of(key) {
        return Ok(Some(Grants::built_in(role)));
    }
    let sql = "select rights, rows, fields from role where tenant_id = $1 and key = $2 and deleted_at is null";
    let found = Statement::from_sql_and_values(store.backend, sql, [tenant.id.into(), key.into()]);
    let Some(row) = store.read.query_one_raw(found).await? else { return Ok(None) };
    let rights: role::Rights = row.try_get("", "rights")?;
    let rows: Option<role::Rows> = row.try_get("", "rows")?;
    let fields: Option<role::Fields> = row.try_get("", "fields")?;
    let (rows, fields) = (rows.unwrap_or_default(), fields.unwrap_or_default());
    let grants = Grants::of(&Definition { rights: &rights.0, rows: &rows, fields: &fields }, &tenant.kinds);
    if let Err(broken) = &grants {
        tracing::error!(role = key, tenant = %tenant.id, ?broken, "a role cannot be read");
    }
    Ok(grants.ok())
}

/// Tenant, user and moment are `$1`, `$2` and `$3`.
const TREE: &str = r#"
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

/// Whoever is in a team that the user is in at the moment, and the user. The same placeholders.
const TEAM: &str = r#"
        with mine(team_id) as (
            select team_id from membership
            where tenant_id = $1 and user_id = $2 and deleted_at is null
              and (from_at is null or from_at <= $3) and (to_at is null or to_at > $3))
        select id from "user" where tenant_id = $1 and (id = $2 or id in (
            select user_id from membership
            where tenant_id = $1 and team_id in (select team_id from mine) and deleted_at is null
              and (from_at is null or from_at <= $3) and (to_at is null or to_at > $3)))"#;

/// Shares with the user, or with a team that they are in at the moment. The same placeholders.
const SHARED: &str = r"
        select subject_kind, subject_id, access, until_at from share
        where tenant_id = $1 and deleted_at is null and (until_at is null or until_at > $3) and (user_id = $2 or team_id in (
            select team_id from membership
            where tenant_id = $1 and user_id = $2 and deleted_at is null
              and (from_at is null or from_at <= $3) and (to_at is null or to_at > $3)))";

/// The ids of `user` and of those below them at `now`, as a subquery: for whoever asks, in whatever role.
pub(crate) fn team(cx: &Context, user: Uuid, now: DateTime<Utc>) -> Expr {
    let (sql, values) = filled(TREE, cx.backend(), cx.tenant.id, user, now);
    Expr::cust_with_values(format!("({sql})"), values)
}

/// One of these with the placeholders of the database, and their values.
fn filled(text: &str, backend: DbBackend, tenant: Uuid, user: Uuid, now: DateTime<Utc>) -> (String, Vec<Value>) {
    let given: [Value; 3] = [tenant.into(), user.into(), now.into()];
    let mut parts = text.split('$');
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
async fn among(store: &Store, tenant: &Tenant, text: &str, user: Uuid, now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let (sql, values) = filled(text, store.backend, tenant.id, user, now);
    let rows = store
        .read
        .query_all_raw(Statement::from_sql_and_values(store.backend, format!("{sql} order by id"), values))
        .await?;
    rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
}
