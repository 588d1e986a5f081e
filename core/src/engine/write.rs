//! The one way a record is written: draft -> whole candidate -> rules -> rows, log and effects, in the caller's unit.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{Iterable, ModelTrait, Value, sea_query::InsertStatement};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{
    Interval, Move, Operation, Record, Saved, Shape, Since, Verdict, Written,
    custom::{self, CUSTOM},
    draft, history, intervals, other, parts, search, store,
};
use crate::{
    access::{self, Reach, Verb},
    context::Unit,
    error::{Code, Error, Result, Violation},
};

const OWNERSHIP: Interval = Interval { table: "ownership", value: "user_id", origin: Some("how") };

/// A candidate on its way, with its place in the slice.
struct Candidate<M> {
    index: usize,
    since: Since,
    deletes: bool,
    /// Everything it refers to is looked for again, not just what has changed.
    restores: bool,
    before: Option<M>,
    after: M,
}

/// One place an operation; the first verdict stands.
struct Verdicts(Vec<Option<Verdict>>);

impl Verdicts {
    fn settle(&mut self, index: usize, verdict: Verdict) {
        if let Some(place) = self.0.get_mut(index) {
            place.get_or_insert(verdict);
        }
    }

    fn keep_open<M>(&self, candidates: &mut Vec<Candidate<M>>) {
        candidates.retain(|c| self.0.get(c.index).is_some_and(Option::is_none));
    }

    fn all(self) -> Vec<Verdict> {
        let lost = || Err(Error::internal("every operation gets a verdict", "none was given"));
        self.0.into_iter().map(|verdict| verdict.unwrap_or_else(lost)).collect()
    }
}

pub(super) async fn write<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    operations: Vec<Operation>,
) -> Result<Vec<Verdict>> {
    allowed(unit, shape, &operations)?;
    let mut verdicts = Verdicts(operations.iter().map(|_| None).collect());
    let mut candidates = drafted::<R>(unit, shape, operations, &mut verdicts).await?;
    checked::<R>(unit, shape, &mut candidates, &mut verdicts).await?;
    let rows = candidates.iter().map(row::<R>).collect::<Result<Vec<_>>>()?;
    for (index, error) in store::store(unit, shape, rows).await? {
        verdicts.settle(index, Err(error));
    }
    verdicts.keep_open(&mut candidates);
    follow::<R>(unit, shape, &candidates).await?;
    if let Reach::Where(_) = unit.cx.actor.reach(shape) {
        let kept =
            candidates.iter().filter(|c| !c.deletes).map(|c| id_of::<R>(&c.after)).collect::<Result<Vec<_>>>()?;
        store::still_seen(unit, shape, &kept).await?;
    }
    for candidate in &candidates {
        verdicts.settle(candidate.index, written::<R>(&candidate.after, true));
    }
    Ok(verdicts.all())
}

/// Whole candidates of the operations that can be read.
async fn drafted<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    operations: Vec<Operation>,
    verdicts: &mut Verdicts,
) -> Result<Vec<Candidate<R::Model>>> {
    let present = present::<R>(unit, shape, &operations).await?;
    let mut candidates = Vec::with_capacity(operations.len());
    let mut taken = HashSet::new();
    for (index, operation) in operations.into_iter().enumerate() {
        if operation.of().is_some_and(|id| !taken.insert(id)) {
            let detail = "an earlier operation of the request writes the record";
            verdicts.settle(index, Err(Error::conflict(Code::Conflict, detail)));
            continue;
        }
        match candidate::<R>(unit, shape, &present, index, operation) {
            Ok(candidate) => candidates.push(candidate),
            Err(error) => verdicts.settle(index, Err(error)),
        }
    }
    Ok(candidates)
}

/// Leaves the candidates that pass every rule and differ from what is stored, with their next version.
async fn checked<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &mut Vec<Candidate<R::Model>>,
    verdicts: &mut Verdicts,
) -> Result<()> {
    let mut refused = rows_checked::<R>(unit, candidates).await?;
    candidates.retain(|c| {
        let unchanged = c.before.as_ref().is_some_and(|before| *before == c.after);
        if unchanged && !refused.contains_key(&c.index) {
            verdicts.settle(c.index, written::<R>(&c.after, false));
        }
        !unchanged
    });
    for candidate in candidates.iter_mut() {
        stamp::<R>(unit, candidate)?;
    }
    for (index, violation) in outside::<R>(unit, shape, candidates).await? {
        refused.entry(index).or_default().push(violation);
    }
    for (index, violations) in refused {
        verdicts.settle(index, Err(Error::Invalid(violations)));
    }
    for (index, error) in still_referenced::<R>(unit, shape, candidates).await? {
        verdicts.settle(index, Err(error));
    }
    verdicts.keep_open(candidates);
    Ok(())
}

fn allowed(unit: &Unit<'_>, shape: &Shape, operations: &[Operation]) -> Result<()> {
    for verb in [Verb::Create, Verb::Update, Verb::Delete] {
        let used = operations.iter().any(|operation| match operation {
            Operation::Create { .. } => verb == Verb::Create,
            Operation::Update { .. } => verb == Verb::Update,
            Operation::Delete { .. } | Operation::Restore { .. } => verb == Verb::Delete,
        });
        if used {
            access::may(&unit.cx.actor, verb, shape)?;
        }
    }
    Ok(())
}

/// The rows that updates and deletes start from, locked.
async fn present<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    operations: &[Operation],
) -> Result<HashMap<Uuid, R::Model>> {
    let (deleted, live): (Vec<_>, Vec<_>) =
        operations.iter().partition(|operation| matches!(operation, Operation::Restore { .. }));
    let ids = |operations: Vec<&Operation>| operations.into_iter().filter_map(Operation::of).collect::<Vec<_>>();
    let mut present = other::fetch::<R>(unit, shape, &ids(live), (true, false)).await?;
    present.extend(other::fetch::<R>(unit, shape, &ids(deleted), (true, true)).await?);
    Ok(present)
}

fn candidate<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    present: &HashMap<Uuid, R::Model>,
    index: usize,
    operation: Operation,
) -> Result<Candidate<R::Model>> {
    let before_of = |id: Uuid, version: Option<i64>| {
        let before = present.get(&id).cloned().ok_or_else(|| unchangeable(unit, shape, id))?;
        let actual = version_of::<R>(&before)?;
        if version.is_some_and(|wanted| wanted != actual) {
            return Err(Error::Stale { actual });
        }
        Ok(before)
    };
    let restores = matches!(operation, Operation::Restore { .. });
    let (before, mut after, given, since) = match operation {
        Operation::Create { data, since } => {
            draft::own_id(&data).map_err(|violation| Error::Invalid(vec![violation]))?;
            (None, draft::create::<R>(unit, shape, &data)?, data, since)
        }
        Operation::Update { id, version, data, since } => {
            let before = before_of(id, version)?;
            let after = draft::update::<R>(unit, shape, &before, &data)?;
            (Some(before), after, data, since)
        }
        Operation::Restore { id, version } => {
            let before = before_of(id, version)?;
            let after = draft::restored::<R>(&before)?;
            (Some(before), after, Map::new(), Since::default())
        }
        Operation::Delete { id, version } => {
            let before = before_of(id, version)?;
            let after = draft::deleted::<R>(unit, &before)?;
            return Ok(Candidate {
                index,
                since: Since::default(),
                deletes: true,
                restores: false,
                before: Some(before),
                after,
            });
        }
    };
    R::prepare(unit, before.as_ref(), &given, &mut after);
    let broken = R::check(&after);
    if broken.is_empty() {
        Ok(Candidate { index, since, deletes: false, restores, before, after })
    } else {
        Err(Error::Invalid(broken))
    }
}

/// Why a record is not there to be changed.
fn unchangeable(unit: &Unit<'_>, shape: &Shape, id: Uuid) -> Error {
    if unit.cx.actor.shared(&shape.name, unit.now, false).contains(&id) {
        let detail = format!("{} {id} is shared with you to be read", shape.name);
        return Error::conflict(Code::OutsideYourReach, detail);
    }
    Error::not_found(&shape.name, id)
}

/// The kind's rules that look at other rows.
async fn rows_checked<R: Record>(
    unit: &Unit<'_>,
    candidates: &mut [Candidate<R::Model>],
) -> Result<HashMap<usize, Vec<Violation>>> {
    let mut slice: Vec<_> = candidates.iter().map(|c| (c.before.clone(), c.after.clone())).collect();
    let broken = R::check_rows(unit, &mut slice).await?;
    let mut refused: HashMap<usize, Vec<Violation>> = HashMap::new();
    for (place, (candidate, (_, after))) in candidates.iter_mut().zip(slice).enumerate() {
        candidate.after = after;
        let violations = broken.iter().filter(|(at, _)| *at == place).map(|(_, violation)| violation.clone());
        refused.entry(candidate.index).or_default().extend(violations);
    }
    refused.retain(|_, violations| !violations.is_empty());
    Ok(refused)
}

/// The next version, and the time of the write.
fn stamp<R: Record>(unit: &Unit<'_>, candidate: &mut Candidate<R::Model>) -> Result<()> {
    let Some(before) = &candidate.before else { return Ok(()) };
    let mut columns = draft::columns(&candidate.after)?;
    columns.insert("version".to_owned(), (version_of::<R>(before)? + 1).into());
    columns.insert("updated_at".to_owned(), super::print_instant(unit.now).into());
    candidate.after = draft::whole::<R>(columns)?;
    Ok(())
}

/// Rules of the engine itself that look at other rows: uniqueness, references, the owner within reach.
async fn outside<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<Vec<(usize, Violation)>> {
    let kept = candidates.iter().filter(|c| !c.deletes);
    let every = || (0..shape.columns.len()).collect();
    let rows = kept.map(|c| Ok((row::<R>(c)?, if c.restores { every() } else { changed::<R>(c) })));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let mut broken = store::dangling(unit, shape, &rows).await?;
    if let Some(owner) = shape.column("owner_id") {
        for (row, _) in rows.iter().filter(|(_, changed)| changed.contains(&owner)) {
            let id = row.cells.get(owner).and_then(|cell| match cell {
                Value::Uuid(id) => *id,
                _ => None,
            });
            if !unit.cx.actor.reaches(shape, id) {
                broken.push((
                    row.index,
                    Violation::field("owner_id", Code::OutsideYourReach, "must be a user within your reach"),
                ));
            }
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|(row, _)| row).collect();
    broken.extend(store::duplicates(unit, shape, &rows).await?);
    let customs = customs::<R>(shape, candidates.iter().filter(|c| !c.deletes))?;
    broken.extend(custom::dangling(unit, shape, &customs).await?);
    broken.extend(custom::duplicates(unit, shape, &customs).await?);
    let lists = lists::<R>(shape, candidates.iter().filter(|c| !c.deletes))?;
    broken.extend(parts::dangling(unit, shape, &lists).await?);
    Ok(broken)
}

async fn still_referenced<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<Vec<(usize, Error)>> {
    let leaving = candidates.iter().filter(|c| c.deletes);
    let mut leaving = leaving.map(|c| Ok((id_of::<R>(&c.after)?, c.index))).collect::<Result<BTreeMap<_, _>>>()?;
    let mut refused = Vec::new();
    while !leaving.is_empty() {
        let ids: Vec<_> = leaving.keys().copied().collect();
        let counts = store::referrers(unit, shape, &ids).await?;
        if counts.is_empty() {
            break;
        }
        // those that stay hold what they refer to
        for (id, by) in counts {
            let Some(index) = leaving.remove(&id) else { continue };
            let by: Vec<_> = by.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
            let detail = format!("{} {id} is still referred to by {}", shape.name, by.join(", "));
            refused.push((index, Error::conflict(Code::StillReferenced, detail)));
        }
    }
    Ok(refused)
}

/// The log, the words to be found by, the ownership intervals and the kind's own effects.
async fn follow<R: Record>(unit: &Unit<'_>, shape: &Shape, candidates: &[Candidate<R::Model>]) -> Result<()> {
    for part in candidates.chunks(store::ROWS_PER_STATEMENT) {
        let mut inserts = vec![history::log(unit, &shape.name, entries::<R>(shape, part)?)];
        inserts.extend(index::<R>(unit, shape, part).await?);
        inserts.extend(owned::<R>(unit, shape, part).await?);
        store::insert_all(&unit.txn, inserts).await?;
    }
    custom::follow(unit, shape, &customs::<R>(shape, candidates.iter())?).await?;
    parts::follow(unit, shape, &lists::<R>(shape, candidates.iter())?).await?;
    if R::AFFECTS_ACCESS && !candidates.is_empty() {
        unit.changes_access();
    }
    let saved: Vec<_> =
        candidates.iter().map(|c| Saved { before: c.before.clone(), after: c.after.clone(), since: c.since }).collect();
    R::effects(unit, &saved).await
}

fn entries<R: Record>(shape: &Shape, candidates: &[Candidate<R::Model>]) -> Result<Vec<history::Entry>> {
    let entry = |c: &Candidate<R::Model>| {
        Ok(history::Entry {
            record: id_of::<R>(&c.after)?,
            version: version_of::<R>(&c.after)?,
            changed: names::<R>(shape, c),
            before: c.before.as_ref().map(draft::columns).transpose()?,
        })
    };
    candidates.iter().map(entry).collect()
}

/// What a change names: columns, and of the tenant's own fields each one. Nothing for a create, where all is new.
fn names<R: Record>(shape: &Shape, candidate: &Candidate<R::Model>) -> Vec<String> {
    let Some(before) = &candidate.before else { return Vec::new() };
    let columns = changed::<R>(candidate).into_iter().filter_map(|i| shape.columns.get(i));
    let of = |column: &super::Column| match column.name.as_str() {
        CUSTOM => {
            let [before, after] = [before, &candidate.after].map(|row| json_of::<R>(row, CUSTOM));
            custom::changed(before.as_ref(), after.as_ref())
        }
        name => vec![name.to_owned()],
    };
    columns.flat_map(of).collect()
}

/// What the write does to a JSON column, where it does anything.
fn json_changes<'c, R: Record>(
    shape: &Shape,
    name: &str,
    candidates: impl Iterator<Item = &'c Candidate<R::Model>>,
) -> Result<Vec<store::JsonChange>> {
    let (Some(column), Some(deleted)) = (shape.column(name), shape.column("deleted_at")) else {
        return Ok(Vec::new());
    };
    let touched = candidates.filter(|c| changed::<R>(c).iter().any(|i| [column, deleted].contains(i)));
    let change = |c: &Candidate<R::Model>| {
        Ok(store::JsonChange {
            index: c.index,
            record: id_of::<R>(&c.after)?,
            created: c.before.is_none(),
            before: c.before.as_ref().filter(|_| !c.restores).and_then(|row| json_of::<R>(row, name)),
            after: json_of::<R>(&c.after, name).filter(|_| !c.deletes),
        })
    };
    touched.map(change).collect()
}

/// The same for the values of the tenant's own fields.
fn customs<'c, R: Record>(
    shape: &Shape,
    candidates: impl Iterator<Item = &'c Candidate<R::Model>>,
) -> Result<Vec<store::JsonChange>> {
    if shape.custom.all().next().is_none() {
        return Ok(Vec::new());
    }
    json_changes::<R>(shape, CUSTOM, candidates)
}

/// The same for the list of children.
fn lists<'c, R: Record>(
    shape: &Shape,
    candidates: impl Iterator<Item = &'c Candidate<R::Model>>,
) -> Result<Vec<store::JsonChange>> {
    let Some(parts) = &shape.parts else { return Ok(Vec::new()) };
    let mut changes = json_changes::<R>(shape, parts.field, candidates)?;
    changes.retain(|change| change.before.is_some() || change.after.is_some());
    Ok(changes)
}

fn json_of<R: Record>(row: &R::Model, column: &str) -> Option<Json> {
    match row.get(draft::column::<R>(column).ok()?) {
        Value::Json(value) => value.map(|value| *value),
        _ => None,
    }
}

/// Who owns the records from now on.
async fn owned<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<Option<InsertStatement>> {
    if shape.column("owner_id").is_none() {
        return Ok(None);
    }
    let owner = draft::column::<R>("owner_id")?;
    let user = |row: &R::Model| match row.get(owner) {
        Value::Uuid(user) => user,
        _ => None,
    };
    let mut moves = Vec::new();
    for c in candidates {
        let (id, before) = (id_of::<R>(&c.after)?, c.before.as_ref().map(user));
        let how = if before.flatten().is_some() { "transfer" } else { "assign" };
        moves.extend(Move::between(id, before, user(&c.after), c.since.owner, how));
    }
    intervals::moved(unit, OWNERSHIP, &shape.name, &moves).await
}

/// The words by which the records are found, where a searched field or a deletion changed them.
async fn index<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<Option<InsertStatement>> {
    let columns = search::columns(shape);
    if columns.is_empty() {
        return Ok(None);
    }
    let all: Vec<_> = R::Column::iter().collect();
    let deleted = draft::column::<R>("deleted_at")?;
    let cells = |row: &R::Model| {
        let living = row.get(deleted) == Value::ChronoDateTimeUtc(None);
        living.then(|| columns.iter().filter_map(|i| all.get(*i)).map(|column| row.get(*column)).collect::<Vec<_>>())
    };
    let mut records = Vec::with_capacity(candidates.len());
    for c in candidates {
        let after = cells(&c.after);
        if c.before.as_ref().and_then(cells) != after {
            records.push((id_of::<R>(&c.after)?, after));
        }
    }
    search::put(&unit.txn, unit.cx.tenant.id, shape, &records).await
}

fn row<R: Record>(candidate: &Candidate<R::Model>) -> Result<store::Row> {
    Ok(store::Row {
        index: candidate.index,
        id: id_of::<R>(&candidate.after)?,
        exists: candidate.before.is_some(),
        cells: R::Column::iter().map(|column| candidate.after.get(column)).collect(),
    })
}

/// Indexes of the columns whose value differs from before; all of them for a create.
fn changed<R: Record>(candidate: &Candidate<R::Model>) -> Vec<usize> {
    R::Column::iter()
        .enumerate()
        .filter(|(_, column)| {
            candidate.before.as_ref().is_none_or(|before| before.get(*column) != candidate.after.get(*column))
        })
        .map(|(i, _)| i)
        .collect()
}

fn written<R: Record>(after: &R::Model, changed: bool) -> Verdict {
    Ok(Written { id: id_of::<R>(after)?, version: version_of::<R>(after)?, changed })
}

pub(super) fn id_of<R: Record>(row: &R::Model) -> Result<Uuid> {
    match row.get(draft::column::<R>("id")?) {
        Value::Uuid(Some(id)) => Ok(id),
        other => Err(Error::internal("every record has an id", format!("{other:?}"))),
    }
}

fn version_of<R: Record>(row: &R::Model) -> Result<i64> {
    match row.get(draft::column::<R>("version")?) {
        Value::BigInt(Some(version)) => Ok(version),
        other => Err(Error::internal("every record has a version", format!("{other:?}"))),
    }
}
