//! Whether a manifest makes sense in itself.

use std::collections::BTreeSet;

use ripen_core::{
    metrics::Period,
    ports::{Capability, Contributions, Input, InputType, Manifest, PluginFailure},
};
use serde_json::Value as Json;

use crate::{
    capabilities::export_of,
    codes,
    contract::API,
    limits::{HostLimits, parse_size, show_size},
    sections::MANIFEST_SECTION,
};

/// # Errors
/// `plugin_manifest_invalid` with everything that is wrong, by place.
pub(crate) fn parse(json: &[u8], limits: &HostLimits) -> Result<Manifest, PluginFailure> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let manifest: Manifest = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let detail = format!("section {MANIFEST_SECTION}, at {}: {}", error.path(), error.inner());
        codes::MANIFEST_INVALID.because(detail)
    })?;
    check(&manifest, limits)?;
    Ok(manifest)
}

/// # Errors
/// As [`parse`]; also `plugin_unsupported_kind`.
pub(crate) fn check(manifest: &Manifest, limits: &HostLimits) -> Result<(), PluginFailure> {
    let mut wrong = Wrong(Vec::new());
    plugin(manifest, &mut wrong);
    for (name, input) in &manifest.inputs {
        check_input(name, input, &mut wrong);
    }
    statistics(manifest, &mut wrong);
    outputs(manifest, &mut wrong);
    wanted_limits(manifest, limits, &mut wrong);
    if let Some(Json::String(_) | Json::Number(_) | Json::Array(_)) = manifest.config.schema {
        wrong.at("config.schema", "is not a JSON Schema: `ripen plugin pack` puts the schema itself here");
    }
    if wrong.0.is_empty() { Ok(()) } else { Err(codes::MANIFEST_INVALID.because(wrong.0.join("; "))) }
}

/// # Errors
/// A declared kind is not exported, or not one this server runs.
pub(crate) fn check_exports(manifest: &Manifest, exports: &[String]) -> Result<(), PluginFailure> {
    for kind in &manifest.plugin.kinds {
        let Some(wanted) = export_of(*kind) else {
            let detail = format!("plugin.kinds names {}, this server runs scorer and segmenter", kind.as_str());
            return Err(codes::UNSUPPORTED_KIND.because(detail));
        };
        if !exports.iter().any(|export| export == wanted) {
            let detail = format!(
                "plugin.kinds names {}, but the component does not export {wanted}; it exports {}",
                kind.as_str(),
                if exports.is_empty() { "nothing".into() } else { exports.join(", ") }
            );
            return Err(codes::MISSING_EXPORT.because(detail));
        }
    }
    Ok(())
}

/// Everything that is wrong, each with its place.
struct Wrong(Vec<String>);

impl Wrong {
    fn at(&mut self, place: &str, what: &str) {
        self.0.push(format!("{place} {what}"));
    }
}

fn plugin(manifest: &Manifest, wrong: &mut Wrong) {
    let info = &manifest.plugin;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(3..=40).contains(&info.name.len()) || !info.name.chars().all(plain) {
        wrong.at("plugin.name", "must be 3 to 40 of a-z, 0-9 and -");
    }
    if let Err(error) = semver::Version::parse(&info.version) {
        wrong.at("plugin.version", &format!("is no semantic version: {error}"));
    }
    if info.api != API.0.to_string() {
        wrong.at("plugin.api", &format!("is \"{}\", this server speaks \"{}\"", info.api, API.0));
    }
    if info.kinds.is_empty() {
        wrong.at("plugin.kinds", "is empty");
    }
    if info.kinds.iter().collect::<BTreeSet<_>>().len() < info.kinds.len() {
        wrong.at("plugin.kinds", "names a kind twice");
    }
    if !is_name(&info.subject) {
        wrong.at("plugin.subject", "must be a kind of record: a-z, 0-9 and _, first a letter");
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check_input(name: &str, input: &Input, wrong: &mut Wrong) {
    let place = |part: &str| format!("inputs.{name}{part}");
    if !is_name(name) {
        wrong.at(&place(""), "must be named with a-z, 0-9 and _, first a letter");
    }
    match input.from.split_once(':') {
        Some(("metric" | "field", rest)) if !rest.is_empty() => {}
        _ => wrong.at(&place(".from"), "must be metric:NAME or field:NAME"),
    }
    if let Some(window) = &input.window {
        if !input.from.starts_with("metric:") {
            wrong.at(&place(".window"), "is for metrics only");
        }
        if let Err(detail) = Period::parse(window) {
            wrong.at(&place(".window"), &detail);
        }
    }
    if let Some(default) = &input.default {
        if input.required {
            wrong.at(&place(".default"), "contradicts required = true");
        }
        if !fits(input.kind, default) {
            wrong.at(&place(".default"), "is not of the type of the input");
        }
    }
}

fn fits(kind: InputType, value: &Json) -> bool {
    match kind {
        InputType::Number => value.is_number(),
        InputType::Integer | InputType::Money | InputType::Instant | InputType::Date => value.is_i64(),
        InputType::Boolean => value.is_boolean(),
        InputType::Text => value.is_string(),
        InputType::Words => value.as_array().is_some_and(|words| words.iter().all(Json::is_string)),
        InputType::Series => value.as_array().is_some_and(|values| values.iter().all(Json::is_number)),
    }
}

fn statistics(manifest: &Manifest, wrong: &mut Wrong) {
    for (name, statistic) in &manifest.statistics {
        match manifest.inputs.get(&statistic.of).map(|input| input.kind) {
            None => wrong.at(&format!("statistics.{name}.of"), &format!("names no input: {}", statistic.of)),
            Some(InputType::Boolean | InputType::Text | InputType::Words | InputType::Series) => {
                wrong.at(&format!("statistics.{name}.of"), &format!("names {}, which is no number", statistic.of));
            }
            Some(_) => {}
        }
        if !statistic.quantiles.iter().all(|q| (0.0..=1.0).contains(q)) {
            wrong.at(&format!("statistics.{name}.quantiles"), "must lie in 0..=1");
        }
    }
}

fn outputs(manifest: &Manifest, wrong: &mut Wrong) {
    let (outputs, kinds) = (&manifest.outputs, &manifest.plugin.kinds);
    if let Some((low, high)) = outputs.range {
        if !(low.is_finite() && high.is_finite() && low < high) {
            wrong.at("outputs.range", "must be two finite numbers, the lower first");
        }
        if outputs.contributions == Contributions::LogOdds && (low < 0.0 || high > 1.0) {
            wrong.at("outputs.range", "must lie in 0..=1 where contributions are log_odds");
        }
    }
    if kinds.contains(&Capability::Segmenter) && outputs.labels.is_empty() {
        wrong.at("outputs.labels", "is empty, a segmenter needs its labels");
    }
    if outputs.labels.iter().collect::<BTreeSet<_>>().len() < outputs.labels.len() {
        wrong.at("outputs.labels", "names a label twice");
    }
    if outputs.labels.iter().any(|label| label.is_empty() || label.len() > 40 || label.chars().any(char::is_control)) {
        wrong.at("outputs.labels", "must be 1 to 40 bytes each, without control characters");
    }
    for (code, texts) in &outputs.reasons {
        if texts.is_empty() {
            wrong.at(&format!("outputs.reasons.{code}"), "has no text in any language");
        }
    }
}

fn wanted_limits(manifest: &Manifest, server: &HostLimits, wrong: &mut Wrong) {
    let wanted = &manifest.limits;
    match wanted.memory.as_deref().map(parse_size) {
        Some(None) => wrong.at("limits.memory", "must be a number and a unit, as 16 MiB"),
        Some(Some(memory)) if memory > server.memory => {
            wrong.at("limits.memory", &format!("is above the server's {}", show_size(server.memory)));
        }
        _ => {}
    }
    let fuels = [("fuel", wanted.fuel, server.fuel), ("fuel_per_row", wanted.fuel_per_row, server.fuel_per_row)];
    for (name, wanted, limit) in fuels {
        if wanted.is_some_and(|wanted| wanted > limit) {
            wrong.at(&format!("limits.{name}"), &format!("is above the server's {limit}"));
        }
    }
}
