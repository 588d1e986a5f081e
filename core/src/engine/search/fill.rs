//! Documents of records that were there before their kind was searched, or before the rule changed.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::{columns, documents, put, rule};
use crate::{
    engine::{
        Registry, Shape, read_cell,
        store::{ROWS_PER_STATEMENT, insert_all},
    },
    error::Result,
    store::Store,
};

const PAGE: usize = 1000;

/// Makes the documents that are missing or made by another rule, of every kind and tenant, and answers how many. A page
/// of 1,000 records is a transaction: what was interrupted goes on where it was, and what is complete costs one look at
/// each record's document.
///
/// # Errors
/// The database.
pub async fn fill(store: &Store, registry: &Registry) -> Result<u64> {
    let mut made = 0;
    for shape in registry.shapes().filter(|shape| !shape.search.is_empty()) {
        let mut after = (Uuid::nil(), Uuid::nil());
        while let Some((n, last)) = page(store, shape, after).await? {
            made += n;
            after = last;
        }
    }
    Ok(made)
}

/// The next records without a document, and the last of them.
async fn page(store: &Store, shape: &Shape, after: (Uuid, Uuid)) -> Result<Option<(u64, (Uuid, Uuid))>> {
    let columns: Vec<_> = columns(shape).into_iter().filter_map(|i| shape.columns.get(i)).collect();
    let names: Vec<_> =
        ["tenant_id", "id"].into_iter().chain(columns.iter().map(|column| column.name.as_str())).collect();
    let names = names.iter().map(|name| format!("r.\"{name}\"")).collect::<Vec<_>>().join(", ");
    // whoever is writing one of them ends first
    let lock = if store.backend == DbBackend::Postgres { " for update of r" } else { "" };
    let sql = format!(
        "select {names} from \"{kind}\" as r \
         where (r.tenant_id, r.id) > ($1, $2) and r.deleted_at is null and not exists (select 1 from search_document as d \
             where d.tenant_id = r.tenant_id and d.kind = $3 and d.record_id = r.id and d.rule = $4) \
         order by r.tenant_id, r.id limit {PAGE}{lock}",
        kind = shape.table().0
    );
    let txn = store.begin().await?;
    let values: [Value; 4] = [after.0.into(), after.1.into(), (&*shape.name).into(), rule(shape).into()];
    let rows = txn.query_all_raw(Statement::from_sql_and_values(store.backend, sql, values)).await?;
    let key = |row: &QueryResult| Ok::<_, sea_orm::DbErr>((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    let Some(last) = rows.last().map(key).transpose()? else { return Ok(None) };
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        let (tenant, id) = key(row)?;
        let cells = columns.iter().enumerate().map(|(i, column)| read_cell(row, i + 2, &column.kind));
        records.push((tenant, (id, Some(cells.collect::<Result<Vec<Value>, _>>()?))));
    }
    for of_tenant in records.chunk_by(|(a, _), (b, _)| a == b) {
        let Some((tenant, _)) = of_tenant.first() else { continue };
        for part in of_tenant.chunks(ROWS_PER_STATEMENT) {
            let documents = documents(*tenant, shape, part.iter().map(|(_, record)| record.clone()), false);
            insert_all(&txn, put(&txn, *tenant, shape, documents).await?).await?;
        }
    }
    txn.commit().await?;
    Ok(Some((rows.len() as u64, last)))
}
