//! Each row that was refused or is odd, with its place and the reason.

use sea_orm::{
    ConnectionTrait, QueryResult,
    sea_query::{Alias, Condition, Expr, ExprTrait, Order, Query},
};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::problem;
use crate::{
    context::{Context, Unit},
    error::{Code, Error, Result},
};

const ROWS_PER_STATEMENT: usize = 250;
/// Characters kept of a value that was refused.
const VALUE: usize = 200;

/// One thing wrong (or odd) with one row of the file, or one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// Of the file; without one, the place among the records in the order in which the job took them.
    pub line: i64,
    /// `error`: the row was refused; `warning`: it was accepted.
    pub severity: String,
    pub column: Option<String>,
    pub field: Option<String>,
    /// The text of the cell, cut to 200 characters.
    pub value: Option<String>,
    pub code: String,
    pub detail: String,
    /// The record, where the job was about records that were there.
    pub record_id: Option<Uuid>,
}

impl RowError {
    pub fn error(line: u64, code: Code, detail: impl Into<String>) -> Self {
        Self {
            line: i64::try_from(line).unwrap_or(i64::MAX),
            severity: "error".to_owned(),
            column: None,
            field: None,
            value: None,
            code: code.name(),
            detail: detail.into(),
            record_id: None,
        }
    }

    pub fn warning(line: u64, code: Code, detail: impl Into<String>) -> Self {
        Self { severity: "warning".to_owned(), ..Self::error(line, code, detail) }
    }

    /// Names the place.
    #[must_use]
    pub fn at(mut self, field: &str, column: Option<&str>, value: Option<&str>) -> Self {
        self.field = Some(field.to_owned());
        self.column = column.map(str::to_owned);
        self.value = value.map(|text| text.chars().take(VALUE).collect());
        self
    }

    /// Why a write refused a record that was there, one a violation.
    pub fn of_record(line: u64, record: Uuid, error: &Error) -> Vec<Self> {
        let named = |(field, error)| Self { field, record_id: Some(record), ..error };
        Self::of(line, error).into_iter().map(named).collect()
    }

    /// Why a write refused the row, one a violation.
    pub fn of(line: u64, error: &Error) -> Vec<(Option<String>, Self)> {
        if let Error::Invalid(violations) = error {
            return violations
                .iter()
                .map(|v| {
                    let field = v.pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
                    (Some(field.to_owned()), Self::error(line, v.code, v.detail.as_str()))
                })
                .collect();
        }
        let problem = problem(error);
        let text = |key: &str| problem.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        vec![(None, Self { code: text("code"), ..Self::error(line, Code::Internal, text("detail")) })]
    }
}

fn table() -> Alias {
    Alias::new("job_row_error")
}

const COLUMNS: [&str; 8] = ["line", "severity", "column_name", "field", "value", "code", "detail", "record_id"];

/// Keeps rows' errors with the page they are of. `errors` of one line are all here.
///
/// # Errors
/// The database.
pub async fn keep(unit: &Unit<'_>, job: Uuid, errors: Vec<RowError>) -> Result<()> {
    let mut numbered = Vec::with_capacity(errors.len());
    let mut last = (i64::MIN, 0_i64);
    for error in errors {
        last = if error.line == last.0 { (last.0, last.1 + 1) } else { (error.line, 0) };
        numbered.push((last.1, error));
    }
    for part in numbered.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        insert.into_table(table()).columns(["tenant_id", "job_id", "n"].into_iter().chain(COLUMNS).map(Alias::new));
        for (n, error) in part {
            let RowError { line, severity, column, field, value, code, detail, record_id } = error.clone();
            insert.values_panic([
                Expr::val(unit.cx.tenant.id),
                Expr::val(job),
                Expr::val(*n),
                Expr::val(line),
                Expr::val(severity),
                Expr::val(column),
                Expr::val(field),
                Expr::val(value),
                Expr::val(code),
                Expr::val(detail),
                Expr::val(record_id),
            ]);
        }
        unit.txn.execute(&insert).await?;
    }
    Ok(())
}

/// A job's row errors by line, a page after `after`: the errors, and where the next page begins.
///
/// # Errors
/// The database. Whether the actor may see the job is for the caller to ask ([`find`](super::find)).
pub async fn page(cx: &Context, job: Uuid, after: (i64, i64), limit: u64) -> Result<(Vec<RowError>, (i64, i64))> {
    let col = |name: &str| Expr::col(Alias::new(name));
    let (line, n) = after;
    let later =
        Condition::any().add(col("line").gt(line)).add(Condition::all().add(col("line").eq(line)).add(col("n").gt(n)));
    let select = Query::select()
        .columns(COLUMNS.into_iter().chain(["n"]).map(Alias::new))
        .from(table())
        .and_where(col("tenant_id").eq(cx.tenant.id))
        .and_where(col("job_id").eq(job))
        .and_where(col("line").gte(line))
        .cond_where(later)
        .order_by(Alias::new("line"), Order::Asc)
        .order_by(Alias::new("n"), Order::Asc)
        .limit(limit)
        .take();
    let mut next = after;
    let mut errors = Vec::new();
    for row in cx.reader().query_all(&select).await? {
        let error = read(&row)?;
        next = (error.line, row.try_get("", "n")?);
        errors.push(error);
    }
    Ok((errors, next))
}

fn read(row: &QueryResult) -> Result<RowError> {
    Ok(RowError {
        line: row.try_get("", "line")?,
        severity: row.try_get("", "severity")?,
        column: row.try_get("", "column_name")?,
        field: row.try_get("", "field")?,
        value: row.try_get("", "value")?,
        code: row.try_get("", "code")?,
        detail: row.try_get("", "detail")?,
        record_id: row.try_get("", "record_id")?,
    })
}
