//! Owned children: records that are written with their parent, as a list in one of its fields, the lines of a document.
//!
//! The list is in the parent's row, so that a document is read, logged and put back whole. Each item is also a row of the
//! child's own kind, which is only read: there filters, sums and references find it. One entity defines both.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use sea_orm::{
    ConnectionTrait, Value,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{
    Field, FieldAccess, FieldType, Shape, bind_cell, outside,
    store::{JsonChange as Change, ROWS_PER_STATEMENT},
    unique::{Claim, Unique},
};
use crate::{
    context::Unit,
    error::{Code, Result, VIOLATIONS, Violation, enough, unknown},
};

/// Items of one list.
pub const MOST: usize = 500;
/// What a child has that its parent says already.
const OF_PARENT: [&str; 6] = ["external_id", "version", "created_at", "updated_at", "created_by", "position"];

/// The children of a kind.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The parent's field that lists them.
    pub field: &'static str,
    pub shape: Arc<Shape>,
}

impl Parts {
    /// The fields of an item, whoever asks.
    fn items(&self) -> impl Iterator<Item = &Field> {
        let parent = self.shape.parent.map(|(column, _)| column);
        let own = move |name: &str| !OF_PARENT.contains(&name) && Some(name) != parent;
        self.shape.stored_fields().filter(move |field| own(&field.name))
    }

    /// Those that whoever asks may read.
    fn shown(&self) -> impl Iterator<Item = &Field> {
        self.items().filter(|field| !self.shape.hides(&field.name))
    }

    /// The list as it is stored, in the place of `present`. Each item has an id, and keeps by it what the caller may not
    /// set; what the server sets is left for the kind to set.
    ///
    /// # Errors
    /// Everything that is wrong, each at its place.
    pub(super) fn lay(&self, unit: &Unit<'_>, present: Option<&Json>, given: &Json) -> Result<Json, Vec<Violation>> {
        let Json::Array(items) = given else {
            return if given.is_null() { Ok(Json::Null) } else { Err(vec![self.wrong("must be a list of objects")]) };
        };
        if items.len() > MOST {
            let detail = format!("has {} items; a list takes {MOST}", items.len());
            return Err(vec![Violation::field(self.field, Code::OutOfRange, detail)]);
        }
        let stored: HashMap<Uuid, &Json> = list(present).filter_map(|item| Some((id_of(item)?, item))).collect();
        let (mut laid, mut broken, mut ids) = (Vec::with_capacity(items.len()), Vec::new(), HashSet::new());
        for (n, item) in items.iter().enumerate() {
            if enough(&broken) {
                break;
            }
            let placed = |violation: Violation| {
                let pointer = format!("/{}/{n}{}", self.field, violation.pointer);
                Violation { pointer, ..violation }
            };
            match self.item(unit, id_of(item).and_then(|id| stored.get(&id).copied()), item) {
                Ok(item) if item.get("id").is_none_or(|id| ids.insert(id.to_string())) => laid.push(item.into()),
                Ok(_) => broken.push(placed(Violation::field("id", Code::Duplicate, "comes twice in the list"))),
                Err(violations) => broken.extend(violations.into_iter().map(placed)),
            }
        }
        match broken.is_empty() {
            true if laid.is_empty() => Ok(Json::Null),
            true => Ok(Json::Array(laid)),
            false => Err(broken),
        }
    }

    fn wrong(&self, detail: &str) -> Violation {
        Violation::field(self.field, Code::WrongType, detail)
    }

    fn item(&self, unit: &Unit<'_>, stored: Option<&Json>, given: &Json) -> Result<Map<String, Json>, Vec<Violation>> {
        let Json::Object(given) = given else {
            return Err(vec![Violation { pointer: String::new(), ..self.wrong("must be an object") }]);
        };
        let mut broken: Vec<_> = given
            .keys()
            .filter(|name| self.shown().all(|field| field.name != **name))
            .take(VIOLATIONS)
            .map(|name| {
                let names = self.shown().map(|field| field.name.as_str());
                Violation::field(name, Code::UnknownField, unknown("field", name, names))
            })
            .collect();
        let mut item = Map::new();
        for field in self.items().filter(|field| field.access != FieldAccess::Server || unit.server) {
            let kept = stored.and_then(|stored| stored.get(&field.name)).unwrap_or(&Json::Null);
            let value = match (given.get(&field.name), field.access) {
                _ if self.shape.hides(&field.name) => Ok(kept.clone()),
                (None, FieldAccess::Read) => Ok(kept.clone()),
                (Some(value), FieldAccess::Read) => match self.read(field, value) {
                    Ok(value) if value == *kept => Ok(value),
                    _ => Err(field.read_only()),
                },
                (Some(value), _) => self.read(field, value),
                (None, _) => Ok(Json::Null),
            };
            match value {
                Ok(Json::Null) if field.name == "id" => drop(item.insert("id".to_owned(), json!(unit.cx.new_id()))),
                Ok(Json::Null) if field.required => broken.push(field.violation(Code::Required, "is required")),
                Ok(Json::Null) => {}
                Ok(value) => drop(item.insert(field.name.clone(), value)),
                Err(violation) => broken.push(violation),
            }
        }
        broken.extend(super::draft::own_id(&item).err());
        if broken.is_empty() { Ok(item) } else { Err(broken) }
    }

    /// The value as it is stored; null where there is none.
    fn read(&self, field: &Field, given: &Json) -> Result<Json, Violation> {
        if given.is_null() {
            return Ok(Json::Null);
        }
        let row = self.shape.columns_of(field).map(|column| column.name.clone()).zip(field.decode(given)?).collect();
        Ok(field.encode(&self.shape.columns, &row))
    }

    /// The JSON Schema of the list.
    pub(super) fn schema(&self, description: &Json) -> Json {
        let property = |field: &Field| {
            let mut schema = if field.schema.is_object() { field.schema.clone() } else { json!({}) };
            if let (FieldAccess::Server | FieldAccess::Read, Some(schema)) = (field.access, schema.as_object_mut()) {
                schema.insert("readOnly".to_owned(), true.into());
            }
            (field.name.clone(), schema)
        };
        let properties: Map<_, _> = self.shown().map(property).collect();
        let required: Vec<_> = self.shown().filter(|field| field.required).map(|field| &field.name).collect();
        json!({"type": "array", "description": description, "maxItems": MOST,
               "items": {"type": "object", "additionalProperties": false, "required": required, "properties": properties}})
    }

    /// The row of an item.
    fn row(&self, unit: &Unit<'_>, parent: Uuid, n: usize, item: &Json) -> Vec<Value> {
        let column = self.shape.parent.map(|(column, _)| column).unwrap_or_default();
        let position = i64::try_from(n).unwrap_or_default() + 1;
        let cell = |place: usize, of: &super::Column| match of.name.as_str() {
            "tenant_id" => unit.cx.tenant.id.into(),
            "version" => 1_i64.into(),
            "created_at" | "updated_at" => unit.now.into(),
            "created_by" => unit.cx.actor.user.into(),
            "position" => position.into(),
            name if name == column => parent.into(),
            _ => {
                let field = self.items().find(|field| field.columns.contains(&place));
                let value = field.and_then(|field| Some((field, item.get(&field.name)?)));
                let cells = value.and_then(|(field, value)| Some((field, field.decode(value).ok()?)));
                let cell = cells.and_then(|(field, cells)| {
                    let at = field.columns.iter().position(|column| *column == place)?;
                    cells.into_iter().nth(at)
                });
                bind_cell(&cell.unwrap_or_default(), &of.kind)
            }
        };
        self.shape.columns.iter().enumerate().map(|(place, of)| cell(place, of)).collect()
    }
}

fn id_of(item: &Json) -> Option<Uuid> {
    item.get("id")?.as_str()?.parse().ok()
}

fn list(value: Option<&Json>) -> impl Iterator<Item = &Json> {
    value.and_then(Json::as_array).into_iter().flatten()
}

/// Candidates whose items refer to records that do not exist for the actor. One statement a referenced kind.
pub(super) async fn dangling(unit: &Unit<'_>, shape: &Shape, changes: &[Change]) -> Result<Vec<(usize, Violation)>> {
    let Some(parts) = &shape.parts else { return Ok(Vec::new()) };
    let mut wanted: BTreeMap<&str, Vec<outside::Wanted>> = BTreeMap::new();
    for field in parts.items() {
        let FieldType::Reference(kind) = &field.kind else { continue };
        for change in changes {
            let known: HashSet<_> = list(change.before.as_ref()).filter_map(|item| item.get(&field.name)).collect();
            for (n, item) in list(change.after.as_ref()).enumerate() {
                let fresh = item.get(&field.name).filter(|id| !known.contains(*id));
                let id = fresh.and_then(|id| id.as_str()?.parse().ok());
                wanted.entry(kind).or_default().extend(id.map(|id| outside::Wanted {
                    index: change.index,
                    place: format!("{}.{n}.{}", parts.field, field.name),
                    id,
                }));
            }
        }
    }
    outside::lost(unit, shape, wanted, &[]).await
}

/// What the candidates want of the ids of children: those that are new in their lists. One statement for up to 1,000.
pub(super) async fn claims(unit: &Unit<'_>, shape: &Shape, changes: &[Change]) -> Result<Option<Unique>> {
    let Some(parts) = &shape.parts else { return Ok(None) };
    let mut claims = Vec::new();
    for change in changes {
        let known: HashSet<_> = list(change.before.as_ref()).filter_map(id_of).collect();
        for (n, item) in list(change.after.as_ref()).enumerate() {
            let key = id_of(item).filter(|id| !known.contains(id)).map(|id| vec![id.into()]);
            let place = || format!("{}.{n}.id", parts.field);
            claims.extend(key.map(|key| Claim { index: change.index, record: change.record, place: place(), key }));
        }
    }
    let parent = parts.shape.parent.map(|(column, _)| column).unwrap_or_default();
    let mut held = HashMap::new();
    for part in claims.chunks(1000) {
        let ids = part.iter().filter_map(|claim| claim.key.first().cloned());
        let select = Query::select()
            .columns(["id", parent].map(Alias::new))
            .from(parts.shape.table())
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new("id")).is_in(ids))
            .take();
        for row in unit.txn.query_all(&select).await? {
            held.insert(vec![row.try_get_by_index::<Uuid>(0)?.into()], row.try_get_by_index(1)?);
        }
    }
    Ok(Some(Unique { rule: "must be unique".to_owned(), claims, held }))
}

/// Keeps the rows of the children as the lists are: two statements for up to 250 of them.
pub(super) async fn follow(unit: &Unit<'_>, shape: &Shape, changes: &[Change]) -> Result<()> {
    let Some(parts) = &shape.parts else { return Ok(()) };
    let table = parts.shape.table();
    let old: Vec<_> = changes.iter().filter(|change| !change.created).map(|change| change.record).collect();
    let parent = parts.shape.parent.map(|(column, _)| column).unwrap_or_default();
    for part in old.chunks(1000) {
        let delete = Query::delete()
            .from_table(table.clone())
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new(parent)).is_in(part.iter().copied()))
            .take();
        unit.txn.execute(&delete).await?;
    }
    let row = |(record, (n, item))| parts.row(unit, record, n, item);
    let items = changes
        .iter()
        .flat_map(|change| list(change.after.as_ref()).enumerate().map(move |item| (change.record, item)));
    let rows: Vec<_> = items.map(row).collect();
    for part in rows.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        let columns = parts.shape.columns.iter().map(|column| Alias::new(column.name.as_str()));
        insert.into_table(table.clone()).columns(columns);
        for row in part {
            insert.values_panic(row.iter().cloned().map(Expr::val));
        }
        unit.txn.execute(&insert).await.map_err(crate::error::Error::from_write)?;
    }
    Ok(())
}
