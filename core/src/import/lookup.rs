//! Which records have these values: one statement a field and page.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ConnectionTrait, Value,
    sea_query::{Alias, Expr, ExprTrait},
};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{read, target::Lookup};
use crate::{
    context::Unit,
    engine::{Field, Operation, Shape, Since, bind_cell, read_cell, visible},
    error::{Error, Result},
};

/// What a lookup's text turned out to be.
pub enum Answer {
    One(Uuid),
    Several(usize),
    /// Nothing has it; the value as it would be stored.
    Nothing(String),
    /// The field can have no such value.
    Unreadable(String),
}

/// A value as it is stored: to bind, and as text.
pub fn stored(shape: &Shape, field: &Field, value: &Json) -> Result<(Value, String), String> {
    let cell = field.decode(value).map_err(|violation| violation.detail)?.into_iter().next().unwrap_or_default();
    let kind = shape.columns_of(field).next().map(|column| &column.kind);
    let bound = kind.map(|kind| bind_cell(&cell, kind)).ok_or("has no column")?;
    let text = cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    Ok((bound, text))
}

/// Ids of the records the actor sees whose `field` has one of the values.
pub async fn find(
    unit: &Unit<'_>,
    shape: &Shape,
    field: &Field,
    values: impl IntoIterator<Item = Value>,
) -> Result<HashMap<Value, Vec<Uuid>>> {
    let values: Vec<_> = values.into_iter().collect();
    let mut found: HashMap<Value, Vec<Uuid>> = HashMap::new();
    let Some(column) = shape.columns_of(field).next().filter(|_| !values.is_empty()) else { return Ok(found) };
    let by = Alias::new(column.name.as_str());
    let select = visible(unit.cx, shape)
        .column(Alias::new("id"))
        .column(by.clone())
        .and_where(Expr::col(by).is_in(values))
        .order_by(Alias::new("id"), sea_orm::Order::Asc)
        .take();
    for row in unit.txn.query_all(&select).await? {
        found.entry(read_cell(&row, 1, &column.kind)?).or_default().push(row.try_get_by_index(0)?);
    }
    Ok(found)
}

/// Looks all texts of one lookup up at once.
pub async fn resolve(unit: &Unit<'_>, lookup: &Lookup, texts: BTreeSet<&str>) -> Result<HashMap<String, Answer>> {
    let (shape, field) = by(unit, lookup)?;
    let mut wanted = Vec::with_capacity(texts.len());
    let mut answers = HashMap::with_capacity(texts.len());
    for text in texts {
        let value = read::value(text, &field.kind, None, &unit.cx.tenant);
        match value.and_then(|value| stored(shape, field, &value)) {
            Ok((bound, plain)) => wanted.push((text, bound, plain)),
            Err(detail) => {
                answers.insert(text.to_owned(), Answer::Unreadable(detail));
            }
        }
    }
    let found = find(unit, shape, field, wanted.iter().map(|(_, bound, _)| bound.clone())).await?;
    for (text, bound, plain) in wanted {
        let answer = match found.get(&bound).map(Vec::as_slice) {
            Some([one]) => Answer::One(*one),
            Some(several) => Answer::Several(several.len()),
            None => Answer::Nothing(plain),
        };
        answers.insert(text.to_owned(), answer);
    }
    Ok(answers)
}

/// Creates a record of the looked-up kind for each value, with nothing but that value.
pub async fn create(unit: &Unit<'_>, lookup: &Lookup, values: BTreeSet<&str>) -> Result<HashMap<String, Result<Uuid>>> {
    let (shape, field) = by(unit, lookup)?;
    let Some(resource) = unit.cx.kind(&shape.name) else { return Ok(HashMap::new()) };
    let operation = |value: &&str| {
        let read = read::value(value, &field.kind, None, &unit.cx.tenant).unwrap_or_else(|_| Json::from(*value));
        Operation::Create { data: Map::from_iter([(field.name.clone(), read)]), since: Since::default() }
    };
    let verdicts = resource.write(unit, values.iter().map(operation).collect()).await?;
    let ids = verdicts.into_iter().map(|verdict| verdict.map(|written| written.id));
    Ok(values.into_iter().map(str::to_owned).zip(ids).collect())
}

fn by<'u>(unit: &'u Unit<'_>, lookup: &Lookup) -> Result<(&'u Shape, &'u Field)> {
    let shape = unit.cx.kind(&lookup.kind).map(|resource| resource.shape());
    let field = shape.and_then(|shape| shape.field(&lookup.by));
    shape.zip(field).ok_or_else(|| Error::internal("a checked lookup names a field", lookup.by.clone()))
}
