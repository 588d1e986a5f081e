//! Records as the system knew them at an instant T, read from the change log by one rule: the row before a record's
//! first change after T, else its present row. What was created after T is not there; what was deleted after T is.
//!
//! A read of the past is the ordinary read over other rows: [`rows`] stands where the table would, so that filters,
//! sorts, pages, relations and row access hold on what it gives. Rights are today's, applied to the rows as they were.
//! A write that had begun by T and commits later joins the state at T when it commits; a read waits for none.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnType, DbBackend, JoinType,
    sea_query::{
        Alias, DynIden, Expr, ExprTrait, Func, IntoIden, IntoTableRef, Query, SelectStatement, TableRef, UnionType,
    },
};

use super::{Column, Shape, instant, print_instant};
use crate::{
    context::Context,
    error::{Code, Error, Result},
};

/// The same call, reading what the system knew at the RFC 3339 instant `at`; as it is without one.
///
/// # Errors
/// `Malformed`: no instant, or one that has not passed.
pub fn known<'c>(cx: &'c Context, at: Option<&str>) -> Result<Cow<'c, Context>> {
    let Some(text) = at else { return Ok(Cow::Borrowed(cx)) };
    let wrong = |detail| Error::malformed("known_at", Code::InvalidParameter, detail);
    let at = instant(text).map_err(wrong)?;
    if at >= cx.now() {
        let now = print_instant(cx.now());
        return Err(wrong(format!("must have passed: it is {now}, and what is still to come is not known")));
    }
    Ok(Cow::Owned(Context { known_at: Some(at), ..cx.clone() }))
}

/// # Errors
/// `Malformed`: the past of a kind that the change log does not keep.
pub(super) fn keeps(cx: &Context, shape: &Shape) -> Result<()> {
    if cx.known_at.is_none() || shape.logged {
        return Ok(());
    }
    let detail = format!("{} are not kept in the change log, so only their present can be read", shape.plural);
    Err(Error::malformed("known_at", Code::InvalidParameter, detail))
}

/// How a statement comes to the rows it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// It names their ids.
    Id,
    /// By any condition or order.
    Any,
}

/// The rows of a kind under `alias`, for the `from` of a statement: its table, or what stood there at `known_at`.
///
/// Cost of the past: for each row that is met, one look into an index whether a change came later; and, unless ids are
/// named, the changes of the kind since T.
pub(super) fn rows(cx: &Context, shape: &Shape, alias: DynIden, by: By) -> TableRef {
    match cx.known_at {
        Some(at) => TableRef::SubQuery(Box::new(past(cx, shape, at, by)), alias),
        None if alias == shape.table().into_iden() => shape.table().into_table_ref(),
        None => shape.table().into_table_ref().alias(alias),
    }
}

/// SQLite plans without knowing how many changes there are, so it is told: a `+` keeps it from reading all changes since T
/// where the record's own few will do. And it reads the two halves as one ordered list, by the table's own indexes, only
/// if their columns have the same affinity.
fn past(cx: &Context, shape: &Shape, at: DateTime<Utc>, by: By) -> SelectStatement {
    let sqlite = cx.backend() == DbBackend::Sqlite;
    let (row, change, earlier) = (Alias::new("row"), Alias::new("later"), Alias::new("earlier"));
    let of = |alias: &Alias, column: &str| Expr::col((alias.clone(), Alias::new(column)));
    let after = |alias: &Alias, by: By| {
        let later = match by {
            By::Id if sqlite => Expr::cust(format!("+\"{}\".\"at\"", alias.0)),
            _ => of(alias, "at"),
        };
        let mut select = Query::select();
        select
            .from_as(Alias::new("change"), alias.clone())
            .and_where(of(alias, "tenant_id").eq(cx.tenant.id))
            .and_where(of(alias, "kind").eq(&*shape.name))
            .and_where(later.gt(at));
        select
    };
    let mut changed = after(&change, By::Id);
    changed.expr(Expr::val(1)).and_where(of(&change, "record_id").eq(of(&row, "id")));
    let mut earlier_still = after(&earlier, By::Id);
    earlier_still
        .expr(Expr::val(1))
        .and_where(of(&earlier, "record_id").eq(of(&change, "record_id")))
        .and_where(of(&earlier, "version").lt(of(&change, "version")));
    let mut before = after(&change, by);
    before.and_where(of(&change, "before").is_not_null()).and_where(Expr::exists(earlier_still).not());
    add_columns(&mut before, cx.backend(), shape, &change);
    let mut present = Query::select();
    for column in &shape.columns {
        let cell = match column.kind {
            ColumnType::Uuid if sqlite && !is_key(column) => Expr::cust(format!("+\"{}\".\"{}\"", row.0, column.name)),
            _ => of(&row, &column.name),
        };
        present.expr_as(cell, Alias::new(column.name.as_str()));
    }
    present
        .from_as(shape.table(), row.clone())
        .and_where(of(&row, "tenant_id").eq(cx.tenant.id))
        .cond_where(shape.rows(row.clone()))
        .and_where(Expr::exists(changed).not())
        .union(UnionType::All, before)
        .take()
}

/// The body of a change as a row of the kind. The keys come from the change itself, where an index has them.
fn add_columns(select: &mut SelectStatement, backend: DbBackend, shape: &Shape, change: &Alias) {
    let typed = Alias::new("typed");
    for column in &shape.columns {
        let name = Alias::new(column.name.as_str());
        let cell = match (column.name.as_str(), backend) {
            ("id", _) => Expr::col((change.clone(), Alias::new("record_id"))),
            ("tenant_id", _) => Expr::col((change.clone(), name.clone())),
            (_, DbBackend::Postgres) => Expr::col((typed.clone(), name.clone())),
            _ => Expr::cust(from_json(&column.kind, &column.name, &format!("\"{}\".\"before\"", change.0))),
        };
        select.expr_as(cell, name);
    }
    if backend == DbBackend::Postgres {
        let row = Func::cust(Alias::new("json_populate_record"))
            .arg(Expr::cust(format!("null::\"{}\"", shape.table().0)))
            .arg(Expr::col((change.clone(), Alias::new("before"))));
        let row = Query::select().expr(Expr::cust("*")).from_function(row, Alias::new("body")).take();
        select.join_lateral(JoinType::InnerJoin, row, typed, Expr::cust("true"));
    }
}

fn is_key(column: &Column) -> bool {
    ["tenant_id", "id"].contains(&column.name.as_str())
}

/// SQLite: a member of a JSON object as sqlx stores it in a table, ids as bytes and instants with their offset and
/// without milliseconds where there are none.
pub(super) fn from_json(kind: &ColumnType, name: &str, body: &str) -> String {
    match kind {
        ColumnType::Uuid => format!("unhex(replace({body} ->> '$.{name}', '-', ''))"),
        ColumnType::TimestampWithTimeZone => {
            format!("cast(replace(replace({body} ->> '$.{name}', '.000Z', 'Z'), 'Z', '+00:00') as text)")
        }
        ColumnType::Json | ColumnType::JsonBinary => format!("cast(nullif({body} -> '$.{name}', 'null') as text)"),
        ColumnType::Boolean => format!("cast({body} ->> '$.{name}' as boolean)"),
        ColumnType::BigInteger => format!("cast({body} ->> '$.{name}' as integer)"),
        ColumnType::Double => format!("cast({body} ->> '$.{name}' as double)"),
        _ => format!("cast({body} ->> '$.{name}' as text)"),
    }
}
