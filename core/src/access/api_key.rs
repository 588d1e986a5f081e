//! API keys: how a program acts as a user, within scopes.
//!
//! `ripen_pat_` and 30 letters and digits, of which only the SHA-256 is stored, then a checksum, so that a mistyped key, or one
//! that a scanner of leaked secrets finds, is told apart without asking anybody. What a key may do is what its user may do
//! and its scopes name, as of now.

use chrono::{DateTime, TimeDelta, Utc};
use rand::seq::IndexedRandom as _;
use sea_orm::{
    ConnectionTrait, QueryResult, Statement, Value,
    sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Actor, actor_of_user, grants, may_act, one_time, secrets::digest, token};
use crate::{
    context::{Context, Tenant, World},
    engine::{Registry, instant, print_instant},
    error::{Code, Error, Result, Violation},
};

const PREFIX: &str = "ripen_pat_";
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 30;
/// Letters of the checksum.
const CHECK: usize = 6;
/// Letters of the secret that lists show, to tell keys apart.
const SHOWN: usize = 4;
/// Keys of one user.
pub const MOST: usize = 100;
/// How exactly it is known when a key was last used.
const USED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A key as its user may see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApiKey {
    pub id: Uuid,
    /// Whose key it is: it acts as them.
    pub user_id: Uuid,
    pub name: String,
    /// The beginning of the key.
    #[schema(example = "ripen_pat_4fJk")]
    pub prefix: String,
    /// `kind:verb` each; `*` stands for every kind or every verb.
    pub scopes: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: String,
    /// From then on it is refused; null: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<String>,
    /// To the minute; null before its first use.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<String>,
}

/// A key that has just been made. It is not shown again.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewApiKey {
    /// For `Authorization: Bearer ..`.
    pub key: String,
    #[serde(flatten)]
    pub about: ApiKey,
}

impl std::fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NewApiKey").field(&self.about.id).finish()
    }
}

/// A key to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyWish {
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// What it may do, of what you may.
    #[schema(example = json!(["account:read", "contact:*"]))]
    pub scopes: Vec<String>,
    /// From then on it is refused; without it never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<String>,
}

/// Makes a key of the caller's own.
///
/// # Errors
/// `Forbidden`; `Invalid` with everything that is wrong; `invalid_state` for a caller who came with a key, whose new one could
/// do more than it may itself, and for more keys than a user may have.
pub async fn create_key(cx: &Context, wish: &KeyWish) -> Result<NewApiKey> {
    may_act(&cx.actor, "api_key:create")?;
    let user = cx.actor.user.ok_or_else(token::invalid)?;
    if cx.actor.key().is_some() {
        return Err(Error::conflict(Code::InvalidState, "a key makes no keys: log in"));
    }
    let expires_at = checked(cx, wish)?;
    let key = fresh();
    let unit = cx.begin().await?;
    one_time::person(cx, &unit.txn, user, true).await?.ok_or_else(token::invalid)?; // keys are made one by one
    if listed(cx, &unit.txn, Some(user)).await?.len() >= MOST {
        let detail = format!("a user has {MOST} keys at most: remove one");
        return Err(Error::conflict(Code::InvalidState, detail));
    }
    let id = cx.new_id();
    let prefix = key.get(..PREFIX.len() + SHOWN).unwrap_or(PREFIX).to_owned();
    let columns =
        ["tenant_id", "id", "user_id", "hash", "prefix", "name", "scopes", "created_at", "expires_at"].map(Alias::new);
    let insert = Query::insert()
        .into_table(Alias::new("api_key"))
        .columns(columns)
        .values_panic([
            Expr::val(cx.tenant.id),
            Expr::val(id),
            Expr::val(user),
            Expr::val(digest(&key).to_vec()),
            Expr::val(prefix.as_str()),
            Expr::val(wish.name.as_str()),
            Expr::val(Json::from(wish.scopes.clone())),
            Expr::val(unit.now),
            Expr::val(expires_at),
        ])
        .take();
    unit.txn.execute(&insert).await?;
    let created_at = print_instant(unit.now);
    unit.commit().await?;
    let about = ApiKey {
        id,
        user_id: user,
        name: wish.name.clone(),
        prefix,
        scopes: wish.scopes.clone(),
        created_at,
        expires_at: expires_at.map(print_instant),
        last_used_at: None,
    };
    Ok(NewApiKey { key, about })
}

fn checked(cx: &Context, wish: &KeyWish) -> Result<Option<DateTime<Utc>>> {
    let mut broken = Vec::new();
    if wish.name.trim().is_empty() || wish.name.chars().count() > 200 {
        broken.push(Violation::field("name", Code::InvalidValue, "must have 1 to 200 characters"));
    }
    if wish.scopes.is_empty() {
        broken.push(Violation::field("scopes", Code::Required, "must name what the key may do, `*:read` for example"));
    }
    grants::listed("scopes", &wish.scopes, &cx.tenant.kinds, &mut broken);
    let expires_at = wish.expires_at.as_deref().map(instant).transpose();
    let expires_at = expires_at.unwrap_or_else(|detail| {
        broken.push(Violation::field("expires_at", Code::InvalidValue, detail));
        None
    });
    if expires_at.is_some_and(|at| at <= cx.now()) {
        broken.push(Violation::field("expires_at", Code::InvalidValue, "has passed"));
    }
    if broken.is_empty() { Ok(expires_at) } else { Err(Error::Invalid(broken)) }
}

/// The keys of the caller, or of everybody where they may manage them, oldest first.
///
/// # Errors
/// `Forbidden`.
pub async fn keys(cx: &Context, everybodys: bool) -> Result<Vec<ApiKey>> {
    may_act(&cx.actor, "api_key:read")?;
    if everybodys {
        may_act(&cx.actor, "api_key:manage")?;
        return listed(cx, &cx.reader(), None).await;
    }
    listed(cx, &cx.reader(), Some(cx.actor.user.ok_or_else(token::invalid)?)).await
}

async fn listed(cx: &Context, db: &impl ConnectionTrait, user: Option<Uuid>) -> Result<Vec<ApiKey>> {
    let mut select = select(cx.tenant.id);
    if let Some(user) = user {
        select.and_where(Expr::col(Alias::new("user_id")).eq(user));
    }
    let rows = db.query_all(select.order_by(Alias::new("id"), Order::Asc)).await?;
    rows.iter().map(shown).collect()
}

fn select(tenant: Uuid) -> SelectStatement {
    let columns = ["id", "user_id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"];
    Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new("api_key"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(tenant))
        .take()
}

fn shown(row: &QueryResult) -> Result<ApiKey> {
    let at = |name: &str| Ok::<_, sea_orm::DbErr>(row.try_get::<Option<DateTime<Utc>>>("", name)?.map(print_instant));
    Ok(ApiKey {
        id: row.try_get("", "id")?,
        user_id: row.try_get("", "user_id")?,
        name: row.try_get("", "name")?,
        prefix: row.try_get("", "prefix")?,
        scopes: scopes(row)?,
        created_at: at("created_at")?.unwrap_or_default(),
        expires_at: at("expires_at")?,
        last_used_at: at("last_used_at")?,
    })
}

fn scopes(row: &QueryResult) -> Result<Vec<String>> {
    let scopes: Json = row.try_get("", "scopes")?;
    serde_json::from_value(scopes).map_err(|source| Error::internal("stored scopes are a list of texts", source))
}

/// Ends a key: one's own, or anybody's for those who may manage them. Every process refuses it within a second.
///
/// # Errors
/// `Forbidden`; `NotFound`.
pub async fn remove_key(cx: &Context, id: Uuid) -> Result<()> {
    may_act(&cx.actor, "api_key:delete")?;
    let unit = cx.begin().await?;
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let mut delete = Query::delete();
    delete.from_table(Alias::new("api_key")).and_where(col("tenant_id").eq(cx.tenant.id)).and_where(col("id").eq(id));
    if may_act(&cx.actor, "api_key:manage").is_err() {
        delete.and_where(col("user_id").eq(cx.actor.user));
    }
    if unit.txn.execute(&delete).await?.rows_affected() == 0 {
        return Err(Error::not_found("api key", id));
    }
    unit.changes_access();
    unit.commit().await
}

/// What a key says.
pub(super) struct Known {
    id: Uuid,
    pub tenant: Uuid,
    pub user: Uuid,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Whether a token is meant to be a key.
pub(super) fn is_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// What is known of a key, and that it is used now.
///
/// # Errors
/// `invalid_token` for one that is none of ours; the database.
pub(super) async fn known(world: &World, key: &str, now: DateTime<Utc>) -> Result<Known> {
    if !is_whole(key) {
        return Err(token::invalid());
    }
    let sql = "select tenant_id, id, user_id, scopes, expires_at, last_used_at from api_key where hash = $1";
    let hash = Value::from(digest(key).to_vec());
    let found = Statement::from_sql_and_values(world.store.backend, sql, [hash]);
    let Some(row) = world.store.read.query_one_raw(found).await? else { return Err(token::invalid()) };
    let known = Known::read(&row)?;
    let used: Option<DateTime<Utc>> = row.try_get("", "last_used_at")?;
    if used.is_none_or(|used| now - used >= USED_EVERY) && known.is_alive(now) {
        let sql = "update api_key set last_used_at = $1 where tenant_id = $2 and id = $3";
        let values: [Value; 3] = [now.into(), known.tenant.into(), known.id.into()];
        world.store.write.execute_raw(Statement::from_sql_and_values(world.store.backend, sql, values)).await?;
    }
    Ok(known)
}

impl Known {
    fn read(row: &QueryResult) -> Result<Self> {
        Ok(Self {
            id: row.try_get("", "id")?,
            tenant: row.try_get("", "tenant_id")?,
            user: row.try_get("", "user_id")?,
            scopes: scopes(row)?,
            expires_at: row.try_get("", "expires_at")?,
        })
    }

    pub fn is_alive(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }

    /// The key's user within its scopes.
    pub fn holder(&self, user: Actor, kinds: &Registry) -> Actor {
        // a right that is there no more is not had
        user.within(self.id, grants::listed("scopes", &self.scopes, kinds, &mut Vec::new()))
    }
}

/// Whoever asked for a job, with the rights they have now: the user's, within the scopes of the key they came with.
///
/// # Errors
/// `Unauthenticated`: the user may not act any more, or the key has ended; the database.
pub(crate) async fn asker(world: &World, tenant: &Tenant, user: Uuid, key: Option<Uuid>) -> Result<Actor> {
    let gone = |who: &str| {
        let detail = format!("the {who} the job was asked for may not act any more");
        Error::Unauthenticated { code: Code::Unauthenticated, detail }
    };
    let now = world.clock.now();
    let actor = actor_of_user(&world.store, tenant, user, now).await?.ok_or_else(|| gone("user by whom"))?;
    let Some(key) = key else { return Ok(actor) };
    let sql = "select tenant_id, id, user_id, scopes, expires_at from api_key where tenant_id = $1 and id = $2";
    let found = Statement::from_sql_and_values(world.store.backend, sql, [tenant.id.into(), key.into()]);
    let row = world.store.read.query_one_raw(found).await?;
    let known = row.as_ref().map(Known::read).transpose()?.filter(|known| known.is_alive(now));
    Ok(known.ok_or_else(|| gone("key with which"))?.holder(actor, &tenant.kinds))
}

fn fresh() -> String {
    let mut random = rand::rng();
    let letters = (0..LENGTH).filter_map(|_| LETTERS.choose(&mut random)).map(|letter| char::from(*letter));
    let mut key = PREFIX.to_owned();
    key.extend(letters);
    let check = check(&key);
    key.push('_');
    key + &check
}

/// CRC-32 of what stands before, in the same letters.
fn check(text: &str) -> String {
    let mut sum = crc32fast::hash(text.as_bytes());
    let mut letters = Vec::with_capacity(CHECK);
    for _ in 0..CHECK {
        letters.extend(LETTERS.get(sum as usize % LETTERS.len()).map(|letter| char::from(*letter)));
        sum /= 62;
    }
    letters.iter().rev().collect()
}

fn is_whole(key: &str) -> bool {
    key.len() == PREFIX.len() + LENGTH + 1 + CHECK && key.rsplit_once('_').is_some_and(|(text, sum)| check(text) == sum)
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, fresh, is_whole};

    #[test]
    fn a_key_that_is_mistyped_is_none() {
        let key = fresh();
        assert!(is_whole(&key) && key.starts_with(PREFIX), "{key}");
        assert_ne!(key, fresh());
        for place in 0..key.len() {
            let mut other = key.clone().into_bytes();
            other[place] = if other[place] == b'x' { b'y' } else { b'x' };
            assert!(!is_whole(&String::from_utf8(other).unwrap()), "{place}");
        }
        assert!(!is_whole("") && !is_whole(PREFIX) && !is_whole(&key[..key.len() - 1]));
    }
}
