//! Large inputs of jobs, kept in the database in chunks until the job ends: any process can take the job up.

use chrono::TimeDelta;
use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use uuid::Uuid;

use crate::{
    context::{Context, Unit, World},
    error::Result,
};

/// Bytes of every chunk but the last.
pub const CHUNK: usize = 1 << 20;

/// How long an upload may go on before its chunks count as abandoned.
const ABANDONED: TimeDelta = TimeDelta::hours(24);

/// Stores chunk `n` of a job's input.
///
/// # Errors
/// The database.
pub async fn append(unit: &Unit<'_>, job: Uuid, n: i64, bytes: Vec<u8>) -> Result<()> {
    let (tenant, at) = (unit.cx.tenant.id, unit.now);
    let mut insert = Query::insert();
    insert
        .into_table(Alias::new("job_input"))
        .columns(["tenant_id", "job_id", "n", "bytes", "at"].map(Alias::new))
        .values_panic([Expr::val(tenant), Expr::val(job), Expr::val(n), Expr::val(bytes), Expr::val(at)]);
    unit.txn.execute(&insert).await?;
    Ok(())
}

/// Chunk `n`, or `None` after the last.
///
/// # Errors
/// The database.
pub async fn read(cx: &Context, job: Uuid, n: i64) -> Result<Option<Vec<u8>>> {
    let select = Query::select()
        .column(Alias::new("bytes"))
        .from(Alias::new("job_input"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(cx.tenant.id))
        .and_where(Expr::col(Alias::new("job_id")).eq(job))
        .and_where(Expr::col(Alias::new("n")).eq(n))
        .take();
    let row = cx.reader().query_one(&select).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Takes back what [`append`] stored, where no job follows.
///
/// # Errors
/// The database.
pub async fn discard(unit: &Unit<'_>, job: Uuid) -> Result<()> {
    remove(&unit.txn, "job_input", unit.cx.tenant.id, job).await
}

/// Removes what a table holds for the job.
pub(super) async fn remove(db: &impl ConnectionTrait, table: &'static str, tenant: Uuid, job: Uuid) -> Result<()> {
    let delete = Query::delete()
        .from_table(Alias::new(table))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(tenant))
        .and_where(Expr::col(Alias::new("job_id")).eq(job))
        .take();
    db.execute(&delete).await?;
    Ok(())
}

/// Removes chunks of uploads that broke off with the server, and of jobs that are kept no longer.
pub(super) async fn sweep(world: &World) -> Result<()> {
    let jobs = Query::select().column(Alias::new("job_id")).from(Alias::new("job_queue")).take();
    let of_none = Expr::col(Alias::new("job_id")).not_in_subquery(jobs);
    let chunks = Query::delete()
        .from_table(Alias::new("job_input"))
        .and_where(Expr::col(Alias::new("at")).lt(world.clock.now() - ABANDONED))
        .and_where(of_none.clone())
        .take();
    world.store.write.execute(&chunks).await?;
    let waiting = Query::delete().from_table(Alias::new("import_deferred")).and_where(of_none).take();
    world.store.write.execute(&waiting).await?;
    Ok(())
}
