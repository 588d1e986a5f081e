//! Who owned it, which stage it was in, how it was graded, and from when to when.
//!
//! Half-open `[from_at, to_at)`; `to_at` null while current, `from_at` null since ever. At most one open interval a
//! record and table, held by a partial unique index.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, Value,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use uuid::Uuid;

use crate::{context::Unit, error::Result};

const ROWS_PER_STATEMENT: usize = 250;

/// One table of intervals: `ownership`, `stage_interval`, `grade_interval`. All have `kind` and `record_id`.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    pub table: &'static str,
    /// The column that holds what the record was during the interval.
    pub value: &'static str,
    /// How it came to be: `how` of an ownership, `source` of a grade.
    pub origin: Option<&'static str>,
}

/// One record moves from one value to another (or to none).
#[derive(Clone, Debug)]
pub struct Move {
    pub record: Uuid,
    pub first: bool,
    pub to: Option<Value>,
    /// When it happened, where an import knows; else the unit's time, or since ever for imported first values.
    pub since: Option<DateTime<Utc>>,
    pub origin: &'static str,
}

/// Closes the open intervals of the moved records and opens the new ones. Two statements for up to 250 rows.
///
/// # Errors
/// The database.
pub async fn move_intervals(unit: &Unit<'_>, of: Interval, kind: &str, moves: &[Move]) -> Result<()> {
    let table = Alias::new(of.table);
    for part in moves.chunks(ROWS_PER_STATEMENT) {
        let moved: Vec<_> = part.iter().filter(|m| !m.first).map(|m| m.record).collect();
        if !moved.is_empty() {
            let close = Query::update()
                .table(table.clone())
                .value(Alias::new("to_at"), unit.now)
                .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
                .and_where(Expr::col(Alias::new("kind")).eq(kind))
                .and_where(Expr::col(Alias::new("record_id")).is_in(moved))
                .and_where(Expr::col(Alias::new("to_at")).is_null())
                .take();
            unit.txn.execute(&close).await?;
        }
        let opened: Vec<_> = part.iter().filter_map(|m| m.to.clone().map(|to| (m, to))).collect();
        if opened.is_empty() {
            continue;
        }
        let mut columns = vec!["tenant_id", "id", "kind", "record_id", of.value, "from_at"];
        columns.extend(of.origin);
        let mut insert = Query::insert();
        insert.into_table(table.clone()).columns(columns.into_iter().map(Alias::new));
        for (m, to) in opened {
            let since_ever = m.first && unit.history;
            let from = m.since.or_else(|| Some(unit.now).filter(|_| !since_ever));
            let mut row = vec![
                Expr::val(unit.cx.tenant.id),
                Expr::val(unit.cx.new_id()),
                Expr::val(kind),
                Expr::val(m.record),
                Expr::val(to),
                Expr::val(from),
            ];
            row.extend(of.origin.map(|_| Expr::val(m.origin)));
            insert.values_panic(row);
        }
        unit.txn.execute(&insert).await?;
    }
    Ok(())
}
