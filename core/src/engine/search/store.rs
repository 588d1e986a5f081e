//! Tokens into the database, with the record they are of.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, Value};
use uuid::Uuid;

use super::{document, rule};
use crate::{engine::Shape, error::Result};

/// Five variables a row, and SQLite takes 32,766.
const ROWS_PER_STATEMENT: usize = 250;

/// Keeps what is searched of these records of one tenant: the cells of the kind's columns, or `None` where the record is
/// to be found no more. Two statements for up to 250 records, three on SQLite.
pub(in crate::engine) async fn put(
    txn: &DatabaseTransaction,
    tenant: Uuid,
    shape: &Shape,
    records: &[(Uuid, Option<Vec<Value>>)],
) -> Result<()> {
    let (living, gone): (Vec<_>, Vec<_>) = records.iter().partition(|(_, cells)| cells.is_some());
    let to = Place { txn, tenant, shape };
    for part in gone.chunks(ROWS_PER_STATEMENT) {
        to.remove(&part.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
    }
    for part in living.chunks(ROWS_PER_STATEMENT) {
        let documents = part.iter().filter_map(|(id, cells)| Some((*id, document(tenant, shape, cells.as_ref()?))));
        to.store(documents.collect()).await?;
    }
    Ok(())
}

struct Place<'a> {
    txn: &'a DatabaseTransaction,
    tenant: Uuid,
    shape: &'a Shape,
}

impl Place<'_> {
    async fn store(&self, documents: Vec<(Uuid, String)>) -> Result<()> {
        let postgres = self.txn.get_database_backend() == DbBackend::Postgres;
        let mut values: Vec<Value> = vec![self.tenant.into(), (&*self.shape.name).into(), rule(self.shape).into()];
        let (also, tokens, set) =
            if postgres { (", tokens", "::tsvector", ", tokens = excluded.tokens") } else { ("", "", "") };
        let mut rows = Vec::with_capacity(documents.len());
        for (id, text) in &documents {
            values.push((*id).into());
            let mut row = format!("($1, $2, $3, ${}", values.len());
            if postgres {
                values.push(text.as_str().into());
                row = format!("{row}, ${}{tokens}", values.len());
            }
            rows.push(row + ")");
        }
        let sql = format!(
            "insert into search_document (tenant_id, kind, rule, record_id{also}) values {} \
             on conflict (tenant_id, kind, record_id) do update set rule = excluded.rule{set}",
            rows.join(", ")
        );
        self.execute(&sql, values).await?;
        if postgres { Ok(()) } else { self.store_tokens(documents).await }
    }

    /// SQLite: the index knows documents by their number alone.
    async fn store_tokens(&self, documents: Vec<(Uuid, String)>) -> Result<()> {
        let mut values: Vec<Value> = vec![self.tenant.into(), (&*self.shape.name).into()];
        let mut rows = Vec::with_capacity(documents.len());
        for (id, text) in documents {
            values.extend([id.into(), text.into()]);
            rows.push(format!("(${}, ${})", values.len() - 1, values.len()));
        }
        let sql = format!(
            "insert or replace into search_token (rowid, tokens) select d.seq, v.column2 from (values {}) as v \
             join search_document as d on d.tenant_id = $1 and d.kind = $2 and d.record_id = v.column1",
            rows.join(", ")
        );
        self.execute(&sql, values).await
    }

    async fn remove(&self, ids: &[Uuid]) -> Result<()> {
        let mut values: Vec<Value> = vec![self.tenant.into(), (&*self.shape.name).into()];
        values.extend(ids.iter().copied().map(Value::from));
        let places: Vec<_> = (3..=values.len()).map(|n| format!("${n}")).collect();
        let these = format!("where tenant_id = $1 and kind = $2 and record_id in ({})", places.join(", "));
        if self.txn.get_database_backend() == DbBackend::Sqlite {
            let sql = format!("delete from search_token where rowid in (select seq from search_document {these})");
            self.execute(&sql, values.clone()).await?;
        }
        self.execute(&format!("delete from search_document {these}"), values).await
    }

    async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<()> {
        let backend = self.txn.get_database_backend();
        self.txn.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        Ok(())
    }
}
