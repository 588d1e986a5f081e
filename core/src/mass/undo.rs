//! What a job has written, undone: the change log is the list of what to put back.
//!
//! A job's changes bear its id. They are taken back newest first, by the same path as everything else and in the undoing
//! user's name, a page a transaction: what the job made is deleted, what it changed gets its fields as they were, what it
//! deleted is restored. A record that somebody has changed since in the same fields is left as it is, and named. An undo is
//! a job itself and can be undone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, Order, QueryResult,
    sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{PAGE, name, read_checkpoint, save};
use crate::{
    access::{self, Verb},
    context::{Context, Unit},
    engine::{Field, FieldAccess, Operation, Row, Shape, Since, locked, patch},
    error::{Code, Error, Result},
    import::{HISTORY, IMPORT},
    jobs::{self, Progress, RowError, Running, Work, report},
};

/// The kind of job.
pub const UNDO: &str = "undo";
/// Clocks of several processes differ.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Undoes a job.
pub struct Undo;

/// Asks for the job that undoes another.
///
/// # Errors
/// As [`jobs::find_with_rights`]; `Forbidden` unless the actor asked for the job or holds `job:cancel`, and may write against
/// each of its changes; `Conflict` where it has not ended or is of a kind that is not undone.
pub async fn ask(cx: &Context, id: Uuid) -> Result<Uuid> {
    let job = jobs::within_reach(cx, id).await?;
    let undone = [IMPORT, UNDO, name(Verb::Update), name(Verb::Delete)];
    if !undone.contains(&job.kind.as_str()) {
        let detail = format!("jobs of the kind {} are not undone; those of {} are", job.kind, undone.join(", "));
        return Err(Error::conflict(Code::InvalidState, detail));
    }
    let (Some(finished), true) = (job.finished_at, job.state.is_final()) else {
        return Err(Error::conflict(Code::InvalidState, "the job has not ended; cancel it first"));
    };
    let asked = Asked { job: id, from: job.created_at - SKEW, to: finished + SKEW };
    let mut rights = job.rights.0;
    rights.extend(needed(cx, &asked).await?);
    access::may_all(cx, &rights)?;
    let unit = cx.begin().await?;
    let undo = jobs::enqueue(&unit, UNDO, rights, json!(asked)).await?;
    unit.commit().await?;
    Ok(undo)
}

/// What it takes to write against each change. One statement, which reads all of them.
async fn needed(cx: &Context, asked: &Asked) -> Result<BTreeSet<String>> {
    let history = access::may_act(&cx.actor, HISTORY).is_ok();
    let mut select = changes(cx, asked, None);
    select
        .distinct()
        .column(Alias::new("kind"))
        .expr(col("before").is_null())
        .expr(col("changed").cast_as(Alias::new("text")));
    let mut rights = BTreeSet::new();
    for row in cx.reader().query_all(&select).await? {
        let (kind, created, changed): (String, bool, String) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let Some(resource) = cx.tenant.kinds.kind(&kind) else { continue };
        let (shape, changed) = (resource.shape(), serde_json::from_str::<Vec<String>>(&changed).unwrap_or_default());
        if created || changed.iter().any(|name| name == "deleted_at") {
            rights.insert(access::right(shape, Verb::Delete));
        } else if !touched(shape, &changed, history).is_empty() {
            rights.insert(access::right(shape, Verb::Update));
        }
    }
    Ok(rights)
}

/// What is undone, and by whom.
#[derive(Serialize, Deserialize)]
struct Asked {
    job: Uuid,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

/// How far an undo is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Checkpoint {
    /// The last change taken back; the next are older.
    #[serde(default)]
    at: Option<i64>,
    #[serde(default)]
    total: u64,
    #[serde(default)]
    done: u64,
    #[serde(default)]
    undone: u64,
    #[serde(default)]
    failed: u64,
    /// Changes that are tried once more at the end: what they refer to, what refers to them, or what has their unique value
    /// was not undone yet.
    #[serde(default)]
    again: Vec<i64>,
    /// The end has come.
    #[serde(default)]
    last: bool,
}

/// One change of the job.
#[derive(Clone)]
struct Entry {
    seq: i64,
    kind: String,
    record: Uuid,
    version: i64,
    before: Option<Row>,
    changed: Vec<String>,
}

#[async_trait]
impl Work for Undo {
    fn kind(&self) -> &'static str {
        UNDO
    }

    async fn run(&self, job: &Running) -> Result<Json> {
        let asked: Asked = serde_json::from_value(job.input.clone())
            .map_err(|source| Error::internal("the input of an undo can be read", source))?;
        let mut checkpoint: Checkpoint = read_checkpoint(job)?;
        if checkpoint.at.is_none() {
            let row = job.cx.reader().query_one(changes(&job.cx, &asked, None).expr(col("seq").count())).await?;
            let n: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
            checkpoint.total = u64::try_from(n).unwrap_or_default();
        }
        let mut pass = Pass { job, asked, checkpoint, errors: Vec::new() };
        while !pass.checkpoint.last {
            pass.page().await?;
        }
        while !pass.checkpoint.again.is_empty() {
            pass.once_more().await?;
        }
        let Checkpoint { done, undone, failed, .. } = pass.checkpoint;
        Ok(json!({"job": pass.asked.job, "changes": done, "undone": undone, "failed": failed}))
    }
}

fn col(name: &str) -> Expr {
    Expr::col(Alias::new(name))
}

/// The changes of the job, all or those before one.
fn changes(cx: &Context, asked: &Asked, before: Option<i64>) -> SelectStatement {
    let kinds = cx.tenant.kinds.shapes().filter(|shape| shape.logged).map(|shape| &*shape.name);
    let mut select = Query::select()
        .from(Alias::new("change"))
        .and_where(col("tenant_id").eq(cx.tenant.id))
        .and_where(col("kind").is_in(kinds)) // with the time, what the index knows
        .and_where(col("at").between(asked.from, asked.to))
        .and_where(col("request_id").eq(asked.job.to_string()))
        .take();
    if let Some(before) = before {
        select.and_where(col("seq").lt(before));
    }
    select
}

fn entry(row: &QueryResult) -> Result<Entry> {
    let before: Option<Json> = row.try_get("", "before")?;
    let changed: Json = row.try_get("", "changed")?;
    Ok(Entry {
        seq: row.try_get("", "seq")?,
        kind: row.try_get("", "kind")?,
        record: row.try_get("", "record_id")?,
        version: row.try_get("", "version")?,
        before: before.and_then(|before| before.as_object().cloned()),
        changed: serde_json::from_value(changed).unwrap_or_default(),
    })
}

/// One process's share of an undo.
struct Pass<'a> {
    job: &'a Running,
    asked: Asked,
    checkpoint: Checkpoint,
    /// Of the page under way.
    errors: Vec<RowError>,
}

impl Pass<'_> {
    /// The next changes, newest first: one page, one transaction.
    async fn page(&mut self) -> Result<()> {
        let select = changes(&self.job.cx, &self.asked, self.checkpoint.at).limit(PAGE).take();
        let entries = self.read(select).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            self.checkpoint.last = true;
            return Ok(());
        };
        self.checkpoint.at = Some(last);
        self.take_back(entries).await
    }

    /// Those that were put off.
    async fn once_more(&mut self) -> Result<()> {
        let put_off = self.checkpoint.again.len().saturating_sub(usize::try_from(PAGE).unwrap_or(usize::MAX));
        let seqs = self.checkpoint.again.split_off(put_off);
        let select = changes(&self.job.cx, &self.asked, None).and_where(col("seq").is_in(seqs)).take();
        let entries = self.read(select).await?;
        self.take_back(entries).await
    }

    async fn read(&self, mut select: SelectStatement) -> Result<Vec<Entry>> {
        let names = ["seq", "kind", "record_id", "version", "before", "changed"];
        select.columns(names.map(Alias::new)).order_by(Alias::new("seq"), Order::Desc);
        self.job.cx.reader().query_all(&select).await?.iter().map(entry).collect()
    }

    async fn take_back(&mut self, entries: Vec<Entry>) -> Result<()> {
        let cx = &self.job.cx;
        let mut unit = cx.begin().await?;
        unit.history = access::may_act(&cx.actor, HISTORY).is_ok();
        for slice in slices(entries) {
            self.slice(&unit, slice).await?;
        }
        report::keep(&unit, self.job.id, std::mem::take(&mut self.errors)).await?;
        let Checkpoint { total, done, undone, failed, .. } = self.checkpoint;
        let progress = Progress { done, total: Some(std::cmp::max(total, done)), ok: undone, failed };
        save(self.job, unit, progress, &self.checkpoint).await
    }

    /// Changes of one kind, each of another record.
    async fn slice(&mut self, unit: &Unit<'_>, slice: Vec<Entry>) -> Result<()> {
        let Some(kind) = slice.first().map(|entry| entry.kind.clone()) else { return Ok(()) };
        let (Some(whole), Some(resource)) = (unit.cx.tenant.kinds.kind(&kind), unit.cx.kind(&kind)) else {
            return Ok(()); // a kind that the tenant has removed since, with all its records
        };
        let later = later(unit, &kind, &slice, [self.asked.job, self.job.id]).await?;
        let ids: Vec<_> = slice.iter().map(|entry| entry.record).collect();
        let present = locked(unit, whole.shape(), &ids).await?;
        let mut steps: [Vec<(Entry, Operation)>; 3] = Default::default();
        for entry in slice {
            let changed = later.get(&entry.record);
            match operation(unit, whole.shape(), &entry, present.get(&entry.record), changed) {
                Ok(Some(operation)) => {
                    let [restores, updates, deletes] = &mut steps;
                    let step = match operation {
                        Operation::Restore { .. } => restores,
                        Operation::Delete { .. } => deletes,
                        _ => updates,
                    };
                    step.push((entry, operation));
                }
                Ok(None) => self.settle(&entry, &Ok(())),
                Err(error) => self.settle(&entry, &Err(error)),
            }
        }
        // what is referred to must be there, and what goes must not be referred to any more
        for step in steps.into_iter().filter(|step| !step.is_empty()) {
            let (entries, operations): (Vec<_>, Vec<_>) = step.into_iter().unzip();
            for (entry, verdict) in entries.iter().zip(resource.write(unit, operations).await?) {
                self.settle(entry, &verdict.map(drop));
            }
        }
        Ok(())
    }

    fn settle(&mut self, entry: &Entry, verdict: &Result<()>) {
        match verdict {
            Err(error) if !self.checkpoint.last && waits(error) => return self.checkpoint.again.push(entry.seq),
            Err(error) => {
                self.checkpoint.failed += 1;
                self.errors.extend(RowError::of_record(self.checkpoint.done + 1, entry.record, error));
            }
            Ok(()) => self.checkpoint.undone += 1,
        }
        self.checkpoint.done += 1;
    }
}

/// Whether another change, once it is undone, may make the difference.
fn waits(error: &Error) -> bool {
    match error {
        Error::Conflict { code, .. } => *code == Code::StillReferenced,
        Error::Invalid(violations) => {
            violations.iter().all(|violation| [Code::ReferenceNotFound, Code::Duplicate].contains(&violation.code))
        }
        _ => false,
    }
}

/// Runs of one kind in which no record comes twice, in their order.
fn slices(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut slices: Vec<Vec<Entry>> = Vec::new();
    let mut inside = HashSet::new();
    for entry in entries {
        match slices.last_mut() {
            Some(slice)
                if slice.first().is_some_and(|first| first.kind == entry.kind) && inside.insert(entry.record) =>
            {
                slice.push(entry);
            }
            _ => {
                inside = HashSet::from([entry.record]);
                slices.push(vec![entry]);
            }
        }
    }
    slices
}

/// The fields of these records that others than the two jobs have changed since. One statement.
async fn later(
    unit: &Unit<'_>,
    kind: &str,
    slice: &[Entry],
    jobs: [Uuid; 2],
) -> Result<HashMap<Uuid, HashSet<String>>> {
    let versions: HashMap<Uuid, i64> = slice.iter().map(|entry| (entry.record, entry.version)).collect();
    let oldest = slice.iter().map(|entry| entry.version).min().unwrap_or_default();
    let by_others = col("request_id").is_null().or(col("request_id").is_not_in(jobs.map(|job| job.to_string())));
    let select = Query::select()
        .columns(["record_id", "version", "changed"].map(Alias::new))
        .from(Alias::new("change"))
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .and_where(col("kind").eq(kind))
        .and_where(col("record_id").is_in(versions.keys().copied()))
        .and_where(col("version").gt(oldest))
        .and_where(by_others)
        .take();
    let mut later: HashMap<Uuid, HashSet<String>> = HashMap::new();
    for row in unit.txn.query_all(&select).await? {
        let (record, version): (Uuid, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if versions.get(&record).is_some_and(|since| version > *since) {
            let changed: Json = row.try_get_by_index(2)?;
            let names: Vec<String> = serde_json::from_value(changed).unwrap_or_default();
            later.entry(record).or_default().extend(names);
        }
    }
    Ok(later)
}

/// How the log names a change of the field.
fn named<'f>(shape: &'f Shape, field: &'f Field) -> Vec<&'f str> {
    match field.custom_key() {
        Some(_) => vec![field.name.as_str()],
        None => shape.columns_of(field).map(|column| column.name.as_str()).collect(),
    }
}

/// Whether an undo may set fields of this access.
fn settable(access: FieldAccess, history: bool) -> bool {
    match access {
        FieldAccess::Write => true,
        FieldAccess::History => history,
        FieldAccess::Create | FieldAccess::Read | FieldAccess::Server => false,
    }
}

/// The fields to put back where these have changed.
fn touched<'s>(shape: &'s Shape, changed: &[String], history: bool) -> Vec<&'s Field> {
    let ours = |field: &Field| named(shape, field).iter().any(|column| changed.iter().any(|name| name == column));
    shape.every_field().filter(|field| settable(field.access, history) && ours(field)).collect()
}

/// What takes the change back; nothing where all it changed follows from other changes.
fn operation(
    unit: &Unit<'_>,
    shape: &Shape,
    entry: &Entry,
    present: Option<&Row>,
    later: Option<&HashSet<String>>,
) -> Result<Option<Operation>> {
    let (id, version) = (entry.record, None);
    let theirs = |column: &str| later.is_some_and(|later| later.contains(column));
    let since = |names: &[&str]| {
        let detail = format!("{} {id} has been changed since: {}", shape.name, names.join(", "));
        Error::conflict(Code::Conflict, detail)
    };
    let Some(before) = &entry.before else {
        let fields = shape.every_field().filter(|field| settable(field.access, unit.history));
        let others: Vec<_> =
            fields.filter(|field| named(shape, field).into_iter().any(theirs)).map(|f| &*f.name).collect();
        return if others.is_empty() { Ok(Some(Operation::Delete { id, version })) } else { Err(since(&others)) };
    };
    if entry.changed.iter().any(|name| name == "deleted_at") {
        let lived = before.get("deleted_at").is_none_or(Json::is_null);
        return Ok(Some(if lived { Operation::Restore { id, version } } else { Operation::Delete { id, version } }));
    }
    let fields = touched(shape, &entry.changed, unit.history);
    let others: Vec<_> =
        fields.iter().filter(|field| named(shape, field).into_iter().any(theirs)).map(|f| &*f.name).collect();
    if !others.is_empty() {
        return Err(since(&others));
    }
    if fields.is_empty() {
        return Ok(None);
    }
    fields.iter().try_for_each(|field| shape.puts_back(field))?;
    let present = present.ok_or_else(|| Error::not_found(&shape.name, id))?;
    let values: BTreeMap<_, _> =
        fields.iter().map(|field| (field.name.clone(), field.encode(&shape.columns, before))).collect();
    Ok(Some(Operation::Update { id, version, data: patch(shape, present, &values), since: Since::default() }))
}
