//! Who owned it, which stage it was in, how it was graded, and from when to when.
//!
//! Half-open `[from_at, to_at)`; `to_at` null while current, `from_at` null since ever. At most one open interval a
//! record and table, held by a partial unique index.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, Value,
    sea_query::{Alias, CaseStatement, Expr, ExprTrait, Func, InsertStatement, Query, UnionType},
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
    /// The write that made the record: nothing is open yet.
    pub created: bool,
    pub to: Option<Value>,
    /// When it happened, where an import knows; else the unit's time, or since ever for imported first values.
    pub since: Option<DateTime<Utc>>,
    pub origin: &'static str,
}

impl Move {
    /// What a write did to one value of a record; `None` where it left it as it was. `before` is `None` for a create.
    pub fn between<T: PartialEq + Into<Value>>(
        record: Uuid,
        before: Option<Option<T>>,
        after: Option<T>,
        since: Option<DateTime<Utc>>,
        origin: &'static str,
    ) -> Option<Self> {
        let created = before.is_none();
        let moved = before.flatten() != after;
        moved.then(|| Self { record, created, to: after.map(Into::into), since, origin })
    }
}

/// Closes the open intervals of the moved records and opens the new ones. Two statements for up to 250 rows; one more
/// for imported history.
///
/// # Errors
/// The database.
pub async fn move_intervals(unit: &Unit<'_>, of: Interval, kind: &str, moves: &[Move]) -> Result<()> {
    for part in moves.chunks(ROWS_PER_STATEMENT) {
        if let Some(opened) = moved(unit, of, kind, part).await? {
            unit.txn.execute(&opened).await?;
        }
    }
    Ok(())
}

/// Closes the open intervals of up to 250 moved records, and answers with what opens the new ones.
pub(super) async fn moved(
    unit: &Unit<'_>,
    of: Interval,
    kind: &str,
    moves: &[Move],
) -> Result<Option<InsertStatement>> {
    if moves.is_empty() {
        return Ok(None);
    }
    let dated = unit.history || moves.iter().any(|m| m.since.is_some());
    let last = if dated { latest(unit, of, kind, moves).await? } else { HashMap::new() };
    let starts: Vec<_> = moves.iter().map(|m| (m, start(unit, m, last.get(&m.record)))).collect();
    close(unit, of, kind, &starts).await?;
    Ok(open(unit, of, kind, &starts))
}

/// When the new interval begins: an interval never begins before the one it follows.
fn start(unit: &Unit<'_>, moved: &Move, last: Option<&Option<DateTime<Utc>>>) -> Option<DateTime<Utc>> {
    let since_ever = unit.history && last.is_none();
    let start = moved.since.or_else(|| Some(unit.now).filter(|_| !since_ever));
    start.map(|at| last.copied().flatten().map_or(at, |last| Ord::max(last, at)))
}

/// The last boundary of each record that has intervals at all; `None` where its only one has been open since ever.
async fn latest(
    unit: &Unit<'_>,
    of: Interval,
    kind: &str,
    moves: &[Move],
) -> Result<HashMap<Uuid, Option<DateTime<Utc>>>> {
    let known: Vec<_> = moves.iter().filter(|m| !m.created).map(|m| m.record).collect();
    if known.is_empty() {
        return Ok(HashMap::new());
    }
    // current ones and past ones are in an index each
    let boundaries = |at: &'static str, past: Expr| {
        Query::select()
            .column(Alias::new("record_id"))
            .expr_as(Expr::col(Alias::new(at)), Alias::new("at"))
            .from(Alias::new(of.table))
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new("kind")).eq(kind))
            .and_where(Expr::col(Alias::new("record_id")).is_in(known.iter().copied()))
            .and_where(past)
            .take()
    };
    let to = || Expr::col(Alias::new("to_at"));
    let both =
        boundaries("from_at", to().is_null()).union(UnionType::All, boundaries("to_at", to().is_not_null())).take();
    let select = Query::select()
        .column(Alias::new("record_id"))
        .expr(Func::max(Expr::col(Alias::new("at"))))
        .from_subquery(both, Alias::new("boundary"))
        .group_by_col(Alias::new("record_id"))
        .take();
    let rows = unit.txn.query_all(&select).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

type Start<'m> = (&'m Move, Option<DateTime<Utc>>);

async fn close(unit: &Unit<'_>, of: Interval, kind: &str, starts: &[Start<'_>]) -> Result<()> {
    let moved: Vec<_> = starts.iter().filter(|(m, _)| !m.created).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let record = || Expr::col(Alias::new("record_id"));
    let mut end = Expr::val(unit.now);
    let mut earlier = moved.iter().filter_map(|(m, at)| at.filter(|at| *at != unit.now).map(|at| (m.record, at)));
    if let Some((id, at)) = earlier.next() {
        let case = CaseStatement::new().case(record().eq(id), Expr::val(at));
        end = earlier.fold(case, |case, (id, at)| case.case(record().eq(id), Expr::val(at))).finally(end).into();
    }
    let close = Query::update()
        .table(Alias::new(of.table))
        .value(Alias::new("to_at"), end)
        .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
        .and_where(Expr::col(Alias::new("kind")).eq(kind))
        .and_where(record().is_in(moved.iter().map(|(m, _)| m.record)))
        .and_where(Expr::col(Alias::new("to_at")).is_null())
        .take();
    unit.txn.execute(&close).await?;
    Ok(())
}

fn open(unit: &Unit<'_>, of: Interval, kind: &str, starts: &[Start<'_>]) -> Option<InsertStatement> {
    let mut columns = vec!["tenant_id", "kind", "record_id", of.value, "from_at"];
    columns.extend(of.origin);
    let mut insert = Query::insert();
    insert.into_table(Alias::new(of.table)).columns(columns.into_iter().map(Alias::new));
    let mut any = false;
    for (m, from) in starts {
        let Some(to) = m.to.clone() else { continue };
        let mut row =
            vec![Expr::val(unit.cx.tenant.id), Expr::val(kind), Expr::val(m.record), Expr::val(to), Expr::val(*from)];
        row.extend(of.origin.map(|_| Expr::val(m.origin)));
        insert.values_panic(row);
        any = true;
    }
    any.then_some(insert)
}
