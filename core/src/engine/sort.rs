//! `sort=-amount,name`: descending amount, then name.
//!
//! `id` is appended in the direction of the last key, so that every order is total. Null is smallest: first when
//! ascending, last when descending. Texts sort by bytes, money by currency and then amount. Without `sort` the newest
//! records come first (`-id`: ids are UUIDv7).

use sea_orm::{
    Order,
    sea_query::{Alias, NullOrdering, SelectStatement},
};

use super::{FieldType, Shape};
use crate::error::{Code, Error, Result, Violation, unknown};

/// One column of the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Index into the shape's columns.
    pub column: usize,
    pub name: String,
    pub descending: bool,
    pub nullable: bool,
}

/// A total order over the rows of a kind; its last key is `id`.
#[derive(Clone, Debug)]
pub(super) struct Sort(pub Vec<Key>);

impl Sort {
    /// # Errors
    /// `Malformed` with every key that is unknown, named twice, or of a type without an order.
    pub fn parse(shape: &Shape, text: Option<&str>) -> Result<Self> {
        let mut keys: Vec<Key> = Vec::new();
        let mut broken = Vec::new();
        let mut last_descends = text.is_none();
        for key in text.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            let (name, descending) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
            last_descends = descending;
            match columns(shape, name) {
                Ok(columns) if columns.iter().any(|(i, _)| keys.iter().any(|key| key.column == *i)) => {
                    broken.push(violation(Code::InvalidParameter, format!("`{name}` is named twice")));
                }
                Ok(columns) => keys.extend(columns.into_iter().map(|(column, of)| Key {
                    column,
                    name: of.name.clone(),
                    descending,
                    nullable: of.nullable,
                })),
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
            keys.push(Key { column, name: "id".to_owned(), descending: last_descends, nullable: false });
        }
        Ok(Self(keys))
    }

    /// The same order from its other end.
    pub fn reversed(&self) -> Self {
        Self(self.0.iter().map(|key| Key { descending: !key.descending, ..key.clone() }).collect())
    }

    pub fn add_to(&self, select: &mut SelectStatement) {
        for key in &self.0 {
            let column = Alias::new(key.name.as_str());
            match (key.nullable, key.descending) {
                (false, false) => select.order_by(column, Order::Asc),
                (false, true) => select.order_by(column, Order::Desc),
                (true, false) => select.order_by_with_nulls(column, Order::Asc, NullOrdering::First),
                (true, true) => select.order_by_with_nulls(column, Order::Desc, NullOrdering::Last),
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

fn columns<'a>(shape: &'a Shape, name: &str) -> Result<Vec<(usize, &'a super::Column)>, Violation> {
    let Some(field) = shape.field(name) else {
        if shape.custom.names().any(|own| own == name) {
            let detail = format!("`{name}` is a custom field, which has no order here: filter by it instead");
            return Err(violation(Code::NotSortable, detail));
        }
        return Err(violation(Code::UnknownField, unknown("field", name, shape.field_names())));
    };
    // currency first: amounts of several currencies have no order between them
    let order: Vec<usize> = match field.kind {
        FieldType::Json => {
            return Err(violation(Code::WrongType, format!("`{name}` holds JSON, which has no order")));
        }
        FieldType::Money => field.columns.iter().rev().copied().collect(),
        _ => field.columns.clone(),
    };
    Ok(order.into_iter().filter_map(|i| shape.columns.get(i).map(|of| (i, of))).collect())
}

fn violation(code: Code, detail: String) -> Violation {
    Violation::parameter("sort", code, detail)
}
