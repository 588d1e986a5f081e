//! A run: facts page by page, the plugin off the async workers, each page's answers with the checkpoint in one unit.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    answer::{self, Answer},
    backtest, book, compare, config,
    frame::{self, Facts, Page},
    hex, newest, object,
    plan::{self, Plan},
    request, statistics,
};
use crate::{
    context::{Context, Unit},
    engine::{Operation, Since, follow_up, load, settled},
    error::{Code, Error, Result},
    jobs::{Progress, Running, Work},
    metrics::{self, Keys},
    ports::{self, Call, Frame, RunContext},
    records::{
        installation::{self, Kind},
        plugin_run::{Entity, Mode, Outcome},
    },
};

pub const KIND: &str = "plugin_run";
const SUBJECTS_PER_PAGE: u64 = 1000;
const BEST: u64 = 10;

pub struct PluginRun;

/// How far a run is: kept with each page, so that it goes on from there after a crash.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Checkpoint {
    /// What the plugin knows of the population; `None` before the run has begun.
    statistics: Option<Json>,
    digest: String,
    total: u64,
    last: Option<Uuid>,
    rows: u64,
    scored: u64,
    /// By code, subjects without an answer.
    not_scored: BTreeMap<String, u64>,
    labels: BTreeMap<String, u64>,
    fuel: u64,
    ms: u64,
    peak_memory: u64,
    /// Of a run that has nothing left to do.
    result: Option<Json>,
}

#[async_trait]
impl Work for PluginRun {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, job: &Running) -> Result<Json> {
        let plan = Plan::load(&job.cx, job.id).await?;
        let mut at = Checkpoint::deserialize(&job.checkpoint)
            .map_err(|source| Error::internal("a checkpoint can be read", source))?;
        match pages(job, &plan, &mut at).await {
            Err(error) if !may_go_on(&error) => {
                failed(job, &plan, &at, &error).await?;
                Err(error)
            }
            done => done,
        }
    }
}

async fn pages(job: &Running, plan: &Plan, at: &mut Checkpoint) -> Result<Json> {
    let cx = &job.cx;
    if let Some(result) = &at.result {
        return Ok(result.clone());
    }
    if at.statistics.is_none() {
        *at = begin(job, plan).await?;
    }
    let statistics = at.statistics.clone().unwrap_or_default();
    let seed = plan::seed(plan.installation.seed);
    let context = Arc::new(config::context(cx, plan.run.as_of.timestamp_millis(), seed, &statistics));
    while let Some(keys) = keys(cx, plan, at.last).await? {
        let page = frame::page(&plan.sources, &cx.tenant, facts(cx, plan, keys).await?);
        let mut next = Checkpoint { last: Some(keys.1), digest: frame::chained(&at.digest, &page.frame), ..at.clone() };
        let mut answers = Vec::new();
        for config in asked(plan) {
            answers.push(ask(cx, plan, config, &context, &page.frame, &mut next).await?);
        }
        let said = answers.last().map(Vec::as_slice).unwrap_or_default();
        next.count(&page, said);
        let before = compare::stored(cx, plan, &page, &answers).await?;
        let unit = cx.begin().await?;
        match plan.run.mode {
            Mode::Apply => {
                still_applies(&unit, plan).await?;
                book::page(&unit, plan, &page, said).await?;
            }
            Mode::Simulate | Mode::Backtest => compare::keep(&unit, plan, &page, &before, &answers).await?,
        }
        job.save(&unit, next.progress(), &next.json()).await?;
        unit.commit().await?;
        *at = next;
    }
    finish(job, plan, at).await
}

/// Whether the run still decides, until its page is stored: the installation may have been paused meanwhile, or configured
/// anew and applied again, and what it decides is not to be half of one configuration and half of another.
async fn still_applies(unit: &Unit<'_>, plan: &Plan) -> Result<()> {
    let cx = unit.cx.as_server();
    settled::<installation::Entity>(unit, &[plan.installation.id]).await?;
    let id = Expr::col(Alias::new("id"));
    let installation = newest::<installation::Entity>(&cx, &unit.txn, id.clone().eq(plan.installation.id)).await?;
    let gone = || Error::not_found("installation", plan.installation.id);
    request::applicable(&installation.ok_or_else(gone)?, Mode::Apply)?;
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let later = id.gt(plan.run.id).and(col("installation_id").eq(plan.installation.id));
    let later = later.and(col("mode").eq(Mode::Apply)).and(col("config_version").gt(plan.run.config_version));
    match newest::<Entity>(&cx, &unit.txn, later).await? {
        Some(run) => {
            let detail = format!("run {} applies a newer configuration of the installation", run.id);
            Err(Error::conflict(Code::InvalidState, detail))
        }
        None => Ok(()),
    }
}

/// What a run needs before its first page.
async fn begin(job: &Running, plan: &Plan) -> Result<Checkpoint> {
    let cx = &job.cx;
    request::applicable(&plan.installation, plan.run.mode)?;
    let statistics = statistics::document(cx, plan).await?;
    let told = json!({
        "as_of": plan.run.as_of.timestamp_millis(), "zone": cx.tenant.time_zone.name(),
        "currency": cx.tenant.base_currency.as_str(), "seed": plan.installation.seed, "statistics": statistics,
        "configs": asked(plan),
    });
    let at = Checkpoint {
        total: total(cx, plan).await?,
        digest: hex(&Sha256::digest(told.to_string())),
        statistics: Some(statistics),
        ..Checkpoint::default()
    };
    let unit = cx.begin().await?;
    if plan.run.mode == Mode::Apply && plan.whole(cx) {
        statistics::keep(&unit, plan, &at.statistics.clone().unwrap_or_default()).await?;
    }
    job.save(&unit, at.progress(), &at.json()).await?;
    unit.commit().await?;
    Ok(at)
}

/// The configurations each page is answered with; the last one is what the run is about.
fn asked(plan: &Plan) -> &[Json] {
    let given = plan.configs.len();
    let first = if plan.run.mode == Mode::Simulate { 0 } else { given.saturating_sub(1) };
    plan.configs.get(first..).unwrap_or_default()
}

async fn total(cx: &Context, plan: &Plan) -> Result<u64> {
    let table = plan.subject.shape().table();
    let id = Expr::col((table.clone(), Alias::new("id")));
    let select = Query::select().expr(id.count()).from(table).cond_where(plan.scope.clone()).take();
    let row = cx.reader().query_one(&select).await?;
    let count: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
}

/// The first and last id of the next page.
async fn keys(cx: &Context, plan: &Plan, last: Option<Uuid>) -> Result<Option<Keys>> {
    let table = plan.subject.shape().table();
    let id = || Expr::col((table.clone(), Alias::new("id")));
    let mut page = Query::select();
    page.expr_as(id(), Alias::new("id")).from(table.clone()).cond_where(plan.scope.clone());
    if let Some(last) = last {
        page.and_where(id().gt(last));
    }
    page.order_by_expr(id(), sea_orm::Order::Asc).limit(SUBJECTS_PER_PAGE);
    let ids = cx.reader().query_all(&page).await?;
    let at = |row: Option<&sea_orm::QueryResult>| row.map(|row| row.try_get_by_index::<Uuid>(0)).transpose();
    Ok(at(ids.first())?.zip(at(ids.last())?))
}

async fn facts(cx: &Context, plan: &Plan, keys: Keys) -> Result<Vec<Facts>> {
    let (shape, wanted, as_of) = (plan.subject.shape(), plan.wanted(), plan.run.as_of);
    let mut select = metrics::select(cx, shape, plan.scope.clone(), Some(keys), &wanted, as_of)?;
    select.order_by((shape.table(), Alias::new("id")), sea_orm::Order::Asc);
    let rows = cx.reader().query_all(&select).await?;
    rows.iter().map(|row| metrics::read(cx, row, &wanted, as_of)).collect()
}

async fn ask(
    cx: &Context,
    plan: &Plan,
    config: &Json,
    context: &Arc<RunContext>,
    frame: &Frame,
    at: &mut Checkpoint,
) -> Result<Vec<Answer>> {
    if frame.rows == 0 {
        return Ok(Vec::new());
    }
    let (artefact, config) = (plan.artefact.clone(), config.to_string().into());
    let call = Call { artefact, config, context: context.clone(), frame: frame.clone() };
    let kind = plan.installation.kind;
    let asked = cx.world.plugins.call(cx.tenant.id, move |host| {
        let began = Instant::now();
        let answer = match kind {
            Kind::Scorer => host.score(call).map(|answer| costed(&answer, answer::scores)),
            Kind::Segmenter => host.segment(call).map(|answer| costed(&answer, answer::segments)),
        }?;
        Ok((answer, began.elapsed()))
    });
    let ((answers, fuel, memory), spent) = asked.await?;
    at.fuel += fuel;
    at.peak_memory = Ord::max(at.peak_memory, memory);
    at.ms += u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
    Ok(answers)
}

fn costed<T>(answer: &ports::Answer<T>, rows: fn(&T) -> Vec<Answer>) -> (Vec<Answer>, u64, u64) {
    (rows(&answer.output), answer.fuel, answer.peak_memory)
}

async fn finish(job: &Running, plan: &Plan, at: &Checkpoint) -> Result<Json> {
    let cx = &job.cx;
    if plan.run.mode != Mode::Apply {
        cx.store().analyze(&["run_result"]).await?;
    }
    let mut result = match plan.run.mode {
        Mode::Apply if plan.installation.kind == Kind::Scorer => {
            object(json!({"best": book::best(cx, plan, BEST).await?}))
        }
        Mode::Apply => object(json!({"labels": at.labels})),
        Mode::Simulate => compare::differences(cx, plan).await?,
        Mode::Backtest => backtest::fifths(cx, plan).await?,
    };
    result.insert("not_scored".to_owned(), json!(at.not_scored));
    let done = Checkpoint { result: Some(Json::Object(result)), ..at.clone() };
    let unit = cx.begin().await?;
    match plan.run.mode {
        Mode::Apply if plan.whole(cx) => book::outside(&unit, plan).await?,
        Mode::Apply => {}
        Mode::Simulate | Mode::Backtest => compare::clear(&unit, plan.run.id).await?,
    }
    let ended = json!({"ended": Outcome::Succeeded, "problem": null, "result": done.result});
    record(&unit, plan.run.id, done.figures(ended)).await?;
    job.save(&unit, done.progress(), &done.json()).await?;
    unit.commit().await?;
    Ok(done.result.unwrap_or_default())
}

/// Says why on the run itself. Where the job is not to be ended here (cancelled, taken over, or the server stops),
/// saving is refused and nothing is said.
async fn failed(job: &Running, plan: &Plan, at: &Checkpoint, error: &Error) -> Result<()> {
    let unit = job.cx.begin().await?;
    match plan.run.mode {
        Mode::Apply => book::unreached(&unit, plan, at.last).await?,
        Mode::Simulate | Mode::Backtest => compare::clear(&unit, plan.run.id).await?,
    }
    let ended = json!({"ended": Outcome::Failed, "problem": code(error)});
    record(&unit, plan.run.id, at.figures(ended)).await?;
    if job.save(&unit, at.progress(), &at.json()).await.is_ok() {
        unit.commit().await?;
    }
    Ok(())
}

/// No fault of the run's: its job is kept, and may be told to go on from its last page.
fn may_go_on(error: &Error) -> bool {
    matches!(error, Error::Database(_) | Error::Internal { .. })
}

/// The job of this id was ended by somebody, from under whoever works on it, or has failed: a run says so itself, what it had
/// gathered to compare is let go unless it may go on, and what its installation decided is the last that is known where it was
/// to decide and failed. Jobs that are no runs are passed over.
///
/// # Errors
/// The database.
pub async fn ended(unit: &Unit<'_>, job: Uuid, failure: Option<&Error>) -> Result<()> {
    let found = load::<Entity>(unit, vec![job]).await?;
    if let Some(run) = found.get(&job).filter(|run| run.ended.is_none()) {
        if run.mode == Mode::Apply && failure.is_some() {
            book::stale(unit, run.installation_id, None).await?;
        }
        let ended = match failure {
            Some(error) => json!({"ended": Outcome::Failed, "problem": code(error)}),
            None => json!({"ended": Outcome::Cancelled}),
        };
        record(unit, job, object(ended)).await?;
        if !failure.is_some_and(may_go_on) {
            compare::clear(unit, job).await?;
        }
    }
    Ok(())
}

/// What became of a run: told by the product itself, since nobody has the right to write runs.
async fn record(unit: &Unit<'_>, run: Uuid, data: serde_json::Map<String, Json>) -> Result<()> {
    let operation = Operation::Update { id: run, version: None, data, since: Since::default() };
    follow_up::<Entity>(unit, vec![operation]).await
}

fn code(error: &Error) -> String {
    match error {
        Error::Plugin(failure) => failure.code.to_owned(),
        Error::Conflict { code, .. } | Error::Limit { code, .. } | Error::Unauthenticated { code, .. } => code.name(),
        Error::Invalid(_) | Error::Malformed(_) => Code::ValidationFailed.name(),
        Error::NotFound { .. } => Code::NotFound.name(),
        Error::Forbidden { .. } => Code::Forbidden.name(),
        Error::Stale { .. } => Code::Stale.name(),
        Error::Database(_) => Code::DatabaseUnavailable.name(),
        // jobs have no caller whose key they could carry
        Error::Internal { .. } | Error::Replayed(_) => Code::Internal.name(),
    }
}

impl Checkpoint {
    fn json(&self) -> Json {
        json!(self)
    }

    fn count(&mut self, page: &Page, answers: &[Answer]) {
        self.rows += (page.subjects.len() + page.missing.len()) as u64;
        for answer in answers {
            match answer {
                Answer::Declined { code, .. } => *self.not_scored.entry(code.clone()).or_default() += 1,
                _ => self.scored += 1,
            }
            if let Some(label) = answer.label() {
                *self.labels.entry(label.to_owned()).or_default() += 1;
            }
        }
        if !page.missing.is_empty() {
            *self.not_scored.entry(book::MISSING_FACT.to_owned()).or_default() += page.missing.len() as u64;
        }
    }

    fn silent(&self) -> u64 {
        self.not_scored.values().sum()
    }

    fn progress(&self) -> Progress {
        Progress {
            done: self.rows,
            total: Some(Ord::max(self.total, self.rows)),
            ok: self.scored,
            failed: self.silent(),
        }
    }

    fn figures(&self, ended: Json) -> serde_json::Map<String, Json> {
        let mut figures = object(ended);
        figures.extend(object(json!({
            "input_digest": self.digest, "rows": self.rows, "scored": self.scored, "not_scored": self.silent(),
            "fuel": self.fuel, "ms": self.ms, "peak_memory": self.peak_memory,
        })));
        figures
    }
}
