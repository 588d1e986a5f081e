//! What stands elsewhere in the tenant's tables of what was erased: emptied where it is kept for a while, and told where not.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use sea_orm::{
    ConnectionTrait, DbBackend, QueryResult, Statement, StreamTrait as _, Value,
    sea_query::{Alias, Condition, Expr, ExprTrait, Query},
};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    ERASED, Erasure,
    texts::{Likeness, Texts},
};
use crate::{context::Unit, error::Result};

/// Rows named for each table.
const NAMED: usize = 20;
/// Texts sought in one scan of a table.
const AT_ONCE: usize = 50;
/// Refused rows emptied with one statement.
const ROWS: usize = 250;

/// Rows of a table in which some of the texts still are.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    pub table: String,
    pub rows: usize,
    /// The first twenty, where they have ids.
    pub ids: Vec<Uuid>,
}

/// Empties what refused rows and results tell of the person, and says where they are named then.
///
/// Cost: one scan of each table of the tenant's for up to 50 texts.
///
/// # Errors
/// The database.
pub async fn prove(unit: &Unit<'_>, texts: &Texts, erasure: &mut Erasure) -> Result<()> {
    erasure.refusals = empty_refusals(unit, texts).await?;
    erasure.results = empty_results(unit, texts).await?;
    (erasure.texts_searched, erasure.texts_too_short) = (texts.distinct.len(), texts.too_short());
    (erasure.tables_searched, erasure.found) = search(unit, texts).await?;
    Ok(())
}

/// What jobs kept of rows that they refused, where it tells of the person.
async fn empty_refusals(unit: &Unit<'_>, texts: &Texts) -> Result<u64> {
    let columns = ["value", "detail"].map(Place::of);
    let select = "job_id, \"line\", n, value, detail";
    let mut told: BTreeSet<(Uuid, i64, i64)> = BTreeSet::new();
    let each = |row: QueryResult| {
        let (value, detail): (Option<String>, String) = (row.try_get_by_index(3)?, row.try_get_by_index(4)?);
        if value.is_some_and(|value| texts.cell(&value)) || texts.row([detail]) == Likeness::Certain {
            told.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?));
        }
        Ok(())
    };
    rows_with(unit, "job_row_error", &columns, select, &texts.sought(), each).await?;
    let col = |name: &str| Expr::col(Alias::new(name));
    let (told, mut emptied) = (Vec::from_iter(told), 0);
    for part in told.chunks(ROWS) {
        let these = part.iter().fold(Condition::any(), |these, (job, line, n)| {
            these.add(col("job_id").eq(*job).and(col("line").eq(*line)).and(col("n").eq(*n)))
        });
        let update = Query::update()
            .table(Alias::new("job_row_error"))
            .value(Alias::new("value"), Option::<String>::None)
            .value(Alias::new("detail"), ERASED)
            .and_where(col("tenant_id").eq(unit.cx.tenant.id))
            .cond_where(these)
            .take();
        emptied += unit.txn.execute(&update).await?.rows_affected();
    }
    Ok(emptied)
}

/// Results of jobs and runs that name somebody: the movers of a simulation, say. One statement to write up to 1,000 for each
/// table.
async fn empty_results(unit: &Unit<'_>, texts: &Texts) -> Result<usize> {
    let (backend, mut emptied) = (unit.cx.backend(), 0);
    for table in ["job", "plugin_run"] {
        let mut changed: BTreeMap<Uuid, String> = BTreeMap::new();
        let each = |row: QueryResult| {
            let (id, mut result): (Uuid, Json) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if replace(&mut result, texts) {
                changed.insert(id, result.to_string());
            }
            Ok(())
        };
        rows_with(unit, table, &[Place::of("result")], "id, result", &texts.sought(), each).await?;
        emptied += changed.len();
        let changed = Vec::from_iter(changed);
        for rows in changed.chunks(1000) {
            let mut values = vec![Value::from(unit.cx.tenant.id)];
            let mut places = Vec::with_capacity(rows.len());
            for (id, result) in rows {
                values.extend([(*id).into(), result.as_str().into()]);
                places.push(format!("(${}, ${})", values.len() - 1, values.len()));
            }
            let json = if backend == DbBackend::Postgres { "::json" } else { "" };
            let sql = format!(
                "update \"{table}\" set result = v.column2{json} from (values {}) as v \
                 where \"{table}\".tenant_id = $1 and \"{table}\".id = v.column1",
                places.join(", ")
            );
            unit.txn.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        }
    }
    Ok(emptied)
}

/// Puts `erased` for each text that tells of the person, and says whether there was any; the names of members stay.
fn replace(json: &mut Json, texts: &Texts) -> bool {
    match json {
        Json::String(value) if texts.cell(value) => {
            ERASED.clone_into(value);
            true
        }
        Json::Array(all) => all.iter_mut().fold(false, |any, one| replace(one, texts) | any),
        Json::Object(all) => all.values_mut().fold(false, |any, one| replace(one, texts) | any),
        _ => false,
    }
}

/// How many tables were searched, and where something was found.
async fn search(unit: &Unit<'_>, texts: &Texts) -> Result<(usize, Vec<Found>)> {
    let tables = tables(unit).await?;
    let mut found = Vec::new();
    for (table, columns) in &tables {
        let id = if columns.iter().any(|column| column.sql == "\"id\"") { "id" } else { "tenant_id" };
        let mut ids: BTreeSet<Uuid> = BTreeSet::new();
        let mut rows = 0;
        let each = |row: QueryResult| {
            let id: Uuid = row.try_get_by_index(0)?;
            if ids.insert(id) || id == unit.cx.tenant.id {
                rows += 1;
            }
            Ok(())
        };
        rows_with(unit, table, columns, &format!("\"{id}\""), &texts.distinct, each).await?;
        ids.remove(&unit.cx.tenant.id);
        if rows > 0 {
            found.push(Found { table: table.clone(), rows, ids: ids.into_iter().take(NAMED).collect() });
        }
    }
    Ok((tables.len(), found))
}

/// A column that may hold a text.
struct Place {
    /// Its quoted name.
    sql: String,
    /// As bytes.
    raw: bool,
}

impl Place {
    fn of(name: &str) -> Self {
        Self { sql: format!("\"{name}\""), raw: false }
    }
}

/// Takes `each` through what `select` says of the tenant's rows of a table that have one of the texts in one of the columns, as it is or as JSON
/// writes it, whatever the case of its letters. The limit is none: it has the letters made small once a row, not once a text.
async fn rows_with(
    unit: &Unit<'_>,
    table: &str,
    columns: &[Place],
    select: &str,
    texts: &[String],
    mut each: impl FnMut(QueryResult) -> Result<()>,
) -> Result<()> {
    let postgres = unit.cx.backend() == DbBackend::Postgres;
    let (raw, plain): (Vec<&Place>, Vec<&Place>) = columns.iter().partition(|column| column.raw);
    let plain = plain.iter().map(|column| column.sql.as_str()).collect::<Vec<_>>().join(", ");
    let folded = if postgres {
        format!("lower(concat_ws('\n', {plain}) collate \"default\")")
    } else {
        format!("cast(lower(concat_ws('\n', {plain})) as blob)")
    };
    for part in texts.chunks(AT_ONCE) {
        let (mut values, mut any) = (vec![Value::from(unit.cx.tenant.id)], Vec::new());
        for form in part.iter().flat_map(|text| forms(text)) {
            values.push(form.into());
            let n = values.len();
            if postgres {
                any.push(format!("strpos(folded, lower(${n})) > 0"));
                any.extend(raw.iter().map(|raw| format!("position(convert_to(${n}, 'UTF8') in {}) > 0", raw.sql)));
            } else {
                any.push(format!("instr(folded, cast(lower(${n}) as blob)) > 0"));
            }
        }
        let any = any.join(" or ");
        let sql = format!(
            "select {select} from (select *, {folded} as folded from \"{table}\" where tenant_id = $1 limit {}) as t \
             where {any}",
            i64::MAX
        );
        let statement = Statement::from_sql_and_values(unit.cx.backend(), sql, values);
        let mut rows = unit.txn.stream_raw(statement).await?;
        while let Some(row) = rows.try_next().await? {
            each(row)?;
        }
    }
    Ok(())
}

/// A text as it is and in either case, which not every database knows of every letter, and each as JSON writes it.
fn forms(text: &str) -> BTreeSet<String> {
    let cases = [text.to_owned(), text.to_lowercase(), text.to_uppercase()];
    let json = cases.clone().map(|text| {
        let json = Json::from(text).to_string();
        json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default().to_owned()
    });
    cases.into_iter().chain(json).collect()
}

/// Tables with rows of tenants, and their columns that may hold a text. The words by which records are found go with them.
async fn tables(unit: &Unit<'_>) -> Result<Vec<(String, Vec<Place>)>> {
    let sql = match unit.cx.backend() {
        DbBackend::Postgres => {
            "select c.relname::text, a.attname::text, a.atttypid = 'bytea'::regtype from pg_class c \
             join pg_attribute a on a.attrelid = c.oid \
             where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and a.attnum > 0 \
             and not a.attisdropped and a.atttypid <> 'tsvector'::regtype and exists (select from pg_attribute t \
             where t.attrelid = c.oid and t.attname = 'tenant_id' and not t.attisdropped) order by 1, a.attnum"
        }
        _ => {
            "select m.name, c.name, false from sqlite_master as m join pragma_table_info(m.name) as c \
             where m.type = 'table' and exists (select 1 from pragma_table_info(m.name) where name = 'tenant_id') \
             order by m.name, c.cid"
        }
    };
    let rows = unit.txn.query_all_raw(Statement::from_string(unit.cx.backend(), sql)).await?;
    let mut tables: Vec<(String, Vec<Place>)> = Vec::new();
    for row in rows {
        let (table, name): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let place = Place { sql: format!("\"{name}\""), raw: row.try_get_by_index(2)? };
        match tables.last_mut() {
            Some((last, places)) if *last == table => places.push(place),
            _ => tables.push((table, vec![place])),
        }
    }
    Ok(tables)
}
