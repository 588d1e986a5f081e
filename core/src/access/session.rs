//! Sessions: logging in, refreshing, logging out.
//!
//! A session is a family of refresh tokens of which only the newest works. Each is 256 random bits, of which only the
//! SHA-256 is stored, works once, and lives 30 days. Presenting one a second time means that it was stolen, or that the
//! thief was first: the session ends, and with it every token of the family (RFC 9700, 4.14.2).
//!
//! Every step locks the session's row first, so that of two refreshes at the same moment exactly one wins, and none slips past
//! a logout.

use std::{net::IpAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Actor, Secret, credential,
    password::{self, Verdict},
    secrets::digest,
    throttle::Attempt,
    token::{self, ACCESS_TOKEN_LIFE, Claims},
};
use crate::{
    context::{Context, Tenant, Unit, World},
    error::{Code, Error, Result},
    records::user::State,
    store::Store,
};

const REFRESH_TOKEN_LIFE: TimeDelta = TimeDelta::days(30);

/// What a login or a refresh answers with.
#[derive(Clone, Serialize, ToSchema)]
pub struct Tokens {
    /// Goes into the `Authorization` header of every call: `Bearer ..`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: i64,
    /// Buys the next pair of tokens at `/v1/auth/refresh`, once.
    pub refresh_token: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// # Errors
/// `invalid_credentials`, the same and after the same work whatever of the three is wrong; `too_many_attempts`.
pub async fn login(
    world: &Arc<World>,
    tenant: &str,
    email: &str,
    password: &Secret,
    address: Option<IpAddr>,
) -> Result<Tokens> {
    let gate = &world.gate;
    let attempt = Attempt::new(tenant, email, address);
    gate.throttle.check(attempt, world.clock.now())?;
    let turn = gate.passwords.turn().await?;
    gate.throttle.check(attempt, world.clock.now())?; // the ones before us in the queue may have failed
    let known = credential::find(&world.store, tenant, email).await?;
    let possible = password::of_possible_length(password);
    let stored = known.as_ref().map(|(_, _, hash)| hash.as_str()).filter(|_| possible);
    let empty = Secret::new("");
    let verdict = turn.verify(if possible { password } else { &empty }, stored).await?;
    let Some((tenant, user, _)) = known.filter(|_| verdict != Verdict::Wrong) else {
        gate.throttle.failed(attempt, world.clock.now());
        return Err(Error::Unauthenticated {
            code: Code::InvalidCredentials,
            detail: "tenant, e-mail address or password is wrong".to_owned(),
        });
    };
    gate.throttle.succeeded(attempt);
    let again =
        if verdict == Verdict::Outdated { Some(gate.passwords.turn().await?.hash(password).await?) } else { None };
    let tenant = gate.tenant(world, tenant).await?.ok_or_else(token::invalid)?;
    let cx = internal(world, tenant);
    let unit = cx.begin().await?;
    if let Some(hash) = again {
        credential::store(&unit, user, &hash).await?;
    }
    forget_expired(&unit, user).await?;
    let session = cx.new_id();
    let insert = "insert into session (tenant_id, id, user_id, created_at) values ($1, $2, $3, $4)";
    execute(&unit, insert, [cx.tenant.id.into(), session.into(), user.into(), unit.now.into()]).await?;
    let tokens = issue(&unit, user, session).await?;
    unit.commit().await?;
    Ok(tokens)
}

/// # Errors
/// `invalid_token`, `token_expired`, or `refresh_token_reused`, which ends the session.
pub async fn refresh(world: &Arc<World>, refresh_token: &Secret) -> Result<Tokens> {
    let Some((tenant, session)) = family(world, refresh_token).await? else { return Err(token::invalid()) };
    let cx = internal(world, tenant);
    let unit = cx.begin().await?;
    let alive = lock(&unit, session).await?;
    let hash = digest(refresh_token.expose()).to_vec();
    let sql = "select user_id, expires_at, used_at from refresh_token join session \
               on session.tenant_id = refresh_token.tenant_id and session.id = refresh_token.session_id where hash = $1";
    let row = one(&unit, sql, [hash.clone().into()]).await?.ok_or_else(token::invalid)?;
    let expires: DateTime<Utc> = row.try_get("", "expires_at")?;
    if row.try_get::<Option<DateTime<Utc>>>("", "used_at")?.is_some() {
        if alive {
            end(&unit, "id", session).await?;
            unit.commit().await?;
        }
        return Err(Error::Unauthenticated {
            code: Code::RefreshTokenReused,
            detail: "this refresh token was used before, so its session has been ended; log in again".to_owned(),
        });
    }
    let user: Uuid = row.try_get("", "user_id")?;
    if !alive || !is_active(&unit, user).await? {
        return Err(token::invalid());
    }
    if expires <= unit.now {
        return Err(token::expired("refresh token"));
    }
    execute(&unit, "update refresh_token set used_at = $2 where hash = $1", [hash.into(), unit.now.into()]).await?;
    let tokens = issue(&unit, user, session).await?;
    unit.commit().await?;
    Ok(tokens)
}

/// Ends the session the token belongs to; one that is not known has none, which is just as well (RFC 7009, 2.2).
///
/// # Errors
/// The database.
pub async fn logout(world: &Arc<World>, refresh_token: &Secret) -> Result<()> {
    let Some((tenant, session)) = family(world, refresh_token).await? else { return Ok(()) };
    let cx = internal(world, tenant);
    let unit = cx.begin().await?;
    end(&unit, "id", session).await?;
    unit.commit().await
}

/// Whether the session has not been ended.
pub(super) async fn is_alive(store: &Store, tenant: Uuid, session: Uuid) -> Result<bool> {
    let sql = "select 1 from session where tenant_id = $1 and id = $2 and ended_at is null";
    let statement = Statement::from_sql_and_values(store.backend, sql, [tenant.into(), session.into()]);
    Ok(store.read.query_one_raw(statement).await?.is_some())
}

/// Tenant and session of a refresh token, whatever its state.
async fn family(world: &World, refresh_token: &Secret) -> Result<Option<(Arc<Tenant>, Uuid)>> {
    let (store, hash) = (&world.store, digest(refresh_token.expose()).to_vec());
    let sql = "select tenant_id, session_id from refresh_token where hash = $1";
    let row = store.read.query_one_raw(Statement::from_sql_and_values(store.backend, sql, [hash.into()])).await?;
    let Some(row) = row else { return Ok(None) };
    let tenant = world.gate.tenant(world, row.try_get("", "tenant_id")?).await?;
    let session = row.try_get("", "session_id")?;
    Ok(tenant.map(|tenant| (tenant, session)))
}

/// Locks the session until the unit ends; false when it has been ended.
async fn lock(unit: &Unit<'_>, session: Uuid) -> Result<bool> {
    let lock = if unit.cx.backend() == DbBackend::Postgres { " for update" } else { "" };
    let sql = format!("select 1 from session where tenant_id = $1 and id = $2 and ended_at is null{lock}");
    Ok(one(unit, &sql, [unit.cx.tenant.id.into(), session.into()]).await?.is_some())
}

async fn is_active(unit: &Unit<'_>, user: Uuid) -> Result<bool> {
    let sql = "select 1 from \"user\" where tenant_id = $1 and id = $2 and state = $3 and deleted_at is null";
    Ok(one(unit, sql, [unit.cx.tenant.id.into(), user.into(), State::Active.into()]).await?.is_some())
}

/// A fresh pair of tokens of the session.
async fn issue(unit: &Unit<'_>, user: Uuid, session: Uuid) -> Result<Tokens> {
    let refresh_token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let (tenant, now) = (unit.cx.tenant.id, unit.now);
    let over = "delete from refresh_token where tenant_id = $1 and session_id = $2 and expires_at <= $3";
    execute(unit, over, [tenant.into(), session.into(), now.into()]).await?;
    let sql =
        "insert into refresh_token (tenant_id, hash, session_id, issued_at, expires_at) values ($1, $2, $3, $4, $5)";
    let hash = digest(&refresh_token).to_vec();
    let row = [tenant.into(), hash.into(), session.into(), now.into(), (now + REFRESH_TOKEN_LIFE).into()];
    execute(unit, sql, row).await?;
    let gate = &unit.cx.world.gate;
    let claims = Claims {
        iss: gate.issuer.clone(),
        sub: user,
        tid: tenant,
        sid: session,
        iat: now.timestamp(),
        exp: now.timestamp() + ACCESS_TOKEN_LIFE,
        jti: unit.cx.new_id(),
    };
    let access_token = gate.signer.sign(&claims)?;
    Ok(Tokens { access_token, token_type: "Bearer", expires_in: ACCESS_TOKEN_LIFE, refresh_token })
}

/// Removes the user's sessions of which no token could be used any more.
async fn forget_expired(unit: &Unit<'_>, user: Uuid) -> Result<()> {
    let sql = "delete from session where tenant_id = $1 and user_id = $2 and not exists (select 1 from refresh_token \
               where tenant_id = session.tenant_id and session_id = session.id and expires_at > $3)";
    execute(unit, sql, [unit.cx.tenant.id.into(), user.into(), unit.now.into()]).await
}

/// Removes everything by which the user was known to be themselves.
///
/// # Errors
/// The database.
pub(crate) async fn forget_user(unit: &Unit<'_>, user: Uuid) -> Result<()> {
    let sessions = "session_id in (select id from session where tenant_id = $1 and user_id = $2)";
    for (table, these) in [
        ("refresh_token", sessions),
        ("session", "user_id = $2"),
        ("one_time_token", "user_id = $2"),
        ("api_key", "user_id = $2"),
        ("credential", "user_id = $2"),
    ] {
        let sql = format!("delete from {table} where tenant_id = $1 and {these}");
        execute(unit, &sql, [unit.cx.tenant.id.into(), user.into()]).await?;
    }
    unit.changes_access();
    Ok(())
}

/// Ends one session (`column` is `id`) or all of a user (`user_id`), with everything that was issued in it.
pub(super) async fn end(unit: &Unit<'_>, column: &'static str, id: Uuid) -> Result<()> {
    let sql = format!("update session set ended_at = $3 where tenant_id = $1 and {column} = $2 and ended_at is null");
    execute(unit, &sql, [unit.cx.tenant.id.into(), id.into(), unit.now.into()]).await?;
    unit.changes_access();
    Ok(())
}

pub(super) async fn execute<const N: usize>(unit: &Unit<'_>, sql: &str, values: [Value; N]) -> Result<()> {
    unit.txn.execute_raw(Statement::from_sql_and_values(unit.cx.backend(), sql, values)).await?;
    Ok(())
}

pub(super) async fn one<const N: usize>(unit: &Unit<'_>, sql: &str, values: [Value; N]) -> Result<Option<QueryResult>> {
    Ok(unit.txn.query_one_raw(Statement::from_sql_and_values(unit.cx.backend(), sql, values)).await?)
}

/// The product's own context in the tenant: who asks is only being found out.
pub(super) fn internal(world: &Arc<World>, tenant: Arc<Tenant>) -> Context {
    let (world, actor) = (Arc::clone(world), Arc::new(Actor::system()));
    Context { world, tenant, actor, request_id: None, known_at: None, attempt: None }
}
