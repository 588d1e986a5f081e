//! Long work in the background: asked for in one transaction, done in pages of its own, taken up again where it stopped.
//!
//! `job` is what callers see and a kind like any other to read. `job_queue` holds a row while a job is queued or running:
//! what to do, how far it is, and who does it until when. Cancelling or finishing a job removes that row, so whoever
//! still works on it finds at the next [`Running::save`] that the job is no longer theirs, and the page is undone.
//! Jobs are not in the change log themselves; what they write is, under the job's id as request id.

pub mod input;
mod print;
mod problem;
mod queue;
pub mod report;
mod runner;

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, FromQueryResult,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

pub use self::{
    print::Print,
    problem::problem,
    report::RowError,
    runner::{RunnerHandle, Running, spawn_runner},
};
use crate::{
    access::{self, Verb},
    context::{Context, Unit},
    decisions,
    engine::{Shape, visible},
    error::{Code, Error, Result},
    records::job::{Model as Job, State},
};

/// One kind of long work.
#[async_trait]
pub trait Work: Send + Sync {
    /// Stable name, the job's `kind`.
    fn kind(&self) -> &'static str;

    /// Does the work from `job.checkpoint` on, page by page, each page in a unit of its own that ends with
    /// [`Running::save`]. Answers with the job's result.
    ///
    /// # Errors
    /// What stops the whole job. A database that does not answer is tried again from the last page.
    async fn run(&self, job: &Running) -> Result<Json>;
}

/// How far a job is, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    pub total: Option<u64>,
    pub ok: u64,
    pub failed: u64,
}

/// The right to see jobs, which asking for one takes too: it is answered with the job.
pub(crate) const READ: &str = "job:read";

/// Asks for a job in the caller's unit: it starts once that is committed. `rights`: what asking for it takes, which the
/// caller has looked at ([`access::may_all`]); it is looked at again when the job starts, and of whoever has to do with it
/// later.
///
/// # Errors
/// The database.
pub async fn enqueue(unit: &Unit<'_>, kind: &str, rights: Vec<String>, input: Json) -> Result<Uuid> {
    let id = unit.cx.new_id();
    enqueue_as(unit, id, kind, rights, input).await?;
    Ok(id)
}

/// The same under an id the caller has taken before, for jobs whose file was stored first.
///
/// # Errors
/// The database.
pub async fn enqueue_as(unit: &Unit<'_>, id: Uuid, kind: &str, rights: Vec<String>, input: Json) -> Result<()> {
    let mut job = Query::insert();
    job.into_table(Alias::new("job"))
        .columns(
            [
                "tenant_id",
                "id",
                "version",
                "created_at",
                "updated_at",
                "created_by",
                "kind",
                "rights",
                "state",
                "progress",
            ]
            .map(Alias::new),
        )
        .values_panic([
            Expr::val(unit.cx.tenant.id),
            Expr::val(id),
            Expr::val(1_i64),
            Expr::val(unit.now),
            Expr::val(unit.now),
            Expr::val(unit.cx.actor.user),
            Expr::val(kind),
            Expr::val(Json::from(rights)),
            Expr::val(State::Queued),
            Expr::val(shown(Progress::default(), None)),
        ]);
    unit.txn.execute(&job).await?;
    queue::push(unit, id, kind, input).await
}

/// `{done, total, ok, failed, eta_s}` as callers see it.
fn shown(progress: Progress, eta: Option<u64>) -> Json {
    let Progress { done, total, ok, failed } = progress;
    json!({"done": done, "total": total, "ok": ok, "failed": failed, "eta_s": eta})
}

fn shape(cx: &Context) -> Result<&Shape> {
    let kind = cx.kind("job").map(|resource| resource.shape());
    kind.ok_or_else(|| Error::internal("jobs are a kind of the registry", "missing"))
}

/// The job as it is now.
///
/// # Errors
/// `NotFound`, `Forbidden`, the database.
pub async fn find(cx: &Context, id: Uuid) -> Result<Job> {
    let shape = shape(cx)?;
    access::may(&cx.actor, Verb::Read, shape)?;
    let select = visible(cx, shape)
        .columns(shape.columns.iter().map(|c| Alias::new(c.name.as_str())))
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    let row = cx.reader().query_one(&select).await?.ok_or_else(|| Error::not_found("job", id))?;
    Ok(Job::from_query_result(&row, "")?)
}

/// A job that the actor may ask for anew.
///
/// # Errors
/// As [`find`]; `Forbidden` with the first right that asking for it took and the actor does not have.
pub async fn find_with_rights(cx: &Context, id: Uuid) -> Result<Job> {
    let job = find(cx, id).await?;
    access::may_all(cx, &job.rights.0)?;
    Ok(job)
}

/// Waits until nothing about the job changes any more.
///
/// # Errors
/// As [`find`].
pub async fn wait(cx: &Context, id: Uuid) -> Result<Job> {
    loop {
        let job = find(cx, id).await?;
        if job.state.is_final() {
            return Ok(job);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends a job that is queued or running. What its committed pages wrote stays; the page under way is undone.
///
/// # Errors
/// As [`find_with_rights`]; `Forbidden` unless the actor asked for the job or holds `job:cancel`; `Conflict` where it has
/// ended.
pub async fn cancel(cx: &Context, id: Uuid) -> Result<Job> {
    let job = within_reach(cx, id).await?;
    let unit = cx.begin().await?;
    if job.state.is_final()
        || !queue::end(&unit.txn, cx.tenant.id, id, None, State::Cancelled, (None, None), unit.now).await?
    {
        return Err(in_state(&find(cx, id).await?, "the job has ended"));
    }
    decisions::ended(&unit, id, None).await?;
    unit.commit().await?;
    find(cx, id).await
}

/// Has a job tried again, from its last finished page, that failed because the server or its database did. Such a job is
/// kept for 30 days at least.
///
/// # Errors
/// As [`find_with_rights`]; `Forbidden` unless the actor asked for the job or holds `job:cancel`; `Conflict` where it did
/// not fail, or for a reason of its own.
pub async fn retry(cx: &Context, id: Uuid) -> Result<()> {
    let job = within_reach(cx, id).await?;
    let unit = cx.begin().await?;
    if !queue::revive(&unit, id).await? {
        let why = "only what failed through a fault of the server's can be tried again; ask for the job anew";
        return Err(in_state(&job, why));
    }
    unit.commit().await
}

/// A job that the actor asked for, or that they may end for others.
///
/// # Errors
/// As [`find_with_rights`]; `Forbidden` unless the actor asked for the job or holds `job:cancel`.
pub(crate) async fn within_reach(cx: &Context, id: Uuid) -> Result<Job> {
    let job = find_with_rights(cx, id).await?;
    if job.created_by.is_none() || job.created_by != cx.actor.user {
        access::may_act(&cx.actor, "job:cancel")?;
    }
    Ok(job)
}

fn in_state(job: &Job, why: &str) -> Error {
    let detail = format!("{why}: it is {}", json!(job.state).as_str().unwrap_or_default());
    Error::conflict(Code::InvalidState, detail)
}
