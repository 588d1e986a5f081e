//! Cells from the row into the response by type, with no tree between.

use std::io::Write as _;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ColumnType, QueryResult};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::print_instant;
use crate::{
    error::{Error, Result},
    values::decimal,
};

/// Prints one cell as JSON. Both databases give the same bytes.
pub(super) fn put_cell(out: &mut Vec<u8>, row: &QueryResult, index: usize, kind: &ColumnType) -> Result<()> {
    match kind {
        ColumnType::Uuid => put(out, &row.try_get_by_index::<Option<Uuid>>(index)?),
        ColumnType::Boolean => put(out, &row.try_get_by_index::<Option<bool>>(index)?),
        ColumnType::BigInteger => put(out, &row.try_get_by_index::<Option<i64>>(index)?),
        ColumnType::Double => put(out, &row.try_get_by_index::<Option<f64>>(index)?),
        ColumnType::Date => put(out, &row.try_get_by_index::<Option<NaiveDate>>(index)?),
        ColumnType::TimestampWithTimeZone => {
            put(out, &row.try_get_by_index::<Option<DateTime<Utc>>>(index)?.map(print_instant))
        }
        ColumnType::Json | ColumnType::JsonBinary => {
            put(out, &row.try_get_by_index::<Option<Json>>(index)?.map(sorted))
        }
        _ => put(out, &row.try_get_by_index::<Option<String>>(index)?),
    }
}

/// Prints the two cells of a money field: `{"amount":"1234.50","currency":"USD"}`.
pub(super) fn put_money(out: &mut Vec<u8>, row: &QueryResult, minor: usize, currency: usize) -> Result<()> {
    let minor = row.try_get_by_index::<Option<i64>>(minor)?;
    let currency = row.try_get_by_index::<Option<String>>(currency)?;
    match (minor, currency) {
        (Some(minor), Some(currency)) => {
            let amount = decimal(minor, &currency);
            write!(out, r#"{{"amount":"{amount}","currency":"{currency}"}}"#)
                .map_err(|source| Error::internal("memory can be written", source))
        }
        _ => put(out, &()),
    }
}

pub(super) fn put(out: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(out, value).map_err(|source| Error::internal("a cell can be written as JSON", source))
}

/// Objects by key, whatever order `serde_json` was built to keep.
fn sorted(mut json: Json) -> Json {
    json.sort_all_objects();
    json
}
