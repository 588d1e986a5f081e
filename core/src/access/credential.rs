//! Stored passwords: finding, storing, changing them.

use std::net::IpAddr;

use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::{
    Secret, may_act, one_time,
    password::{self, Verdict},
    session::{end, execute},
    throttle::Attempt,
    token,
};
use crate::{
    context::{Context, Unit},
    error::{Code, Error, Result},
    records::user::State,
    store::Store,
};

/// Whose password it is.
pub(super) struct Person {
    id: Uuid,
    state: State,
    email: String,
    name: String,
    hash: Option<String>,
}

impl Person {
    /// The hash of their password to be.
    ///
    /// # Errors
    /// `Invalid` at `password`.
    pub(super) async fn hashed(&self, cx: &Context, password: &Secret) -> Result<String> {
        let local = self.email.split('@').next().unwrap_or_default();
        password::acceptable("password", password, &[&self.email, local, &self.name, &cx.tenant.slug])?;
        cx.world.gate.passwords.turn().await?.hash(password).await
    }
}

/// Sets the password of a user, and ends all their sessions.
///
/// # Errors
/// `Forbidden`; `NotFound`; `invalid_state` where the user is invited: a password alone would not let them in; `Invalid` at
/// `password`.
pub async fn set_password(cx: &Context, user: Uuid, password: &Secret) -> Result<()> {
    may_act(&cx.actor, "user:set_password")?;
    let person = person(cx, user).await?.ok_or_else(|| Error::not_found("user", user))?;
    if person.state == State::Invited {
        let detail = "the user is invited and chooses a password themselves: POST to `invite`";
        return Err(Error::conflict(Code::InvalidState, detail));
    }
    replace(cx, &person, password).await
}

/// Changes the caller's own password, and ends all their sessions. Wrong present ones count as failed logins.
///
/// # Errors
/// `Invalid` at `current_password` or `password`; `too_many_attempts`.
pub async fn change_password(cx: &Context, current: &Secret, password: &Secret, address: Option<IpAddr>) -> Result<()> {
    may_act(&cx.actor, "me:update")?;
    let user = cx.actor.user.ok_or_else(token::invalid)?;
    let person = person(cx, user).await?.ok_or_else(token::invalid)?;
    let gate = &cx.world.gate;
    let attempt = Attempt::new(&cx.tenant.slug, &person.email, address);
    let turn = gate.passwords.turn().await?;
    gate.throttle.check(attempt, cx.now())?;
    let stored = person.hash.as_deref().filter(|_| password::of_possible_length(current));
    if stored.is_none() || turn.verify(current, stored).await? == Verdict::Wrong {
        gate.throttle.failed(attempt, cx.now());
        return Err(Error::invalid("current_password", Code::InvalidCredentials, "is not your password"));
    }
    gate.throttle.succeeded(attempt);
    replace(cx, &person, password).await
}

async fn replace(cx: &Context, person: &Person, password: &Secret) -> Result<()> {
    let hash = person.hashed(cx, password).await?;
    let unit = cx.begin().await?;
    one_time::forget(&unit, [person.id]).await?;
    store(&unit, person.id, &hash).await?;
    end(&unit, "user_id", person.id).await?;
    unit.commit().await
}

pub(super) async fn person(cx: &Context, user: Uuid) -> Result<Option<Person>> {
    let sql = "select state, email, name, password_hash from \"user\" as person left join credential \
               on credential.tenant_id = person.tenant_id and credential.user_id = person.id \
               where person.tenant_id = $1 and person.id = $2 and person.deleted_at is null";
    let values = [cx.tenant.id.into(), user.into()];
    let row = cx.reader().query_one_raw(Statement::from_sql_and_values(cx.backend(), sql, values)).await?;
    row.map(|row| {
        let (state, email, name) = (row.try_get("", "state")?, row.try_get("", "email")?, row.try_get("", "name")?);
        Ok(Person { id: user, state, email, name, hash: row.try_get("", "password_hash")? })
    })
    .transpose()
}

/// Stores the hash of a user's password.
pub(super) async fn store(unit: &Unit<'_>, user: Uuid, hash: &str) -> Result<()> {
    let sql = "insert into credential (tenant_id, user_id, password_hash, changed_at) values ($1, $2, $3, $4) \
               on conflict (tenant_id, user_id) do update set password_hash = excluded.password_hash, \
               changed_at = excluded.changed_at";
    execute(unit, sql, [unit.cx.tenant.id.into(), user.into(), hash.into(), unit.now.into()]).await
}

/// Tenant, user and password hash of an active user, in one statement whatever is missing.
pub(super) async fn find(store: &Store, tenant: &str, email: &str) -> Result<Option<(Uuid, Uuid, String)>> {
    if [tenant, email].iter().any(|text| text.len() > 254) {
        return Ok(None);
    }
    let sql = "select tenant.id as tenant, person.id as person, password_hash from tenant \
               join \"user\" as person on person.tenant_id = tenant.id and person.deleted_at is null \
               join credential on credential.tenant_id = tenant.id and credential.user_id = person.id \
               where slug = $1 and email = $2 and state = $3";
    let values = [tenant.into(), email.to_lowercase().into(), State::Active.into()];
    let row = store.read.query_one_raw(Statement::from_sql_and_values(store.backend, sql, values)).await?;
    row.map(|row| Ok((row.try_get("", "tenant")?, row.try_get("", "person")?, row.try_get("", "password_hash")?)))
        .transpose()
}
