//! Where each input of a plugin comes from: as its manifest says, unless the installation says otherwise.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::{
    engine::Shape,
    error::{Code, VIOLATIONS, Violation, unknown},
    metrics::{DAYS, Datum, Measured, Period, Unit, Wanted, Window},
    ports::{Input, InputType, Manifest},
};

/// One input with the fact it is fed from.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub kind: InputType,
    pub wanted: Wanted,
    pub required: bool,
    /// Stands in where the fact is missing.
    pub default: Option<Datum>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    from: String,
    #[serde(default)]
    window: Option<String>,
}

/// The sources of all inputs in the order of their names.
///
/// # Errors
/// Every binding that names no input, no fact of the subject, no period, or a fact of another type or unit.
pub fn sources(
    manifest: &Manifest,
    subject: &Shape,
    bindings: &Map<String, Json>,
) -> Result<Vec<Source>, Vec<Violation>> {
    let mut broken = Vec::new();
    for name in bindings.keys().filter(|name| !manifest.inputs.contains_key(*name)).take(VIOLATIONS) {
        let detail = unknown("input", name, manifest.inputs.keys().map(String::as_str));
        broken.push(Violation::field(&format!("bindings.{name}"), Code::UnknownField, detail));
    }
    let mut sources = Vec::new();
    for (name, input) in &manifest.inputs {
        match source(name, input, subject, bindings.get(name)) {
            Ok(source) => sources.push(source),
            Err(violation) => broken.push(violation),
        }
    }
    if broken.is_empty() { Ok(sources) } else { Err(broken) }
}

fn source(name: &str, input: &Input, subject: &Shape, bound: Option<&Json>) -> Result<Source, Violation> {
    let place = format!("bindings.{name}");
    let wrong = |code: Code, detail: String| Violation::field(&place, code, detail);
    let binding = match bound {
        Some(bound) => Binding::deserialize(bound).map_err(|error| {
            wrong(
                Code::WrongType,
                format!("must be like {{\"from\": \"metric:order_count\", \"window\": \"P365D\"}}: {error}"),
            )
        })?,
        None => Binding { from: input.from.clone(), window: input.window.clone() },
    };
    let window = match &binding.window {
        Some(_) if binding.from.starts_with("field:") => {
            return Err(wrong(Code::InvalidValue, "a field is as it is: only a metric has a window".to_owned()));
        }
        Some(period) => Window::Back(Period::parse(period).map_err(|detail| wrong(Code::InvalidValue, detail))?),
        None => Window::All,
    };
    let wanted = Wanted::parse(&binding.from, window, subject).map_err(|it| wrong(it.code, it.detail))?;
    if !wanted.fits(input.kind) {
        let kind = serde_json::to_value(input.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default();
        let detail = format!("`{}` cannot feed the input {name}, which takes a value of type {kind}", binding.from);
        return Err(wrong(Code::WrongUnit, detail));
    }
    let default = input.default.as_ref().and_then(|json| datum(input.kind, json));
    let days = matches!(&wanted, Wanted::Fact { fact, .. } if fact.unit() == Unit::Days);
    if days && matches!(default, Some(Datum::Integer(days)) if !(0..=DAYS).contains(&days)) {
        let detail = format!("the manifest's default of `{}` must be 0 to {DAYS} days", binding.from);
        return Err(wrong(Code::OutOfRange, detail));
    }
    Ok(Source { name: name.to_owned(), kind: input.kind, wanted, required: input.required, default })
}

/// A default as the facts it stands in for; `None` where it is not of the input's type.
fn datum(kind: InputType, json: &Json) -> Option<Datum> {
    match kind {
        InputType::Number => json.as_i64().map(Datum::Integer).or_else(|| json.as_f64().map(Datum::Number)),
        InputType::Integer | InputType::Money | InputType::Instant | InputType::Date => {
            json.as_i64().map(Datum::Integer)
        }
        InputType::Boolean => json.as_bool().map(Datum::Boolean),
        InputType::Text => json.as_str().map(|text| Datum::Text(text.to_owned())),
        InputType::Words | InputType::Series => None,
    }
}

impl Source {
    /// What its absence means for the population behind statistics.
    pub fn measured(&self) -> Measured {
        Measured { wanted: self.wanted.clone(), required: self.required, default: self.default.clone() }
    }
}
