//! What the rules and effects of a kind do with other records.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{
    ConnectionTrait, DbBackend, FromQueryResult, Order,
    sea_query::{Alias, Expr, ExprTrait, IntoIden, LockType, Query, SelectStatement},
};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{
    Column, Operation, Record, Shape,
    cell::json_cell,
    custom::CUSTOM,
    replacing,
    visible::{changeable, visible, writable},
    write::id_of,
};
use crate::{
    context::Unit,
    error::{Error, Result},
};

/// Those of the kind's records with these ids that the actor may change.
///
/// # Errors
/// The database.
pub async fn writable_ids(unit: &Unit<'_>, kind: &str, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
    let Some(resource) = unit.cx.kind(kind) else { return Ok(HashSet::new()) };
    among(unit, &changeable(unit.cx, resource.shape()), ids).await
}

/// Those of the ids that are among a kind's rows, and stay there until the unit ends: on PostgreSQL whoever deletes one or
/// merges it away waits for the unit, and the unit for them. That is the lock which a foreign key takes when the row that
/// refers is stored, and no update of the others stands in its way. One statement for up to 1,000.
pub(super) async fn among(unit: &Unit<'_>, rows: &SelectStatement, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
    let mut found = HashSet::new();
    for part in ids.chunks(1000) {
        let mut select = rows.clone();
        select.column(Alias::new("id")).and_where(Expr::col(Alias::new("id")).is_in(part.iter().copied()));
        hold(unit, &mut select, LockType::KeyShare);
        for row in unit.txn.query_all(&select).await? {
            found.insert(row.try_get_by_index(0)?);
        }
    }
    Ok(found)
}

/// Locks the rows until the unit ends, all writers in the same order. SQLite has one writer.
fn hold(unit: &Unit<'_>, select: &mut SelectStatement, lock: LockType) {
    if unit.cx.backend() == DbBackend::Postgres {
        select.order_by(Alias::new("id"), Order::Asc).lock(lock);
    }
}

/// Rows that the actor may see, by id, and with a `lock` those that they may change; `deleted` ones as well where they are
/// asked for. One statement for up to 1,000.
pub(super) async fn fetch<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    ids: &[Uuid],
    (lock, deleted): (Option<LockType>, bool),
) -> Result<HashMap<Uuid, R::Model>> {
    let mut rows = HashMap::with_capacity(ids.len());
    for part in ids.chunks(1000) {
        let table = shape.table();
        let mut select = match (lock, deleted) {
            (_, true) => {
                Query::select().from(table.clone()).cond_where(writable(unit.cx, shape, &table.into_iden())).take()
            }
            (Some(_), false) => changeable(unit.cx, shape),
            (None, false) => visible(unit.cx, shape),
        };
        select
            .columns(shape.columns.iter().map(|c| Alias::new(c.name.as_str())))
            .and_where(Expr::col(Alias::new("id")).is_in(part.iter().copied()));
        if let Some(lock) = lock {
            hold(unit, &mut select, lock);
        }
        for row in unit.txn.query_all(&select).await? {
            let model = R::Model::from_query_result(&row, "")?;
            rows.insert(id_of::<R>(&model)?, model);
        }
    }
    Ok(rows)
}

/// Waits for the other writers of these records and keeps them off until the unit ends: what is made then of the records that
/// refer to them counts what those have stored. One statement for up to 1,000; none on SQLite, which has one writer.
///
/// # Errors
/// The database.
pub async fn settled<R: Record>(unit: &Unit<'_>, ids: &[Uuid]) -> Result<()> {
    keep_off(unit, unit.cx.tenant.kinds.of::<R>()?.shape(), ids, LockType::NoKeyUpdate).await
}

/// The same with any lock, of records that live or were deleted, whoever may see them.
pub(super) async fn keep_off(unit: &Unit<'_>, shape: &Shape, ids: &[Uuid], lock: LockType) -> Result<()> {
    if unit.cx.backend() != DbBackend::Postgres {
        return Ok(());
    }
    for part in ids.chunks(1000) {
        let mut select = Query::select()
            .column(Alias::new("id"))
            .from(shape.table())
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new("id")).is_in(part.iter().copied()))
            .take();
        hold(unit, &mut select, lock);
        unit.txn.query_all(&select).await?;
    }
    Ok(())
}

/// A record as JSON, by column.
pub type Row = Map<String, Json>;

/// The rows of records that the actor may change, locked until the unit ends: nobody else writes them or refers to them anew.
///
/// # Errors
/// The database.
pub async fn locked(unit: &Unit<'_>, shape: &Shape, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Row>> {
    let id = shape.column("id").unwrap_or(usize::MAX);
    let mut rows = BTreeMap::new();
    for part in ids.chunks(1000) {
        let mut select = changeable(unit.cx, shape)
            .columns(shape.columns.iter().map(|column| Alias::new(column.name.as_str())))
            .and_where(Expr::col(Alias::new("id")).is_in(part.iter().copied()))
            .take();
        hold(unit, &mut select, LockType::Update);
        for row in unit.txn.query_all(&select).await? {
            let cell = |(i, column): (usize, &Column)| Ok((column.name.clone(), json_cell(&row, i, &column.kind)?));
            let cells = shape.columns.iter().enumerate().map(cell).collect::<Result<Row>>()?;
            rows.insert(row.try_get_by_index(id)?, cells);
        }
    }
    Ok(rows)
}

/// What gives the fields of a record these values whole, by their names, those of custom fields dotted.
pub fn patch(shape: &Shape, present: &Row, values: &BTreeMap<String, Json>) -> Map<String, Json> {
    let mut patch = Map::new();
    for (name, value) in values {
        if let Some((CUSTOM, key)) = name.split_once('.') {
            let own = patch.entry(CUSTOM).or_insert_with(|| json!({}));
            own.as_object_mut().map(|own| own.insert(key.to_owned(), value.clone()));
        } else {
            let now = shape.stored_field(name).map(|field| field.encode(&shape.columns, present));
            patch.insert(name.clone(), replacing(&now.unwrap_or_default(), value));
        }
    }
    patch
}

/// The records of kind `R` with these ids, as far as the actor may see them: for rules that look at other rows.
///
/// # Errors
/// The database.
pub async fn load<R: Record>(unit: &Unit<'_>, mut ids: Vec<Uuid>) -> Result<HashMap<Uuid, R::Model>> {
    ids.sort_unstable();
    ids.dedup();
    fetch::<R>(unit, unit.cx.tenant.kinds.of::<R>()?.shape(), &ids, (None, false)).await
}

/// What follows in another kind from a write, in the same transaction and by the same path, with its own place in the
/// log: in the actor's name, but on any row of the tenant and on fields that only the server sets. Records that are no
/// longer there are passed over.
///
/// # Errors
/// The database; a refusal, which is a defect of the effect.
pub async fn follow_up<R: Record>(unit: &Unit<'_>, operations: Vec<Operation>) -> Result<()> {
    if operations.is_empty() {
        return Ok(());
    }
    let resource = unit.cx.tenant.kinds.of::<R>()?;
    let cx = unit.cx.as_server();
    let part = unit.as_server(&cx).await?;
    for verdict in resource.write(&part, operations).await? {
        if let Err(error) = verdict
            && !matches!(error, Error::NotFound { .. })
        {
            return Err(Error::internal("what follows from a write is never refused", error));
        }
    }
    part.merge(unit).await
}
