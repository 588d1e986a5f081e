//! Who works on which job until when. Leases, not locks: a worker that dies is noticed when its lease runs out.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend, QueryResult,
    sea_query::{Alias, Cond, Condition, Expr, ExprTrait, LockBehavior, LockType, Query, UpdateStatement},
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Progress, input, shown};
use crate::{
    context::{Unit, World},
    error::Result,
    records::job::State,
};

/// A worker that has not been heard of for so long is gone.
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// When a job is due that failed through a fault of the server's or its database's: it stays in the queue, with its input and
/// as far as it got, until somebody has it tried again.
fn never() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_214_400, 0).unwrap_or(DateTime::<Utc>::MAX_UTC) // 9999-12-31
}

/// How long such a job is kept.
const KEPT: TimeDelta = TimeDelta::days(30);

/// One job a worker has taken.
pub(super) struct Claim {
    pub tenant: Uuid,
    pub id: Uuid,
    pub kind: String,
    pub input: Json,
    pub checkpoint: Json,
    pub user: Option<Uuid>,
    /// That the user asked with.
    pub key: Option<Uuid>,
    /// How often it was taken since it last got anywhere, this time included.
    pub attempts: i64,
    /// Whoever took it, this time: a worker that was away until its lease ran out is not taken for the one that has it now,
    /// though both are of one process.
    pub worker: Uuid,
}

impl Claim {
    fn read(row: &QueryResult, worker: Uuid) -> Result<Self> {
        Ok(Self {
            tenant: row.try_get("", "tenant_id")?,
            id: row.try_get("", "job_id")?,
            kind: row.try_get("", "kind")?,
            input: row.try_get("", "input")?,
            checkpoint: row.try_get("", "checkpoint")?,
            user: row.try_get("", "user_id")?,
            key: row.try_get("", "key_id")?,
            attempts: row.try_get::<i64>("", "attempts")? + 1,
            worker,
        })
    }
}

fn now(world: &World) -> DateTime<Utc> {
    world.clock.now().trunc_subsecs(3)
}

fn queue() -> Alias {
    Alias::new("job_queue")
}

fn col(name: &str) -> Expr {
    Expr::col(Alias::new(name))
}

/// The job's row in the queue, while `worker` holds it (anyone, where none is given).
fn held(tenant: Uuid, id: Uuid, worker: Option<Uuid>) -> Condition {
    let row = Cond::all().add(col("tenant_id").eq(tenant)).add(col("job_id").eq(id));
    worker.into_iter().fold(row, |row, worker| row.add(col("worker").eq(worker)))
}

fn update_job(tenant: Uuid, id: Uuid, at: DateTime<Utc>) -> UpdateStatement {
    Query::update()
        .table(Alias::new("job"))
        .value(Alias::new("version"), col("version").add(1))
        .value(Alias::new("updated_at"), at)
        .and_where(col("tenant_id").eq(tenant))
        .and_where(col("id").eq(id))
        .take()
}

pub(super) async fn push(unit: &Unit<'_>, id: Uuid, kind: &str, input: Json) -> Result<()> {
    let mut insert = Query::insert();
    insert
        .into_table(queue())
        .columns(
            ["tenant_id", "job_id", "kind", "input", "checkpoint", "due_at", "user_id", "key_id", "attempts"]
                .map(Alias::new),
        )
        .values_panic([
            Expr::val(unit.cx.tenant.id),
            Expr::val(id),
            Expr::val(kind),
            Expr::val(input),
            Expr::val(json!({})),
            Expr::val(unit.now),
            Expr::val(unit.cx.actor.user),
            Expr::val(unit.cx.actor.key()),
            Expr::val(0_i64),
        ]);
    unit.txn.execute(&insert).await?;
    Ok(())
}

/// The one process that uses an SQLite file has just started: whoever held a lease is gone.
pub(super) async fn forget_leases(world: &World) -> Result<()> {
    let update = Query::update().table(queue()).value(Alias::new("lease_until"), Option::<DateTime<Utc>>::None).take();
    world.store.write.execute(&update).await?;
    Ok(())
}

/// Takes the job that has waited longest among these kinds, if any waits.
pub(super) async fn claim(world: &World, kinds: &[&'static str]) -> Result<Option<Claim>> {
    let now = now(world);
    let mut waiting = Query::select()
        .columns(
            ["tenant_id", "job_id", "kind", "input", "checkpoint", "user_id", "key_id", "attempts"].map(Alias::new),
        )
        .from(queue())
        .and_where(col("due_at").lte(now))
        .and_where(col("kind").is_in(kinds.iter().copied()))
        .cond_where(Cond::any().add(col("lease_until").is_null()).add(col("lease_until").lt(now)))
        .order_by(Alias::new("due_at"), sea_orm::Order::Asc)
        .order_by(Alias::new("job_id"), sea_orm::Order::Asc)
        .limit(1)
        .take();
    // Most of the time nothing waits, and finding that out must not cost the writers anything.
    if world.store.read.query_one(&waiting).await?.is_none() {
        return Ok(None);
    }
    if world.store.backend == DbBackend::Postgres {
        waiting.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let txn = world.store.begin().await?;
    let Some(row) = txn.query_one(&waiting).await? else { return Ok(None) };
    let claim = Claim::read(&row, world.ids.next(now))?;
    let lease = Query::update()
        .table(queue())
        .value(Alias::new("worker"), claim.worker)
        .value(Alias::new("lease_until"), now + LEASE)
        .value(Alias::new("attempts"), claim.attempts)
        .cond_where(held(claim.tenant, claim.id, None))
        .take();
    txn.execute(&lease).await?;
    let started = update_job(claim.tenant, claim.id, now)
        .value(Alias::new("state"), Expr::val(State::Running))
        .value(Alias::new("started_at"), col("started_at").if_null(now))
        .take();
    txn.execute(&started).await?;
    txn.commit().await?;
    Ok(Some(claim))
}

/// Still at it. False where the job is no longer the worker's.
pub(super) async fn extend(world: &World, claim: &Claim) -> Result<bool> {
    let update = Query::update()
        .table(queue())
        .value(Alias::new("lease_until"), now(world) + LEASE)
        .cond_where(held(claim.tenant, claim.id, Some(claim.worker)))
        .take();
    Ok(world.store.write.execute(&update).await?.rows_affected() == 1)
}

/// Keeps how far the job is, in the page's own transaction. False where the job is no longer the worker's.
pub(super) async fn save(
    unit: &Unit<'_>,
    id: Uuid,
    worker: Uuid,
    progress: Progress,
    eta: Option<u64>,
    checkpoint: &Json,
) -> Result<bool> {
    let tenant = unit.cx.tenant.id;
    let update = Query::update()
        .table(queue())
        .value(Alias::new("checkpoint"), checkpoint.clone())
        .value(Alias::new("lease_until"), unit.now + LEASE)
        .value(Alias::new("attempts"), 0_i64)
        .cond_where(held(tenant, id, Some(worker)))
        .take();
    if unit.txn.execute(&update).await?.rows_affected() != 1 {
        return Ok(false);
    }
    let seen = update_job(tenant, id, unit.now).value(Alias::new("progress"), shown(progress, eta)).take();
    unit.txn.execute(&seen).await?;
    Ok(true)
}

/// Puts the job back, to be taken up again from its last checkpoint at `due`.
pub(super) async fn release(world: &World, claim: &Claim, due: DateTime<Utc>) -> Result<()> {
    let txn = world.store.begin().await?;
    let update = Query::update()
        .table(queue())
        .value(Alias::new("worker"), Option::<Uuid>::None)
        .value(Alias::new("lease_until"), Option::<DateTime<Utc>>::None)
        .value(Alias::new("due_at"), due)
        .cond_where(held(claim.tenant, claim.id, Some(claim.worker)))
        .take();
    if txn.execute(&update).await?.rows_affected() == 1 {
        let queued =
            update_job(claim.tenant, claim.id, now(world)).value(Alias::new("state"), Expr::val(State::Queued)).take();
        txn.execute(&queued).await?;
        txn.commit().await?;
    }
    Ok(())
}

/// Leaves the job in the queue as failed, for [`revive`]. Only its worker's.
pub(super) async fn bury(world: &World, claim: &Claim, problem: Json) -> Result<()> {
    let txn = world.store.begin().await?;
    let update = Query::update()
        .table(queue())
        .value(Alias::new("worker"), Option::<Uuid>::None)
        .value(Alias::new("lease_until"), Option::<DateTime<Utc>>::None)
        .value(Alias::new("due_at"), never())
        .cond_where(held(claim.tenant, claim.id, Some(claim.worker)))
        .take();
    if txn.execute(&update).await?.rows_affected() == 1 {
        let at = now(world);
        let failed = update_job(claim.tenant, claim.id, at)
            .value(Alias::new("state"), Expr::val(State::Failed))
            .value(Alias::new("problem"), problem)
            .value(Alias::new("finished_at"), at)
            .take();
        txn.execute(&failed).await?;
        txn.commit().await?;
        world.committed.notify_waiters();
    }
    Ok(())
}

/// Lets a buried job be taken up again, now. False where there is none.
pub(super) async fn revive(unit: &Unit<'_>, id: Uuid) -> Result<bool> {
    let tenant = unit.cx.tenant.id;
    let update = Query::update()
        .table(queue())
        .value(Alias::new("due_at"), unit.now)
        .value(Alias::new("attempts"), 0_i64)
        .cond_where(held(tenant, id, None).add(col("due_at").eq(never())))
        .take();
    if unit.txn.execute(&update).await?.rows_affected() != 1 {
        return Ok(false);
    }
    let queued = update_job(tenant, id, unit.now)
        .value(Alias::new("state"), Expr::val(State::Queued))
        .value(Alias::new("problem"), Option::<Json>::None)
        .value(Alias::new("finished_at"), Option::<DateTime<Utc>>::None)
        .take();
    unit.txn.execute(&queued).await?;
    Ok(true)
}

/// Gives up jobs that have been buried for long, and what runs among them had gathered.
pub(super) async fn forget_buried(world: &World) -> Result<()> {
    let old = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("job"))
        .and_where(col("finished_at").lt(now(world) - KEPT))
        .take();
    let buried = col("due_at").eq(never()).and(col("job_id").in_subquery(old));
    let runs = Query::select().column(Alias::new("job_id")).from(queue()).and_where(buried.clone()).take();
    let gathered =
        Query::delete().from_table(Alias::new("run_result")).and_where(col("run_id").in_subquery(runs)).take();
    world.store.write.execute(&gathered).await?;
    world.store.write.execute(&Query::delete().from_table(queue()).and_where(buried).take()).await?;
    Ok(())
}

/// Takes the job out of the queue for good, with its `(result, problem)`. False where it is not there any more, or not
/// the worker's.
pub(super) async fn end(
    db: &impl ConnectionTrait,
    tenant: Uuid,
    id: Uuid,
    worker: Option<Uuid>,
    state: State,
    (result, problem): (Option<Json>, Option<Json>),
    at: DateTime<Utc>,
) -> Result<bool> {
    let delete = Query::delete().from_table(queue()).cond_where(held(tenant, id, worker)).take();
    if db.execute(&delete).await?.rows_affected() != 1 {
        return Ok(false);
    }
    let ended = update_job(tenant, id, at)
        .value(Alias::new("state"), Expr::val(state))
        .value(Alias::new("result"), result)
        .value(Alias::new("problem"), problem)
        .value(Alias::new("finished_at"), at)
        .take();
    db.execute(&ended).await?;
    input::remove(db, "job_input", tenant, id).await?;
    input::remove(db, "import_deferred", tenant, id).await?;
    Ok(true)
}

/// The same for the worker at the end of its work.
pub(super) async fn finish(world: &World, claim: &Claim, outcome: Result<Json, Json>) -> Result<()> {
    let (state, result, problem) = match outcome {
        Ok(result) => (State::Succeeded, Some(result), None),
        Err(problem) => (State::Failed, None, Some(problem)),
    };
    let txn = world.store.begin().await?;
    let at = now(world);
    if end(&txn, claim.tenant, claim.id, Some(claim.worker), state, (result, problem), at).await? {
        txn.commit().await?;
        world.committed.notify_waiters();
    }
    Ok(())
}
