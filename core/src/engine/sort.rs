//! `sort=-amount,name`: descending amount, then name.
//!
//! `id` is appended in the direction of the last key, so that every order is total. Null is smallest: first when
//! ascending, last when descending. Texts sort by bytes, money by currency and then amount. Without `sort` the newest
//! records come first (`-id`: ids are UUIDv7). The tenant's own fields have no index in their order: all rows that the filter
//! keeps are sorted by them.

use sea_orm::{
    ColumnType, DbBackend, Order, Value,
    sea_query::{Alias, Expr, IntoIden, NullOrdering, SelectStatement},
};
use serde_json::Value as Json;

use super::{
    FieldType, Shape,
    custom::{CUSTOM, Cell},
    expand::ByColumn,
};
use crate::error::{Code, Error, Result, Violation, enough, unknown};

/// One value of the order.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Index into the shape's columns.
    pub column: usize,
    /// Within that column, of a tenant's own field.
    own: Option<Cell>,
    name: String,
    pub value: Expr,
    pub kind: ColumnType,
    pub descending: bool,
    pub nullable: bool,
}

impl Key {
    /// The value in a row.
    pub fn of(&self, row: &impl ByColumn) -> Result<Value> {
        match (row.cell(self.column)?, &self.own) {
            (Value::Json(custom), Some(own)) => Ok(own.of(custom.as_deref().unwrap_or(&Json::Null))),
            (value, _) => Ok(value),
        }
    }
}

/// A total order over the rows of a kind; its last key is `id`.
#[derive(Clone, Debug)]
pub(super) struct Sort(pub Vec<Key>);

impl Sort {
    /// # Errors
    /// `Malformed` with every key that is unknown, named twice, or of a type without an order.
    pub fn parse(shape: &Shape, backend: DbBackend, text: Option<&str>) -> Result<Self> {
        let mut keys: Vec<Key> = Vec::new();
        let mut broken = Vec::new();
        let mut last_descends = text.is_none();
        for key in text.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            if enough(&broken) {
                break;
            }
            let (name, descending) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
            last_descends = descending;
            match found(shape, backend, name, descending) {
                Ok(found) if found.iter().any(|new| keys.iter().any(|key| key.name == new.name)) => {
                    broken.push(violation(Code::InvalidParameter, format!("`{name}` is named twice")));
                }
                Ok(found) => keys.extend(found),
                Err(violation) => broken.push(violation),
            }
        }
        if !broken.is_empty() {
            return Err(Error::Malformed(broken));
        }
        if let Some(end) = keys.iter().position(|key| key.name == "id") {
            keys.truncate(end + 1);
        } else {
            let column = shape.column("id").ok_or_else(|| Error::internal("every kind has an id", &*shape.name))?;
            keys.extend(stored(shape, column, last_descends));
        }
        Ok(Self(keys))
    }

    /// The same order from its other end.
    pub fn reversed(&self) -> Self {
        Self(self.0.iter().map(|key| Key { descending: !key.descending, ..key.clone() }).collect())
    }

    pub fn add_to(&self, select: &mut SelectStatement) {
        for key in &self.0 {
            let value = key.value.clone();
            match (key.nullable, key.descending) {
                (false, false) => select.order_by_expr(value, Order::Asc),
                (false, true) => select.order_by_expr(value, Order::Desc),
                (true, false) => select.order_by_expr_with_nulls(value, Order::Asc, NullOrdering::First),
                (true, true) => select.order_by_expr_with_nulls(value, Order::Desc, NullOrdering::Last),
            };
        }
    }
}

impl std::fmt::Display for Sort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for key in &self.0 {
            write!(f, "{}{},", if key.descending { "-" } else { "" }, key.name)?;
        }
        Ok(())
    }
}

/// The keys that a name stands for.
fn found(shape: &Shape, backend: DbBackend, name: &str, descending: bool) -> Result<Vec<Key>, Violation> {
    if let Some(own) = shape.custom.active().find(|own| own.field.name == name)
        && let Some(column) = shape.column(CUSTOM)
    {
        let key = |cell: Cell| {
            let (name, kind) = (cell.name(), cell.kind.clone());
            let value = cell.value(backend, &shape.table().into_iden());
            Key { column, own: Some(cell), name, value, kind, descending, nullable: true }
        };
        let cells = own.cells();
        return if cells.is_empty() {
            Err(violation(Code::WrongType, format!("`{name}` holds several choices, which have no order")))
        } else {
            Ok(cells.into_iter().rev().map(key).collect())
        };
    }
    let names = shape.field_names().chain(shape.custom.names());
    let field = shape.field(name).ok_or_else(|| violation(Code::UnknownField, unknown("field", name, names)))?;
    // currency first: amounts of several currencies have no order between them
    let order: Vec<usize> = match field.kind {
        FieldType::Json => {
            return Err(violation(Code::WrongType, format!("`{name}` holds JSON, which has no order")));
        }
        FieldType::Money => field.columns.iter().rev().copied().collect(),
        _ => field.columns.clone(),
    };
    Ok(order.into_iter().filter_map(|column| stored(shape, column, descending)).collect())
}

/// The key of a column.
fn stored(shape: &Shape, column: usize, descending: bool) -> Option<Key> {
    let of = shape.columns.get(column)?;
    let (name, value) = (of.name.clone(), Expr::col(Alias::new(of.name.as_str())));
    Some(Key { column, own: None, name, value, kind: of.kind.clone(), descending, nullable: of.nullable })
}

fn violation(code: Code, detail: String) -> Violation {
    Violation::parameter("sort", code, detail)
}
