//! Rows put off until the row they refer to is there, whatever its place in the file.
//!
//! A row waits for a value (`wants`), or for an earlier row about the same record (`match_key`). Whenever rows are
//! settled, those that waited for them become ready, so each row is looked at again only when something has changed for
//! it. Dry runs also keep what the accepted rows would have brought (`seen`), because nothing else remains of them.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Condition, Expr, ExprTrait, Order, Query, SelectStatement},
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::source::Cell;
use crate::{
    context::{Context, Unit},
    error::{Error, Result},
};

const ROWS_PER_STATEMENT: usize = 250;
const WAITING: &str = "waiting";
const READY: &str = "ready";
const SEEN: &str = "seen";

/// A row put off.
pub struct Waiting {
    pub line: u64,
    pub cells: Vec<Cell>,
    /// The value it waits for; none where it waits for an earlier row about the same record.
    pub wants: Option<String>,
    /// The value by which other rows may be looking for it.
    pub provides: Option<String>,
    pub key: Option<String>,
}

fn table() -> Alias {
    Alias::new("import_deferred")
}

fn col(name: &str) -> Expr {
    Expr::col(Alias::new(name))
}

fn of_job(cx: &Context, job: Uuid) -> Condition {
    Condition::all().add(col("tenant_id").eq(cx.tenant.id)).add(col("job_id").eq(job))
}

/// Puts rows off; `seen` ones are only remembered.
pub async fn put_off(unit: &Unit<'_>, job: Uuid, rows: &[Waiting], seen: bool) -> Result<()> {
    for part in rows.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        insert.into_table(table()).columns(
            ["tenant_id", "job_id", "line", "cells", "state", "wants", "provides", "match_key"].map(Alias::new),
        );
        for row in part {
            let cells = serde_json::to_value(&row.cells).map_err(|source| Error::internal("cells are JSON", source))?;
            insert.values_panic([
                Expr::val(unit.cx.tenant.id),
                Expr::val(job),
                Expr::val(i64::try_from(row.line).unwrap_or(i64::MAX)),
                Expr::val(cells),
                Expr::val(if seen { SEEN } else { WAITING }),
                Expr::val(row.wants.clone()),
                Expr::val(row.provides.clone()),
                Expr::val(row.key.clone()),
            ]);
        }
        unit.txn.execute(&insert).await?;
    }
    Ok(())
}

/// Takes rows out, that are looked at again now.
pub async fn take_out(unit: &Unit<'_>, job: Uuid, lines: impl IntoIterator<Item = i64>) -> Result<()> {
    let delete = Query::delete()
        .from_table(table())
        .cond_where(of_job(unit.cx, job))
        .and_where(col("line").is_in(lines))
        .and_where(col("state").ne(SEEN))
        .take();
    unit.txn.execute(&delete).await?;
    Ok(())
}

/// Rows that waited for these values, or for rows with these keys, can be tried again.
pub async fn wake(unit: &Unit<'_>, job: Uuid, values: &[String], keys: &[String]) -> Result<()> {
    let awaited = Condition::any()
        .add(col("wants").is_in(values.iter().map(String::as_str)))
        .add(col("wants").is_null().and(col("match_key").is_in(keys.iter().map(String::as_str))));
    let update = Query::update()
        .table(table())
        .value(Alias::new("state"), READY)
        .cond_where(of_job(unit.cx, job))
        .and_where(col("state").eq(WAITING))
        .cond_where(awaited)
        .take();
    unit.txn.execute(&update).await?;
    Ok(())
}

/// The first line of a row put off, for each of these keys that has one.
pub async fn first_lines(unit: &Unit<'_>, job: Uuid, keys: &[String]) -> Result<HashMap<String, i64>> {
    let select = Query::select()
        .column(Alias::new("match_key"))
        .expr(col("line").min())
        .from(table())
        .cond_where(of_job(unit.cx, job))
        .and_where(col("state").ne(SEEN))
        .and_where(col("match_key").is_in(keys.iter().map(String::as_str)))
        .group_by_col(Alias::new("match_key"))
        .take();
    let rows = unit.txn.query_all(&select).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Which of these values or keys accepted rows of a dry run have brought.
pub async fn seen(unit: &Unit<'_>, job: Uuid, column: &str, values: &[String]) -> Result<Vec<String>> {
    let select = Query::select()
        .distinct()
        .column(Alias::new(column))
        .from(table())
        .cond_where(of_job(unit.cx, job))
        .and_where(col("state").eq(SEEN))
        .and_where(col(column).is_in(values.iter().map(String::as_str)))
        .take();
    let rows = unit.txn.query_all(&select).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// The rows to look at next, by line, and whether what they miss will still come: rows that are ready; else rows that
/// wait for what no other row put off would bring; else rows that wait for each other.
pub async fn next(cx: &Context, job: Uuid, limit: u64) -> Result<Option<(bool, Vec<(u64, Vec<Cell>)>)>> {
    let waiting = |state: &str| {
        Query::select()
            .columns(["line", "cells"].map(Alias::new))
            .from(table())
            .cond_where(of_job(cx, job))
            .and_where(col("state").eq(state))
            .order_by(Alias::new("line"), Order::Asc)
            .limit(limit)
            .take()
    };
    let other = |name: &str| Expr::col((Alias::new("other"), Alias::new(name)));
    let provider = Query::select()
        .expr(Expr::val(1))
        .from_as(table(), Alias::new("other"))
        .and_where(other("tenant_id").eq(cx.tenant.id))
        .and_where(other("job_id").eq(job))
        .and_where(other("state").ne(SEEN))
        .and_where(other("provides").eq(Expr::col((table(), Alias::new("wants")))))
        .take();
    let hopeless =
        waiting(WAITING).and_where(col("wants").is_not_null()).and_where(Expr::exists(provider).not()).take();
    for (hopes, select) in [(true, waiting(READY)), (false, hopeless), (false, waiting(WAITING))] {
        let rows = read(cx, &select).await?;
        if !rows.is_empty() {
            return Ok(Some((hopes, rows)));
        }
    }
    Ok(None)
}

async fn read(cx: &Context, select: &SelectStatement) -> Result<Vec<(u64, Vec<Cell>)>> {
    let rows = cx.reader().query_all(select).await?;
    rows.iter()
        .map(|row| {
            let line: i64 = row.try_get_by_index(0)?;
            let cells = serde_json::from_value(row.try_get_by_index::<Json>(1)?);
            let cells = cells.map_err(|source| Error::internal("a stored row can be read", source))?;
            Ok((line.unsigned_abs(), cells))
        })
        .collect()
}
