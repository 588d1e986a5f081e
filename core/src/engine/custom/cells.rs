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

/// A day there is, as a pattern: nothing else can be asked of PostgreSQL 15 without an error.
const DAY: &str = "(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)\
    |02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
const TIME: &str = "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][.][0-9]{3}Z";

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

    /// Its value in the rows of `alias`, typed: what is read where no index is needed, or none is there. Only what is of the
    /// type counts: the past may have values of an earlier field of this name.
    pub fn value(&self, backend: DbBackend, alias: &DynIden) -> Expr {
        let (body, key) = (format!("\"{alias}\".\"{CUSTOM}\""), &self.key);
        let sqlite = backend == DbBackend::Sqlite;
        Expr::cust(match self.part {
            Part::Whole if sqlite => {
                let value = from_json(&self.kind, key, &body);
                format!("(case when {} then {value} end)", self.typed_on_sqlite(&body))
            }
            Part::Whole => {
                let (pattern, cast) = self.typed_on_postgres();
                format!("(case when ({body} -> '{key}')::text ~ '^{pattern}$' then ({body} ->> '{key}'){cast} end)")
            }
            // printed with exactly as many decimals as the currency has
            Part::Minor if sqlite => format!("cast(replace({body} ->> '$.{key}.amount', '.', '') as integer)"),
            Part::Minor => format!("replace({body} -> '{key}' ->> 'amount', '.', '')::bigint"),
            Part::Currency if sqlite => from_json(&self.kind, &format!("{key}.currency"), &body),
            Part::Currency => format!("(({body} -> '{key}' ->> 'currency') collate \"C\")"),
        })
    }

    fn typed_on_sqlite(&self, body: &str) -> String {
        let (kind, text) = (format!("json_type({body}, '$.{}')", self.key), format!("{body} ->> '$.{}'", self.key));
        match self.kind {
            ColumnType::BigInteger => format!("{kind} = 'integer'"),
            ColumnType::Double => format!("{kind} in ('integer', 'real')"),
            ColumnType::Boolean => format!("{kind} in ('true', 'false')"),
            ColumnType::Date => format!("{text} > '0001' and date({text}) = {text}"),
            ColumnType::TimestampWithTimeZone => {
                format!("{text} > '0001' and strftime('%Y-%m-%dT%H:%M:%fZ', {text}) = {text}")
            }
            ColumnType::Uuid => format!("length({text}) = 36 and length(unhex(replace({text}, '-', ''))) = 16"),
            _ => format!("{kind} = 'text'"),
        }
    }

    /// What its JSON looks like, and the cast, which would fail for any other.
    fn typed_on_postgres(&self) -> (String, &'static str) {
        let (pattern, cast) = match self.kind {
            ColumnType::BigInteger => ("-?[0-9]{1,16}", "::bigint"),
            ColumnType::Double => ("-?[0-9].*", "::double precision"),
            ColumnType::Boolean => ("(true|false)", "::boolean"),
            ColumnType::Date => return (format!("\"{DAY}\""), "::date"),
            ColumnType::TimestampWithTimeZone => return (format!("\"{DAY}{TIME}\""), "::timestamptz"),
            ColumnType::Uuid => ("\"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\"", "::uuid"),
            _ => ("\".*", " collate \"C\""),
        };
        (pattern.to_owned(), cast)
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
