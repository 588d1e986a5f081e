//! One-time tokens: invitations and password resets.
//!
//! A token is 256 random bits, of which only the SHA-256 is stored. A user has one at most: a new one replaces it, and
//! so does any other change of the password, and a change of the user's address. It works once, before it expires, and only while the user is in the state
//! it was made for: invited for an invitation, active for a reset.

use std::{net::IpAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend, Statement,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Secret, credential,
    letters::{About, letter},
    may_act,
    secrets::digest,
    session::{end, execute, internal},
    throttle::Attempt,
    token,
};
use crate::{
    context::{Context, Unit, World},
    engine::{Operation, Record, Since, print_instant},
    error::{Code, Error, Result},
    records::user::{self, State},
};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An invited user chooses a password and becomes active. Seven days.
    Invite,
    /// An active user chooses another password. One hour.
    Reset,
}

impl Purpose {
    fn right(self) -> &'static str {
        match self {
            Self::Invite => "user:invite",
            Self::Reset => "user:set_password",
        }
    }

    fn life(self) -> TimeDelta {
        match self {
            Self::Invite => TimeDelta::days(7),
            Self::Reset => TimeDelta::hours(1),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Reset => "reset",
        }
    }

    /// Of the user, when the token is made and when it is used.
    fn state(self) -> State {
        match self {
            Self::Invite => State::Invited,
            Self::Reset => State::Active,
        }
    }

    fn of(name: &str) -> Result<Self> {
        let known = [Self::Invite, Self::Reset].into_iter().find(|purpose| purpose.name() == name);
        known.ok_or_else(|| Error::internal("a stored one-time token has a known purpose", name.to_owned()))
    }
}

/// A token that sets a user's password once, at `POST /v1/auth/password`: mailed to the user where the server sends mail, else
/// shown this once.
#[derive(Clone, Serialize, ToSchema)]
pub struct OneTimeToken {
    /// Null where it was mailed.
    pub token: Option<String>,
    /// The address it was mailed to.
    pub mailed_to: Option<String>,
    /// From then on the token is refused.
    #[serde(serialize_with = "milliseconds")]
    pub expires_at: DateTime<Utc>,
}

fn milliseconds<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&print_instant(*at))
}

impl std::fmt::Debug for OneTimeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeToken(..)")
    }
}

/// A fresh token of the user, in place of the one before.
///
/// # Errors
/// `Forbidden`; `NotFound`; `invalid_state` where the user is in another state than the purpose needs; `conflict` where their
/// address was changed while the letter was on its way; `mail_unavailable`, where it was not sent and the one before works on.
pub async fn one_time_token(cx: &Context, user: Uuid, purpose: Purpose) -> Result<OneTimeToken> {
    may_act(&cx.actor, purpose.right())?;
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let expires_at = cx.now() + purpose.life();
    let mut mailed_to = None;
    if let Some(mailer) = &cx.world.mailer {
        // first the letter, which may take long, then the token: one that is not stored opens nothing
        let person = fit(person(cx, &cx.reader(), user, false).await?, user, purpose)?;
        let (page, tenant) = (mailer.page(&token), &cx.tenant.name);
        mailer.send(letter(&About { purpose, tenant, name: &person.name, to: &person.email, page: &page })).await?;
        mailed_to = Some(person.email);
    }
    let unit = cx.begin().await?;
    let person = fit(person(cx, &unit.txn, user, true).await?, user, purpose)?;
    if mailed_to.as_ref().is_some_and(|address| *address != person.email) {
        let detail = "the user's address has just been changed; the letter opens nothing: ask for another";
        return Err(Error::conflict(Code::Conflict, detail));
    }
    let sql = "insert into one_time_token (tenant_id, user_id, hash, purpose, expires_at) values ($1, $2, $3, $4, $5) \
               on conflict (tenant_id, user_id) do update set hash = excluded.hash, purpose = excluded.purpose, \
               expires_at = excluded.expires_at";
    let hash = digest(&token).to_vec();
    let row = [cx.tenant.id.into(), user.into(), hash.into(), purpose.name().into(), expires_at.into()];
    execute(&unit, sql, row).await?;
    unit.commit().await?;
    Ok(OneTimeToken { token: Some(token).filter(|_| mailed_to.is_none()), mailed_to, expires_at })
}

/// The user, where they are in the state that the purpose needs.
fn fit(person: Option<Person>, user: Uuid, purpose: Purpose) -> Result<Person> {
    let person = person.ok_or_else(|| Error::not_found("user", user))?;
    if person.state == purpose.state() {
        return Ok(person);
    }
    let detail = match person.state {
        State::Invited => "the user is invited and has no password to reset: POST to `invite`",
        State::Active => "the user is active already: POST to `reset-password`",
        State::Suspended => "the user is suspended: set their `state` first",
    };
    Err(Error::conflict(Code::InvalidState, detail))
}

/// Sets the password of the token's user, makes an invited one active, and ends all their sessions. Unknown tokens count
/// as failed logins from the address.
///
/// # Errors
/// `invalid_token`, `token_expired`; `Invalid` at `password`, which leaves the token as it is; `too_many_attempts`.
pub async fn redeem(world: &Arc<World>, given: &Secret, password: &Secret, address: Option<IpAddr>) -> Result<()> {
    let (gate, now) = (&world.gate, world.clock.now());
    let attempt = Attempt::new("", given.expose(), address);
    gate.throttle.check(attempt, now)?;
    let hash = digest(given.expose()).to_vec();
    let sql = "select tenant_id, user_id, purpose, expires_at from one_time_token where hash = $1";
    let statement = Statement::from_sql_and_values(world.store.backend, sql, [hash.clone().into()]);
    let Some(row) = world.store.read.query_one_raw(statement).await? else {
        gate.throttle.failed(attempt, now);
        return Err(unknown());
    };
    if row.try_get::<DateTime<Utc>>("", "expires_at")? <= now {
        return Err(token::expired("one-time token"));
    }
    let (user, purpose) = (row.try_get("", "user_id")?, Purpose::of(&row.try_get::<String>("", "purpose")?)?);
    let tenant = gate.tenant(world, row.try_get("", "tenant_id")?).await?.ok_or_else(unknown)?;
    let cx = internal(world, tenant);
    let holder = credential::person(&cx, user).await?.ok_or_else(unknown)?;
    let hashed = holder.hashed(&cx, password).await?;
    let unit = cx.begin().await?;
    let state = person(&cx, &unit.txn, user, true).await?.map(|person| person.state); // first the user, then the token, as where one is made
    let sql = "delete from one_time_token where tenant_id = $1 and user_id = $2 and hash = $3";
    let values = [cx.tenant.id.into(), user.into(), hash.into()];
    let deleted = unit.txn.execute_raw(Statement::from_sql_and_values(cx.backend(), sql, values)).await?;
    if deleted.rows_affected() != 1 || state != Some(purpose.state()) {
        return Err(unknown());
    }
    if purpose == Purpose::Invite {
        activate(&unit, user).await?;
    }
    credential::store(&unit, user, &hashed).await?;
    end(&unit, "user_id", user).await?;
    unit.commit().await
}

/// Makes the tokens of these users useless, where there are any. One statement.
pub(crate) async fn forget(unit: &Unit<'_>, users: impl IntoIterator<Item = Uuid>) -> Result<()> {
    let users: Vec<_> = users.into_iter().collect();
    if users.is_empty() {
        return Ok(());
    }
    let delete = Query::delete()
        .from_table(Alias::new("one_time_token"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
        .and_where(Expr::col(Alias::new("user_id")).is_in(users))
        .take();
    unit.txn.execute(&delete).await?;
    Ok(())
}

async fn activate(unit: &Unit<'_>, user: Uuid) -> Result<()> {
    let users = unit.cx.kind(user::Entity::NAME);
    let users = users.ok_or_else(|| Error::internal("users are a kind", "they are not registered"))?;
    let data = Map::from_iter([("state".to_owned(), Json::from("active"))]);
    let update = Operation::Update { id: user, version: None, data, since: Since::default() };
    for verdict in users.write(unit, vec![update]).await? {
        verdict?;
    }
    Ok(())
}

pub(super) struct Person {
    state: State,
    name: String,
    email: String,
}

/// A user who is not deleted, where it is wanted locked until the transaction ends.
pub(super) async fn person(cx: &Context, db: &impl ConnectionTrait, user: Uuid, lock: bool) -> Result<Option<Person>> {
    let lock = if lock && cx.backend() == DbBackend::Postgres { " for update" } else { "" };
    let sql = format!(
        "select state, name, email from \"user\" where tenant_id = $1 and id = $2 and deleted_at is null{lock}"
    );
    let statement = Statement::from_sql_and_values(cx.backend(), sql, [cx.tenant.id.into(), user.into()]);
    let read = |row: sea_orm::QueryResult| {
        let (state, name, email) = (row.try_get("", "state")?, row.try_get("", "name")?, row.try_get("", "email")?);
        Ok(Person { state, name, email })
    };
    db.query_one_raw(statement).await?.map(read).transpose()
}

fn unknown() -> Error {
    Error::Unauthenticated {
        code: Code::InvalidToken,
        detail: "the one-time token is not one of ours, was used, or was replaced; ask for a new one".to_owned(),
    }
}
