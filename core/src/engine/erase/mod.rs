//! A person erased: out of their record, of what is written about them, of the change log and of what jobs kept, in one
//! transaction, with a search of every table for what is left as its proof.
//!
//! This is the one writer of the past. A record stays as a shell: its id, its times, its amounts and whom it belongs to, so
//! that sums and references hold. Fields that a kind declares as [`Record::PERSONAL`](super::Record::PERSONAL), custom fields
//! and the key in another system are emptied; what may not be empty reads `erased`. Records of other kinds go along where
//! they declare to be [`Record::ABOUT`](super::Record::ABOUT) it, and so does what was merged into it. The tenant's answers
//! that are kept for an `Idempotency-Key` are emptied, whatever they are about: they are sealed.

mod proof;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnType, ConnectionTrait, DbBackend, Value,
    sea_query::{Alias, Condition, Expr, ExprTrait, IntoIden, LockType, Query},
};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use self::texts::Collected;
pub use self::{
    proof::{Found, prove},
    texts::{Likeness, Texts, strings},
};
use super::{
    Column, FieldType, Shape,
    cell::json_cell,
    custom::{CUSTOM, forget_records},
    history,
    other::keep_off,
    read_cell, search, store,
    visible::writable,
};
use crate::{
    context::Unit,
    error::{Code, Error, Result},
    idempotency,
};

/// What stands where a value may not be missing.
const ERASED: &str = "erased";
/// The domain of addresses that stand where one may not be missing (RFC 2606: nobody has it).
const NOWHERE: &str = "@erased.invalid";
/// Records that one erasure takes along.
pub const MOST: usize = 10_000;

/// What an erasure did, without a word of what it erased.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Erasure {
    /// Kind -> records emptied.
    pub records: BTreeMap<String, usize>,
    /// Entries of the change log emptied.
    pub changes: u64,
    /// Rows that imports refused emptied.
    pub refusals: u64,
    /// Results of jobs and of plugin runs in which `erased` stands now where the person did.
    pub results: usize,
    /// Failed jobs whose input was thrown away.
    pub inputs: usize,
    /// Failed jobs whose input may have the person in it: with one short text, or where it cannot be read.
    pub inputs_in_doubt: Vec<Uuid>,
    /// Tables that were searched afterwards, and for how many different texts.
    pub tables_searched: usize,
    pub texts_searched: usize,
    /// Texts that say nothing wherever they stand: `Ann` is in `planned`. Those of fields of their own were sought in refused
    /// rows, results and inputs, as whole cells, or two of them as words of a row.
    pub texts_too_short: usize,
    /// Where some of the texts still are: in records that are about somebody else, for somebody to look at.
    pub found: Vec<Found>,
}

/// Whether records of the kind can be erased.
pub fn erasable(shape: &Shape) -> bool {
    !shape.personal.is_empty()
}

/// # Errors
/// `NotFound`: there is no such record that the actor may change, living or deleted; `Conflict`: it is not yet time for it
/// ([`Record::ERASED_ONCE`](super::Record::ERASED_ONCE)).
pub async fn there(unit: &Unit<'_>, shape: &Shape, id: Uuid) -> Result<()> {
    let table = shape.table();
    let over = shape.erased_once.map(|(name, value)| col(name).eq(value).or(col("deleted_at").is_not_null()));
    let select = Query::select()
        .expr(over.unwrap_or_else(|| Expr::val(true)))
        .from(table.clone())
        .cond_where(writable(unit.cx, shape, &table.into_iden()))
        .and_where(col("id").eq(id))
        .take();
    let row = unit.txn.query_one(&select).await?.ok_or_else(|| Error::not_found(&shape.name, id))?;
    match shape.erased_once {
        Some((field, value)) if !row.try_get_by_index::<bool>(0)? => {
            let detail = format!("{} {id} is erased once its `{field}` is `{value}`", shape.name);
            Err(Error::conflict(Code::InvalidState, detail))
        }
        _ => Ok(()),
    }
}

/// Erases the person that the record is about, whether it lives or was deleted, and answers with what [`prove`] looks for.
///
/// Cost: some ten statements for each kind that is involved.
///
/// # Errors
/// As [`there`]; `Conflict` for more than 10,000 records.
pub async fn erase(unit: &Unit<'_>, shape: &Shape, id: Uuid) -> Result<(Erasure, Texts)> {
    there(unit, shape, id).await?;
    let kinds = unit.cx.tenant.kinds.shapes();
    let shapes: BTreeMap<&str, &Shape> = kinds.map(|shape| (&*shape.name, shape)).collect();
    let (mut erasure, mut collected) = (Erasure::default(), Collected::default());
    let about = about(unit, &shapes, shape, id).await?;
    idempotency::erase(unit).await?;
    for (kind, ids) in about {
        let Some(shape) = shapes.get(kind.as_str()) else { continue };
        let ids: Vec<_> = ids.into_iter().collect();
        erasure.changes += log(unit, shape, &ids, &mut collected).await?;
        records(unit, shape, &ids, &mut collected).await?;
        erasure.records.insert(kind, ids.len());
    }
    let texts = spawn_blocking(|| collected.texts()).await;
    Ok((erasure, texts.map_err(|panic| Error::internal("texts are gathered without a panic", panic))??))
}

fn col(name: &str) -> Expr {
    Expr::col(Alias::new(name))
}

/// Everything about the person: kind -> records. Each is locked before it is asked what is about it, so that whoever is
/// changing any of them has ended, and the log has what they wrote.
async fn about(
    unit: &Unit<'_>,
    shapes: &BTreeMap<&str, &Shape>,
    shape: &Shape,
    id: Uuid,
) -> Result<BTreeMap<String, BTreeSet<Uuid>>> {
    let mut all: BTreeMap<String, BTreeSet<Uuid>> = BTreeMap::new();
    let mut next = vec![(shape.name.to_string(), vec![id])];
    let mut met = 0;
    while let Some((kind, ids)) = next.pop() {
        let known = all.entry(kind.clone()).or_default();
        let fresh: Vec<_> = ids.into_iter().filter(|id| known.insert(*id)).collect();
        met += fresh.len();
        if met > MOST {
            let detail = format!("more than {MOST} records are about {} {id}", shape.name);
            return Err(Error::conflict(Code::InvalidState, detail));
        }
        if known.is_empty() {
            all.remove(&kind);
        }
        if fresh.is_empty() {
            continue;
        }
        if let Some(shape) = shapes.get(kind.as_str()) {
            keep_off(unit, shape, &fresh, LockType::Update).await?;
        }
        for other in shapes.values().filter(|other| !other.about.is_empty()) {
            next.push((other.name.to_string(), leading(unit, other, &kind, &fresh, "id").await?));
        }
        if let Some(merges) = shapes.get("merge") {
            next.push((kind.clone(), leading(unit, merges, &kind, &fresh, "merged_id").await?));
        }
    }
    Ok(all)
}

/// What `column` holds in the records of `other` that are about one of these.
async fn leading(unit: &Unit<'_>, other: &Shape, kind: &str, ids: &[Uuid], column: &str) -> Result<Vec<Uuid>> {
    let mut any = Condition::any();
    for name in other.about {
        let Some(field) = other.stored_field(name) else { continue };
        let here = match &field.kind {
            FieldType::Reference(target) => **target == *kind,
            _ => other.column("subject_kind").is_some(),
        };
        if here {
            any = any.add(col(name).is_in(ids.iter().copied()));
        }
    }
    if any.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = Query::select();
    select
        .column(Alias::new(column))
        .from(other.table())
        .cond_where(other.rows(other.table()))
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .cond_where(any);
    if other.column("subject_kind").is_some() {
        select.and_where(col("subject_kind").eq(kind));
    }
    let rows = unit.txn.query_all(&select).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// The columns that are emptied, and what each reads then.
fn personal(shape: &Shape) -> impl Iterator<Item = (usize, &Column, Json)> {
    let fields = shape.personal.iter().copied().chain(["external_id", CUSTOM]);
    let columns =
        fields.filter_map(|name| shape.stored_field(name)).flat_map(|f| f.columns.iter().map(|i| (*i, &f.kind)));
    columns.filter_map(|(i, kind)| {
        let column = shape.columns.get(i)?;
        let emptied = match (&column.kind, kind) {
            _ if column.nullable => Json::Null,
            (ColumnType::Json | ColumnType::JsonBinary, _) => json!({}),
            (_, FieldType::Email) => format!("{ERASED}{NOWHERE}").into(),
            _ => ERASED.into(),
        };
        Some((i, column, emptied))
    })
}

/// Empties what the log keeps of the records, and collects it.
async fn log(unit: &Unit<'_>, shape: &Shape, ids: &[Uuid], texts: &mut Collected) -> Result<u64> {
    let patch: Map<_, _> = personal(shape).map(|(_, column, emptied)| (column.name.clone(), emptied)).collect();
    let columns: Vec<_> = patch.keys().cloned().collect();
    let patch = Json::Object(patch).to_string();
    let mut changes = 0;
    for part in ids.chunks(store::ROWS_PER_STATEMENT) {
        let these = Condition::all()
            .add(col("tenant_id").eq(unit.cx.tenant.id))
            .add(col("kind").eq(&*shape.name))
            .add(col("record_id").is_in(part.iter().copied()))
            .add(col("before").is_not_null());
        let select =
            Query::select().column(Alias::new("before")).from(Alias::new("change")).cond_where(these.clone()).take();
        for row in unit.txn.query_all(&select).await? {
            let before: Json = row.try_get_by_index(0)?;
            columns.iter().filter_map(|name| before.get(name)).for_each(|value| texts.take(value));
        }
        let laid = match unit.cx.backend() {
            DbBackend::Postgres => "(before::jsonb || $1::jsonb)::json",
            _ => "json_patch(before, ?)",
        };
        let update = Query::update()
            .table(Alias::new("change"))
            .value(Alias::new("before"), Expr::cust_with_values(laid, [patch.clone()]))
            .cond_where(these)
            .take();
        changes += unit.txn.execute(&update).await?.rows_affected();
    }
    Ok(changes)
}

/// Empties the rows, what finds them, and tells the log that it happened.
async fn records(unit: &Unit<'_>, shape: &Shape, ids: &[Uuid], texts: &mut Collected) -> Result<()> {
    let place = |name: &str| {
        let place = shape.column(name);
        place.ok_or_else(|| Error::internal("every record has the common columns", name.to_owned()))
    };
    let (id_at, version_at, updated_at, deleted_at) =
        (place("id")?, place("version")?, place("updated_at")?, place("deleted_at")?);
    let searched = search::columns(shape);
    for part in ids.chunks(store::ROWS_PER_STATEMENT) {
        let select = Query::select()
            .columns(shape.columns.iter().map(|column| Alias::new(column.name.as_str())))
            .from(shape.table())
            .and_where(col("tenant_id").eq(unit.cx.tenant.id))
            .and_where(col("id").is_in(part.iter().copied()))
            .take();
        let (mut rows, mut entries, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for row in unit.txn.query_all(&select).await? {
            let id: Uuid = row.try_get_by_index(id_at)?;
            let (mut cells, mut before) = (Vec::new(), Map::new());
            for (i, column) in shape.columns.iter().enumerate() {
                cells.push(read_cell(&row, i, &column.kind)?);
                before.insert(column.name.clone(), json_cell(&row, i, &column.kind)?);
            }
            let version = before.get("version").and_then(Json::as_i64).unwrap_or_default() + 1;
            let mut changed = vec!["version".to_owned(), "updated_at".to_owned()];
            for (i, column, emptied) in personal(shape) {
                texts.take(before.get(&column.name).unwrap_or(&Json::Null));
                changed.push(column.name.clone());
                cells.splice(i..=i, [emptied_for(shape, column, &emptied, id)]);
                before.insert(column.name.clone(), emptied);
            }
            cells.splice(version_at..=version_at, [version.into()]);
            cells.splice(updated_at..=updated_at, [unit.now.into()]);
            let lives = cells.get(deleted_at).is_some_and(|at| *at == at.as_null());
            words.push((id, lives.then(|| searched.iter().filter_map(|i| cells.get(*i)).cloned().collect())));
            entries.push(history::Entry { record: id, version, before: Some(before), changed });
            rows.push(store::Row { index: 0, id, exists: true, cells });
        }
        if store::put(&unit.txn, shape, &rows, true).await? != rows.len() as u64 {
            return Err(Error::conflict(Code::Conflict, "another request has just changed one of the records"));
        }
        forget_records(unit, part).await?;
        let mut inserts = vec![history::log(unit, &shape.name, entries)];
        if !searched.is_empty() {
            let documents = search::documents(unit.cx.tenant.id, shape, words.into_iter(), false);
            inserts.extend(search::put(&unit.txn, unit.cx.tenant.id, shape, documents).await?);
        }
        store::insert_all(&unit.txn, inserts).await?;
    }
    Ok(())
}

/// What is stored: two records must not share it where they may not.
fn emptied_for(shape: &Shape, column: &Column, emptied: &Json, id: Uuid) -> Value {
    let unique = shape.unique.iter().any(|set| set.contains(&column.name.as_str()));
    match emptied {
        Json::String(word) if unique => word.replacen(ERASED, &format!("{ERASED}-{id}"), 1).into(),
        value => super::bind_cell(value, &column.kind),
    }
}
