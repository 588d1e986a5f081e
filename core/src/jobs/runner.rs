//! Takes jobs from the queue and does them, a few at once, until it is told to stop.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep},
};
use uuid::Uuid;

use super::{
    Progress, Work, find_with_rights, input, problem,
    queue::{self, Claim},
};
use crate::{
    access::{self, Actor},
    context::{Context, Unit, World},
    decisions,
    error::{Code, Error, Result},
    idempotency,
};

const AT_ONCE: usize = 4;
/// Jobs of other processes are met by asking; those of this one wake the runner.
const POLL: Duration = Duration::from_millis(500);
/// A burst of commits is one reason to look.
const GATHER: Duration = Duration::from_millis(20);
const HEARTBEAT: Duration = Duration::from_secs(10);
/// What has had its time is removed at the start and this often.
const TIDY: TimeDelta = TimeDelta::hours(1);
/// A job that gets nowhere so often, or takes its process down with it, has failed.
const ATTEMPTS: i64 = 5;

/// A job under way, for the [`Work`] that does it.
pub struct Running {
    /// Of the user who asked, with their rights as of now, within the scopes of the key they asked with; its request id is
    /// the job's.
    pub cx: Context,
    pub id: Uuid,
    pub input: Json,
    /// As last saved; `{}` at first.
    pub checkpoint: Json,
    worker: Uuid,
    /// Time and rows done when this process first saved: the pace is measured from there.
    first: OnceLock<(DateTime<Utc>, u64)>,
    stop: watch::Receiver<bool>,
}

impl Running {
    /// Keeps how far the work is, in its page's own transaction: after a restart it goes on from `checkpoint`.
    ///
    /// # Errors
    /// The job was cancelled, another process has it, or the server stops: the page must not be committed.
    pub async fn save(&self, unit: &Unit<'_>, progress: Progress, checkpoint: &Json) -> Result<()> {
        let gone = |detail: &str| Err(Error::conflict(Code::InvalidState, detail));
        if *self.stop.borrow() {
            return gone("the server stops; the job goes on when it starts again");
        }
        let (began, before) = *self.first.get_or_init(|| (unit.now, progress.done));
        let eta = eta(unit.now - began, progress.done - before.min(progress.done), progress);
        if queue::save(unit, self.id, self.worker, progress, eta, checkpoint).await? {
            Ok(())
        } else {
            gone("the job was cancelled or is done elsewhere")
        }
    }
}

/// Seconds left at the pace of `done` rows in `spent`.
fn eta(spent: TimeDelta, done: u64, progress: Progress) -> Option<u64> {
    let left = progress.total?.checked_sub(progress.done)?;
    let spent = u64::try_from(spent.num_milliseconds()).ok()?;
    Some(spent.saturating_mul(left).checked_div(done)?.div_ceil(1000))
}

/// The runner's other end.
pub struct RunnerHandle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl RunnerHandle {
    /// Takes no more jobs, lets those under way undo their present page and put themselves back, and returns then.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(source) = self.task.await {
            tracing::error!(error = &source as &dyn std::error::Error, "the job runner did not end well");
        }
    }
}

/// Starts taking jobs of these kinds of work.
pub fn spawn_runner(world: Arc<World>, works: Vec<Arc<dyn Work>>) -> RunnerHandle {
    let (stop, stopped) = watch::channel(false);
    let runner = Runner { world, works, stop: stopped };
    RunnerHandle { stop, task: tokio::spawn(runner.run()) }
}

#[derive(Clone)]
struct Runner {
    world: Arc<World>,
    works: Vec<Arc<dyn Work>>,
    stop: watch::Receiver<bool>,
}

impl Runner {
    async fn run(mut self) {
        if self.world.store.backend == sea_orm::DbBackend::Sqlite {
            logged("forget the leases of an earlier process", queue::forget_leases(&self.world).await);
        }
        let mut running = JoinSet::new();
        let mut tidied = None;
        while !*self.stop.borrow() {
            let now = self.world.clock.now();
            if tidied.is_none_or(|last| now - last >= TIDY) {
                self.tidy().await;
                tidied = Some(now);
            }
            let world = self.world.clone();
            let mut woken = std::pin::pin!(world.committed.notified());
            woken.as_mut().enable();
            while running.len() < AT_ONCE
                && let Some((claim, work)) = self.next().await
            {
                running.spawn(self.clone().attend(claim, work));
            }
            tokio::select! {
                told = self.stop.changed() => if told.is_err() { break },
                _ = running.join_next(), if !running.is_empty() => {}
                () = &mut woken => sleep(GATHER).await,
                () = sleep(POLL) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Removes what nobody can ask for any more.
    async fn tidy(&self) {
        logged("give up jobs that failed long ago", queue::forget_buried(&self.world).await);
        logged("remove broken uploads", input::sweep(&self.world).await);
        logged("remove old answers", idempotency::sweep(&self.world).await);
    }

    async fn next(&self) -> Option<(Claim, Arc<dyn Work>)> {
        let kinds: Vec<_> = self.works.iter().map(|work| work.kind()).collect();
        let claim = logged("take a job", queue::claim(&self.world, &kinds).await)??;
        let work = self.works.iter().find(|work| work.kind() == claim.kind)?.clone();
        Some((claim, work))
    }

    /// Sees one job through to its end, or to where it can be taken up again.
    async fn attend(self, claim: Claim, work: Arc<dyn Work>) {
        let mut task = tokio::spawn(self.clone().perform(&claim, work));
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let done = loop {
            tokio::select! {
                done = &mut task => break done,
                _ = beat.tick() => {
                    let ours = logged("keep a job", queue::extend(&self.world, &claim).await);
                    if ours == Some(false) {
                        task.abort();
                    }
                }
            }
        };
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(end) if end.is_cancelled() => return,
            Err(panic) => Err(Error::internal("work does not panic", panic)),
        };
        let now = self.world.clock.now();
        let settled = match outcome {
            Ok(result) => queue::finish(&self.world, &claim, Ok(result)).await,
            // its work is read anew: by what the tenant has defined since, or in another process
            Err(error) if error.is_outdated() || *self.stop.borrow() => queue::release(&self.world, &claim, now).await,
            Err(error) if claim.attempts < ATTEMPTS && (matches!(error, Error::Database(_)) || error.is_race()) => {
                tracing::warn!(job = %claim.id, error = &error as &dyn std::error::Error, "a job is tried again");
                let pause = pause(claim.attempts, claim.id);
                queue::release(&self.world, &claim, now + pause).await
            }
            // no fault of the job's: once the cause is mended it can go on
            Err(error @ (Error::Database(_) | Error::Internal { .. })) => {
                logged("end a run", self.end_run(&claim, &error).await);
                queue::bury(&self.world, &claim, problem(&error)).await
            }
            Err(error) => {
                logged("end a run", self.end_run(&claim, &error).await);
                queue::finish(&self.world, &claim, Err(problem(&error))).await
            }
        };
        logged("settle a job", settled);
    }

    fn perform(self, claim: &Claim, work: Arc<dyn Work>) -> impl Future<Output = Result<Json>> + Send + 'static {
        let Claim { tenant, id, user, key, attempts, worker, .. } = *claim;
        let (input, checkpoint) = (claim.input.clone(), claim.checkpoint.clone());
        async move {
            if attempts > ATTEMPTS {
                return Err(Error::internal("a job gets somewhere", format!("{attempts} attempts without a page")));
            }
            let cx = self.context(tenant, user, key, id).await?;
            find_with_rights(&cx, id).await?;
            let first = OnceLock::new();
            work.run(&Running { cx, id, input, checkpoint, worker, first, stop: self.stop }).await
        }
    }

    /// A run whose job has failed says so too, where it could not itself.
    async fn end_run(&self, claim: &Claim, error: &Error) -> Result<()> {
        let cx = self.context(claim.tenant, None, None, claim.id).await?;
        let unit = cx.begin().await?;
        decisions::ended(&unit, claim.id, Some(error)).await?;
        unit.commit().await
    }

    /// Who asked, with the rights they have now.
    async fn context(&self, tenant: Uuid, user: Option<Uuid>, key: Option<Uuid>, job: Uuid) -> Result<Context> {
        let world = &self.world;
        let found = world.gate.tenant(world, tenant).await?;
        let tenant = found.ok_or_else(|| Error::not_found("tenant", tenant))?;
        let actor = match user {
            Some(user) => access::asker(world, &tenant, user, key).await?,
            None => Actor::system(),
        };
        let (actor, request_id) = (Arc::new(actor), Some(job.to_string().into()));
        Ok(Context { world: world.clone(), tenant, actor, request_id, known_at: None, attempt: None })
    }
}

/// Twice as long with each attempt, and up to half as much again, by the job's id: what failed together does not come back
/// together.
fn pause(attempts: i64, job: Uuid) -> TimeDelta {
    let whole = 1000 << attempts.clamp(0, 6);
    let spread = i64::try_from(job.as_u128() % 1000).unwrap_or_default();
    TimeDelta::milliseconds(whole + whole * spread / 2000)
}

fn logged<T>(what: &str, done: Result<T>) -> Option<T> {
    done.inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "could not {what}")).ok()
}
