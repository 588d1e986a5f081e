//! The typed cells of a custom value: what the database compares, orders and adds. As a built-in field has one column and
//! money two, a custom value has one cell and money two; several choices have none, and are only asked whether one is there.

use std::sync::Arc;

use sea_orm::{
    ColumnType, DbBackend, Value,
    sea_query::{DynIden, Expr},
};
use serde_json::Value as Json;

use super::{CUSTOM, CustomField};
use crate::{
    engine::{FieldType, bind_cell, past::from_json},
    values::Money,
};

/// The column of `custom_value` that holds references.
pub(in crate::engine) const REFERS: &str = "refers";

/// Which part of the value a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// Of money: its smallest units.
    Minor,
    /// Of money.
    Currency,
}

/// One cell of the values of a field.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Cell {
    key: Arc<str>,
    part: Part,
    /// What it is in a row.
    pub kind: ColumnType,
    /// The column of `custom_value` that holds it.
    pub slot: &'static str,
    indexed: ColumnType,
}

impl CustomField {
    /// Of money: the smallest units, then the currency.
    pub(in crate::engine) fn cells(&self) -> Vec<Cell> {
        let cell = |part, slot, kind: ColumnType, indexed| Cell { key: self.key.clone(), part, kind, slot, indexed };
        let whole = |slot, kind: ColumnType| vec![cell(Part::Whole, slot, kind.clone(), kind)];
        match self.field.kind {
            FieldType::Choices(_) => Vec::new(),
            FieldType::Money => vec![
                cell(Part::Minor, "num", ColumnType::BigInteger, ColumnType::Double),
                cell(Part::Currency, "text", ColumnType::Text, ColumnType::Text),
            ],
            FieldType::Integer => vec![cell(Part::Whole, "num", ColumnType::BigInteger, ColumnType::Double)],
            FieldType::Number => whole("num", ColumnType::Double),
            FieldType::Boolean => whole("flag", ColumnType::Boolean),
            FieldType::Date => whole("day", ColumnType::Date),
            FieldType::Instant => whole("time", ColumnType::TimestampWithTimeZone),
            FieldType::Reference(_) => whole(REFERS, ColumnType::Uuid),
            _ => whole("text", ColumnType::Text),
        }
    }

    /// Of a reference: the id in the rows of `alias`.
    pub(in crate::engine) fn target(&self, backend: DbBackend, alias: &DynIden) -> Expr {
        Cell {
            key: self.key.clone(),
            part: Part::Whole,
            kind: ColumnType::Uuid,
            slot: REFERS,
            indexed: ColumnType::Uuid,
        }
        .value(backend, alias)
    }

    /// The choice is among those of the rows of `alias`.
    pub(in crate::engine) fn has(&self, backend: DbBackend, alias: &DynIden, choice: &str) -> Expr {
        let key = &*self.key;
        match backend {
            DbBackend::Postgres => Expr::cust_with_values(
                format!("(\"{alias}\".\"{CUSTOM}\" -> '{key}')::jsonb @> to_jsonb($1::text)"),
                [choice],
            ),
            _ => Expr::cust_with_values(
                format!("exists (select 1 from json_each(\"{alias}\".\"{CUSTOM}\", '$.{key}') as c where c.value = ?)"),
                [choice],
            ),
        }
    }

    /// The rows of `alias` have a value.
    pub(in crate::engine) fn is_there(&self, backend: DbBackend, alias: &DynIden) -> Expr {
        let path = if backend == DbBackend::Postgres { "" } else { "$." };
        Expr::cust(format!("(\"{alias}\".\"{CUSTOM}\" -> '{path}{}') is not null", self.key))
    }
}

impl Cell {
    /// As paths say it: `custom.budget`, and of money `custom.budget.currency`.
    pub fn name(&self) -> String {
        match self.part {
            Part::Currency => format!("{CUSTOM}.{}.currency", self.key),
            Part::Whole | Part::Minor => format!("{CUSTOM}.{}", self.key),
        }
    }

    /// Its value in the rows of `alias`, typed: what is read where no index is needed, or none is there.
    pub fn value(&self, backend: DbBackend, alias: &DynIden) -> Expr {
        let (body, key) = (format!("\"{alias}\".\"{CUSTOM}\""), &self.key);
        if backend == DbBackend::Sqlite {
            return Expr::cust(match self.part {
                Part::Whole => from_json(&self.kind, key, &body),
                Part::Minor => format!("cast(replace({body} ->> '$.{key}.amount', '.', '') as integer)"),
                Part::Currency => from_json(&self.kind, &format!("{key}.currency"), &body),
            });
        }
        let text = match self.part {
            Part::Whole => format!("{body} ->> '{key}'"),
            // printed with exactly as many decimals as the currency has
            Part::Minor => format!("replace({body} -> '{key}' ->> 'amount', '.', '')"),
            Part::Currency => format!("{body} -> '{key}' ->> 'currency'"),
        };
        Expr::cust(match self.kind {
            ColumnType::BigInteger => format!("({text})::bigint"),
            ColumnType::Double => format!("({text})::double precision"),
            ColumnType::Boolean => format!("({text})::boolean"),
            ColumnType::Date => format!("({text})::date"),
            ColumnType::TimestampWithTimeZone => format!("({text})::timestamptz"),
            ColumnType::Uuid => format!("({text})::uuid"),
            _ => format!("({text}) collate \"C\""),
        })
    }

    /// What [`Cell::value`] is for a record with these custom values.
    pub fn of(&self, custom: &Json) -> Value {
        custom.get(&*self.key).map_or_else(|| bind_cell(&Json::Null, &self.kind), |value| self.bind(value, &self.kind))
    }

    /// The stored value as `custom_value` holds it.
    pub(super) fn index(&self, stored: &Json) -> Value {
        self.bind(stored, &self.indexed)
    }

    fn bind(&self, stored: &Json, kind: &ColumnType) -> Value {
        match self.part {
            Part::Whole => bind_cell(stored, kind),
            Part::Minor => bind_cell(&Money::of(stored).map(|money| money.minor).into(), kind),
            Part::Currency => bind_cell(stored.get("currency").unwrap_or(&Json::Null), kind),
        }
    }
}
