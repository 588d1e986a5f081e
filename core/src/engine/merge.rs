//! Two records that are one: what refers to the one that goes follows to the one that stays, whatever its kind.
//!
//! Everything is written by [`Resource::write`] in one unit, so that each record's own history has its change. What was
//! done is kept as a record of the kind `merge`, from which it can be undone where nobody has changed it since.

use std::collections::BTreeMap;

use sea_orm::{
    ConnectionTrait, Order,
    sea_query::{Alias, Expr, ExprTrait, IntoIden, Query},
};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{
    Field, FieldAccess, FieldType, Operation, Record, Resource, Row, Scope, Shape, Since, custom::CUSTOM, load, locked,
    only, patch,
};
use crate::{
    access::{self, Verb},
    context::{Context, Unit},
    error::{Code, Error, Result, VIOLATIONS, Violation, enough, unknown},
    records::merge::{self, AllMoved, Moved, Values},
};

/// Records that one merge moves.
pub const MOST: usize = 10_000;
const SLICE: usize = 1000;

/// What a merge is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The record that goes.
    pub from: Uuid,
    /// Fields whose values the other record has, beside those that are empty here.
    pub take: Vec<String>,
    /// Refused as stale unless the record that stays is at this version.
    pub version: Option<i64>,
}

impl Wish {
    /// Reads `{from, take?}`.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong.
    pub fn parse(shape: &Shape, body: &Map<String, Json>, version: Option<i64>) -> Result<Self> {
        let mut broken = Vec::new();
        let wrong = |pointer: &str, code, detail: String| Violation { pointer: pointer.to_owned(), code, detail };
        for name in body.keys().filter(|name| !["from", "take"].contains(&name.as_str())).take(VIOLATIONS) {
            broken.push(wrong(&format!("/{name}"), Code::UnknownField, unknown("member", name, ["from", "take"])));
        }
        let from = match body.get("from").map(|from| from.as_str().and_then(|text| Uuid::try_parse(text).ok())) {
            Some(Some(from)) => from,
            Some(None) => {
                broken.push(wrong("/from", Code::WrongType, "must be a UUID in a string".to_owned()));
                Uuid::nil()
            }
            None => {
                broken.push(wrong("/from", Code::Required, "is required: the record that goes".to_owned()));
                Uuid::nil()
            }
        };
        let mut take = Vec::new();
        match body.get("take") {
            None => {}
            Some(Json::Array(names)) => {
                for (at, name) in names.iter().enumerate() {
                    if enough(&broken) {
                        break;
                    }
                    let place = format!("/take/{at}");
                    let name = name.as_str().unwrap_or_default();
                    match shape.any_field(name).map(|field| field.access) {
                        Some(_) if shape.any_field(name).is_some_and(|field| shape.shows_in_part(field)) => {
                            broken.push(wrong(&place, Code::ReadOnly, "has fields that you may not read".to_owned()));
                        }
                        Some(FieldAccess::Write) => take.push(name.to_owned()),
                        Some(_) => broken.push(wrong(&place, Code::ReadOnly, "is not yours to write".to_owned())),
                        None => {
                            broken.push(wrong(&place, Code::UnknownField, unknown("field", name, shape.all_names())));
                        }
                    }
                }
            }
            Some(_) => broken.push(wrong("/take", Code::WrongType, "must be a list of fields".to_owned())),
        }
        if broken.is_empty() { Ok(Self { from, take, version }) } else { Err(Error::Invalid(broken)) }
    }
}

/// Merges `wish.from` into `into` and answers with the id of the merge.
///
/// Cost: a look and a slice of writes for each field of any kind that refers to the kind, for up to 1,000 records each.
///
/// # Errors
/// `Forbidden`; `NotFound`; `Stale`; `Invalid` for the record itself or one that is not there; `Conflict` where a record that
/// refers to it cannot follow, and for more than [`MOST`] of them.
pub async fn merge(cx: &Context, resource: &dyn Resource, into: Uuid, wish: &Wish) -> Result<Uuid> {
    let shape = resource.shape();
    for verb in [Verb::Update, Verb::Delete] {
        access::may(&cx.actor, verb, shape)?;
    }
    if !shape.merges {
        return Err(Error::NotFound { what: format!("a merge of {}", shape.plural) });
    }
    if wish.from == into {
        return Err(Error::invalid("from", Code::InvalidValue, "is the record itself"));
    }
    let unit = cx.begin().await?;
    let mut rows = locked(&unit, shape, &[into, wish.from]).await?;
    let stays = rows.remove(&into).ok_or_else(|| Error::not_found(&shape.name, into))?;
    let goes = rows.remove(&wish.from).ok_or_else(|| {
        let detail = format!("there is no such {}, or you may not change it", shape.name);
        Error::invalid("from", Code::ReferenceNotFound, detail)
    })?;
    let actual = stays.get("version").and_then(Json::as_i64).unwrap_or_default();
    if wish.version.is_some_and(|wanted| wanted != actual) {
        return Err(Error::Stale { actual });
    }
    let server = cx.as_server();
    let part = unit.as_server(&server).await?;
    let moved = follow(&part, shape, wish.from, into).await?;
    part.merge(&unit).await?;
    one(resource, &unit, Operation::Delete { id: wish.from, version: None }).await?;
    let after = taken(shape, &stays, &goes, wish, into);
    let before = values(shape, &stays, after.keys());
    if !after.is_empty() {
        let (data, since) = (patch(shape, &stays, &after), Since::default());
        one(resource, &unit, Operation::Update { id: into, version: None, data, since }).await?;
    }
    let part = unit.as_server(&server).await?;
    let id = kept(&part, shape, [into, wish.from], (moved, Values(before), Values(after))).await?;
    part.merge(&unit).await?;
    unit.commit().await?;
    Ok(id)
}

/// What the record that stays takes from the other: the fields that are wished for, and those that it lacks.
fn taken(shape: &Shape, stays: &Row, goes: &Row, wish: &Wish, into: Uuid) -> BTreeMap<String, Json> {
    let mut taken = BTreeMap::new();
    let whole = |field: &&Field| field.access == FieldAccess::Write && !shape.shows_in_part(field);
    for field in shape.every_field().filter(whole) {
        let (own, other) = (field.encode(&shape.columns, stays), field.encode(&shape.columns, goes));
        let itself = other.as_str() == Some(into.to_string().as_str());
        let wished = wish.take.contains(&field.name)
            || field.custom_key().is_some() && wish.take.iter().any(|name| name == CUSTOM);
        if own != other && !itself && (wished || (own == Json::Null && field.name != "owner_id")) {
            taken.insert(field.name.clone(), other);
        }
    }
    taken
}

fn values<'n>(shape: &Shape, row: &Row, names: impl Iterator<Item = &'n String>) -> BTreeMap<String, Json> {
    let fields = names.filter_map(|name| shape.any_field(name));
    fields.map(|field| (field.name.clone(), field.encode(&shape.columns, row))).collect()
}

/// The fields of any kind that may lead to a record of this one.
fn leading<'a>(cx: &'a Context, shape: &Shape) -> Vec<(&'a std::sync::Arc<dyn Resource>, &'a Field)> {
    let mut all = Vec::new();
    let written = |shape: &Shape| shape.verbs.contains(&Verb::Update) || shape.parent.is_some();
    for other in cx.tenant.kinds.iter().filter(|other| written(other.shape())) {
        let here = |field: &&Field| match &field.kind {
            // owned children are values of their parent, and stay with it
            FieldType::Reference(kind) => {
                **kind == *shape.name && other.shape().parent.is_none_or(|(column, _)| field.name != column)
            }
            FieldType::Id => field.name == "subject_id" && other.shape().scope == Scope::Subject,
            _ => false,
        };
        all.extend(other.shape().every_field().filter(here).map(|field| (other, field)));
    }
    all
}

/// Everything that refers to `from` refers to `into` from now on.
async fn follow(part: &Unit<'_>, shape: &Shape, from: Uuid, into: Uuid) -> Result<AllMoved> {
    let (mut moved, mut left) = (Vec::new(), MOST);
    for (other, field) in leading(part.cx, shape) {
        let ids = referring(part, other.shape(), field, &shape.name, from, left + 1).await?;
        left = left.checked_sub(ids.len()).ok_or_else(|| {
            Error::conflict(Code::InvalidState, format!("more than {MOST} records refer to {} {from}", shape.name))
        })?;
        let own = |id: &Uuid| *other.shape().name == *shape.name && *id == into;
        let (itself, others): (Vec<_>, Vec<_>) = ids.into_iter().filter(|id| *id != from).partition(own);
        for (ids, emptied) in [(others, false), (itself, true)] {
            if !ids.is_empty() {
                lead(part, &**other, &field.name, &ids, (!emptied).then_some(into)).await?;
                moved.push(Moved { kind: other.shape().name.to_string(), field: field.name.clone(), ids, emptied });
            }
        }
    }
    Ok(AllMoved(moved))
}

async fn referring(
    part: &Unit<'_>,
    other: &Shape,
    field: &Field,
    kind: &str,
    to: Uuid,
    most: usize,
) -> Result<Vec<Uuid>> {
    let col = |name: &str| Expr::col(Alias::new(name));
    let mut select = Query::select()
        .column(Alias::new("id"))
        .from(other.table())
        .cond_where(other.rows(other.table()))
        .and_where(col("tenant_id").eq(part.cx.tenant.id))
        .and_where(col("deleted_at").is_null())
        .and_where(leads(part, other, field).eq(to))
        .order_by(Alias::new("id"), Order::Asc)
        .limit(most as u64)
        .take();
    if field.kind == FieldType::Id {
        select.and_where(col("subject_kind").eq(kind));
    }
    let rows = part.txn.query_all(&select).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// The id that a field of the kind holds, in the rows of its table.
fn leads(unit: &Unit<'_>, other: &Shape, field: &Field) -> Expr {
    match field.custom_key().and_then(|key| other.custom.get(key)) {
        Some(own) => own.target(unit.cx.backend(), &other.table().into_iden()),
        None => Expr::col(Alias::new(field.name.as_str())),
    }
}

/// Sets the field of these records.
async fn lead(part: &Unit<'_>, other: &dyn Resource, field: &str, ids: &[Uuid], to: Option<Uuid>) -> Result<()> {
    if let Some((column, kind)) = other.shape().parent {
        return lead_parts(part, other.shape(), (column, kind), field, ids, to).await;
    }
    for ids in ids.chunks(SLICE) {
        let update = |id: &Uuid| {
            let data = patch(other.shape(), &Row::new(), &BTreeMap::from([(field.to_owned(), json!(to))]));
            Operation::Update { id: *id, version: None, data, since: Since::default() }
        };
        let verdicts = other.write(part, ids.iter().map(update).collect()).await?;
        for (id, verdict) in ids.iter().zip(verdicts) {
            verdict.map_err(|error| {
                let detail = format!("{} {id} cannot follow: {error}", other.shape().name);
                Error::conflict(Code::Conflict, detail)
            })?;
        }
    }
    Ok(())
}

/// The same for owned children, which their parents write.
async fn lead_parts(
    part: &Unit<'_>,
    child: &Shape,
    (column, kind): (&str, &str),
    field: &str,
    ids: &[Uuid],
    to: Option<Uuid>,
) -> Result<()> {
    let Some(parent) = part.cx.tenant.kinds.kind(kind) else { return Ok(()) };
    let Some(parts) = &parent.shape().parts else { return Ok(()) };
    for ids in ids.chunks(SLICE) {
        let col = |name: &str| Expr::col(Alias::new(name));
        let select = Query::select()
            .distinct()
            .column(Alias::new(column))
            .from(child.table())
            .and_where(col("tenant_id").eq(part.cx.tenant.id))
            .and_where(col("id").is_in(ids.iter().copied()))
            .take();
        let rows = part.txn.query_all(&select).await?;
        let parents = rows.iter().map(|row| row.try_get_by_index(0)).collect::<std::result::Result<Vec<Uuid>, _>>()?;
        let mut operations = Vec::with_capacity(parents.len());
        for (id, mut row) in locked(part, parent.shape(), &parents).await? {
            let mut list = row.remove(parts.field).unwrap_or_default();
            for item in list.as_array_mut().into_iter().flatten() {
                let of = item.get("id").and_then(|id| id.as_str()?.parse().ok());
                if of.is_some_and(|id| ids.contains(&id)) {
                    item.as_object_mut().map(|item| item.insert(field.to_owned(), json!(to)));
                }
            }
            let data = Map::from_iter([(parts.field.to_owned(), list)]);
            operations.push(Operation::Update { id, version: None, data, since: Since::default() });
        }
        for verdict in parent.write(part, operations).await? {
            verdict.map_err(|error| Error::conflict(Code::Conflict, format!("a {kind} cannot follow: {error}")))?;
        }
    }
    Ok(())
}

async fn one(resource: &dyn Resource, unit: &Unit<'_>, operation: Operation) -> Result<()> {
    only(resource.write(unit, vec![operation]).await?).map(drop)
}

async fn kept(
    part: &Unit<'_>,
    shape: &Shape,
    [into, from]: [Uuid; 2],
    (moved, before, after): (AllMoved, Values, Values),
) -> Result<Uuid> {
    let id = part.cx.new_id();
    let data = json!({"id": id, "subject_kind": &*shape.name, "subject_id": into, "merged_id": from, "moved": moved,
        "before": before, "after": after});
    let Json::Object(data) = data else { return Err(Error::internal("a merge is an object", "it is not")) };
    let merges = part.cx.tenant.kinds.of::<merge::Entity>()?;
    one(&**merges, part, Operation::Create { data, since: Since::default() }).await?;
    Ok(id)
}

/// Makes the two records two again.
///
/// # Errors
/// `Forbidden`; `NotFound`; `Conflict` with what has been changed since: nothing is undone then.
pub async fn undo(cx: &Context, id: Uuid) -> Result<()> {
    let unit = cx.begin().await?;
    let found = load::<merge::Entity>(&unit, vec![id]).await?.remove(&id);
    let merge = found.ok_or_else(|| Error::not_found(merge::Entity::NAME, id))?;
    let resource = cx.kind(&merge.subject_kind).ok_or_else(|| Error::not_found(merge::Entity::NAME, id))?;
    for verb in [Verb::Update, Verb::Delete] {
        access::may(&cx.actor, verb, resource.shape())?;
    }
    if merge.undone_at.is_some() {
        return Err(Error::conflict(Code::InvalidState, "the merge was undone before"));
    }
    let stays = locked(&unit, resource.shape(), &[merge.subject_id]).await?.remove(&merge.subject_id);
    let changed = changed(&unit, resource.shape(), stays.as_ref(), &merge).await?;
    if !changed.is_empty() {
        let detail = "what was merged has been changed since".to_owned();
        return Err(Error::Conflict { code: Code::Conflict, detail, errors: changed });
    }
    let shape = resource.shape();
    merge.before.0.keys().filter_map(|name| shape.any_field(name)).try_for_each(|field| shape.puts_back(field))?;
    if !merge.before.0.is_empty() {
        let stays = stays.unwrap_or_default();
        let (data, since) = (patch(resource.shape(), &stays, &merge.before.0), Since::default());
        one(&**resource, &unit, Operation::Update { id: merge.subject_id, version: None, data, since }).await?;
    }
    one(&**resource, &unit, Operation::Restore { id: merge.merged_id, version: None }).await?;
    let server = cx.as_server();
    let part = unit.as_server(&server).await?;
    for moved in &merge.moved.0 {
        let Some(other) = cx.tenant.kinds.kind(&moved.kind) else { continue };
        lead(&part, &**other, &moved.field, &moved.ids, Some(merge.merged_id)).await?;
    }
    let data = Map::from_iter([("undone_at".to_owned(), json!(super::print_instant(unit.now)))]);
    let merges = cx.tenant.kinds.of::<merge::Entity>()?;
    one(&**merges, &part, Operation::Update { id, version: None, data, since: Since::default() }).await?;
    part.merge(&unit).await?;
    unit.commit().await
}

/// What is no longer as the merge left it.
async fn changed(unit: &Unit<'_>, shape: &Shape, stays: Option<&Row>, merge: &merge::Model) -> Result<Vec<Violation>> {
    let wrong = |pointer: String, detail: String| Violation { pointer, code: Code::Conflict, detail };
    let Some(row) = stays else {
        return Ok(vec![wrong("/subject_id".to_owned(), "is not there any more, or not yours to change".to_owned())]);
    };
    let mut changed = Vec::new();
    for (name, now) in values(shape, row, merge.after.0.keys()) {
        if merge.after.0.get(&name) != Some(&now) {
            changed.push(wrong(format!("/{name}"), format!("is now {now}")));
        }
    }
    for moved in &merge.moved.0 {
        let Some(other) = unit.cx.tenant.kinds.kind(&moved.kind) else { continue };
        let Some(field) = other.shape().any_field(&moved.field) else { continue };
        let now = if moved.emptied {
            emptied(unit, other.shape(), field, &moved.ids).await?
        } else {
            referring(unit, other.shape(), field, &merge.subject_kind, merge.subject_id, usize::MAX >> 2).await?
        };
        let elsewhere = moved.ids.iter().filter(|id| !now.contains(id));
        changed.extend(elsewhere.map(|id| {
            wrong(format!("/{}/{id}/{}", moved.kind, moved.field), "leads elsewhere now, or is gone".to_owned())
        }));
    }
    Ok(changed)
}

async fn emptied(unit: &Unit<'_>, other: &Shape, field: &Field, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    let col = |name: &str| Expr::col(Alias::new(name));
    let select = Query::select()
        .column(Alias::new("id"))
        .from(other.table())
        .cond_where(other.rows(other.table()))
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .and_where(col("deleted_at").is_null())
        .and_where(leads(unit, other, field).is_null())
        .and_where(col("id").is_in(ids.iter().copied()))
        .take();
    let rows = unit.txn.query_all(&select).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}
