//! Cells into the response by type, with no tree between.

use std::io::Write as _;

use sea_orm::Value;
use serde::Serialize;
use serde_json::Value as Json;

use super::print_instant;
use crate::{
    error::{Error, Result},
    values::decimal,
};

/// Prints one cell as JSON. Both databases give the same bytes.
pub(super) fn put_cell(out: &mut Vec<u8>, cell: Value) -> Result<()> {
    match cell {
        Value::Uuid(id) => put(out, &id),
        Value::Bool(flag) => put(out, &flag),
        Value::BigInt(number) => put(out, &number),
        Value::Double(number) => put(out, &number),
        Value::ChronoDate(day) => put(out, &day),
        Value::ChronoDateTimeUtc(at) => put(out, &at.map(print_instant)),
        Value::Json(json) => put(out, &json.map(|json| sorted(*json))),
        Value::String(text) => put(out, &text),
        other => Err(Error::internal("a cell has a type that columns have", format!("{other:?}"))),
    }
}

/// Prints the two cells of a money field: `{"amount":"1234.50","currency":"USD"}`.
pub(super) fn put_money(out: &mut Vec<u8>, minor: Value, currency: Value) -> Result<()> {
    match (minor, currency) {
        (Value::BigInt(Some(minor)), Value::String(Some(currency))) => {
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
