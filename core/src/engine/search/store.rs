//! Tokens into the database, with the record they are of.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, JoinType, Statement, Value,
    sea_query::{Alias, Expr, ExprTrait, InsertStatement, OnConflict, Query},
};
use uuid::Uuid;

use super::{document, mark, rule};
use crate::{
    engine::Shape,
    error::{Error, Result},
};

/// What a write does to the documents of some records of one kind: made without the database.
pub(in crate::engine) struct Documents {
    rule: String,
    gone: Vec<Uuid>,
    kept: Vec<(Uuid, String)>,
    /// None of them may be there yet: what makes sure of it costs a look into the index each.
    fresh: bool,
}

/// The documents of one tenant's records: the cells of the kind's columns, or `None` where the record is to be found no more.
/// `fresh`: of records that have just been made.
pub(in crate::engine) fn documents(
    tenant: Uuid,
    shape: &Shape,
    records: impl Iterator<Item = (Uuid, Option<Vec<Value>>)>,
    fresh: bool,
) -> Documents {
    let mark = mark(tenant, shape);
    let mut documents = Documents { rule: rule(shape), gone: Vec::new(), kept: Vec::new(), fresh };
    for (id, cells) in records {
        match cells {
            Some(cells) => documents.kept.push((id, document(&mark, shape, &cells))),
            None => documents.gone.push(id),
        }
    }
    documents
}

/// Removes the documents that are gone, and answers with what stores up to 250 others, in this order. One statement to remove
/// and one to store, on SQLite, where the index knows documents by their number alone, two each.
pub(in crate::engine) async fn put(
    txn: &DatabaseTransaction,
    tenant: Uuid,
    shape: &Shape,
    documents: Documents,
) -> Result<Vec<InsertStatement>> {
    let to = Place { txn, tenant, shape };
    if !documents.gone.is_empty() {
        to.remove(&documents.gone).await?;
    }
    if documents.kept.is_empty() {
        return Ok(Vec::new());
    }
    let mut inserts = vec![to.insert(&documents)];
    if txn.get_database_backend() == DbBackend::Sqlite {
        inserts.push(to.insert_tokens(documents.kept)?);
    }
    Ok(inserts)
}

/// A document as PostgreSQL keeps it: its tokens need no reading, which a cast from text would do.
const TOKENS: &str = "array_to_tsvector(string_to_array($1, ' '))";

struct Place<'a> {
    txn: &'a DatabaseTransaction,
    tenant: Uuid,
    shape: &'a Shape,
}

impl Place<'_> {
    fn insert(&self, documents: &Documents) -> InsertStatement {
        let postgres = self.txn.get_database_backend() == DbBackend::Postgres;
        let mut insert = Query::insert();
        let mut columns = vec!["tenant_id", "kind", "record_id", "rule"];
        columns.extend(postgres.then_some("tokens"));
        insert.into_table(Alias::new("search_document")).columns(columns.iter().copied().map(Alias::new));
        for (id, text) in &documents.kept {
            let mut row = vec![Expr::val(self.tenant), Expr::val(&*self.shape.name), Expr::val(*id)];
            row.push(Expr::val(documents.rule.as_str()));
            row.extend(postgres.then(|| Expr::cust_with_values(TOKENS, [text.as_str()])));
            insert.values_panic(row);
        }
        if !documents.fresh {
            let (key, set) = columns.split_at(3);
            let mut taken = OnConflict::columns(key.iter().copied().map(Alias::new));
            taken.update_columns(set.iter().copied().map(Alias::new));
            insert.on_conflict(taken);
        }
        insert
    }

    fn insert_tokens(&self, documents: Vec<(Uuid, String)>) -> Result<InsertStatement> {
        let (given, stored) = (Alias::new("v"), Alias::new("d"));
        let of = |column: &str| Expr::col((stored.clone(), Alias::new(column)));
        let select = Query::select()
            .expr(of("seq"))
            .expr(Expr::col((given.clone(), Alias::new("column2"))))
            .from_values(documents, given.clone())
            .join_as(
                JoinType::InnerJoin,
                Alias::new("search_document"),
                stored.clone(),
                of("record_id").eq(Expr::col((given, Alias::new("column1")))),
            )
            .and_where(of("tenant_id").eq(self.tenant))
            .and_where(of("kind").eq(&*self.shape.name))
            .take();
        let mut insert = Query::insert();
        insert.replace().into_table(Alias::new("search_token")).columns(["rowid", "tokens"].map(Alias::new));
        let known = insert.select_from(select).map(|insert| insert.clone());
        known.map_err(|source| Error::internal("two columns take two values", source))
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
