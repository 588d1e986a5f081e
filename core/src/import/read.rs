//! The text of a cell into the JSON that the API takes for the field.

use chrono::{
    NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
    format::{Item, Parsed, StrftimeItems, parse},
};
use chrono_tz::Tz;
use serde_json::{Value as Json, json};

use crate::{
    context::Tenant,
    engine::{FieldType, date, instant, print_instant},
    values::json::strict,
};

/// How numbers or times of a column are written, where it is not the usual way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writing {
    /// A `strftime` pattern.
    Time(String),
    Number {
        thousands: Option<char>,
        decimal: char,
    },
}

impl Writing {
    /// Reads an entry of the spec's `formats`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(given: &Json, kind: &FieldType) -> Result<Self, String> {
        match kind {
            FieldType::Date | FieldType::Instant => {
                let pattern = given.as_str().ok_or("must be a strftime pattern such as `%d.%m.%Y`")?;
                if pattern.is_empty() || StrftimeItems::new(pattern).any(|item| item == Item::Error) {
                    return Err(format!("`{pattern}` is not a strftime pattern such as `%d.%m.%Y`"));
                }
                Ok(Self::Time(pattern.to_owned()))
            }
            FieldType::Integer | FieldType::Number | FieldType::Money => number_format(given),
            _ => Err("fields of this type have no format; only dates, instants, numbers and money do".to_owned()),
        }
    }
}

fn number_format(given: &Json) -> Result<Writing, String> {
    let wanted = r#"must be like {"thousands": ".", "decimal": ","}"#;
    let parts = given.as_object().ok_or(wanted)?;
    if let Some(other) = parts.keys().find(|key| !["thousands", "decimal"].contains(&key.as_str())) {
        return Err(crate::error::unknown("number format key", other, ["thousands", "decimal"]));
    }
    let sign = |name: &str| match parts.get(name) {
        None => Ok(None),
        Some(given) => {
            let mut chars = given.as_str().ok_or(wanted)?.chars();
            let sign = chars.next().filter(|c| !c.is_alphanumeric() && *c != '-');
            if sign.is_none() || chars.next().is_some() { Err(wanted) } else { Ok(sign) }
        }
    };
    let (thousands, decimal) = (sign("thousands")?, sign("decimal")?.unwrap_or('.'));
    if thousands == Some(decimal) { Err(wanted.to_owned()) } else { Ok(Writing::Number { thousands, decimal }) }
}

/// Reads the text of a cell, which is not blank, as a value of `kind`.
///
/// # Errors
/// What is wrong, for people. Rules of the field itself are left to the write.
pub fn value(text: &str, kind: &FieldType, writing: Option<&Writing>, tenant: &Tenant) -> Result<Json, String> {
    let trimmed = text.trim();
    Ok(match kind {
        FieldType::Boolean => json!(boolean(trimmed)?),
        FieldType::Integer => {
            let number = number(trimmed, writing)?;
            let whole = number
                .split_once('.')
                .map_or(number.as_str(), |(whole, rest)| if rest.bytes().all(|b| b == b'0') { whole } else { "" });
            json!(whole.parse::<i64>().map_err(|_| format!("`{trimmed}` is not a whole number"))?)
        }
        FieldType::Number => {
            json!(number(trimmed, writing)?.parse::<f64>().map_err(|_| format!("`{trimmed}` is not a number"))?)
        }
        FieldType::Money if trimmed.starts_with('{') => parsed_json(trimmed)?,
        FieldType::Money => {
            json!({"amount": number(trimmed, writing)?, "currency": tenant.base_currency.as_str()})
        }
        FieldType::Date => json!(day(trimmed, writing)?.to_string()),
        FieldType::Instant => json!(instant(&moment(trimmed, writing, tenant.time_zone)?).map(print_instant)?),
        FieldType::Json if trimmed.starts_with(['{', '[']) => parsed_json(trimmed)?,
        FieldType::Choices(_) if trimmed.starts_with('[') => parsed_json(trimmed)?,
        FieldType::Choices(_) => trimmed.split(';').map(str::trim).filter(|word| !word.is_empty()).collect(),
        FieldType::Text | FieldType::Json => json!(text),
        _ => json!(trimmed),
    })
}

fn parsed_json(text: &str) -> Result<Json, String> {
    strict(text.as_bytes()).map_err(|(_, detail)| format!("is not JSON: {detail}"))
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("`{text}` is not one of true, false, yes, no, 1, 0")),
    }
}

/// The number with a plain `.` and no separators. A separator in the wrong place is refused: `1,5` where `,` groups
/// thousands is not 15.
pub fn number(text: &str, writing: Option<&Writing>) -> Result<String, String> {
    let (thousands, decimal) = match writing {
        Some(Writing::Number { thousands, decimal }) => (*thousands, *decimal),
        _ => (None, '.'),
    };
    let wrong = || format!("`{text}` is not a number written like {}", sample(thousands, decimal));
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = match rest.split_once(decimal) {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, Some(fraction)),
        Some(_) => return Err(wrong()),
        None => (rest, None),
    };
    let groups: Vec<&str> = thousands.map_or_else(|| vec![whole], |sign| whole.split(sign).collect());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    // The last group has three digits; those before may have two, as India writes them.
    let grouped = match groups.as_slice() {
        [_] => true,
        [first, between @ .., last] => {
            first.len() <= 3 && last.len() == 3 && between.iter().all(|group| [2, 3].contains(&group.len()))
        }
        [] => false,
    };
    if !grouped || !groups.iter().all(|group| digits(group)) || !fraction.is_none_or(digits) {
        return Err(wrong());
    }
    let fraction = fraction.map(|digits| format!(".{digits}")).unwrap_or_default();
    Ok(format!("{sign}{}{fraction}", groups.concat()))
}

fn sample(thousands: Option<char>, decimal: char) -> String {
    let group = thousands.map(String::from).unwrap_or_default();
    format!("1{group}234{decimal}50")
}

fn with_pattern(text: &str, pattern: &str) -> Result<Parsed, String> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(pattern))
        .map_err(|source| format!("`{text}` is not written as `{pattern}`: {source}"))?;
    Ok(parsed)
}

/// # Errors
/// What is wrong, for people.
pub fn day(text: &str, writing: Option<&Writing>) -> Result<NaiveDate, String> {
    let Some(Writing::Time(pattern)) = writing else { return date(text) };
    with_pattern(text, pattern)?.to_naive_date().map_err(|source| format!("`{text}` is not a date: {source}"))
}

/// A day stands for its first moment. Times without an offset are of the tenant's time zone.
fn moment(text: &str, writing: Option<&Writing>, zone: Tz) -> Result<String, String> {
    let local = if let Some(Writing::Time(pattern)) = writing {
        let parsed = with_pattern(text, pattern)?;
        if let Ok(at) = parsed.to_datetime() {
            return Ok(print_instant(at.to_utc()));
        }
        let day = parsed.to_naive_date().map_err(|source| format!("`{text}` is not a date: {source}"))?;
        day.and_time(parsed.to_naive_time().unwrap_or(NaiveTime::MIN))
    } else {
        let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
        match (date(day), NaiveTime::parse_from_str(time, "%H:%M:%S%.f")) {
            (Ok(day), Ok(time)) => day.and_time(time),
            _ => return instant(text).map(print_instant),
        }
    };
    in_zone(local, zone).map(print_instant).ok_or_else(|| format!("`{text}` does not exist in {zone}"))
}

/// The earlier of two where clocks were put back; the first moment after the gap where they were put forward.
fn in_zone(local: NaiveDateTime, zone: Tz) -> Option<chrono::DateTime<chrono::Utc>> {
    (0..=8).find_map(|halves| {
        let local = local.checked_add_signed(TimeDelta::minutes(30 * halves))?;
        zone.from_local_datetime(&local).earliest().map(|at| at.to_utc())
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::values::Currency;

    fn tenant(zone: &str) -> Tenant {
        Tenant {
            id: Uuid::nil(),
            slug: "t".to_owned(),
            name: "T".to_owned(),
            base_currency: Currency::parse("EUR").unwrap(),
            time_zone: zone.parse().unwrap(),
            require_preconditions: false,
            version: 1,
            generation: 1,
            definitions: 0,
            kinds: crate::engine::Registry::default(),
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written_or_not_at_all() {
        let german = Writing::parse(&json!({"thousands": ".", "decimal": ","}), &FieldType::Number).unwrap();
        let english = Writing::parse(&json!({"thousands": ","}), &FieldType::Money).unwrap();
        for (text, writing, wanted) in [
            ("1.234,50", Some(&german), "1234.50"),
            ("-1.234.567", Some(&german), "-1234567"),
            ("1,234.5", Some(&english), "1234.5"),
            ("12,34,567", Some(&english), "1234567"),
            ("29.33", None, "29.33"),
        ] {
            assert_eq!(number(text, writing).as_deref(), Ok(wanted), "{text}");
        }
        for (text, writing) in
            [("1,5", Some(&english)), ("1234,5,6", Some(&german)), ("1e5", None), ("1.", None), ("", None), ("x", None)]
        {
            assert!(number(text, writing).is_err(), "{text}");
        }
        let money = value("1.234,5", &FieldType::Money, Some(&german), &tenant("UTC")).unwrap();
        assert_eq!(money, json!({"amount": "1234.5", "currency": "EUR"}));
    }

    #[test]
    fn a_day_begins_at_the_tenants_midnight() {
        let pattern = Writing::parse(&json!("%Y%m%d"), &FieldType::Instant).unwrap();
        for (zone, text, wanted) in [
            ("UTC", "19970101", "1997-01-01T00:00:00.000Z"),
            ("Asia/Shanghai", "20260105", "2026-01-04T16:00:00.000Z"),
            // Clocks went from 23:59:59 to 01:00 that night.
            ("America/Sao_Paulo", "20181104", "2018-11-04T03:00:00.000Z"),
        ] {
            let at = value(text, &FieldType::Instant, Some(&pattern), &tenant(zone)).unwrap();
            assert_eq!(at, json!(wanted), "{zone}");
        }
        let at = value("2026-01-05", &FieldType::Instant, None, &tenant("UTC")).unwrap();
        assert_eq!(at, json!("2026-01-05T00:00:00.000Z"));
        assert!(value("19970132", &FieldType::Date, Some(&pattern), &tenant("UTC")).is_err());
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for (given, kind) in [
            (json!("%Q"), FieldType::Date),
            (json!(""), FieldType::Instant),
            (json!({"decimal": "x"}), FieldType::Number),
            (json!({"decimal": ",", "thousands": ","}), FieldType::Number),
            (json!({"comma": ","}), FieldType::Integer),
            (json!("%Y"), FieldType::Text),
        ] {
            assert!(Writing::parse(&given, &kind).is_err(), "{given}");
        }
    }
}
