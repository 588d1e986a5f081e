//! A value of an answer: read, put in order and printed, the same from both databases.

use std::{cmp::Ordering, io::Write as _};

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sea_orm::{ColumnType, QueryResult, Value};
use uuid::Uuid;

use crate::{
    engine::{bytes::put, print_instant, read_cell},
    error::{Error, Result},
    values::{decimal, digits, exact},
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    /// An average.
    Decimal(Decimal),
    Money {
        minor: i64,
        currency: String,
    },
    Text(String),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    Id(Uuid),
}

impl Datum {
    pub fn read(row: &QueryResult, index: usize, kind: &ColumnType) -> Result<Self> {
        Ok(Self::from(read_cell(row, index, kind)?))
    }

    /// Null is smallest, money goes by currency first, texts by their bytes.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::Money { minor: a, currency: of }, Self::Money { minor: b, currency: other }) => {
                of.cmp(other).then(a.cmp(b))
            }
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Id(a), Self::Id(b)) => a.cmp(b),
            _ => Ordering::Equal, // one column has one type
        }
    }

    /// Where it is a number or an amount.
    pub fn decimal(&self) -> Option<Decimal> {
        match self {
            Self::Integer(n) => Some((*n).into()),
            Self::Number(n) => exact(*n),
            Self::Decimal(n) => Some(*n),
            Self::Money { minor, currency } => Some(Decimal::new(*minor, digits(currency).into())),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn print(&self, out: &mut Vec<u8>) -> Result<()> {
        let written = match self {
            Self::Null => return put(out, &()),
            Self::Boolean(flag) => return put(out, flag),
            Self::Integer(n) => return put(out, n),
            Self::Number(n) => return put(out, n),
            Self::Text(text) => return put(out, text),
            Self::Date(day) => return put(out, day),
            Self::Instant(at) => return put(out, &print_instant(*at)),
            Self::Id(id) => return put(out, id),
            Self::Decimal(n) => write!(out, "{}", n.normalize()),
            Self::Money { minor, currency } => {
                write!(out, r#"{{"amount":"{}","currency":"{currency}"}}"#, decimal(*minor, currency))
            }
        };
        written.map_err(|source| Error::internal("memory can be written", source))
    }
}

impl From<Value> for Datum {
    fn from(value: Value) -> Self {
        let datum = match value {
            Value::Bool(flag) => flag.map(Self::Boolean),
            Value::BigInt(n) => n.map(Self::Integer),
            Value::Double(n) => n.map(Self::Number),
            Value::ChronoDate(day) => day.map(Self::Date),
            Value::ChronoDateTimeUtc(at) => at.map(Self::Instant),
            Value::Uuid(id) => id.map(Self::Id),
            Value::String(text) => text.map(Self::Text),
            _ => None,
        };
        datum.unwrap_or(Self::Null)
    }
}
