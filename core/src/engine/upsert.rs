//! Upserts become creates and updates: one look for each set of fields by which records are found.
//!
//! What counts is the database's own uniqueness: live records of the tenant, by a set of fields that no two of them
//! share. A record that was deleted holds nothing but its id, so its key makes a new one. One the caller may not see holds its
//! key too: the create that follows is refused as a duplicate.

use std::collections::HashMap;

use sea_orm::Value;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{
    FieldAccess, Operation, Shape, Since,
    batch::{Effect, Op, Step},
    bind_cell,
    custom::{self, CUSTOM},
    unique, visible,
};
use crate::{
    context::Unit,
    error::{Code, Error, Result, Violation},
};

/// An upsert with its place and the key of its record.
type Look = (usize, Vec<Value>, Map<String, Json>);
type Resolved = (usize, Result<(Effect, Operation)>);

/// The operation of each step. Cost: a statement for each `by` there is, for up to 500 keys.
pub(super) async fn resolve(unit: &Unit<'_>, shape: &Shape, steps: Vec<(usize, Step)>) -> Result<Vec<Resolved>> {
    let mut resolved: Vec<Resolved> = Vec::with_capacity(steps.len());
    let mut looks: HashMap<Vec<String>, Vec<Look>> = HashMap::new();
    for (index, step) in steps {
        let Step { op, id, version, data, by } = step;
        let since = Since::default();
        match (op, id) {
            (Op::Create, _) => resolved.push((index, Ok((Effect::Created, Operation::Create { data, since })))),
            (Op::Update, Some(id)) => {
                resolved.push((index, Ok((Effect::Updated, Operation::Update { id, version, data, since }))));
            }
            (Op::Delete, Some(id)) => resolved.push((index, Ok((Effect::Deleted, Operation::Delete { id, version })))),
            (Op::Update | Op::Delete, None) => {
                resolved.push((index, Err(Error::internal("a step that was read has an id", "it has none"))));
            }
            (Op::Upsert, _) => match finds(shape, &by) {
                Err(detail) => {
                    let violation = Violation { pointer: "/by".to_owned(), code: Code::InvalidValue, detail };
                    resolved.push((index, Err(Error::Invalid(vec![violation]))));
                }
                Ok(()) => match key(shape, &by, &data) {
                    Ok(key) => looks.entry(by).or_default().push((index, key, data)),
                    Err(violations) => {
                        let within = |of: Violation| Violation { pointer: format!("/data{}", of.pointer), ..of };
                        resolved.push((index, Err(Error::Invalid(violations.into_iter().map(within).collect()))));
                    }
                },
            },
        }
    }
    for (by, wanted) in looks {
        let keys: Vec<_> = wanted.iter().map(|(_, key, _)| key).collect();
        let found = find(unit, shape, &by, &keys).await?;
        for (index, key, data) in wanted {
            resolved.push((index, Ok(operation(shape, found.get(&key).copied(), data, Since::default()))));
        }
    }
    resolved.sort_by_key(|(index, _)| *index);
    Ok(resolved)
}

/// What is written where the record was found, or not.
pub fn operation(shape: &Shape, id: Option<Uuid>, mut data: Map<String, Json>, since: Since) -> (Effect, Operation) {
    match id {
        None => (Effect::Created, Operation::Create { data, since }),
        Some(id) => {
            // what only a create may bring is for the case that it becomes one
            data.retain(|name, _| shape.field(name).is_none_or(|field| field.access != FieldAccess::Create));
            (Effect::Updated, Operation::Update { id, version: None, data, since })
        }
    }
}

/// Sets of fields by which a record can be found, as far as the caller may read them: each tells all records apart.
pub fn keys(shape: &Shape) -> Vec<Vec<&str>> {
    let readable = shape.unique.iter().filter(|set| !set.iter().any(|name| shape.hides(name)));
    let own = shape.custom.active().filter(|own| own.unique).map(|own| vec![own.field.name.as_str()]);
    [vec!["id"]].into_iter().chain(readable.map(|set| set.to_vec())).chain(own).collect()
}

/// Whether these fields are such a set, in any order.
///
/// # Errors
/// What is possible, for people.
pub fn finds(shape: &Shape, by: &[String]) -> Result<(), String> {
    let keys = keys(shape);
    if keys.iter().any(|set| set.len() == by.len() && set.iter().all(|name| by.iter().any(|given| given == name))) {
        return Ok(());
    }
    let sets: Vec<_> = keys.iter().map(|set| set.join(" + ")).collect();
    Err(format!("no two {} differ by {}; possible: {}", shape.plural, by.join(" + "), sets.join(", ")))
}

/// The values of the fields in `by`, as they are stored.
///
/// # Errors
/// Each that is missing or that its field cannot have.
pub fn key(shape: &Shape, by: &[String], data: &Map<String, Json>) -> Result<Vec<Value>, Vec<Violation>> {
    let (mut key, mut broken) = (Vec::new(), Vec::new());
    for field in by.iter().filter_map(|name| shape.any_field(name)) {
        let own = field.custom_key().and_then(|key| shape.custom.get(key));
        let value = match own {
            Some(own) => data.get(CUSTOM).and_then(|custom| custom.get(&*own.key)),
            None => data.get(&field.name),
        };
        match (value.filter(|value| !value.is_null()), own) {
            (None, _) => broken.push(field.violation(Code::Required, "is required: the record is found by it")),
            (Some(value), None) => match field.decode(value) {
                Ok(cells) => {
                    key.extend(cells.iter().zip(shape.columns_of(field)).map(|(c, col)| bind_cell(c, &col.kind)));
                }
                Err(violation) => broken.push(violation),
            },
            (Some(value), Some(own)) => match own.read(value) {
                Ok(stored) => key.push(own.only(&stored).into()),
                Err(violation) => broken.push(violation),
            },
        }
    }
    if broken.is_empty() { Ok(key) } else { Err(broken) }
}

/// Which records the caller sees have these keys. One statement for up to 500 of them.
///
/// # Errors
/// The database.
pub async fn find(
    unit: &Unit<'_>,
    shape: &Shape,
    by: &[String],
    keys: &[&Vec<Value>],
) -> Result<HashMap<Vec<Value>, Uuid>> {
    if let Some(own) = by.first().and_then(|name| shape.custom.get(name.strip_prefix("custom.")?)) {
        return custom::holders(unit, unit.cx, shape, own, keys).await;
    }
    let fields = by.iter().filter_map(|name| shape.field(name));
    let columns: Vec<_> = fields.flat_map(|field| shape.columns_of(field)).collect();
    unique::holders(unit, &visible(unit.cx, shape), &columns, keys).await
}
