//! Every table of the tenant's searched for what was erased.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, DbBackend, Statement, Value,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::Serialize;
use uuid::Uuid;

use super::ERASED;
use crate::{context::Unit, error::Result};

/// Rows named for each table.
const NAMED: usize = 20;

/// Rows of a table in which some of the texts still are.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    pub table: String,
    pub rows: usize,
    /// The first twenty, where they have ids.
    pub ids: Vec<Uuid>,
}

/// What an import kept of rows that it refused, where it has one of the texts.
pub(super) async fn empty_refusals(unit: &Unit<'_>, texts: &BTreeSet<String>) -> Result<u64> {
    let mut emptied = 0;
    for part in chunks(texts) {
        let mut values = vec![Value::from(unit.cx.tenant.id)];
        let columns = ["value", "detail"].map(|name| Place { sql: name.to_owned(), raw: false });
        let any = any(unit.cx.backend(), &columns, &part, &mut values);
        let sql = format!("update job_row_error set value = null, detail = 'erased' where tenant_id = $1 and ({any})");
        let statement = Statement::from_sql_and_values(unit.cx.backend(), sql, values);
        emptied += unit.txn.execute_raw(statement).await?.rows_affected();
    }
    Ok(emptied)
}

/// Jobs that failed and could be tried again, where their input has one of the texts: the person would come back with them.
/// Files are looked through across the borders of their chunks.
pub(super) async fn throw_away_inputs(unit: &Unit<'_>, texts: &BTreeSet<String>) -> Result<u64> {
    let (backend, mut jobs) = (unit.cx.backend(), BTreeSet::new());
    // who tries one again at the same moment waits, and then finds none
    let lock = if backend == DbBackend::Postgres { "for update of q, j" } else { "" };
    for part in chunks(texts) {
        let mut values = vec![Value::from(unit.cx.tenant.id)];
        let place = |sql: &str, raw| Place { sql: sql.to_owned(), raw };
        let asked = any(backend, &[place("q.input", false), place("q.checkpoint", false)], &part, &mut values);
        let file = place("(a.bytes || coalesce(substr(b.bytes, 1, 4096), ''))", true);
        let file = any(backend, &[file], &part, &mut values);
        let put_off = any(backend, &[place("d.cells", false)], &part, &mut values);
        let sql = format!(
            "select q.job_id from job_queue q join job j on j.tenant_id = q.tenant_id and j.id = q.job_id \
             where q.tenant_id = $1 and j.state = 'failed' and ({asked} or exists (select 1 from job_input a \
             left join job_input b on b.tenant_id = a.tenant_id and b.job_id = a.job_id and b.n = a.n + 1 \
             where a.tenant_id = q.tenant_id and a.job_id = q.job_id and ({file})) or exists (select 1 from import_deferred d \
             where d.tenant_id = q.tenant_id and d.job_id = q.job_id and ({put_off}))) {lock}"
        );
        for row in unit.txn.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
            jobs.insert(row.try_get_by_index::<Uuid>(0)?);
        }
    }
    for table in ["job_queue", "job_input", "import_deferred"] {
        let delete = Query::delete()
            .from_table(Alias::new(table))
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new("job_id")).is_in(jobs.iter().copied()))
            .take();
        unit.txn.execute(&delete).await?;
    }
    Ok(jobs.len() as u64)
}

/// Results of jobs and runs that name somebody: the movers of a simulation, say. Their texts are replaced. One statement to
/// find and one to write up to 1,000 for each table.
pub(super) async fn empty_results(unit: &Unit<'_>, texts: &BTreeSet<String>) -> Result<usize> {
    let (backend, mut emptied) = (unit.cx.backend(), 0);
    for table in ["job", "plugin_run"] {
        for part in chunks(texts) {
            let mut values = vec![Value::from(unit.cx.tenant.id)];
            let any = any(backend, &[Place { sql: "result".to_owned(), raw: false }], &part, &mut values);
            let sql = format!("select id, result from \"{table}\" where tenant_id = $1 and ({any})");
            let rows = unit.txn.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            let mut changed: Vec<(Uuid, String)> = Vec::new();
            for row in &rows {
                let (id, result): (Uuid, serde_json::Value) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
                let mut without = result.clone();
                replace(&mut without, &part);
                if without != result {
                    changed.push((id, without.to_string()));
                }
            }
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
            emptied += changed.len();
        }
    }
    Ok(emptied)
}

/// Texts within values; the names of members stay.
fn replace(json: &mut serde_json::Value, texts: &[&String]) {
    match json {
        serde_json::Value::String(value) => {
            for text in texts.iter().filter(|text| !text.is_empty()) {
                if value.contains(text.as_str()) {
                    *value = value.replace(text.as_str(), ERASED);
                }
            }
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(|one| replace(one, texts)),
        serde_json::Value::Object(all) => all.values_mut().for_each(|one| replace(one, texts)),
        _ => {}
    }
}

/// How many tables were searched, and where something was found. One scan of each table of the tenant's for up to 50 texts.
pub(super) async fn search(unit: &Unit<'_>, texts: &BTreeSet<String>) -> Result<(usize, Vec<Found>)> {
    let tables = tables(unit).await?;
    let mut found = Vec::new();
    for (table, columns) in tables.iter().filter(|_| !texts.is_empty()) {
        let id = if columns.iter().any(|column| column.sql == "\"id\"") { "id" } else { "tenant_id" };
        let mut ids: BTreeSet<Uuid> = BTreeSet::new();
        let mut rows = 0;
        for part in chunks(texts) {
            let mut values = vec![Value::from(unit.cx.tenant.id)];
            let any = any(unit.cx.backend(), columns, &part, &mut values);
            let sql = format!("select \"{id}\" from \"{table}\" where tenant_id = $1 and ({any})");
            for row in unit.txn.query_all_raw(Statement::from_sql_and_values(unit.cx.backend(), sql, values)).await? {
                let id: Uuid = row.try_get_by_index(0)?;
                if ids.insert(id) || id == unit.cx.tenant.id {
                    rows += 1;
                }
            }
        }
        ids.remove(&unit.cx.tenant.id);
        if rows > 0 {
            found.push(Found { table: table.clone(), rows, ids: ids.into_iter().take(NAMED).collect() });
        }
    }
    Ok((tables.len(), found))
}

fn chunks(texts: &BTreeSet<String>) -> Vec<Vec<&String>> {
    let all: Vec<_> = texts.iter().collect();
    all.chunks(50).map(<[_]>::to_vec).collect()
}

/// A column that may hold a text.
struct Place {
    /// Its quoted name, or what else stands for it.
    sql: String,
    /// As bytes.
    raw: bool,
}

/// One of the columns has one of the texts, as it is or as JSON writes it.
fn any(backend: DbBackend, columns: &[Place], texts: &[&String], values: &mut Vec<Value>) -> String {
    let mut any = Vec::new();
    for text in texts {
        let json = serde_json::Value::from(text.as_str()).to_string();
        let escaped = json.trim_matches('"').to_owned();
        let forms = if escaped == **text { vec![(*text).clone()] } else { vec![(*text).clone(), escaped] };
        for form in forms {
            values.push(form.into());
            let n = values.len();
            any.extend(columns.iter().map(|Place { sql, raw }| match backend {
                DbBackend::Postgres if *raw => format!("position(convert_to(${n}, 'UTF8') in {sql}) > 0"),
                DbBackend::Postgres => format!("strpos({sql}::text, ${n}) > 0"),
                _ => format!("instr(cast({sql} as blob), cast(${n} as blob)) > 0"),
            }));
        }
    }
    any.join(" or ")
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
