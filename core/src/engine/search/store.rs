//! Tokens into the database, with the record they are of.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, Statement, Value,
    sea_query::{Alias, Expr, ExprTrait, InsertStatement, OnConflict, Query},
};
use uuid::Uuid;

use super::{document, rule};
use crate::{engine::Shape, error::Result};

/// Keeps what is searched of up to 250 records of one tenant: the cells of the kind's columns, or `None` where the record is
/// to be found no more. Removes the latter, and answers with what stores the rest on PostgreSQL; on SQLite, where the index
/// knows documents by their number alone, stores it. One statement to remove and one to store, on SQLite two each.
pub(in crate::engine) async fn put(
    txn: &DatabaseTransaction,
    tenant: Uuid,
    shape: &Shape,
    records: &[(Uuid, Option<Vec<Value>>)],
) -> Result<Option<InsertStatement>> {
    let to = Place { txn, tenant, shape };
    let gone: Vec<_> = records.iter().filter(|(_, cells)| cells.is_none()).map(|(id, _)| *id).collect();
    if !gone.is_empty() {
        to.remove(&gone).await?;
    }
    let documents = records.iter().filter_map(|(id, cells)| Some((*id, document(tenant, shape, cells.as_ref()?))));
    let documents: Vec<_> = documents.collect();
    if documents.is_empty() {
        return Ok(None);
    }
    let insert = to.insert(&documents);
    if txn.get_database_backend() == DbBackend::Postgres {
        return Ok(Some(insert));
    }
    txn.execute(&insert).await?;
    to.store_tokens(documents).await?;
    Ok(None)
}

struct Place<'a> {
    txn: &'a DatabaseTransaction,
    tenant: Uuid,
    shape: &'a Shape,
}

impl Place<'_> {
    fn insert(&self, documents: &[(Uuid, String)]) -> InsertStatement {
        let postgres = self.txn.get_database_backend() == DbBackend::Postgres;
        let mut insert = Query::insert();
        let mut columns = vec!["tenant_id", "kind", "record_id", "rule"];
        columns.extend(postgres.then_some("tokens"));
        insert.into_table(Alias::new("search_document")).columns(columns.iter().copied().map(Alias::new));
        for (id, text) in documents {
            let mut row = vec![Expr::val(self.tenant), Expr::val(&*self.shape.name), Expr::val(*id)];
            row.push(Expr::val(rule(self.shape)));
            row.extend(postgres.then(|| Expr::val(text.as_str()).cast_as("tsvector")));
            insert.values_panic(row);
        }
        let (key, set) = columns.split_at(3);
        let set = set.iter().copied().map(Alias::new);
        insert.on_conflict(OnConflict::columns(key.iter().copied().map(Alias::new)).update_columns(set).to_owned());
        insert
    }

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
