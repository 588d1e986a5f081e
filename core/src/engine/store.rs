//! Rows into tables: the last step of a write, the same for every kind.

use futures::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqlErr, Statement, TransactionTrait, Value,
    sea_query::{
        Alias, CommonTableExpression, Expr, ExprTrait, InsertStatement, OnConflict, Query, SqliteQueryBuilder,
        WithClause, WithQuery,
    },
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::Shape;
use crate::{
    context::Unit,
    error::{Code, Error, Result},
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
    for (mut rows, exists) in [(new, false), (old, true)] {
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(ROWS_PER_STATEMENT));
            let part = std::mem::replace(&mut rows, rest);
            if alone {
                lost.extend(outcome(&part, put(&unit.txn, shape, &part, exists).await)?);
            } else {
                lost.extend(halving(&unit.txn, shape, part, exists).await?);
            }
        }
    }
    Ok(lost)
}

/// A chunk; when a race is lost, its halves, until the row is found.
fn halving<'a>(
    txn: &'a DatabaseTransaction,
    shape: &'a Shape,
    rows: Vec<Row>,
    exists: bool,
) -> BoxFuture<'a, Result<Vec<(usize, Error)>>> {
    Box::pin(async move {
        let done = whole_or_not(txn, shape, &rows, exists).await;
        if matches!(done, Ok(n) if n == rows.len() as u64) {
            return Ok(Vec::new());
        }
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

/// All the rows, or the transaction as it was before. A statement that fails on SQLite leaves no trace, and updates there lose
/// no race to its one writer: a savepoint would only make the text index write what it has gathered.
async fn whole_or_not(txn: &DatabaseTransaction, shape: &Shape, rows: &[Row], exists: bool) -> Result<u64, DbErr> {
    if txn.get_database_backend() == DbBackend::Sqlite {
        return put(txn, shape, rows, exists).await;
    }
    let savepoint = txn.begin().await?;
    let done = put(&savepoint, shape, rows, exists).await;
    if matches!(done, Ok(n) if n == rows.len() as u64) {
        savepoint.commit().await?;
    } else {
        savepoint.rollback().await?;
    }
    done
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

/// A create alone, with what follows from it: one way to the database and back.
pub(super) async fn create(
    unit: &Unit<'_>,
    shape: &Shape,
    row: Row,
    mut with: Vec<InsertStatement>,
) -> Result<Vec<(usize, Error)>> {
    let rows = [row];
    with.insert(0, insert(shape, &rows));
    outcome(&rows, insert_all(&unit.txn, with).await.map(|()| 1))
}

/// Inserts in one way to the database and back: on PostgreSQL one statement, so that none may depend on another; on SQLite
/// one after the other.
pub(super) async fn insert_all(txn: &DatabaseTransaction, mut inserts: Vec<InsertStatement>) -> Result<(), DbErr> {
    let backend = txn.get_database_backend();
    let Some(last) = inserts.pop() else { return Ok(()) };
    if inserts.is_empty() {
        txn.execute(&last).await?;
    } else if backend == DbBackend::Postgres {
        let mut with = WithClause::new();
        for (i, insert) in inserts.into_iter().enumerate() {
            let mut part = CommonTableExpression::new();
            part.table_name(Alias::new(format!("i{i}"))).query(insert);
            with.cte(part);
        }
        let mut all = WithQuery::new();
        all.with_clause(with).query(last);
        txn.execute(&all).await?;
    } else {
        let (mut sql, mut values) = (String::new(), Vec::new());
        for insert in inserts.iter().chain([&last]) {
            let (text, bound) = insert.build(SqliteQueryBuilder);
            sql.push_str(&text);
            sql.push(';');
            values.extend(bound);
        }
        txn.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}

/// Rows of which more come in one statement leave out the columns that are null in all of them: what is not sent need not be
/// read. For fewer it is not worth a statement of its own, which the database would have to prepare.
const FEW: usize = 10;

fn insert(shape: &Shape, rows: &[Row]) -> InsertStatement {
    let is_null = |row: &Row, i: usize| row.cells.get(i).is_none_or(|cell| *cell == cell.as_null());
    let said = |i: &usize| rows.len() <= FEW || !rows.iter().all(|row| is_null(row, *i));
    let said: Vec<usize> = (0..shape.columns.len()).filter(said).collect();
    let mut insert = Query::insert();
    let columns = said.iter().filter_map(|i| shape.columns.get(*i));
    insert.into_table(shape.table()).columns(columns.map(|column| Alias::new(column.name.as_str())));
    for row in rows {
        insert.values_panic(said.iter().filter_map(|i| row.cells.get(*i)).map(|cell| Expr::val(cell.clone())));
    }
    insert
}

/// Multi-row insert; for updates an upsert that only takes rows at the version before. Answers with the rows taken.
pub(super) async fn put(db: &impl ConnectionTrait, shape: &Shape, rows: &[Row], exists: bool) -> Result<u64, DbErr> {
    let mut insert = insert(shape, rows);
    if exists {
        let (table, version) = (shape.table(), Alias::new("version"));
        let next = Expr::col((Alias::new("excluded"), version.clone()));
        let settable = shape.columns.iter().filter(|c| !["tenant_id", "id"].contains(&c.name.as_str()));
        let mut taken = OnConflict::columns([Alias::new("tenant_id"), Alias::new("id")]);
        taken.update_columns(settable.map(|c| Alias::new(c.name.as_str())));
        insert.on_conflict(taken.action_and_where(Expr::col((table, version)).add(1).eq(next)).clone());
    }
    Ok(db.execute(&insert).await?.rows_affected())
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
