//! One operation as a caller writes it: `{op, id?, version?, data?, by?}`.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    access::Verb,
    context::Context,
    engine::Shape,
    error::{Code, Error, VIOLATIONS, Violation, unknown},
};

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

pub(super) fn unknown_members(object: &Map<String, Json>, at: &str, known: &[&str]) -> Vec<Violation> {
    let strange = object.keys().filter(|name| !known.contains(&name.as_str()));
    let refuse = |name: &String| Violation {
        pointer: format!("{at}/{name}"),
        code: Code::UnknownField,
        detail: unknown("member", name, known.iter().copied()),
    };
    strange.take(VIOLATIONS).map(refuse).collect()
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
    /// Why the tenant does not take it: it changes a record, and does not say which version of it.
    pub(super) fn unconditional(&self, cx: &Context) -> Option<Error> {
        let blind = matches!(self.op, Op::Update | Op::Delete) && self.version.is_none();
        let detail = "the tenant requires `version`: the record's as you read it";
        (blind && cx.tenant.require_preconditions).then(|| Error::conflict(Code::PreconditionRequired, detail))
    }

    /// Reads the operation at this place.
    ///
    /// # Errors
    /// Everything that is wrong with it, but for the data's own rules.
    pub(super) fn parse(shape: &Shape, index: usize, operation: Json) -> Result<Self, Vec<Violation>> {
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
