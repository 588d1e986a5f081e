//! Asking for a run: what can be refused is refused here, before any job.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{artefact, config, create, installation, object, plan, resource};
use crate::{
    access,
    context::{Context, Tenant},
    engine::{Shape, date, instant, print_instant},
    error::{Code, Error, Result, Violation},
    jobs,
    metrics::{Period, Wanted, Window, start_of},
    ports::InputType,
    records::{
        installation::{Kind, Model as Installation, State},
        plugin_run::{Entity, Mode},
    },
};

/// A run that is wanted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// Id or key.
    #[schema(example = "rfm-customers")]
    pub installation: String,
    pub mode: Mode,
    /// Facts are what was true before this instant, or before this day in the tenant's zone; without it, now.
    #[schema(example = "2018-01-01")]
    pub as_of: Option<String>,
    /// Filter that narrows the installation's subjects.
    pub r#where: Option<String>,
    /// Another configuration, for `simulate` and `backtest`.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Json>>,
    /// What a `backtest` looks at.
    pub outcome: Option<Outcome>,
}

/// What happened from `as_of` on.
#[derive(Clone, Debug, Deserialize, serde::Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    #[schema(example = "order_revenue")]
    pub fact: String,
    /// How far it looks ahead, ISO 8601.
    #[schema(example = "P9M")]
    pub window: String,
}

/// Asks for the run. The job and the plugin run have the id that is answered.
///
/// # Errors
/// `Forbidden`; `NotFound`; `Conflict` (`invalid_state`) to apply an installation that is not active; `Invalid` with
/// everything that does not fit; `Plugin` where the sandbox stops the plugin over the configuration.
pub async fn request(cx: &Context, new: NewRun) -> Result<Uuid> {
    let right = if new.mode == Mode::Apply { "plugin_run:create" } else { "plugin_run:simulate" };
    let rights = [right, jobs::READ].map(str::to_owned).to_vec();
    access::may_all(cx, &rights)?;
    let installation = installation::find(cx, &new.installation).await?;
    applicable(&installation, new.mode)?;
    let as_of = check(cx, &new, &installation)?;
    let artefact = artefact::load(cx, artefact::by_id(cx, installation.plugin_id).await?).await?;
    let config = new.config.map(Json::Object);
    if let Some(config) = &config {
        config::fits(&artefact.manifest, config).map_err(Error::Invalid)?;
        config::tried(cx, installation.kind.into(), &artefact, config, plan::seed(installation.seed)).await?;
    }
    let unit = cx.begin().await?;
    let id = jobs::enqueue(&unit, super::run::KIND, rights, json!({})).await?;
    let data = json!({
        "id": id, "installation_id": installation.id, "mode": new.mode, "as_of": print_instant(as_of), "where": new.r#where,
        "config": config, "outcome": new.outcome, "config_version": installation.config_version,
        "plugin_digest": artefact.digest.as_ref(),
    });
    let server = cx.as_server(); // who may only simulate makes a run too
    let part = unit.as_server(&server).await?;
    create::<Entity>(&part, object(data)).await?;
    part.merge(&unit).await?;
    unit.commit().await?;
    Ok(id)
}

/// # Errors
/// `Conflict`: the installation's decisions are not to be changed.
pub fn applicable(installation: &Installation, mode: Mode) -> Result<()> {
    if mode != Mode::Apply || installation.state == State::Active {
        return Ok(());
    }
    let (key, state) = (&installation.key, json!(installation.state));
    let detail = format!(
        "the installation {key} is {}; activate it, or simulate, which works in any state",
        state.as_str().unwrap_or_default()
    );
    Err(Error::conflict(Code::InvalidState, detail))
}

/// Answers with the moment of the run.
fn check(cx: &Context, new: &NewRun, installation: &Installation) -> Result<DateTime<Utc>> {
    let mut broken = Vec::new();
    let mut wrong = |field: &str, code: Code, detail: &str| broken.push(Violation::field(field, code, detail));
    match (new.mode, &new.outcome) {
        (Mode::Backtest, None) => wrong("outcome", Code::Required, "a backtest needs the outcome it looks at"),
        (Mode::Apply | Mode::Simulate, Some(_)) => wrong("outcome", Code::InvalidValue, "is for a backtest only"),
        _ => {}
    }
    if new.mode == Mode::Apply && new.config.is_some() {
        wrong("config", Code::InvalidValue, "is for simulate and backtest; change the installation to apply another");
    }
    if new.mode == Mode::Backtest && installation.kind != Kind::Scorer {
        wrong("mode", Code::InvalidValue, "a backtest ranks by value, and only a scorer gives one");
    }
    let as_of = moment(new.as_of.as_deref(), cx.now(), cx.tenant.time_zone).unwrap_or_else(|detail| {
        wrong("as_of", Code::InvalidValue, &detail);
        cx.now()
    });
    let subject = resource(cx, &installation.subject)?.shape();
    if let Some(outcome) = &new.outcome {
        broken.extend(wanted(outcome, subject, &cx.tenant).err());
    }
    match plan::narrowed(cx, subject, new.r#where.as_deref()) {
        Err(Error::Invalid(violations)) => broken.extend(violations),
        other => drop(other?),
    }
    if broken.is_empty() { Ok(as_of) } else { Err(Error::Invalid(broken)) }
}

/// The outcome as a fact about the subjects, from the run's moment on.
pub fn wanted(outcome: &Outcome, subject: &Shape, tenant: &Tenant) -> Result<Wanted, Violation> {
    let at = |field: &str, code: Code, detail: String| Violation::field(&format!("outcome.{field}"), code, detail);
    let window = Period::parse(&outcome.window).map_err(|detail| at("window", Code::InvalidValue, detail))?;
    let wanted = Wanted::parse(&format!("metric:{}", outcome.fact), Window::Ahead(window), subject)
        .map_err(|violation| at("fact", violation.code, violation.detail))?;
    if wanted.fits(InputType::Money) || wanted.unit(tenant).is_none() {
        Ok(wanted)
    } else {
        Err(at("fact", Code::WrongUnit, "an outcome must be a count or an amount, which can be added up".to_owned()))
    }
}

/// An instant, or the start of a day in the zone.
fn moment(text: Option<&str>, now: DateTime<Utc>, zone: Tz) -> Result<DateTime<Utc>, String> {
    let Some(text) = text else { return Ok(now) };
    match date(text) {
        Ok(day) => Ok(start_of(day, zone)),
        Err(_) => instant(text).map_err(|detail| format!("{detail}, and no date YYYY-MM-DD")),
    }
}
