//! The Field: the unit in which drafts, filters, sorts, rights, imports, the API description and bytes all speak.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, SubsecRound, Timelike, Utc};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{custom::CUSTOM, merge_patch};
use crate::{
    error::{Code, Violation},
    values::{Country, Currency, Email, Money, Phone, Url, normal},
};

/// One field of a kind, stored in one column, or two for money.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub kind: FieldType,
    /// Indexes into [`Shape::columns`](super::Shape): the value, or amount and currency of money.
    pub columns: Vec<usize>,
    pub nullable: bool,
    /// A create must bring it: not nullable, not set by the server, no default.
    pub required: bool,
    pub access: FieldAccess,
    /// JSON Schema of the value, with the field's description. Length and range limits are read from here.
    pub schema: Json,
    /// Checks the values of a JSON field against `schema`.
    pub document: Option<Arc<jsonschema::Validator>>,
}

/// Who may set a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldAccess {
    /// Callers, in create and update.
    Write,
    /// Callers, in create only.
    Create,
    /// The server; imports too where they hold `import:history`.
    History,
    /// The server alone.
    Server,
    /// Callers, but not this one, who may only read it.
    Read,
}

/// What a value means, and so how it is read, compared, filtered and printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    Id,
    /// The id of a record of this kind.
    Reference(Arc<str>),
    Text,
    Email,
    Phone,
    Url,
    Country,
    Currency,
    /// One of these words.
    Choice(Vec<String>),
    /// Some of these words, in their order.
    Choices(Vec<String>),
    Boolean,
    Integer,
    Number,
    Money,
    Date,
    Instant,
    /// A JSON object or list, stored as it is.
    Json,
}

impl FieldType {
    /// Reads the type from a JSON Schema as `utoipa` derives it.
    pub fn of(schema: &Json, reference: Option<&str>) -> Self {
        if let Some(kind) = reference {
            return Self::Reference(kind.into());
        }
        if let Some(Json::Array(words)) = schema.get("enum") {
            return Self::Choice(words.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect());
        }
        let named = |name: &str| match schema.get("type") {
            Some(Json::String(one)) => one == name,
            Some(Json::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        };
        match schema.get("format").and_then(Json::as_str) {
            Some("uuid") => Self::Id,
            Some("email") => Self::Email,
            Some("phone") => Self::Phone,
            Some("uri") => Self::Url,
            Some("country") => Self::Country,
            Some("currency") => Self::Currency,
            Some("date") => Self::Date,
            Some("date-time") => Self::Instant,
            _ if named("string") => Self::Text,
            _ if named("boolean") => Self::Boolean,
            _ if named("integer") => Self::Integer,
            _ if named("number") => Self::Number,
            _ => Self::Json,
        }
    }
}

impl Field {
    /// Reads a JSON value into the JSON of each column it is stored in, in the order of `columns`.
    ///
    /// # Errors
    /// The value is not one this field can have; the violation names place and fix.
    pub fn decode(&self, value: &Json) -> Result<Vec<Json>, Violation> {
        if value.is_null() {
            return if self.nullable {
                Ok(vec![Json::Null; self.columns.len()])
            } else {
                Err(self.violation(Code::Required, "is required and cannot be null"))
            };
        }
        let wrong = || self.violation(Code::WrongType, format!("must be {}", self.kind.wanted()));
        let text = || value.as_str().ok_or_else(wrong);
        let parsed = |result: Result<String, String>| {
            result.map(Json::from).map_err(|detail| self.violation(Code::InvalidValue, detail))
        };
        let one = match &self.kind {
            FieldType::Money => return self.decode_money(value),
            FieldType::Id | FieldType::Reference(_) => {
                parsed(text()?.parse::<Uuid>().map(|id| id.to_string()).map_err(|_| "must be a UUID".to_owned()))?
            }
            FieldType::Text => self.limited(text()?)?,
            FieldType::Email => parsed(Email::parse(text()?).map(|v| v.as_str().to_owned()))?,
            FieldType::Phone => parsed(Phone::parse(text()?).map(|v| v.as_str().to_owned()))?,
            FieldType::Url => parsed(Url::parse(text()?).map(|v| v.as_str().to_owned()))?,
            FieldType::Country => parsed(Country::parse(text()?).map(|v| v.as_str().to_owned()))?,
            FieldType::Currency => parsed(Currency::parse(text()?).map(|v| v.as_str().to_owned()))?,
            FieldType::Choice(words) => parsed(choose(text()?, words))?,
            FieldType::Choices(words) => self.chosen(value.as_array().ok_or_else(wrong)?, words)?,
            FieldType::Boolean => value.as_bool().map(Json::from).ok_or_else(wrong)?,
            FieldType::Integer => self.ranged(value.as_i64().ok_or_else(wrong)?)?,
            FieldType::Number => normal(self.bounded(value.as_f64().filter(|n| n.is_finite()).ok_or_else(wrong)?)?),
            FieldType::Date => parsed(date(text()?).map(|day| day.to_string()))?,
            FieldType::Instant => parsed(instant(text()?).map(print_instant))?,
            FieldType::Json => Some(self.documented(value)?).filter(|value| !self.is_blank(value)).into(),
        };
        Ok(vec![one])
    }

    /// What is wrong with a merge patch of the value, whatever it is laid over.
    pub fn refuses(&self, patch: &Json) -> Option<Violation> {
        let missing = |violation: &Violation| match self.kind {
            FieldType::Money => violation.code == Code::Required,
            _ => self.schema.get("required").is_some(),
        };
        let broken = self.decode(&merge_patch(Json::Null, patch)).err();
        broken.filter(|violation| !patch.is_object() || !missing(violation))
    }

    fn decode_money(&self, value: &Json) -> Result<Vec<Json>, Violation> {
        let Json::Object(parts) = value else {
            return Err(self.violation(Code::WrongType, format!("must be {}", self.kind.wanted())));
        };
        if let Some(name) = parts.keys().find(|name| !["amount", "currency"].contains(&name.as_str())) {
            let detail = crate::error::unknown("field", name, ["amount", "currency"]);
            return Err(Violation::field(&format!("{}.{name}", self.name), Code::UnknownField, detail));
        }
        let part = |name: &str| {
            parts.get(name).and_then(Json::as_str).ok_or_else(|| {
                let detail = format!("must be a string: {}", self.kind.wanted());
                Violation::field(&format!("{}.{name}", self.name), Code::Required, detail)
            })
        };
        let money = Money::parse(part("amount")?, part("currency")?)
            .map_err(|detail| self.violation(Code::InvalidValue, detail))?;
        Ok(vec![Json::from(money.minor), Json::from(money.currency.as_str())])
    }

    /// Different words, which come back in the order of the options.
    fn chosen(&self, given: &[Json], options: &[String]) -> Result<Json, Violation> {
        let mut chosen = BTreeSet::new();
        for (at, word) in given.iter().enumerate() {
            let place = format!("{}/{at}", self.name);
            let refuse = |code, detail: String| Violation::field(&place, code, detail);
            let text = word.as_str().ok_or_else(|| refuse(Code::WrongType, "must be a string".to_owned()))?;
            let word = choose(text, options).map_err(|detail| refuse(Code::InvalidValue, detail))?;
            if !chosen.insert(options.iter().position(|option| *option == word)) {
                return Err(refuse(Code::InvalidValue, format!("`{word}` is named twice")));
            }
        }
        Ok(chosen.into_iter().flatten().filter_map(|at| options.get(at)).map(String::as_str).collect())
    }

    fn limited(&self, text: &str) -> Result<Json, Violation> {
        let limit = self.schema.get("maxLength").and_then(Json::as_u64).unwrap_or(10_000);
        if text.contains('\0') {
            return Err(self.violation(Code::InvalidValue, "must not contain a NUL character"));
        }
        if text.chars().count() as u64 > limit {
            return Err(self.violation(Code::TooLong, format!("must have at most {limit} characters")));
        }
        if text.trim().is_empty() && !self.nullable {
            return Err(self.violation(Code::Required, "must not be blank"));
        }
        Ok(Json::from(text))
    }

    fn ranged(&self, number: i64) -> Result<Json, Violation> {
        if number.unsigned_abs() > (1 << 53) - 1 {
            return Err(self.violation(Code::OutOfRange, "is larger than JSON numbers are exact"));
        }
        #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
        self.bounded(number as f64)?;
        Ok(Json::from(number))
    }

    fn bounded(&self, number: f64) -> Result<f64, Violation> {
        let bound = |name: &str| self.schema.get(name).and_then(Json::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            return Err(self.violation(Code::OutOfRange, format!("must be at least {least}")));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            return Err(self.violation(Code::OutOfRange, format!("must be at most {most}")));
        }
        Ok(number)
    }

    /// The first thing wrong with a JSON value, at its place inside the field.
    fn documented(&self, value: &Json) -> Result<Json, Violation> {
        match self.document.as_ref().and_then(|document| document.iter_errors(value).next()) {
            Some(error) => {
                let place = format!("{}{}", self.name, error.instance_path());
                Err(Violation::field(&place, Code::InvalidValue, error.to_string()))
            }
            None => Ok(kept(value)),
        }
    }

    /// Whether the value says as little as null: an address all of whose parts are empty.
    fn is_blank(&self, value: &Json) -> bool {
        let parts = value.as_object().filter(|_| self.nullable && self.schema.get("properties").is_some());
        parts.is_some_and(|parts| parts.values().all(Json::is_null))
    }

    /// Of a field that a tenant has added: its name within [`CUSTOM`].
    pub fn custom_key(&self) -> Option<&str> {
        self.name.strip_prefix(CUSTOM)?.strip_prefix('.')
    }

    pub fn violation(&self, code: Code, detail: impl Into<String>) -> Violation {
        Violation::field(&self.name, code, detail)
    }

    /// Why callers may not set it.
    pub fn read_only(&self) -> Violation {
        let why = match self.access {
            FieldAccess::Read => "may be read by your role, and not written",
            _ => "is set by the server",
        };
        self.violation(Code::ReadOnly, why)
    }

    /// The field's value as callers write it, from the JSON of its columns: the inverse of [`Field::decode`].
    pub fn encode(&self, columns: &[super::Column], row: &Map<String, Json>) -> Json {
        if let Some(key) = self.custom_key() {
            return row.get(CUSTOM).and_then(|custom| custom.get(key)).cloned().unwrap_or_default();
        }
        let cell = |n: usize| {
            self.columns.get(n).and_then(|i| columns.get(*i)).and_then(|c| row.get(&c.name)).unwrap_or(&Json::Null)
        };
        match (&self.kind, cell(0).as_i64(), cell(1).as_str()) {
            (FieldType::Money, Some(minor), Some(currency)) => {
                json!({"amount": crate::values::decimal(minor, currency), "currency": currency})
            }
            (FieldType::Money, ..) => Json::Null,
            _ => cell(0).clone(),
        }
    }
}

impl FieldType {
    /// "must be .."
    pub(super) fn wanted(&self) -> &'static str {
        match self {
            Self::Id | Self::Reference(_) => "a UUID in a string",
            Self::Text | Self::Email | Self::Phone | Self::Url | Self::Country | Self::Currency | Self::Choice(_) => {
                "a string"
            }
            Self::Choices(_) => r#"a list of strings, ["one", "other"]"#,
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Money => r#"like {"amount": "1234.50", "currency": "USD"}"#,
            Self::Date => "a date in a string, YYYY-MM-DD",
            Self::Instant => "an RFC 3339 instant in a string, 2026-01-31T09:30:00.000Z",
            Self::Json => "a JSON value",
        }
    }
}

/// A JSON value with its numbers as they come back.
fn kept(value: &Json) -> Json {
    match value {
        Json::Number(number) => number.as_f64().filter(|_| number.is_f64()).map_or_else(|| value.clone(), normal),
        Json::Array(items) => items.iter().map(kept).collect(),
        Json::Object(members) => members.iter().map(|(name, value)| (name.clone(), kept(value))).collect(),
        other => other.clone(),
    }
}

pub(super) fn choose(word: &str, words: &[String]) -> Result<String, String> {
    if words.iter().any(|known| known == word) {
        return Ok(word.to_owned());
    }
    let detail = crate::error::unknown("choice", word, words.iter().map(String::as_str));
    Err(format!("{detail} (one of {})", words.join(", ")))
}

/// Those that both databases order as they are written.
const YEARS: RangeInclusive<i32> = 1..=9999;

/// `YYYY-MM-DD`, and nothing else.
pub fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|date| text.len() == 10 && YEARS.contains(&date.year()))
        .ok_or_else(|| format!("`{text}` is not a date YYYY-MM-DD"))
}

/// RFC 3339 with any offset, kept in UTC to the millisecond. Leap seconds are refused: PostgreSQL knows none, and would
/// make another instant of them.
pub fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let read = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    let at = read.ok_or_else(|| format!("`{text}` is not an RFC 3339 instant such as 2026-01-31T09:30:00.000Z"))?;
    if at.nanosecond() >= 1_000_000_000 {
        return Err(format!("`{text}` is a leap second; seconds go to 59"));
    }
    if !YEARS.contains(&at.year()) {
        return Err(format!("`{text}` is not in the years 0001 to 9999 of UTC"));
    }
    Ok(at.trunc_subsecs(3))
}

/// Exactly milliseconds and `Z`.
pub fn print_instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
