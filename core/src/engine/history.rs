//! The change log: each committed change once, with the row before and the names of the changed columns.
//!
//! Order: SQLite has one writer, so `seq` is commit order. On PostgreSQL each row also keeps the newest transaction that
//! had ended when it was logged, or its own where that is newer (`xid`), and readers take `(xid, seq)` below the oldest
//! transaction still running: a change that commits late is met later, never skipped; nothing comes before what it has
//! seen, so that versions of a record rise; and writers share no lock.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend, QueryResult, Statement, Value,
    sea_query::{Alias, Expr, InsertStatement, Query},
};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    context::{Context, Unit},
    error::Result,
    store::Store,
};

/// What the log keeps of one change.
pub(super) struct Entry {
    pub record: Uuid,
    pub version: i64,
    /// The whole row as it was; `None` for a create.
    pub before: Option<Map<String, Json>>,
    /// Columns whose value changed; empty for a create, where all did.
    pub changed: Vec<String>,
}

/// One change as readers of the log get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub cursor: (i64, i64),
    pub kind: String,
    pub record: Uuid,
    pub version: i64,
    pub at: DateTime<Utc>,
    pub before: Option<Json>,
    pub changed: Vec<String>,
    pub actor: Option<Uuid>,
    pub request_id: Option<String>,
}

const COLUMNS: [&str; 9] =
    ["tenant_id", "kind", "record_id", "version", "at", "before", "changed", "actor_id", "request_id"];
/// What keeps these changes: one insert.
pub(super) fn log(unit: &Unit<'_>, kind: &str, entries: Vec<Entry>) -> InsertStatement {
    let mut insert = Query::insert();
    insert.into_table(Alias::new("change")).columns(COLUMNS.map(Alias::new));
    for entry in entries {
        insert.values_panic([
            Expr::val(unit.cx.tenant.id),
            Expr::val(kind),
            Expr::val(entry.record),
            Expr::val(entry.version),
            Expr::val(unit.now),
            Expr::val(entry.before.map(Json::Object)),
            Expr::val(Json::from(entry.changed)),
            Expr::val(unit.cx.actor.user),
            Expr::val(unit.cx.request_id.as_deref().map(str::to_owned)),
        ]);
    }
    insert
}

/// The place of a change in the log: the first of its tenant after it is the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub cursor: (i64, i64),
    pub record: Uuid,
    pub at: DateTime<Utc>,
}

/// What differs between the databases, in the words of SQL.
struct Sql {
    /// The transaction, as a number.
    xid: &'static str,
    /// Rows below this are all there will ever be.
    settled: &'static str,
    /// Oldest first, and newest first.
    order: [&'static str; 2],
    /// After the cursor in `$2` and `$3`.
    after: &'static str,
}

fn sql(backend: DbBackend) -> Sql {
    if backend == DbBackend::Postgres {
        Sql {
            xid: "xid::text::bigint",
            settled: "xid < pg_snapshot_xmin(pg_current_snapshot())",
            order: ["xid, seq", "xid desc, seq desc"],
            after: "(xid, seq) > ($2::text::xid8, $3)",
        }
    } else {
        Sql { xid: "0", settled: "true", order: ["seq", "seq desc"], after: "$2 = $2 and seq > $3" }
    }
}

fn bound(backend: DbBackend, xid: i64) -> Value {
    if backend == DbBackend::Postgres { xid.to_string().into() } else { xid.into() }
}

/// The tenant's changes after `cursor` in commit order, at most `limit`; of these kinds, where any are named.
///
/// # Errors
/// The database.
pub async fn changes(cx: &Context, cursor: (i64, i64), kinds: &[&str], limit: u64) -> Result<Vec<Change>> {
    let Sql { xid, settled, order: [order, _], after } = sql(cx.backend());
    let mut values = vec![
        cx.tenant.id.into(),
        bound(cx.backend(), cursor.0),
        cursor.1.into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    values.extend(kinds.iter().map(|kind| Value::from(*kind)));
    let named: Vec<_> = (0..kinds.len()).map(|n| format!("${}", n + 5)).collect();
    let of_kind = if kinds.is_empty() { String::new() } else { format!(" and kind in ({})", named.join(", ")) };
    let sql = format!(
        "select {xid} as xid_n, seq, kind, record_id, version, at, before, changed, actor_id, request_id from change \
         where tenant_id = $1 and {after} and {settled}{of_kind} order by {order} limit $4"
    );
    let rows = cx.reader().query_all_raw(Statement::from_sql_and_values(cx.backend(), sql, values)).await?;
    rows.iter().map(change).collect()
}

fn change(row: &QueryResult) -> Result<Change> {
    let changed: Json = row.try_get("", "changed")?;
    Ok(Change {
        cursor: (row.try_get("", "xid_n")?, row.try_get("", "seq")?),
        kind: row.try_get("", "kind")?,
        record: row.try_get("", "record_id")?,
        version: row.try_get("", "version")?,
        at: row.try_get("", "at")?,
        before: row.try_get("", "before")?,
        changed: serde_json::from_value(changed).unwrap_or_default(),
        actor: row.try_get("", "actor_id")?,
        request_id: row.try_get("", "request_id")?,
    })
}

/// The tenant's last change that readers may have; `None` where there is none.
pub(super) async fn last(cx: &Context) -> Result<Option<Mark>> {
    let Sql { xid, settled, order: [_, order], .. } = sql(cx.backend());
    let sql = format!(
        "select {xid} as xid_n, seq, record_id, at from change where tenant_id = $1 and {settled} \
         order by {order} limit 1"
    );
    let statement = Statement::from_sql_and_values(cx.backend(), sql, [cx.tenant.id.into()]);
    let row = cx.reader().query_one_raw(statement).await?;
    let mark = |row: QueryResult| {
        Ok(Mark {
            cursor: (row.try_get("", "xid_n")?, row.try_get("", "seq")?),
            record: row.try_get("", "record_id")?,
            at: row.try_get("", "at")?,
        })
    };
    row.map(mark).transpose()
}

/// Whether the change is still where a reader met it: not where the log was put back to an earlier state, or lives in
/// another cluster.
pub(super) async fn holds(cx: &Context, mark: &Mark) -> Result<bool> {
    let xid = if cx.backend() == DbBackend::Postgres { "xid = $2::text::xid8" } else { "$2 = $2" };
    let sql =
        format!("select 1 from change where tenant_id = $1 and {xid} and seq = $3 and record_id = $4 and at = $5");
    let (xid, seq) = mark.cursor;
    let values = [cx.tenant.id.into(), bound(cx.backend(), xid), seq.into(), mark.record.into(), mark.at.into()];
    let row = cx.reader().query_one_raw(Statement::from_sql_and_values(cx.backend(), sql, values)).await?;
    Ok(row.is_some())
}

/// The rows that followed changes of the same record: `(kind, record, version)` -> `before` of the next change, for
/// those that have one. One statement for up to 1,000.
pub(super) async fn next_befores(
    cx: &Context,
    of: &[(String, Uuid, i64)],
) -> Result<HashMap<(String, Uuid, i64), Json>> {
    if of.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = vec![Value::from(cx.tenant.id)];
    let mut rows = Vec::with_capacity(of.len());
    for (kind, record, version) in of {
        let n = values.len();
        rows.push(format!("(${}, ${}, ${})", n + 1, n + 2, n + 3));
        values.extend([kind.clone().into(), (*record).into(), (*version).into()]);
    }
    let sql = format!(
        "with page(kind, record_id, version) as (values {}) \
         select follower.kind, follower.record_id, page.version as since, follower.before from page join change as follower \
         on follower.tenant_id = $1 and follower.kind = page.kind and follower.record_id = page.record_id and follower.version = \
         (select min(version) from change as later where later.tenant_id = $1 and later.kind = page.kind \
         and later.record_id = page.record_id and later.version > page.version)",
        rows.join(", ")
    );
    let rows = cx.reader().query_all_raw(Statement::from_sql_and_values(cx.backend(), sql, values)).await?;
    let one = |row: &QueryResult| {
        let before: Option<Json> = row.try_get("", "before")?;
        let key = (row.try_get("", "kind")?, row.try_get("", "record_id")?, row.try_get("", "since")?);
        Ok(before.map(|before| (key, before)))
    };
    rows.iter().filter_map(|row| one(row).transpose()).collect()
}

/// Changes that are looked at for the lag.
const NEWEST: u32 = 10_000;

/// How long the oldest of the newest changes has waited for readers: what a transaction that does not end holds back.
///
/// # Errors
/// The database.
pub async fn lag(store: &Store, now: DateTime<Utc>) -> Result<TimeDelta> {
    if store.backend != DbBackend::Postgres {
        return Ok(TimeDelta::zero());
    }
    let Sql { settled, .. } = sql(store.backend);
    let sql = format!(
        "select min(at) as at from (select xid, at from change order by seq desc limit {NEWEST}) as newest \
         where not {settled}"
    );
    let row = store.read.query_one_raw(Statement::from_string(store.backend, sql)).await?;
    let oldest: Option<DateTime<Utc>> = row.map(|row| row.try_get("", "at")).transpose()?.flatten();
    Ok(oldest.map_or(TimeDelta::zero(), |at| (now - at).max(TimeDelta::zero())))
}

/// A log that came from another cluster, by a dump, keeps transaction ids that this one has not reached: readers would
/// wait for them. Their order is kept by `seq` alone. To be called before the first reader.
///
/// # Errors
/// The database.
pub async fn adopt(store: &Store) -> Result<()> {
    if store.backend == DbBackend::Postgres {
        let foreign =
            "select xid >= pg_snapshot_xmax(pg_current_snapshot()) as ahead from change order by seq desc limit 1";
        let row = store.read.query_one_raw(Statement::from_string(store.backend, foreign)).await?;
        if row.map(|row| row.try_get("", "ahead")).transpose()?.unwrap_or(false) {
            store.write.execute_unprepared("update change set xid = '3'::xid8").await?;
        }
    }
    Ok(())
}
