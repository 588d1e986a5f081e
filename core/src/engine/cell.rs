//! One cell between the database, sea-query values and JSON.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ColumnType, DbErr, QueryResult, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{date, instant, print_instant};

/// Reads a cell as the value that would be bound to write it.
pub fn read_cell(row: &QueryResult, index: usize, kind: &ColumnType) -> Result<Value, DbErr> {
    Ok(match kind {
        ColumnType::Uuid => row.try_get_by_index::<Option<Uuid>>(index)?.into(),
        ColumnType::Boolean => row.try_get_by_index::<Option<bool>>(index)?.into(),
        ColumnType::BigInteger => row.try_get_by_index::<Option<i64>>(index)?.into(),
        ColumnType::Double => row.try_get_by_index::<Option<f64>>(index)?.into(),
        ColumnType::Date => row.try_get_by_index::<Option<NaiveDate>>(index)?.into(),
        ColumnType::TimestampWithTimeZone => row.try_get_by_index::<Option<DateTime<Utc>>>(index)?.into(),
        ColumnType::Json | ColumnType::JsonBinary => row.try_get_by_index::<Option<Json>>(index)?.into(),
        _ => row.try_get_by_index::<Option<String>>(index)?.into(),
    })
}

/// The same as JSON, as a record's change log keeps it and [`bind_cell`] takes it.
pub(super) fn json_cell(row: &QueryResult, index: usize, kind: &ColumnType) -> Result<Json, DbErr> {
    Ok(match kind {
        ColumnType::Uuid => row.try_get_by_index::<Option<Uuid>>(index)?.map(|id| id.to_string()).into(),
        ColumnType::Boolean => row.try_get_by_index::<Option<bool>>(index)?.into(),
        ColumnType::BigInteger => row.try_get_by_index::<Option<i64>>(index)?.into(),
        ColumnType::Double => row.try_get_by_index::<Option<f64>>(index)?.into(),
        ColumnType::Date => row.try_get_by_index::<Option<NaiveDate>>(index)?.map(|day| day.to_string()).into(),
        ColumnType::TimestampWithTimeZone => {
            row.try_get_by_index::<Option<DateTime<Utc>>>(index)?.map(print_instant).into()
        }
        ColumnType::Json | ColumnType::JsonBinary => row.try_get_by_index::<Option<Json>>(index)?.unwrap_or_default(),
        _ => row.try_get_by_index::<Option<String>>(index)?.into(),
    })
}

/// The value to bind for a decoded JSON cell (see [`Field::decode`](super::Field::decode)); null where it does not fit.
pub fn bind_cell(json: &Json, kind: &ColumnType) -> Value {
    match kind {
        ColumnType::Uuid => json.as_str().and_then(|s| s.parse::<Uuid>().ok()).into(),
        ColumnType::Boolean => json.as_bool().into(),
        ColumnType::BigInteger => json.as_i64().into(),
        ColumnType::Double => json.as_f64().into(),
        ColumnType::Date => json.as_str().and_then(|s| date(s).ok()).into(),
        ColumnType::TimestampWithTimeZone => json.as_str().and_then(|s| instant(s).ok()).into(),
        ColumnType::Json | ColumnType::JsonBinary => Some(json.clone()).filter(|j| !j.is_null()).into(),
        _ => json.as_str().map(str::to_owned).into(),
    }
}
