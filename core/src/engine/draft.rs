//! From a JSON object to a whole typed candidate: stamps, input, merge, every violation at once.

use sea_orm::{IdenStatic as _, Iterable as _};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{Field, FieldAccess, FieldType, Record, Shape, custom::CUSTOM, print_instant};
use crate::{
    context::Unit,
    error::{Code, Error, Result, Violation, enough, unknown},
};

/// A create: the input laid over the server's stamps and the kind's defaults.
pub(super) fn create<R: Record>(unit: &Unit<'_>, shape: &Shape, data: &Map<String, Json>) -> Result<R::Model> {
    let now = Json::from(print_instant(unit.now));
    let mut row: Map<String, Json> = Map::new(); // what is not in it is null
    for (name, text) in R::DEFAULTS {
        row.insert((*name).to_owned(), serde_json::from_str(text).unwrap_or_else(|_| Json::from(*text)));
    }
    row.insert("tenant_id".to_owned(), json!(unit.cx.tenant.id));
    row.insert("id".to_owned(), json!(unit.cx.new_id()));
    row.insert("version".to_owned(), json!(1));
    row.insert("created_at".to_owned(), now.clone());
    row.insert("updated_at".to_owned(), now);
    row.insert("created_by".to_owned(), json!(unit.cx.actor.user));
    if shape.stored_field("owner_id").is_some() {
        row.insert("owner_id".to_owned(), json!(unit.cx.actor.user));
    }
    row.extend(shape.stamp().map(|(column, object)| (column.to_owned(), json!(object))));
    let mut broken = lay(unit, shape, &mut row, data, None);
    if !data.contains_key(CUSTOM) && shape.column(CUSTOM).is_some() {
        lay_custom(unit, shape, &mut row, (None, &json!({})), &mut broken);
    }
    for field in shape.fields.iter().filter(|f| f.required && !data.contains_key(&f.name)) {
        broken.push(field.violation(Code::Required, "is required"));
    }
    if broken.is_empty() { whole::<R>(row) } else { Err(Error::Invalid(broken)) }
}

/// An update: the input merged into what is there. The version rises in the write, where it is known to differ.
pub(super) fn update<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    before: &R::Model,
    data: &Map<String, Json>,
) -> Result<R::Model> {
    let mut row = columns(before)?;
    let present = row.clone();
    let broken = lay(unit, shape, &mut row, data, Some(&present));
    if broken.is_empty() { whole::<R>(row) } else { Err(Error::Invalid(broken)) }
}

/// A delete: the record as it is, marked.
pub(super) fn deleted<R: Record>(unit: &Unit<'_>, before: &R::Model) -> Result<R::Model> {
    let mut row = columns(before)?;
    row.insert("deleted_at".to_owned(), print_instant(unit.now).into());
    whole::<R>(row)
}

/// A deleted record as it was, no longer marked. What the tenant has defined since holds for its values too.
pub(super) fn restored<R: Record>(shape: &Shape, before: &R::Model) -> Result<R::Model> {
    let mut row = columns(before)?;
    if row.insert("deleted_at".to_owned(), Json::Null).is_none_or(|was| was.is_null()) {
        return Err(Error::conflict(Code::InvalidState, "the record was not deleted"));
    }
    let broken = shape.custom.misfits(row.get(CUSTOM).unwrap_or(&Json::Null));
    if broken.is_empty() { whole::<R>(row) } else { Err(Error::Invalid(broken)) }
}

/// The row as a JSON object by column.
pub(super) fn columns(row: &impl serde::Serialize) -> Result<Map<String, Json>> {
    match serde_json::to_value(row) {
        Ok(Json::Object(map)) => Ok(map),
        Ok(_) => Err(Error::internal("a record is an object", "not an object")),
        Err(source) => Err(Error::internal("a record can be written as JSON", source)),
    }
}

pub(super) fn whole<R: Record>(row: Map<String, Json>) -> Result<R::Model> {
    serde_json::from_value(Json::Object(row))
        .map_err(|source| Error::internal("a checked candidate is a record", source))
}

fn lay(
    unit: &Unit<'_>,
    shape: &Shape,
    row: &mut Map<String, Json>,
    data: &Map<String, Json>,
    present: Option<&Map<String, Json>>,
) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (name, value) in data {
        if enough(&broken) {
            break;
        }
        let Some(field) = shape.field(name) else {
            broken.push(Violation::field(name, Code::UnknownField, unknown("field", name, shape.all_names())));
            continue;
        };
        if let Err(violation) = may_set(unit, field, present.is_some()) {
            broken.push(violation);
            continue;
        }
        if name == CUSTOM {
            lay_custom(unit, shape, row, (present, value), &mut broken);
            continue;
        }
        if let Some(parts) = shape.parts.as_ref().filter(|parts| parts.field == name) {
            match parts.lay(unit, present.and_then(|row| row.get(name)), value) {
                Ok(list) => drop(row.insert(name.clone(), list)),
                Err(violations) => broken.extend(violations),
            }
            continue;
        }
        let merged = present
            .filter(|_| value.is_object() && matches!(field.kind, FieldType::Json | FieldType::Money))
            .map(|row| merge(field.encode(&shape.columns, row), value));
        match field.decode(merged.as_ref().unwrap_or(value)) {
            Ok(cells) => {
                for (column, cell) in shape.columns_of(field).zip(cells) {
                    row.insert(column.name.clone(), cell);
                }
            }
            Err(violation) => broken.push(violation),
        }
    }
    broken
}

/// The tenant's own fields are one value, merged and checked by their definitions.
fn lay_custom(
    unit: &Unit<'_>,
    shape: &Shape,
    row: &mut Map<String, Json>,
    (present, value): (Option<&Map<String, Json>>, &Json),
    broken: &mut Vec<Violation>,
) {
    let present = present.map(|row| row.get(CUSTOM).unwrap_or(&Json::Null));
    match shape.custom.lay(present, value, |field| may_set(unit, field, present.is_some())) {
        Ok(whole) => drop(row.insert(CUSTOM.to_owned(), whole)),
        Err(violations) => broken.extend(violations),
    }
}

fn may_set(unit: &Unit<'_>, field: &Field, update: bool) -> Result<(), Violation> {
    let allowed = match field.access {
        FieldAccess::Write => true,
        FieldAccess::Create => !update,
        FieldAccess::History => unit.history || unit.server,
        FieldAccess::Server => unit.server,
        FieldAccess::Read => false,
    };
    if allowed { Ok(()) } else { Err(field.read_only()) }
}

/// RFC 7396, deep.
pub fn merge(target: Json, patch: &Json) -> Json {
    let Json::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Json::Object(map) => map,
        _ => Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            let present = target.remove(key).unwrap_or_default();
            target.insert(key.clone(), merge(present, value));
        }
    }
    Json::Object(target)
}

/// The patch that makes `wanted` of `present`: what is there and not wanted is null in it.
pub fn replacing(present: &Json, wanted: &Json) -> Json {
    let (Json::Object(present), Json::Object(wanted)) = (present, wanted) else { return wanted.clone() };
    let gone = present.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Json::Null));
    let kept =
        wanted.iter().map(|(key, value)| (key.clone(), replacing(present.get(key).unwrap_or(&Json::Null), value)));
    gone.chain(kept).collect()
}

/// A create may bring its own id, so that a client can retry safely: a UUIDv7, not one that sorts anywhere.
pub(super) fn own_id(data: &Map<String, Json>) -> Result<(), Violation> {
    match data.get("id").and_then(Json::as_str).and_then(|id| id.parse::<Uuid>().ok()) {
        Some(id) if id.get_version_num() != 7 => {
            Err(Violation::field("id", Code::InvalidValue, "must be a UUID of version 7"))
        }
        _ => Ok(()),
    }
}

/// A typed column by its name. Kinds' columns are fixed at compile time, so a wrong name is a defect found by any test.
pub(super) fn column<R: Record>(name: &str) -> Result<R::Column> {
    R::Column::iter()
        .find(|column| column.as_str() == name)
        .ok_or_else(|| Error::internal("every record has the common columns", name.to_owned()))
}
