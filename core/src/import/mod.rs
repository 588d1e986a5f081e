//! Imports: a file, and a spec that says how its rows become records. Written by the same path as everything else, with
//! the rights of who asked; a page of rows is one transaction, and a job that is taken up again goes on after the last.
//!
//! First intervals (owner, stage, grade) of records that someone with the right `import:history` imports reach back
//! to the beginning of time, unless `owner_since`, `stage_since` or `grade_since` are mapped.

mod bounds;
mod deferred;
mod draft;
mod lookup;
mod page;
mod read;
mod refer;
mod source;
mod spec;
pub(crate) mod split;
mod tally;
mod target;
mod upload;
mod workbook;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::task::spawn_blocking;

pub use self::split::LONGEST_ROW;
use self::{
    page::{Batch, Outcome, Page},
    source::Source,
    split::Position,
    tally::Tally,
};
pub use self::{spec::Spec, upload::Upload, workbook::LARGEST as LARGEST_WORKBOOK};
use crate::{
    access,
    engine::Resource,
    error::{Error, Result},
    jobs::{Running, Work, report},
};

/// The kind of job.
pub const IMPORT: &str = "import";
/// The right to bring history: times and people that the server would set.
pub(crate) const HISTORY: &str = "import:history";
/// Rows a transaction.
const PAGE: usize = 1_000;

/// Imports files.
pub struct Import;

/// How far an import is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Checkpoint {
    /// Behind the last row taken from the file.
    #[serde(default)]
    at: Option<Position>,
    /// Rows put off.
    #[serde(default)]
    waiting: u64,
    #[serde(default)]
    tally: Tally,
}

#[async_trait]
impl Work for Import {
    fn kind(&self) -> &'static str {
        IMPORT
    }

    async fn run(&self, job: &Running) -> Result<Json> {
        let cx = &job.cx;
        let spec = Arc::new(Spec::parse(cx, job.input.get("spec").unwrap_or(&Json::Null))?);
        let resource = cx.kind(&spec.kind);
        let resource =
            resource.ok_or_else(|| Error::internal("the spec's kind is of the registry", &*spec.kind))?.clone();
        let checkpoint = serde_json::from_value(job.checkpoint.clone());
        let checkpoint: Checkpoint =
            checkpoint.map_err(|source| Error::internal("a checkpoint can be read", source))?;
        let total = job.input.get("rows").and_then(Json::as_u64).unwrap_or_default();
        let history = access::may_act(&cx.actor, HISTORY).is_ok();
        let mut source = Source::open(cx, job.id, &spec, checkpoint.at).await?;
        let mut pass = Pass { job, spec: &spec, resource: resource.as_ref(), history, total, checkpoint };
        pass.file(&mut source).await?;
        pass.put_off().await?;
        cx.store().analyze(&[resource.shape().table_name()]).await?;
        Ok(pass.checkpoint.tally.result(&spec, &source.layout().unread))
    }
}

/// One process's share of an import.
struct Pass<'a> {
    job: &'a Running,
    spec: &'a Arc<Spec>,
    resource: &'a dyn Resource,
    history: bool,
    total: u64,
    checkpoint: Checkpoint,
}

impl Pass<'_> {
    /// The rows of the file, in their order. While one page is stored the next is read, on a thread of its own: here it would
    /// keep the database waiting for its next statement.
    async fn file(&mut self, source: &mut Source<'_>) -> Result<()> {
        let (spec, tenant) = (Arc::clone(self.spec), Arc::clone(&self.job.cx.tenant));
        let mut read = async || {
            let rows = source.page(PAGE).await?;
            let Some(after) = rows.last().map(|row| row.after) else { return Ok(None) };
            let (spec, tenant) = (Arc::clone(&spec), Arc::clone(&tenant));
            let page = move || Page::read(&spec, &tenant, rows.into_iter().map(|row| (row.line, row.cells)));
            let page = spawn_blocking(page).await;
            let page = page.map_err(|panic| Error::internal("reading rows does not panic", panic))?;
            Ok::<_, Error>(Some((after, page)))
        };
        let mut next = read().await?;
        while let Some((after, page)) = next {
            self.checkpoint.at = Some(after);
            ((), next) = futures::try_join!(self.page(page, true, Vec::new()), read())?;
        }
        Ok(())
    }

    /// The rows that waited for others.
    async fn put_off(&mut self) -> Result<()> {
        while let Some((hopes, rows)) = deferred::next(&self.job.cx, self.job.id, PAGE as u64).await? {
            let lines = rows.iter().filter_map(|(line, _)| i64::try_from(*line).ok()).collect();
            let rows = rows.into_iter().map(|(line, cells)| (line, Ok(cells)));
            self.page(Page::read(self.spec, &self.job.cx.tenant, rows), hopes, lines).await?;
        }
        Ok(())
    }

    /// One page, one transaction: rows, their errors, the rows put off, how far the job is; `again`: the lines of those
    /// that had been put off. Of a dry run only what was found out is kept.
    async fn page(&mut self, page: Page, hopes: bool, again: Vec<i64>) -> Result<()> {
        let (cx, job) = (&self.job.cx, self.job.id);
        let mut unit = cx.begin().await?;
        unit.history = self.history;
        let batch = Batch {
            unit: &unit,
            spec: self.spec,
            resource: self.resource,
            job,
            hopes,
            waiting: self.checkpoint.waiting,
        };
        let Outcome { errors, waiting, settled, tally } = batch.work(page).await?;
        if self.spec.dry_run {
            unit.txn.rollback().await?;
            unit = cx.begin().await?;
        }
        report::keep(&unit, job, errors).await?;
        if !again.is_empty() {
            self.checkpoint.waiting -= self.checkpoint.waiting.min(again.len() as u64);
            deferred::take_out(&unit, job, again).await?;
        }
        deferred::put_off(&unit, job, &waiting, false).await?;
        self.checkpoint.waiting += waiting.len() as u64;
        if self.spec.dry_run {
            deferred::put_off(&unit, job, &settled.remembered(), true).await?;
        }
        if self.checkpoint.waiting > 0 {
            deferred::wake(&unit, job, &settled.values, &settled.keys).await?;
        }
        self.checkpoint.tally.add(&tally);
        let checkpoint = serde_json::to_value(&self.checkpoint);
        let checkpoint = checkpoint.map_err(|source| Error::internal("a checkpoint is JSON", source))?;
        self.job.save(&unit, self.checkpoint.tally.progress(self.total), &checkpoint).await?;
        unit.commit().await
    }
}
