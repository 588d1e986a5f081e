//! What a tenant may choose for itself.

use chrono_tz::Tz;
use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{may_act, tenants};
use crate::{
    context::{Context, Tenant},
    error::{Code, Error, Result, Violation, enough, unknown},
};

/// The tenant of whoever asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub struct Settings {
    pub id: Uuid,
    /// Names the tenant at login.
    pub slug: String,
    pub name: String,
    /// ISO 4217; amounts that are imported without a currency are in it.
    pub base_currency: String,
    /// IANA name: where the tenant's days begin.
    pub time_zone: String,
    /// An update, a delete or a restore must say which version it changes (`If-Match`, in batches `version`), or is refused
    /// with 428. Upserts, imports and jobs need none.
    pub require_preconditions: bool,
    pub version: i64,
}

impl Settings {
    pub(super) fn of(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id,
            slug: tenant.slug.clone(),
            name: tenant.name.clone(),
            base_currency: tenant.base_currency.as_str().to_owned(),
            time_zone: tenant.time_zone.name().to_owned(),
            require_preconditions: tenant.require_preconditions,
            version: tenant.version,
        }
    }
}

/// # Errors
/// `Forbidden`.
pub fn settings(cx: &Context) -> Result<Settings> {
    may_act(&cx.actor, "tenant:read")?;
    Ok(Settings::of(&cx.tenant))
}

/// Changes the fields that `patch` names, from the version where one is given. Every process goes by it within a second.
///
/// # Errors
/// `Forbidden`; `Invalid` with everything that is wrong; `Stale`.
pub async fn change_settings(cx: &Context, version: Option<i64>, patch: &Map<String, Json>) -> Result<Settings> {
    may_act(&cx.actor, "tenant:update")?;
    let unit = cx.begin().await?;
    let stored = tenants::locked(&unit).await?;
    if version.is_some_and(|wanted| wanted != stored.version) {
        return Err(Error::Stale { actual: stored.version });
    }
    let mut tenant = patched(&stored, patch)?;
    tenant.version += 1;
    let update = Query::update()
        .table(Alias::new("tenant"))
        .value(Alias::new("name"), tenant.name.as_str())
        .value(Alias::new("time_zone"), tenant.time_zone.name())
        .value(Alias::new("require_preconditions"), tenant.require_preconditions)
        .value(Alias::new("version"), tenant.version)
        .and_where(Expr::col(Alias::new("id")).eq(tenant.id))
        .take();
    unit.txn.execute(&update).await?;
    unit.changes_access();
    unit.commit().await?;
    Ok(Settings::of(&tenant))
}

fn patched(stored: &Tenant, patch: &Map<String, Json>) -> Result<Tenant> {
    const SETTINGS: [&str; 3] = ["name", "time_zone", "require_preconditions"];
    const FIXED: [&str; 4] = ["id", "slug", "base_currency", "version"];
    let mut tenant = stored.clone();
    let mut broken = Vec::new();
    for (name, value) in patch {
        if enough(&broken) {
            break;
        }
        let mut refuse = |code, detail: String| broken.push(Violation::field(name, code, detail));
        match (name.as_str(), value) {
            ("name", Json::String(text)) if is_name(text) => tenant.name.clone_from(text),
            ("name", Json::String(_)) => refuse(Code::InvalidValue, "must have 1 to 200 characters".to_owned()),
            ("time_zone", Json::String(text)) => {
                let strange = || format!("`{text}` is not an IANA time zone such as `Europe/Berlin`");
                let zone = text.parse::<Tz>().map_err(|_| refuse(Code::InvalidValue, strange()));
                tenant.time_zone = zone.unwrap_or(tenant.time_zone);
            }
            ("require_preconditions", Json::Bool(on)) => tenant.require_preconditions = *on,
            ("require_preconditions", _) => refuse(Code::WrongType, "must be true or false".to_owned()),
            ("name" | "time_zone", _) => refuse(Code::WrongType, "must be a text".to_owned()),
            (fixed, _) if FIXED.contains(&fixed) => {
                refuse(Code::ReadOnly, "is set when the tenant is made".to_owned());
            }
            (other, _) => refuse(Code::UnknownField, unknown("field", other, SETTINGS)),
        }
    }
    if broken.is_empty() { Ok(tenant) } else { Err(Error::Invalid(broken)) }
}

pub(super) fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 200
}
