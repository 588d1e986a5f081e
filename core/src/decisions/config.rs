//! Whether a configuration is one the plugin takes: first by its schema, then by its own word.

use serde_json::{Value as Json, json};

use crate::{
    context::Context,
    error::{Code, Error, Result, VIOLATIONS, Violation},
    ports::{Artefact, Capability, Manifest, RunContext},
};

/// # Errors
/// Every place where `config` breaks the manifest's JSON Schema, as pointers below `/config`.
pub fn fits(manifest: &Manifest, config: &Json) -> Result<(), Vec<Violation>> {
    let Some(schema) = &manifest.config.schema else { return Ok(()) };
    let broken = |pointer: String, detail: String| Violation { pointer, code: Code::ConfigInvalid, detail };
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| vec![broken("/plugin".to_owned(), format!("the plugin's schema cannot be used: {error}"))])?;
    let violations: Vec<_> = validator
        .iter_errors(config)
        .take(VIOLATIONS)
        .map(|error| broken(format!("/config{}", error.instance_path()), error.to_string()))
        .collect();
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// Lets the plugin read the configuration once, in the sandbox, as a run would.
///
/// # Errors
/// `Invalid` with the plugin's own words where it refuses; a trap or a limit as `Plugin`.
pub async fn tried(cx: &Context, kind: Capability, artefact: &Artefact, config: &Json, seed: u32) -> Result<()> {
    let empty = artefact.manifest.statistics.keys().map(|name| (name.clone(), json!({"values": [], "count": 0})));
    let statistics = Json::Object(empty.collect());
    let context = context(cx, cx.now().timestamp_millis(), seed, &statistics);
    let (artefact, config) = (artefact.clone(), config.to_string());
    let tried =
        cx.world.plugins.call(cx.tenant.id, move |host| host.try_config(kind, &artefact, &config, &context)).await;
    tried.map_err(|error| match error {
        Error::Plugin(failure) if failure.class == crate::ports::FailureClass::Refused => {
            Error::invalid("config", Code::ConfigInvalid, format!("the plugin refuses it: {}", failure.detail))
        }
        other => other,
    })
}

/// What a plugin is told beside its rows and its configuration.
pub fn context(cx: &Context, as_of_ms: i64, seed: u32, statistics: &Json) -> RunContext {
    let currency = &cx.tenant.base_currency;
    RunContext {
        as_of_ms,
        timezone: cx.tenant.time_zone.name().to_owned(),
        currency: currency.as_str().to_owned(),
        currency_digits: currency.digits(),
        seed,
        statistics: statistics.to_string(),
        model: None,
    }
}
