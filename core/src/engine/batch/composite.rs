//! Operations on several kinds in one transaction, which may refer to each other's records.
//!
//! `{"$ref": "a.id"}` stands for the id of the record that the operation named `a` writes. Operations are carried out in an
//! order in which each comes after those it refers to, otherwise as they are written; neighbours on one kind are written as
//! one slice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{ATTEMPTS, Effect, Row, Step, list, lost_a_race, refusals, unknown_members, write};
use crate::{
    context::{Context, Unit},
    engine::{Resource, Written},
    error::{Code, Error, Result, Violation, enough, unknown},
};

/// Operations of one composite.
pub const LARGEST: usize = 100;
/// Characters of a reference's name.
const LONGEST_NAME: usize = 50;
const REFERENCE: &str = "$ref";
/// What stands for a record's id until it is known.
const UNKNOWN: Uuid = Uuid::nil();

/// Operations on several kinds, all or none.
pub struct Composite(Vec<Part>);

/// One operation: what it writes to, as the caller wrote it, and the operations whose records it refers to.
struct Part {
    resource: Arc<dyn Resource>,
    name: Option<String>,
    members: Map<String, Json>,
    /// Places of the operations it refers to.
    needs: Vec<usize>,
}

/// Steps on one kind, each with its place.
type Slice = Vec<(usize, Step)>;

impl Composite {
    /// Reads `{operations: [{ref?, op, kind, id?, version?, data?, by?}]}`.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with any operation, but for the rules of its data.
    pub fn parse(cx: &Context, body: Map<String, Json>) -> Result<Self> {
        let mut broken = unknown_members(&body, "", &["operations"]);
        let operations = list(body, LARGEST).unwrap_or_else(|violation| {
            broken.push(violation);
            Vec::new()
        });
        let parts: Vec<_> = operations
            .into_iter()
            .enumerate()
            .filter_map(|(index, operation)| Part::parse(cx, index, operation, &mut broken))
            .collect();
        if !broken.is_empty() {
            return Err(Error::Invalid(broken)); // what the others refer to is not known
        }
        let mut composite = Self(parts);
        composite.link(&mut broken);
        composite.read(cx, &mut broken);
        if broken.is_empty() { Ok(composite) } else { Err(Error::Invalid(broken)) }
    }

    /// Finds the operations that references name.
    fn link(&mut self, broken: &mut Vec<Violation>) {
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, part) in self.0.iter().enumerate() {
            let Some(name) = &part.name else { continue };
            if let Some(first) = names.get(name) {
                let detail = format!("operation {first} has this name");
                broken.push(Violation { pointer: at(index, "/ref"), code: Code::Duplicate, detail });
            } else {
                names.insert(name.clone(), index);
            }
        }
        for (index, part) in self.0.iter_mut().enumerate() {
            let mut needs = Vec::new();
            walk(&part.members, "", &mut |pointer, text| {
                if enough(broken) {
                    return;
                }
                let mut refuse = |pointer: &str, code, detail| {
                    broken.push(Violation { pointer: at(index, pointer), code, detail });
                };
                let Some(name) = named(text) else {
                    let detail = "must be the name of an operation and `.id`, such as `a.id`".to_owned();
                    return refuse(pointer, Code::InvalidValue, detail);
                };
                let Some(place) = names.get(name) else {
                    let detail = unknown("operation", name, names.keys().map(String::as_str));
                    return refuse(pointer, Code::ReferenceNotFound, detail);
                };
                needs.push(*place);
            });
            part.needs = needs;
        }
        if let Err(circle) = self.order() {
            let name = |place: &usize| self.0.get(*place).and_then(|part| part.name.as_deref()).unwrap_or("?");
            let way: Vec<_> = circle.iter().map(name).collect();
            let pointer = at(circle.first().copied().unwrap_or_default(), "");
            let detail = format!("refers to itself: {}", way.join(" -> "));
            broken.push(Violation { pointer, code: Code::CircularReference, detail });
        }
    }

    /// Reads each operation as it will be once ids are known.
    fn read(&self, cx: &Context, broken: &mut Vec<Violation>) {
        let mut blind = Vec::new();
        for (index, part) in self.0.iter().enumerate() {
            match part.step(index, &|_| Some(UNKNOWN), &self.0) {
                Ok(step) => blind.extend(step.unconditional(cx).map(|refused| (index, Err(refused)))),
                Err(violations) => broken.extend(violations),
            }
        }
        broken.extend(refusals(blind));
    }

    /// Places in an order in which each comes after those it needs: of those that may come next, always the first.
    ///
    /// # Errors
    /// A way from an operation back to itself.
    fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let (mut order, mut done) = (Vec::with_capacity(self.0.len()), HashSet::new());
        while order.len() < self.0.len() {
            let mut waiting = self.0.iter().enumerate().filter(|(place, _)| !done.contains(place));
            let free = waiting.clone().find(|(_, part)| part.needs.iter().all(|need| done.contains(need)));
            let Some((place, _)) = free else {
                let first = waiting.next().map_or(0, |(place, _)| place);
                return Err(self.circle(first, &done));
            };
            done.insert(place);
            order.push(place);
        }
        Ok(order)
    }

    /// From an operation that is held up, over what holds it up, until one comes again.
    fn circle(&self, first: usize, done: &HashSet<usize>) -> Vec<usize> {
        let mut way = vec![first];
        loop {
            let last = way.last().and_then(|place| self.0.get(*place));
            let Some(next) = last.and_then(|part| part.needs.iter().copied().find(|need| !done.contains(need))) else {
                return way;
            };
            if let Some(begin) = way.iter().position(|place| *place == next) {
                way.push(next);
                return way.split_off(begin);
            }
            way.push(next);
        }
    }

    /// Writes everything in a unit of its own, and answers in the order of the operations.
    ///
    /// Cost: that of a slice for each run of neighbours on one kind.
    ///
    /// # Errors
    /// A missing right, the database; everything that is wrong with any operation whose references could be written.
    pub async fn write(&self, cx: &Context) -> Result<Vec<(Effect, Written)>> {
        let mut attempt = 1;
        loop {
            let unit = cx.begin_for(self.0.iter().map(|part| part.resource.shape())).await?;
            let rows = self.attempt(&unit).await;
            if attempt < ATTEMPTS && rows.as_ref().map_or_else(Error::is_race, |rows| self.lost_a_race(rows)) {
                unit.undo().await?;
                attempt += 1;
                continue;
            }
            let rows = rows?;
            if rows.iter().any(|(_, row)| row.is_err()) {
                return Err(Error::Invalid(refusals(rows)));
            }
            unit.commit().await?;
            return rows.into_iter().map(|(_, row)| row).collect();
        }
    }

    /// As of a batch.
    fn lost_a_race(&self, rows: &[(usize, Row)]) -> bool {
        let upsert = |part: &Part| part.members.get("op") == Some(&"upsert".into());
        rows.iter().any(|(index, row)| self.0.get(*index).is_some_and(upsert) && lost_a_race(row))
    }

    /// What became of each operation that was tried: not of those that need one that was refused, and of none after the
    /// database itself refused one.
    async fn attempt(&self, unit: &Unit<'_>) -> Result<Vec<(usize, Row)>> {
        let mut rows: Vec<(usize, Row)> = Vec::with_capacity(self.0.len());
        let mut ids: HashMap<usize, Uuid> = HashMap::new();
        let order = self.order().unwrap_or_default();
        let mut waiting = order.as_slice();
        while let Some((first, _)) = waiting.split_first() {
            let Some(resource) = self.0.get(*first).map(|part| &part.resource) else { break };
            let (slice, rest) = self.run(waiting, &ids)?;
            waiting = rest;
            let written = write(unit, &**resource, slice).await?;
            ids.extend(written.iter().filter_map(|(place, row)| Some((*place, row.as_ref().ok()?.1.id))));
            let over = written.iter().any(|(_, row)| matches!(row, Err(Error::Conflict { .. })));
            rows.extend(written);
            if over {
                break;
            }
        }
        rows.sort_by_key(|(index, _)| *index);
        Ok(rows)
    }

    /// The next operations that can be one slice: of one kind, none needing another, no record twice. Those that need one
    /// that was refused are left out.
    fn run<'w>(&self, waiting: &'w [usize], ids: &HashMap<usize, Uuid>) -> Result<(Slice, &'w [usize])> {
        let kind = |place: usize| self.0.get(place).map(|part| &part.resource.shape().name);
        let first = waiting.first().and_then(|place| kind(*place));
        let (mut slice, mut records, mut places) = (Vec::new(), HashSet::new(), HashSet::new());
        for (n, place) in waiting.iter().enumerate() {
            let Some(part) = self.0.get(*place).filter(|_| kind(*place) == first) else {
                return Ok((slice, waiting.split_at(n).1));
            };
            if part.needs.iter().any(|need| places.contains(need)) {
                return Ok((slice, waiting.split_at(n).1));
            }
            if part.needs.iter().any(|need| !ids.contains_key(need)) {
                continue;
            }
            let step = part.step(*place, &|need| ids.get(&need).copied(), &self.0);
            let step = step.map_err(|again| Error::internal("an operation reads alike twice", format!("{again:?}")))?;
            if step.id.is_some_and(|id| !records.insert(id)) {
                return Ok((slice, waiting.split_at(n).1));
            }
            places.insert(*place);
            slice.push((*place, step));
        }
        Ok((slice, &[]))
    }
}

impl Part {
    fn parse(cx: &Context, index: usize, operation: Json, broken: &mut Vec<Violation>) -> Option<Self> {
        let mut refuse = |member: &str, code, detail: String| {
            broken.push(Violation { pointer: at(index, member), code, detail });
        };
        let Json::Object(mut members) = operation else {
            refuse("", Code::WrongType, "must be an object".to_owned());
            return None;
        };
        let name = match members.remove("ref") {
            None => None,
            Some(Json::String(name)) if is_name(&name) => Some(name),
            Some(_) => {
                let detail = format!("must be a text of 1 to {LONGEST_NAME} letters, digits, `_` and `-`");
                refuse("/ref", Code::InvalidValue, detail);
                None
            }
        };
        let kind = members.remove("kind");
        let Some(kind) = kind.as_ref().map(|kind| kind.as_str().unwrap_or_default()) else {
            refuse("/kind", Code::Required, "is required, such as `account`".to_owned());
            return None;
        };
        let Some(resource) = cx.kind(kind).cloned() else {
            let detail = unknown("kind", kind, cx.shapes().map(|shape| &*shape.name));
            refuse("/kind", Code::InvalidValue, detail);
            return None;
        };
        Some(Self { resource, name, members, needs: Vec::new() })
    }

    /// The operation with ids in the place of references.
    fn step(&self, index: usize, id: &dyn Fn(usize) -> Option<Uuid>, all: &[Self]) -> Result<Step, Vec<Violation>> {
        let found = |text: &str| {
            let name = named(text)?;
            let place = all.iter().position(|part| part.name.as_deref() == Some(name))?;
            Some(Json::from(id(place)?.to_string()))
        };
        let mut members = self.members.clone();
        for name in ["id", "data"] {
            if let Some(value) = members.get_mut(name) {
                substitute(value, &found);
            }
        }
        Step::parse(self.resource.shape(), index, Json::Object(members))
    }
}

fn at(index: usize, member: &str) -> String {
    format!("/operations/{index}{member}")
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// `a` of `a.id`.
fn named(text: &str) -> Option<&str> {
    text.strip_suffix(".id").filter(|name| is_name(name))
}

/// The text of `{"$ref": ".."}`; of one that is no text, nothing that could be a name.
fn reference(object: &Map<String, Json>) -> Option<&str> {
    let text = object.get(REFERENCE).filter(|_| object.len() == 1)?;
    Some(text.as_str().unwrap_or_default())
}

/// Meets every reference in the id and the data of an operation, with its place.
fn walk(members: &Map<String, Json>, at: &str, meet: &mut dyn FnMut(&str, &str)) {
    fn within(value: &Json, at: &str, meet: &mut dyn FnMut(&str, &str)) {
        match value {
            Json::Object(object) => match reference(object) {
                Some(text) => meet(at, text),
                None => object.iter().for_each(|(name, value)| within(value, &format!("{at}/{name}"), meet)),
            },
            Json::Array(all) => all.iter().enumerate().for_each(|(i, value)| within(value, &format!("{at}/{i}"), meet)),
            _ => {}
        }
    }
    for name in ["id", "data"] {
        if let Some(value) = members.get(name) {
            within(value, &format!("{at}/{name}"), meet);
        }
    }
}

fn substitute(value: &mut Json, found: &dyn Fn(&str) -> Option<Json>) {
    let id = value.as_object().and_then(reference).and_then(found);
    match (id, &mut *value) {
        (Some(id), _) => *value = id,
        (None, Json::Object(object)) => object.values_mut().for_each(|value| substitute(value, found)),
        (None, Json::Array(all)) => all.iter_mut().for_each(|value| substitute(value, found)),
        _ => {}
    }
}
