//! Rows into tables: the last step of a write, the same for every kind.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqlErr, TransactionTrait, Value,
    sea_query::{Alias, CommonTableExpression, Expr, ExprTrait, InsertStatement, OnConflict, Query, WithClause},
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{Shape, custom, visible};
use crate::{
    context::Unit,
    error::{Code, Error, Result, Violation},
};

/// SQLite takes 32,766 variables a statement; 250 rows are as fast as more.
pub(super) const ROWS_PER_STATEMENT: usize = 250;

/// One row to store, by column, with its place in the slice.
#[derive(Clone)]
pub(super) struct Row {
    pub index: usize,
    pub id: Uuid,
    /// False for a create.
    pub exists: bool,
    pub cells: Vec<Value>,
}

/// Inserts and updates. Answers with the rows that lost a race for a unique value, a reference or a version.
pub(super) async fn store(unit: &Unit<'_>, shape: &Shape, rows: Vec<Row>) -> Result<Vec<(usize, Error)>> {
    let (old, new): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.exists);
    let mut lost = Vec::new();
    let alone = old.len() + new.len() == 1;
    for (rows, exists) in [(new, false), (old, true)] {
        for part in rows.chunks(ROWS_PER_STATEMENT) {
            if alone {
                lost.extend(outcome(part, put(&unit.txn, shape, part, exists).await)?);
            } else {
                lost.extend(halving(&unit.txn, shape, part.to_vec(), exists).await?);
            }
        }
    }
    Ok(lost)
}

/// A chunk under a savepoint; when a race is lost, its halves, until the row is found.
fn halving<'a>(
    txn: &'a DatabaseTransaction,
    shape: &'a Shape,
    rows: Vec<Row>,
    exists: bool,
) -> BoxFuture<'a, Result<Vec<(usize, Error)>>> {
    Box::pin(async move {
        let savepoint = txn.begin().await?;
        let done = put(&savepoint, shape, &rows, exists).await;
        if matches!(done, Ok(n) if n == rows.len() as u64) {
            savepoint.commit().await?;
            return Ok(Vec::new());
        }
        savepoint.rollback().await?;
        if let [_] = rows.as_slice() {
            return outcome(&rows, done);
        }
        if let Err(source) = done
            && !is_race(&source)
        {
            return Err(Error::Database(source));
        }
        let mut first = rows;
        let second = first.split_off(first.len() / 2);
        let mut lost = halving(txn, shape, first, exists).await?;
        lost.extend(halving(txn, shape, second, exists).await?);
        Ok(lost)
    })
}

fn is_race(source: &DbErr) -> bool {
    matches!(source.sql_err(), Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_)))
}

/// One row's fate: stored, stale, or refused by the database.
fn outcome(rows: &[Row], done: Result<u64, DbErr>) -> Result<Vec<(usize, Error)>> {
    let index = rows.first().map_or(0, |row| row.index);
    match done {
        Ok(n) if n == rows.len() as u64 => Ok(Vec::new()),
        Ok(_) => {
            let detail = "another request has just changed the record";
            Ok(vec![(index, Error::conflict(Code::Conflict, detail))])
        }
        Err(source) if is_race(&source) => Ok(vec![(index, Error::from_write(source))]),
        Err(source) => Err(Error::Database(source)),
    }
}

/// Inserts that do not depend on each other. On PostgreSQL they are one statement: each would cost a way to the server and
/// back.
pub(super) async fn insert_all(txn: &DatabaseTransaction, mut inserts: Vec<InsertStatement>) -> Result<()> {
    let together = inserts.len() > 1;
    if txn.get_database_backend() == DbBackend::Postgres
        && let Some(last) = inserts.pop_if(|_| together)
    {
        let mut with = WithClause::new();
        for (i, insert) in inserts.into_iter().enumerate() {
            with.cte(CommonTableExpression::new().table_name(Alias::new(format!("i{i}"))).query(insert).to_owned());
        }
        txn.execute(&last.with(with)).await?;
        return Ok(());
    }
    for insert in inserts {
        txn.execute(&insert).await?;
    }
    Ok(())
}

/// Multi-row insert; for updates an upsert that only takes rows at the version before. Answers with the rows taken.
pub(super) async fn put(db: &impl ConnectionTrait, shape: &Shape, rows: &[Row], exists: bool) -> Result<u64, DbErr> {
    let mut insert = Query::insert();
    insert.into_table(shape.table()).columns(shape.columns.iter().map(|column| Alias::new(column.name.as_str())));
    for row in rows {
        insert.values_panic(row.cells.iter().map(|cell| Expr::val(cell.clone())));
    }
    if exists {
        let (table, version) = (shape.table(), Alias::new("version"));
        let next = Expr::col((Alias::new("excluded"), version.clone()));
        let settable = shape.columns.iter().filter(|c| !["tenant_id", "id"].contains(&c.name.as_str()));
        insert.on_conflict(
            OnConflict::columns([Alias::new("tenant_id"), Alias::new("id")])
                .update_columns(settable.map(|c| Alias::new(c.name.as_str())))
                .action_and_where(Expr::col((table, version)).add(1).eq(next))
                .to_owned(),
        );
    }
    Ok(db.execute(&insert).await?.rows_affected())
}

/// Candidates whose unique values another live record has, or another candidate of the slice. One statement a set.
pub(super) async fn duplicates(unit: &Unit<'_>, shape: &Shape, rows: &[Row]) -> Result<Vec<(usize, Violation)>> {
    let mut broken = Vec::new();
    for set in &shape.unique {
        let columns: Vec<usize> =
            set.iter().filter_map(|name| shape.stored_field(name)).flat_map(|f| f.columns.iter().copied()).collect();
        let mut wanted: HashMap<Vec<Value>, &Row> = HashMap::new();
        for row in rows {
            let key: Vec<Value> = columns.iter().filter_map(|i| row.cells.get(*i)).cloned().collect();
            if key.iter().any(|value| *value == value.as_null()) {
                continue;
            }
            match wanted.entry(key) {
                std::collections::hash_map::Entry::Occupied(_) => {
                    broken.push((row.index, duplicate(set, "in this request")));
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(row);
                }
            }
        }
        for part in wanted.iter().collect::<Vec<_>>().chunks(1000) {
            for (key, holder) in holders(unit, shape, &columns, part.iter().map(|(key, _)| *key)).await? {
                if let Some(row) = wanted.get(&key).filter(|row| row.id != holder) {
                    broken.push((row.index, duplicate(set, &format!("record {holder} has it"))));
                }
            }
        }
    }
    Ok(broken)
}

fn duplicate(set: &[&str], why: &str) -> Violation {
    let first = set.first().copied().unwrap_or_default();
    let detail = match set {
        [_] => format!("must be unique: {why}"),
        several => format!("{} must be unique together: {why}", several.join(", ")),
    };
    Violation::field(first, Code::Duplicate, detail)
}

/// Which live records hold these keys.
async fn holders<'k>(
    unit: &Unit<'_>,
    shape: &Shape,
    columns: &[usize],
    keys: impl Iterator<Item = &'k Vec<Value>>,
) -> Result<Vec<(Vec<Value>, Uuid)>> {
    let names: Vec<_> = columns.iter().filter_map(|i| shape.columns.get(*i)).collect();
    let table = shape.table();
    let mut select = Query::select();
    select
        .column(Alias::new("id"))
        .columns(names.iter().map(|c| Alias::new(c.name.as_str())))
        .from(table.clone())
        .cond_where(shape.rows(table))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
        .and_where(Expr::col(Alias::new("deleted_at")).is_null());
    let keys: Vec<_> = keys.collect();
    if let [column] = names.as_slice() {
        let values = keys.iter().filter_map(|key| key.first().cloned());
        select.and_where(Expr::col(Alias::new(column.name.as_str())).is_in(values));
    } else {
        let tuple = Expr::tuple(names.iter().map(|c| Expr::col(Alias::new(c.name.as_str()))));
        let lists = keys.iter().map(|key| Expr::tuple(key.iter().map(|value| Expr::val(value.clone()))));
        select.and_where(lists.fold(Expr::val(false), |any, list| any.or(tuple.clone().eq(list))));
    }
    let rows = unit.txn.query_all(&select).await?;
    rows.iter()
        .map(|row| {
            let id = row.try_get_by_index(0)?;
            let key = names
                .iter()
                .enumerate()
                .map(|(i, c)| super::read_cell(row, i + 1, &c.kind))
                .collect::<Result<_, _>>()?;
            Ok((key, id))
        })
        .collect()
}

/// Candidates that refer to records which do not exist for the actor. One statement a referenced kind.
pub(super) async fn dangling(
    unit: &Unit<'_>,
    shape: &Shape,
    rows: &[(Row, Vec<usize>)],
) -> Result<Vec<(usize, Violation)>> {
    let mut wanted: BTreeMap<&str, Vec<Wanted>> = BTreeMap::new();
    for (field, kind) in shape.references().filter(|(f, _)| f.name != "created_by" || unit.history) {
        let Some(column) = field.columns.first() else { continue };
        for (row, _) in rows.iter().filter(|(_, changed)| changed.contains(column)) {
            if let Some(Value::Uuid(Some(id))) = row.cells.get(*column)
                && !(field.name == "owner_id" && unit.cx.actor.user == Some(*id))
            {
                let one = Wanted { index: row.index, place: field.name.clone(), id: *id };
                wanted.entry(kind).or_default().push(one); // who asks is there, and need not be looked up
            }
        }
    }
    let slice: Vec<_> = rows.iter().map(|(row, _)| row.id).collect();
    lost(unit, shape, wanted, &slice).await
}

/// A record that a candidate refers to, and where it does.
pub(super) struct Wanted {
    pub index: usize,
    /// Dotted.
    pub place: String,
    pub id: Uuid,
}

/// Those that do not exist for the actor, by kind; records of the slice itself are there. One statement a kind.
pub(super) async fn lost(
    unit: &Unit<'_>,
    shape: &Shape,
    wanted: BTreeMap<&str, Vec<Wanted>>,
    slice: &[Uuid],
) -> Result<Vec<(usize, Violation)>> {
    let mut broken = Vec::new();
    for (kind, wanted) in wanted.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
        let mut found = existing(unit, kind, wanted.iter().map(|one| one.id).collect()).await?;
        if *kind == *shape.name {
            found.extend(slice);
        }
        let detail = format!("there is no such {kind}, or you may not see it");
        broken.extend(
            wanted
                .into_iter()
                .filter(|one| !found.contains(&one.id))
                .map(|one| (one.index, Violation::field(&one.place, Code::ReferenceNotFound, detail.as_str()))),
        );
    }
    Ok(broken)
}

/// What a write does to a JSON column of one record, with its place in the slice.
pub(super) struct JsonChange {
    pub index: usize,
    pub record: Uuid,
    pub created: bool,
    /// What needs no second look: nothing for a create or a restore.
    pub before: Option<Json>,
    /// `None` for one that is deleted.
    pub after: Option<Json>,
}

async fn existing(unit: &Unit<'_>, kind: &str, ids: HashSet<Uuid>) -> Result<HashSet<Uuid>> {
    let Some(target) = unit.cx.kind(kind) else {
        return Err(Error::internal("a reference names a kind of the registry", kind.to_owned()));
    };
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    let mut found = HashSet::new();
    for part in ids.chunks(1000) {
        let select = visible(unit.cx, target.shape())
            .column(Alias::new("id"))
            .and_where(Expr::col(Alias::new("id")).is_in(part.iter().copied()))
            .take();
        for row in unit.txn.query_all(&select).await? {
            found.insert(row.try_get_by_index::<Uuid>(0)?);
        }
    }
    Ok(found)
}

/// Refuses what has just been written where the filter of the writer's role does not keep it: the whole unit, which holds
/// rows by then that its writer may not have made. One statement for up to 1,000.
pub(super) async fn still_seen(unit: &Unit<'_>, shape: &Shape, ids: &[Uuid]) -> Result<()> {
    let found = existing(unit, &shape.name, ids.iter().copied().collect()).await?;
    if found.len() == ids.len() {
        return Ok(());
    }
    let detail = format!("would be {} outside the rows that your role keeps", shape.plural);
    Err(Error::Invalid(vec![Violation { pointer: String::new(), code: Code::OutsideYourReach, detail }]))
}

/// How many live records of each kind, these apart, refer to these: they must go first. One statement, and one where custom
/// fields may refer to the kind.
pub(super) async fn referrers(
    unit: &Unit<'_>,
    shape: &Shape,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<(String, i64)>>> {
    let mut union: Option<sea_orm::sea_query::SelectStatement> = None;
    // what goes with a record does not hold it
    let part = |other: &&Shape| other.parent.is_none_or(|(_, kind)| *kind != *shape.name);
    for other in unit.cx.tenant.kinds.shapes().filter(part) {
        for (field, _) in other.references().filter(|(f, kind)| **kind == *shape.name && f.name != "created_by") {
            let column = Alias::new(field.name.as_str());
            let mut select = Query::select()
                .expr_as(Expr::val(&*other.plural), Alias::new("kind"))
                .expr_as(Expr::col(column.clone()), Alias::new("referred"))
                .expr_as(Expr::col(Alias::new("id")).count(), Alias::new("n"))
                .from(other.table())
                .cond_where(other.rows(other.table()))
                .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
                .and_where(Expr::col(Alias::new("deleted_at")).is_null())
                .and_where(Expr::col(column.clone()).is_in(ids.iter().copied()))
                .group_by_col(column)
                .take();
            if other.name == shape.name {
                select.and_where(Expr::col(Alias::new("id")).is_not_in(ids.iter().copied()));
            }
            match &mut union {
                Some(all) => {
                    all.union(sea_orm::sea_query::UnionType::All, select);
                }
                None => union = Some(select),
            }
        }
    }
    let mut counts: HashMap<Uuid, Vec<(String, i64)>> = HashMap::new();
    if let Some(select) = union {
        for row in unit.txn.query_all(&select).await? {
            let id: Uuid = row.try_get("", "referred")?;
            counts.entry(id).or_default().push((row.try_get("", "kind")?, row.try_get("", "n")?));
        }
    }
    for (id, kind, n) in custom::referrers(unit, shape, ids).await? {
        counts.entry(id).or_default().push((kind, n));
    }
    Ok(counts)
}
