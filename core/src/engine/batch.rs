//! Many operations in one request: read from JSON, written as slices, answered one by one.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{Resource, Shape, Written, upsert};
use crate::{
    access::Verb,
    context::{Context, Unit},
    error::{Code, Error, Result, Violation, unknown},
};

/// Operations of one batch.
pub const LARGEST: usize = 1000;
/// Times that a batch starts again because another request was faster with the key of an upsert.
const ATTEMPTS: usize = 3;

/// What one operation does to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Create,
    Update,
    Upsert,
    Delete,
}

impl Op {
    const NAMES: [(&'static str, Self); 4] =
        [("create", Self::Create), ("update", Self::Update), ("upsert", Self::Upsert), ("delete", Self::Delete)];

    fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Create => &[Verb::Create],
            Self::Update => &[Verb::Update],
            Self::Upsert => &[Verb::Create, Verb::Update],
            Self::Delete => &[Verb::Delete],
        }
    }
}

/// What became of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Created,
    Updated,
    Deleted,
}

/// One operation as a caller wrote it.
#[derive(Clone, Debug)]
pub struct Step {
    pub op: Op,
    pub id: Option<Uuid>,
    pub version: Option<i64>,
    pub data: Map<String, Json>,
    /// The fields that find the record of an upsert.
    pub by: Vec<String>,
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

    /// Writes the batch in a unit of its own. A batch whose upserts lose a race starts again.
    ///
    /// # Errors
    /// A missing right, the database; of an atomic batch everything that is wrong with any of its operations.
    pub async fn write(self, cx: &Context, resource: &dyn Resource) -> Result<Vec<Row>> {
        for _ in 1..ATTEMPTS {
            let unit = cx.begin().await?;
            let rows = self.attempt(&unit, resource).await?;
            if !self.lost_a_race(&rows) {
                return self.settle(unit, rows).await;
            }
            unit.undo().await?;
        }
        let unit = cx.begin().await?;
        let rows = self.attempt(&unit, resource).await?;
        self.settle(unit, rows).await
    }

    async fn settle(&self, unit: Unit<'_>, rows: Vec<Row>) -> Result<Vec<Row>> {
        if self.atomic && rows.iter().any(Result::is_err) {
            return Err(Error::Invalid(refusals(rows.into_iter().enumerate())));
        }
        unit.commit().await?;
        Ok(rows)
    }

    async fn attempt(&self, unit: &Unit<'_>, resource: &dyn Resource) -> Result<Vec<Row>> {
        let (mut rows, mut slice) = (Vec::with_capacity(self.steps.len()), Vec::with_capacity(self.steps.len()));
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Ok(step) => slice.push((index, step.clone())),
                Err(violations) => rows.push((index, Err(Error::Invalid(violations.clone())))),
            }
        }
        rows.extend(write(unit, resource, slice).await?);
        rows.sort_by_key(|(index, _)| *index);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// An upsert found no record, and yet another request stored its key before it could.
    fn lost_a_race(&self, rows: &[Row]) -> bool {
        self.steps.iter().zip(rows).any(|(step, row)| {
            step.as_ref().is_ok_and(|step| step.op == Op::Upsert)
                && matches!(row, Err(Error::Conflict { code: Code::Duplicate, .. }))
        })
    }
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

fn unknown_members(object: &Map<String, Json>, at: &str, known: &[&str]) -> Vec<Violation> {
    let strange = object.keys().filter(|name| !known.contains(&name.as_str()));
    let refuse = |name: &String| Violation {
        pointer: format!("{at}/{name}"),
        code: Code::UnknownField,
        detail: unknown("member", name, known.iter().copied()),
    };
    strange.map(refuse).collect()
}

/// What is wrong with one operation, gathered.
struct Reading {
    at: String,
    broken: Vec<Violation>,
}

impl Reading {
    fn refuse(&mut self, member: &str, code: Code, detail: impl Into<String>) {
        self.broken.push(Violation { pointer: format!("{}{member}", self.at), code, detail: detail.into() });
    }
}

impl Step {
    /// Reads the operation at this place.
    ///
    /// # Errors
    /// Everything that is wrong with it, but for the data's own rules.
    fn parse(shape: &Shape, index: usize, operation: Json) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading { at: format!("/operations/{index}"), broken: Vec::new() };
        let Json::Object(mut members) = operation else {
            reading.refuse("", Code::WrongType, "must be an object");
            return Err(reading.broken);
        };
        reading.broken.extend(unknown_members(&members, &reading.at, &["op", "id", "version", "data", "by"]));
        let given = ["id", "version", "data", "by"].map(|name| members.contains_key(name));
        let op = op(&mut reading, shape, members.remove("op"));
        let id = id(&mut reading, members.remove("id"));
        let version = version(&mut reading, members.remove("version"));
        let by = by(&mut reading, members.remove("by"));
        let mut data = match members.remove("data") {
            Some(Json::Object(data)) => data,
            None => Map::new(),
            Some(_) => {
                reading.refuse("/data", Code::WrongType, "must be an object");
                Map::new()
            }
        };
        let Some(op) = op else { return Err(reading.broken) };
        fits(&mut reading, op, given);
        let by = by.unwrap_or_else(|| vec!["external_id".to_owned()]);
        if let (Op::Create, Some(id)) = (op, id) {
            data.insert("id".to_owned(), id.to_string().into());
        }
        if reading.broken.is_empty() { Ok(Self { op, id, version, data, by }) } else { Err(reading.broken) }
    }
}

fn op(reading: &mut Reading, shape: &Shape, given: Option<Json>) -> Option<Op> {
    let names = || Op::NAMES.iter().map(|(name, _)| *name);
    let Some(given) = given else {
        reading.refuse("/op", Code::Required, format!("is required: {}", names().collect::<Vec<_>>().join(", ")));
        return None;
    };
    let name = given.as_str().unwrap_or_default();
    let op = Op::NAMES.iter().find(|(known, _)| *known == name).map(|(_, op)| *op);
    match op {
        None => reading.refuse("/op", Code::InvalidValue, unknown("operation", name, names())),
        Some(op) if !op.verbs().iter().all(|verb| shape.verbs.contains(verb)) => {
            reading.refuse("/op", Code::InvalidValue, format!("{} are not written like this", shape.plural));
            return None;
        }
        Some(_) => {}
    }
    op
}

fn id(reading: &mut Reading, given: Option<Json>) -> Option<Uuid> {
    let given = given?;
    let id = given.as_str().and_then(|text| Uuid::try_parse(text).ok());
    if id.is_none() {
        reading.refuse("/id", Code::WrongType, "must be a UUID in a string");
    }
    id
}

fn version(reading: &mut Reading, given: Option<Json>) -> Option<i64> {
    let given = given?;
    let version = given.as_i64().filter(|version| *version > 0);
    if version.is_none() {
        reading.refuse("/version", Code::WrongType, "must be a whole number from 1");
    }
    version
}

fn by(reading: &mut Reading, given: Option<Json>) -> Option<Vec<String>> {
    let names = match given? {
        Json::String(name) => Some(vec![name]),
        Json::Array(names) => names.into_iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    if names.is_none() {
        reading.refuse("/by", Code::WrongType, "must be a field's name or a list of them");
    }
    Some(names.unwrap_or_default())
}

/// Which members an operation needs, and which it cannot have.
fn fits(reading: &mut Reading, op: Op, [id, version, data, by]: [bool; 4]) {
    let mut rule = |member: &str, given: bool, needed: bool, possible: bool, why: &str| {
        if needed && !given {
            reading.refuse(member, Code::Required, "is required");
        } else if given && !possible {
            reading.refuse(member, Code::UnknownField, why);
        }
    };
    let changes = matches!(op, Op::Update | Op::Delete);
    rule("/id", id, changes, op != Op::Upsert, "an upsert finds its record by the fields of `by`");
    rule("/version", version, false, changes, "only an update or a delete names a version");
    rule("/data", data, op != Op::Delete, op != Op::Delete, "a delete has no data");
    rule("/by", by, false, op == Op::Upsert, "only an upsert has it");
}
