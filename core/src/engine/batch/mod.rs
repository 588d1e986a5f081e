//! Many operations in one request: read from JSON, written as slices, answered one by one.

mod composite;
mod step;

use serde_json::{Map, Value as Json};

use self::step::unknown_members;
pub use self::{
    composite::{Composite, LARGEST as LARGEST_COMPOSITE},
    step::{Op, Step},
};
use super::{Resource, Shape, Written, upsert};
use crate::{
    context::{Context, Unit},
    error::{Code, Error, Result, Violation, enough},
};

/// Operations of one batch.
pub const LARGEST: usize = 1000;
/// Times that a request is tried where another one was faster with a unique value.
const ATTEMPTS: usize = 3;

/// What became of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Created,
    Updated,
    Deleted,
}

/// The record an operation wrote, or why it did not: with pointers from the body's beginning.
pub type Row = Result<(Effect, Written)>;

/// Many operations on one kind.
#[derive(Debug)]
pub struct Batch {
    steps: Vec<Result<Step, Vec<Violation>>>,
    /// All or none.
    pub atomic: bool,
}

impl Batch {
    /// Reads `{operations: [{op, id?, version?, data?, by?}], atomic?}`. Operations that cannot be read are refused in
    /// their own rows.
    ///
    /// # Errors
    /// `Invalid`: what is wrong with the whole; `Limit`: more than [`LARGEST`] operations.
    pub fn parse(shape: &Shape, body: Map<String, Json>) -> Result<Self> {
        let mut broken = unknown_members(&body, "", &["operations", "atomic"]);
        let atomic = match body.get("atomic") {
            None => false,
            Some(Json::Bool(atomic)) => *atomic,
            Some(_) => {
                broken.push(Violation::field("atomic", Code::WrongType, "must be true or false"));
                false
            }
        };
        let operations = list(body, LARGEST).map_err(|violation| broken.push(violation));
        let Ok(operations) = operations else { return Err(Error::Invalid(broken)) };
        if !broken.is_empty() {
            return Err(Error::Invalid(broken));
        }
        let read = |(index, operation)| Step::parse(shape, index, operation);
        Ok(Self { steps: operations.into_iter().enumerate().map(read).collect(), atomic })
    }

    /// Writes the batch in a unit of its own. A batch starts again where one of its upserts has lost a race for its key, or any
    /// row one for what is stored beside the rows, a custom value or a child's id: then it finds who has it.
    ///
    /// # Errors
    /// A missing right, the database; of an atomic batch everything that is wrong with any of its operations.
    pub async fn write(mut self, cx: &Context, resource: &dyn Resource) -> Result<Vec<Row>> {
        let shape = resource.shape();
        let upserts: Vec<_> = self.steps.iter().map(|step| step.as_ref().is_ok_and(|s| s.op == Op::Upsert)).collect();
        let races = upserts.contains(&true) || shape.parts.is_some() || shape.custom.all().next().is_some();
        let mut left = if races { ATTEMPTS } else { 1 };
        loop {
            left -= 1;
            let steps = if left == 0 { std::mem::take(&mut self.steps) } else { self.steps.clone() };
            let unit = cx.begin_for([shape]).await?;
            let rows = attempt(&unit, resource, steps).await;
            let lost = match &rows {
                Ok(rows) => upserts.iter().zip(rows).any(|(upsert, row)| *upsert && lost_a_race(row)),
                Err(error) => error.is_race(),
            };
            if left == 0 || !lost {
                return self.settle(unit, rows?).await;
            }
            unit.undo().await?;
        }
    }

    async fn settle(&self, unit: Unit<'_>, rows: Vec<Row>) -> Result<Vec<Row>> {
        if self.atomic && rows.iter().any(Result::is_err) {
            return Err(Error::Invalid(refusals(rows.into_iter().enumerate())));
        }
        unit.commit().await?;
        Ok(rows)
    }
}

async fn attempt(
    unit: &Unit<'_>,
    resource: &dyn Resource,
    steps: Vec<Result<Step, Vec<Violation>>>,
) -> Result<Vec<Row>> {
    let (mut rows, mut slice) = (Vec::with_capacity(steps.len()), Vec::with_capacity(steps.len()));
    for (index, step) in steps.into_iter().enumerate() {
        match step {
            Ok(step) => match step.unconditional(unit.cx) {
                Some(refused) => rows.push((index, Err(refused))),
                None => slice.push((index, step)),
            },
            Err(violations) => rows.push((index, Err(Error::Invalid(violations)))),
        }
    }
    rows.extend(write(unit, resource, slice).await?);
    rows.sort_by_key(|(index, _)| *index);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn lost_a_race(row: &Row) -> bool {
    row.as_ref().is_err_and(Error::is_race)
}

/// Writes steps of one kind as one slice, each with its place in the request.
///
/// Cost: that of [`Resource::write`], and one statement for each set of fields by which upserts look for records.
///
/// # Errors
/// A missing right, the database, a defect of ours: what no single step can be refused for.
async fn write(unit: &Unit<'_>, resource: &dyn Resource, steps: Vec<(usize, Step)>) -> Result<Vec<(usize, Row)>> {
    let resolved = upsert::resolve(unit, resource.shape(), steps).await?;
    let (mut places, mut operations, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (index, operation) in resolved {
        match operation {
            Ok((effect, operation)) => {
                places.push((index, effect));
                operations.push(operation);
            }
            Err(error) => rows.push((index, Err(placed(index, "", error)?))),
        }
    }
    let verdicts = if operations.is_empty() { Vec::new() } else { resource.write(unit, operations).await? };
    for ((index, effect), verdict) in places.into_iter().zip(verdicts) {
        let row = match verdict {
            Ok(written) => Ok((effect, written)),
            Err(error) => Err(placed(index, "/data", error)?),
        };
        rows.push((index, row));
    }
    Ok(rows)
}

/// A refusal of one step with pointers from the body's beginning; what is not the step's fault fails the whole.
fn placed(index: usize, member: &str, error: Error) -> Result<Error> {
    match error {
        Error::Invalid(violations) => {
            let at = |violation: Violation| Violation {
                pointer: format!("/operations/{index}{member}{}", violation.pointer),
                ..violation
            };
            Ok(Error::Invalid(violations.into_iter().map(at).collect()))
        }
        Error::NotFound { .. } | Error::Stale { .. } | Error::Conflict { .. } => Ok(error),
        whole => Err(whole),
    }
}

/// What is wrong with each of the rows that were refused, by place.
fn refusals(rows: impl IntoIterator<Item = (usize, Row)>) -> Vec<Violation> {
    let mut all = Vec::new();
    for (index, row) in rows {
        let Err(error) = row else { continue };
        if enough(&all) {
            break;
        }
        let at = |member: &str, code| Violation {
            pointer: format!("/operations/{index}{member}"),
            code,
            detail: error.to_string(),
        };
        match &error {
            Error::Invalid(violations) => all.extend(violations.iter().cloned()),
            Error::NotFound { .. } => all.push(at("/id", Code::NotFound)),
            Error::Stale { .. } => all.push(at("/version", Code::Stale)),
            Error::Conflict { code, .. } => all.push(at("", *code)),
            _ => all.push(at("", Code::Conflict)),
        }
    }
    all
}

/// The member `operations` of a body: a list of 1 to `most`.
fn list(mut body: Map<String, Json>, most: usize) -> Result<Vec<Json>, Violation> {
    let wrong = |code, detail: String| Err(Violation::field("operations", code, detail));
    match body.remove("operations") {
        Some(Json::Array(operations)) if operations.is_empty() => {
            wrong(Code::Required, "must have at least one operation".to_owned())
        }
        Some(Json::Array(operations)) if operations.len() > most => {
            wrong(Code::OutOfRange, format!("has {} operations; a request takes {most}", operations.len()))
        }
        Some(Json::Array(operations)) => Ok(operations),
        Some(_) => wrong(Code::WrongType, "must be a list".to_owned()),
        None => wrong(Code::Required, "is required".to_owned()),
    }
}
