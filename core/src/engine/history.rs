//! The change log: each committed change once, with the row before and the names of the changed columns.
//!
//! Order: SQLite has one writer, so `seq` is commit order. On PostgreSQL each row also keeps its transaction id, and
//! readers take `(xid, seq)` below the oldest transaction still running: a change that commits late is met later, never
//! skipped, and writers share no lock.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend,
    sea_query::{Alias, Expr, Query},
};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    context::{Context, Unit},
    error::Result,
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
const ROWS_PER_STATEMENT: usize = 250;

pub(super) async fn log(unit: &Unit<'_>, kind: &str, entries: &[Entry]) -> Result<()> {
    for part in entries.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        insert.into_table(Alias::new("change")).columns(COLUMNS.map(Alias::new));
        for entry in part {
            insert.values_panic([
                Expr::val(unit.cx.tenant.id),
                Expr::val(kind),
                Expr::val(entry.record),
                Expr::val(entry.version),
                Expr::val(unit.now),
                Expr::val(entry.before.clone().map(Json::Object)),
                Expr::val(Json::from(entry.changed.clone())),
                Expr::val(unit.cx.actor.user),
                Expr::val(unit.cx.request_id.as_deref().map(str::to_owned)),
            ]);
        }
        unit.txn.execute(&insert).await?;
    }
    Ok(())
}

/// The tenant's changes after `cursor` in commit order, at most `limit`.
///
/// # Errors
/// The database.
pub async fn changes(cx: &Context, cursor: (i64, i64), limit: u64) -> Result<Vec<Change>> {
    let postgres = cx.backend() == DbBackend::Postgres;
    let (xid, horizon) =
        if postgres { ("xid::text::bigint", " and xid < pg_snapshot_xmin(pg_current_snapshot())") } else { ("0", "") };
    let order = if postgres { "xid, seq" } else { "seq" };
    let after = if postgres { "(xid, seq) > ($2::text::xid8, $3)" } else { "$2 = $2 and seq > $3" };
    let sql = format!(
        "select {xid} as xid_n, seq, kind, record_id, version, at, before, changed, actor_id, request_id from change \
         where tenant_id = $1 and {after}{horizon} order by {order} limit $4"
    );
    let first = if postgres { cursor.0.to_string().into() } else { cursor.0.into() };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [cx.tenant.id.into(), first, cursor.1.into(), limit.into()];
    let rows = cx.reader().query_all_raw(sea_orm::Statement::from_sql_and_values(cx.backend(), sql, values)).await?;
    rows.iter()
        .map(|row| {
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
        })
        .collect()
}
