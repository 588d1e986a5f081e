//! Writes to every record that a filter keeps, as jobs: by the same path as everything else, with the rights of who asked,
//! a page of records a transaction. A dry run tries everything and keeps nothing.
//!
//! The filter is read as of the moment it was asked for, and takes no record that was made later. Records are taken newest
//! first, so that most of those that refer to others go before them; what could not be deleted is tried once more at the end.

pub mod undo;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{
    Condition, ConnectionTrait, Order,
    sea_query::{Alias, Expr, ExprTrait, IntoIden, SelectStatement},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::{
    access::{self, Verb},
    context::{Context, Unit},
    engine::{
        FieldAccess, Operation, Resource, Shape, Since, Verdict, changeable,
        custom::CUSTOM,
        filter::{Written, compile_at},
        instant, print_instant,
    },
    error::{Code, Error, Result, VIOLATIONS, Violation, unknown},
    jobs::{self, Progress, RowError, Running, Work, report},
};

/// Records a transaction.
const PAGE: u64 = 500;

/// Changes or deletes records.
pub struct Mass(Verb);

/// Every kind of mass write.
pub fn works() -> Vec<std::sync::Arc<dyn Work>> {
    vec![
        std::sync::Arc::new(Mass(Verb::Update)),
        std::sync::Arc::new(Mass(Verb::Delete)),
        std::sync::Arc::new(undo::Undo),
    ]
}

fn name(verb: Verb) -> &'static str {
    if verb == Verb::Delete { "mass_delete" } else { "mass_update" }
}

/// What is asked for.
struct Wish {
    /// A filter, as text or as its tree.
    r#where: Json,
    /// The fields to set.
    data: Map<String, Json>,
    dry_run: bool,
}

impl Wish {
    fn parse(shape: &Shape, verb: Verb, mut body: Map<String, Json>) -> Result<Self> {
        let members: &[&str] = if verb == Verb::Update { &["where", "data", "dry_run"] } else { &["where", "dry_run"] };
        let mut broken = Vec::new();
        for name in body.keys().filter(|name| !members.contains(&name.as_str())).take(VIOLATIONS) {
            let detail = unknown("member", name, members.iter().copied());
            broken.push(Violation::field(name, Code::UnknownField, detail));
        }
        let dry_run = match body.remove("dry_run") {
            None => false,
            Some(Json::Bool(dry)) => dry,
            Some(_) => {
                broken.push(Violation::field("dry_run", Code::WrongType, "must be true or false"));
                false
            }
        };
        let r#where = body.remove("where").filter(|filter| !filter.is_null()).unwrap_or_else(|| {
            let detail = "is required: a filter, as text or as its tree; `id IS NOT NULL` keeps all";
            broken.push(Violation::field("where", Code::Required, detail));
            Json::Null
        });
        let data = match body.remove("data") {
            Some(Json::Object(data)) if !data.is_empty() => data,
            None if verb == Verb::Delete => Map::new(),
            _ => {
                broken.push(Violation::field("data", Code::Required, "is required: an object of the fields to set"));
                Map::new()
            }
        };
        broken.extend(data.iter().flat_map(|(name, value)| unsettable(shape, name, value)).take(VIOLATIONS));
        if broken.is_empty() { Ok(Self { r#where, data, dry_run }) } else { Err(Error::Invalid(broken)) }
    }

    /// The records, as of `now`.
    fn condition(&self, cx: &Context, shape: &Shape, now: DateTime<Utc>) -> Result<Condition> {
        let written = match &self.r#where {
            Json::String(text) => Written::Text(text.clone()),
            tree => Written::Json(tree.clone()),
        };
        let compiled = written.read().and_then(|filter| compile_at(cx, shape, &filter, shape.table().into_iden(), now));
        compiled.map_err(|error| match error {
            Error::Malformed(violations) => Error::Invalid(violations.into_iter().map(in_body).collect()),
            other => other,
        })
    }
}

fn in_body(violation: Violation) -> Violation {
    let pointer = if violation.pointer.starts_with('/') { violation.pointer } else { "/where".to_owned() };
    Violation { pointer, ..violation }
}

/// What is wrong with setting this field on any record; what depends on the record is found there.
fn unsettable(shape: &Shape, name: &str, value: &Json) -> Vec<Violation> {
    let broken = match (shape.field(name), value) {
        (None, _) => {
            vec![Violation::field(name, Code::UnknownField, unknown("field", name, shape.field_names()))]
        }
        (Some(field), _) if field.access != FieldAccess::Write => vec![field.read_only()],
        (Some(_), Json::Object(values)) if name == CUSTOM => shape.custom.refuses(values),
        (Some(field), _) => field.refuses(value).into_iter().collect(),
    };
    let in_data = |violation: Violation| Violation { pointer: format!("/data{}", violation.pointer), ..violation };
    broken.into_iter().map(in_data).collect()
}

/// Asks for the job that changes (`{where, data, dry_run?}`) or deletes (`{where, dry_run?}`) what the filter keeps.
///
/// # Errors
/// `Forbidden`: the verb on the kind, and reading jobs; `Invalid` with everything that is wrong with the body.
pub async fn ask(cx: &Context, resource: &dyn Resource, verb: Verb, body: Map<String, Json>) -> Result<Uuid> {
    let shape = resource.shape();
    let rights = vec![access::right(shape, verb), jobs::READ.to_owned()];
    access::may_all(cx, &rights)?;
    let now = cx.now();
    let wish = Wish::parse(shape, verb, body)?;
    wish.condition(cx, shape, now)?;
    let Wish { r#where, data, dry_run } = wish;
    let input =
        json!({"kind": &*shape.name, "where": r#where, "data": data, "dry_run": dry_run, "now": print_instant(now)});
    let unit = cx.begin().await?;
    let job = jobs::enqueue(&unit, name(verb), rights, input).await?;
    unit.commit().await?;
    Ok(job)
}

/// How far a mass write is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Checkpoint {
    /// The last record taken; the ids of the next are smaller.
    #[serde(default)]
    at: Option<Uuid>,
    /// Some were not deleted, and are tried once more at the end: what refers to them may be gone by then.
    #[serde(default)]
    left: bool,
    /// The end has come.
    #[serde(default)]
    last: bool,
    #[serde(default)]
    matched: u64,
    #[serde(default)]
    done: u64,
    #[serde(default)]
    changed: u64,
    #[serde(default)]
    unchanged: u64,
    #[serde(default)]
    failed: u64,
}

impl Checkpoint {
    fn progress(&self) -> Progress {
        Progress {
            done: self.done,
            total: Some(std::cmp::max(self.matched, self.done)),
            ok: self.changed + self.unchanged,
            failed: self.failed,
        }
    }

    /// Counts the verdict on one more record, and tells what is wrong with it.
    fn settle(&mut self, record: Uuid, verdict: &Verdict) -> Vec<RowError> {
        self.done += 1;
        match verdict {
            Ok(written) if written.changed => self.changed += 1,
            Ok(_) => self.unchanged += 1,
            Err(error) => {
                self.failed += 1;
                return RowError::of_record(self.done, record, error);
            }
        }
        Vec::new()
    }
}

fn read_checkpoint<T: serde::de::DeserializeOwned>(job: &Running) -> Result<T> {
    let checkpoint = serde_json::from_value(job.checkpoint.clone());
    checkpoint.map_err(|source| Error::internal("a checkpoint can be read", source))
}

/// Saves how far the job is and makes the page so.
async fn save(job: &Running, unit: Unit<'_>, progress: Progress, checkpoint: &impl Serialize) -> Result<()> {
    let checkpoint = serde_json::to_value(checkpoint);
    let checkpoint = checkpoint.map_err(|source| Error::internal("a checkpoint is JSON", source))?;
    job.save(&unit, progress, &checkpoint).await?;
    unit.commit().await
}

#[async_trait]
impl Work for Mass {
    fn kind(&self) -> &'static str {
        name(self.0)
    }

    async fn run(&self, job: &Running) -> Result<Json> {
        let cx = &job.cx;
        let kind = job.input.get("kind").and_then(Json::as_str).unwrap_or_default();
        let resource = cx.kind(kind).ok_or_else(|| Error::NotFound { what: format!("kind {kind}") })?.clone();
        let mut body = job.input.as_object().cloned().unwrap_or_default();
        body.retain(|name, _| {
            ["where", "dry_run"].contains(&name.as_str()) || (name == "data" && self.0 == Verb::Update)
        });
        let wish = Wish::parse(resource.shape(), self.0, body)?;
        let asked = job.input.get("now").and_then(Json::as_str).and_then(|text| instant(text).ok());
        let asked = asked.unwrap_or_else(|| cx.now());
        let condition = wish.condition(cx, resource.shape(), asked)?;
        let all = rows(cx, resource.shape(), condition, asked);
        let mut checkpoint: Checkpoint = read_checkpoint(job)?;
        if checkpoint.at.is_none() {
            checkpoint.matched = count(cx, all.clone()).await?;
        }
        checkpoint.last |= wish.dry_run || self.0 != Verb::Delete;
        loop {
            while self.page(job, &*resource, &wish, all.clone(), &mut checkpoint).await? {}
            if checkpoint.last || !checkpoint.left {
                break;
            }
            (checkpoint.at, checkpoint.last) = (None, true);
        }
        let Checkpoint { done, changed, unchanged, failed, .. } = checkpoint;
        Ok(
            json!({"kind": kind, "dry_run": wish.dry_run, "matched": done, "changed": changed, "unchanged": unchanged, "failed": failed}),
        )
    }
}

impl Mass {
    /// One page, one transaction. Answers whether there was one.
    async fn page(
        &self,
        job: &Running,
        resource: &dyn Resource,
        wish: &Wish,
        mut select: SelectStatement,
        checkpoint: &mut Checkpoint,
    ) -> Result<bool> {
        let cx = &job.cx;
        let mut unit = cx.begin().await?;
        let id = (resource.shape().table(), Alias::new("id"));
        select.column(id.clone()).order_by(id.clone(), Order::Desc).limit(PAGE);
        if let Some(at) = checkpoint.at {
            select.and_where(Expr::col(id).lt(at));
        }
        let found = unit.txn.query_all(&select).await?;
        let ids = found.iter().map(|row| row.try_get_by_index(0)).collect::<std::result::Result<Vec<Uuid>, _>>()?;
        let Some(last) = ids.last() else { return Ok(false) };
        let operation = |id: &Uuid| match self.0 {
            Verb::Delete => Operation::Delete { id: *id, version: None },
            _ => Operation::Update { id: *id, version: None, data: wish.data.clone(), since: Since::default() },
        };
        let verdicts = resource.write(&unit, ids.iter().map(operation).collect()).await?;
        if wish.dry_run {
            unit.undo().await?;
            unit = cx.begin().await?;
        }
        let mut errors = Vec::new();
        for (id, verdict) in ids.iter().zip(&verdicts) {
            if verdict.is_err() && !checkpoint.last {
                checkpoint.left = true;
            } else {
                errors.extend(checkpoint.settle(*id, verdict));
            }
        }
        report::keep(&unit, job.id, errors).await?;
        checkpoint.at = Some(*last);
        save(job, unit, checkpoint.progress(), checkpoint).await?;
        Ok(true)
    }
}

/// The records that the filter keeps, that were there when it was asked for, and that the actor may change.
fn rows(cx: &Context, shape: &Shape, condition: Condition, asked: DateTime<Utc>) -> SelectStatement {
    let made = Expr::col((shape.table(), Alias::new("created_at")));
    changeable(cx, shape).cond_where(condition).and_where(made.lte(asked)).take()
}

async fn count(cx: &Context, mut rows: SelectStatement) -> Result<u64> {
    let row = cx.reader().query_one(rows.expr(Expr::col(Alias::new("id")).count())).await?;
    let n: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    Ok(u64::try_from(n).unwrap_or_default())
}
