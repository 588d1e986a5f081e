//! A caller's value as the value to bind, by the type of the field it is compared with.

use rust_decimal::{Decimal, prelude::ToPrimitive};
use sea_orm::Value;
use uuid::Uuid;

use super::{Literal, call::Asked};
use crate::{
    engine::{FieldType, date, field::choose, instant},
    error::Code,
    values::{Country, Currency, Email, Phone, double},
};

/// What is wrong with a condition; the compiler adds the place.
pub(crate) type Wrong = (Code, String);

/// # Errors
/// `wrong_type` or `invalid_value`.
pub(crate) fn bind(asked: Asked<'_>, kind: &FieldType, literal: &Literal) -> Result<Value, Wrong> {
    let wrong = || (Code::WrongType, format!("must be {}", kind.wanted()));
    let invalid = |detail: String| (Code::InvalidValue, detail);
    let text = match literal {
        Literal::Boolean(flag) if *kind == FieldType::Boolean => return Ok((*flag).into()),
        Literal::Number(number) => return bind_number(kind, number).ok_or_else(wrong),
        Literal::Boolean(_) => return Err(wrong()),
        Literal::Call(call) => return asked.value(*call, kind),
        Literal::Text(text) => plain(text)?,
    };
    let checked = match kind {
        FieldType::Id | FieldType::Reference(_) => {
            let id = text.parse::<Uuid>();
            return id.map(Into::into).map_err(|_| invalid(format!("`{text}` is not a UUID")));
        }
        FieldType::Date => return date(text).map(Into::into).map_err(invalid),
        FieldType::Instant => return instant(text).map(Into::into).map_err(invalid),
        FieldType::Text | FieldType::Url => Ok(text.to_owned()),
        FieldType::Email => Email::parse(text).map(|v| v.as_str().to_owned()),
        FieldType::Phone => Phone::parse(text).map(|v| v.as_str().to_owned()),
        FieldType::Country => Country::parse(text).map(|v| v.as_str().to_owned()),
        FieldType::Currency => Currency::parse(text).map(|v| v.as_str().to_owned()),
        FieldType::Choice(words) => choose(text, words),
        FieldType::Boolean
        | FieldType::Integer
        | FieldType::Number
        | FieldType::Money
        | FieldType::Choices(_)
        | FieldType::Json => {
            return Err(wrong());
        }
    };
    checked.map(Into::into).map_err(invalid)
}

fn bind_number(kind: &FieldType, number: &Decimal) -> Option<Value> {
    match kind {
        FieldType::Integer if number.is_integer() => number.to_i64().map(Into::into),
        FieldType::Number => double(number).map(Into::into),
        _ => None,
    }
}

/// PostgreSQL has no NUL in texts, so no text of ours has one.
pub(super) fn plain(text: &str) -> Result<&str, Wrong> {
    if text.contains('\0') {
        Err((Code::InvalidValue, "must not contain a NUL character".to_owned()))
    } else {
        Ok(text)
    }
}
