//! What is accepted and yet worth a warning.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::read::{self, Writing};
use crate::{context::Tenant, engine::FieldType};

/// Smallest and largest value of a column that raise no warning.
#[derive(Clone, Debug, PartialEq)]
pub enum Bounds {
    Days(Option<NaiveDate>, Option<NaiveDate>),
    Numbers(Option<Decimal>, Option<Decimal>),
}

impl Bounds {
    /// Reads `{min, max}` for a column that feeds a field of `kind`: ISO dates, or numbers.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(given: &Json, kind: &FieldType, writing: Option<&Writing>) -> Result<Self, String> {
        let wanted = r#"must be like {"min": .., "max": ..}, one of them or both"#;
        let parts = given.as_object().filter(|parts| !parts.is_empty()).ok_or(wanted)?;
        if let Some(other) = parts.keys().find(|key| !["min", "max"].contains(&key.as_str())) {
            return Err(crate::error::unknown("bound", other, ["min", "max"]));
        }
        let part =
            |name: &str| parts.get(name).map(|bound| bound.as_str().map_or_else(|| bound.to_string(), str::to_owned));
        let (min, max) = (part("min"), part("max"));
        if matches!(kind, FieldType::Date | FieldType::Instant) || matches!(writing, Some(Writing::Time(_))) {
            let day = |text: Option<String>| text.map(|text| read::day(&text, None)).transpose();
            return Ok(Self::Days(day(min)?, day(max)?));
        }
        let number = |text: Option<String>| {
            text.map(|text| text.parse().map_err(|_| format!("`{text}` is not a number"))).transpose()
        };
        Ok(Self::Numbers(number(min)?, number(max)?))
    }

    /// What is odd about the text of a cell, if it is; a cell that cannot be read is not the bounds' business.
    pub fn odd(&self, text: &str, kind: &FieldType, writing: Option<&Writing>, tenant: &Tenant) -> Option<String> {
        match self {
            Self::Days(min, max) => {
                let read = read::value(text, kind, writing, tenant).ok()?;
                let day = match kind {
                    FieldType::Instant => {
                        let at = crate::engine::instant(read.as_str()?).ok()?;
                        at.with_timezone(&tenant.time_zone).date_naive()
                    }
                    _ => read::day(read.as_str()?, None).ok()?,
                };
                outside(day, *min, *max)
            }
            Self::Numbers(min, max) => outside(read::number(text.trim(), writing).ok()?.parse().ok()?, *min, *max),
        }
    }
}

fn outside<T: PartialOrd + Copy + std::fmt::Display>(value: T, min: Option<T>, max: Option<T>) -> Option<String> {
    match (min, max) {
        (Some(min), _) if value < min => Some(format!("is below {min}")),
        (_, Some(max)) if value > max => Some(format!("is above {max}")),
        _ => None,
    }
}
