//! The one way a record is written: draft -> whole candidate -> rules -> rows, log and effects, in the caller's unit.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    Iterable, ModelTrait, Value,
    sea_query::{Alias, Expr, ExprTrait, IntoIden, LockType, Query},
};
use serde_json::Map;
use uuid::Uuid;

use super::{
    Operation, Record, Shape, Since, Verdict, Written, draft,
    follow::{Traces, follow},
    only, other, outside, read,
    read::Found,
    store, visible,
    visible::writable,
};
use crate::{
    access::{self, Reach, Verb},
    context::Unit,
    error::{Code, Error, Result, Violation},
};

/// How often a slice is tried again without what the filter of the writer's role does not keep. Twice, unless the filter
/// keeps a row because of others that are refused.
const ATTEMPTS: usize = 8;

/// A candidate on its way, with its place in the slice.
pub(super) struct Candidate<M> {
    pub index: usize,
    pub since: Since,
    pub deletes: bool,
    /// Everything it refers to is looked for again, not just what has changed.
    pub restores: bool,
    pub before: Option<M>,
    pub after: M,
}

/// One place an operation; the first verdict stands.
struct Verdicts(Vec<Option<Verdict>>);

impl Verdicts {
    fn settle(&mut self, index: usize, verdict: Verdict) {
        if let Some(place) = self.0.get_mut(index) {
            place.get_or_insert(verdict);
        }
    }

    fn settled(&self, index: usize) -> bool {
        self.0.get(index).is_none_or(Option::is_some)
    }

    fn keep_open<M>(&self, candidates: &mut Vec<Candidate<M>>) {
        candidates.retain(|c| !self.settled(c.index));
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
    Ok(stored::<R>(unit, shape, operations).await?.0)
}

/// One record, and how it reads now. What follows a write changes other records only, so it need not be read again.
pub(super) async fn write_one<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    operation: Operation,
) -> Result<(Written, Found)> {
    let (verdicts, changed) = stored::<R>(unit, shape, vec![operation]).await?;
    let written = only(verdicts)?;
    let found = match changed.first() {
        Some(candidate) => read::written(unit.cx, shape, &row::<R>(candidate)?.cells, written.version)?,
        None => read::get_in(unit, shape, written.id).await?,
    };
    Ok((written, found))
}

/// What became of each operation, and the candidates that were stored.
type Stored<M> = (Vec<Verdict>, Vec<Candidate<M>>);

async fn stored<R: Record>(unit: &Unit<'_>, shape: &Shape, operations: Vec<Operation>) -> Result<Stored<R::Model>> {
    allowed(unit, shape, &operations)?;
    if R::DEFINES {
        unit.defines().await?;
    } else {
        unit.is_current()?;
    }
    match unit.cx.actor.reach(shape) {
        Reach::Where(_) => kept::<R>(unit, shape, &operations).await,
        _ => tried::<R>(unit, shape, operations, &BTreeSet::new()).await,
    }
}

/// The same where a filter says which rows the writer's role keeps, as can be told only of what is stored: a part with
/// others among it is undone, and tried again without them.
async fn kept<R: Record>(unit: &Unit<'_>, shape: &Shape, operations: &[Operation]) -> Result<Stored<R::Model>> {
    let mut outside = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let part = unit.part().await?;
        let (verdicts, candidates) = tried::<R>(&part, shape, operations.to_vec(), &outside).await?;
        let unseen = outside::unseen::<R>(&part, shape, &candidates).await?;
        if unseen.is_empty() {
            part.merge(unit).await?;
            return Ok((verdicts, candidates));
        }
        part.undo().await?;
        outside.extend(unseen);
    }
    Err(outside::beyond(shape))
}

/// `outside`: places of operations that are not to be tried.
async fn tried<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    operations: Vec<Operation>,
    outside: &BTreeSet<usize>,
) -> Result<Stored<R::Model>> {
    let refused = |index| outside.contains(&index).then(|| Err(outside::beyond(shape)));
    let mut verdicts = Verdicts((0..operations.len()).map(refused).collect());
    let mut candidates = drafted::<R>(unit, shape, operations, &mut verdicts).await?;
    checked::<R>(unit, shape, &mut candidates, &mut verdicts).await?;
    for (index, error) in put::<R>(unit, shape, &candidates).await? {
        verdicts.settle(index, Err(error));
    }
    verdicts.keep_open(&mut candidates);
    follow::<R>(unit, shape, &candidates).await?;
    for candidate in &candidates {
        verdicts.settle(candidate.index, written::<R>(&candidate.after, true));
    }
    Ok((verdicts.all(), candidates))
}

/// Stores the candidates with their place in the log, the search and the ownerships. Answers with those that lost a race.
async fn put<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<Vec<(usize, Error)>> {
    if let [only] = candidates
        && only.before.is_none()
    {
        let with = Traces::of::<R>(unit, shape, &[only])?.inserts(unit, shape).await?;
        return store::create(unit, shape, row::<R>(only)?, with).await;
    }
    let rows = candidates.iter().map(row::<R>).collect::<Result<Vec<_>>>()?;
    let all: Vec<_> = candidates.iter().collect();
    let (lost, mut left) = futures::try_join!(store::store(unit, shape, rows), traces::<R>(unit, shape, &all))?;
    if !lost.is_empty() {
        let kept: Vec<_> = all.into_iter().filter(|c| lost.iter().all(|(index, _)| *index != c.index)).collect();
        left = traces::<R>(unit, shape, &kept).await?;
    }
    for traces in left {
        store::insert_all(&unit.txn, traces.inserts(unit, shape).await?).await?;
    }
    Ok(lost)
}

/// Candidates whose traces are stored together: SQLite's text index writes what it has gathered with each statement.
const TRACED_AT_ONCE: usize = 1000;

/// What follows from the candidates; in between the database gets its turn.
async fn traces<R: Record>(unit: &Unit<'_>, shape: &Shape, candidates: &[&Candidate<R::Model>]) -> Result<Vec<Traces>> {
    let mut all = Vec::new();
    for part in candidates.chunks(TRACED_AT_ONCE) {
        all.push(Traces::of::<R>(unit, shape, part)?);
        tokio::task::yield_now().await;
    }
    Ok(all)
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
        }
        if verdicts.settled(index) {
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
    let known = refused.keys().copied().collect();
    for (index, violation) in outside::broken::<R>(unit, shape, candidates, known).await? {
        refused.entry(index).or_default().push(violation);
    }
    for (index, violations) in refused {
        verdicts.settle(index, Err(Error::Invalid(violations)));
    }
    for (index, error) in outside::still_referenced::<R>(unit, shape, candidates).await? {
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

/// What updates and deletes start from.
struct Present<M> {
    /// Locked: those to be deleted against whoever would refer to them, the others against other writers alone.
    rows: HashMap<Uuid, M>,
    /// Those that the actor sees, and may not change.
    fixed: HashSet<Uuid>,
    /// Those that a create brings the id of, and that were deleted.
    gone: HashSet<Uuid>,
}

/// One statement for up to 1,000, and one more where some are not there to be changed, or are created under ids of their own.
async fn present<R: Record>(unit: &Unit<'_>, shape: &Shape, operations: &[Operation]) -> Result<Present<R::Model>> {
    let (deleted, live): (Vec<_>, Vec<_>) =
        operations.iter().partition(|operation| matches!(operation, Operation::Restore { .. }));
    let ids = |operations: Vec<&Operation>| operations.into_iter().filter_map(Operation::of).collect::<Vec<_>>();
    let removes = operations.iter().any(|operation| matches!(operation, Operation::Delete { .. }));
    let lock = if removes { LockType::Update } else { LockType::NoKeyUpdate };
    let mut live = ids(live);
    let mut rows = other::fetch::<R>(unit, shape, &live, (Some(lock), false)).await?;
    live.retain(|id| !rows.contains_key(id));
    let fixed = other::among(unit, &visible(unit.cx, shape), &live).await?;
    rows.extend(other::fetch::<R>(unit, shape, &ids(deleted), (Some(lock), true)).await?);
    let brought: Vec<_> = operations.iter().filter_map(Operation::brought).collect();
    let gone = gone(unit, shape, &brought).await?;
    Ok(Present { rows, fixed, gone })
}

/// Which of the ids are of deleted records that the actor may restore.
async fn gone(unit: &Unit<'_>, shape: &Shape, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let table = shape.table();
    let deleted = Query::select()
        .from(table.clone())
        .cond_where(writable(unit.cx, shape, &table.into_iden()))
        .and_where(Expr::col(Alias::new("deleted_at")).is_not_null())
        .take();
    other::among(unit, &deleted, ids).await
}

fn candidate<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    present: &Present<R::Model>,
    index: usize,
    operation: Operation,
) -> Result<Candidate<R::Model>> {
    let before_of = |id: Uuid, version: Option<i64>| {
        let before = present.rows.get(&id).cloned().ok_or_else(|| {
            let detail = || format!("{} {id} is yours to read, and not to change", shape.name);
            let fixed = present.fixed.contains(&id).then(|| Error::conflict(Code::OutsideYourReach, detail()));
            fixed.unwrap_or_else(|| Error::not_found(&shape.name, id))
        })?;
        let actual = version_of::<R>(&before)?;
        if version.is_some_and(|wanted| wanted != actual) {
            return Err(Error::Stale { actual });
        }
        Ok(before)
    };
    if let Some(id) = operation.brought().filter(|id| present.gone.contains(id)) {
        let detail = format!("{} {id} was deleted: restore it, and its id is in use again", shape.name);
        return Err(Error::conflict(Code::InvalidState, detail));
    }
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
            let after = draft::restored::<R>(shape, &before)?;
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

pub(super) fn row<R: Record>(candidate: &Candidate<R::Model>) -> Result<store::Row> {
    Ok(store::Row {
        index: candidate.index,
        id: id_of::<R>(&candidate.after)?,
        exists: candidate.before.is_some(),
        cells: R::Column::iter().map(|column| candidate.after.get(column)).collect(),
    })
}

/// Indexes of the columns whose value differs from before; all of them for a create.
pub(super) fn changed<R: Record>(candidate: &Candidate<R::Model>) -> Vec<usize> {
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

pub(super) fn version_of<R: Record>(row: &R::Model) -> Result<i64> {
    match row.get(draft::column::<R>("version")?) {
        Value::BigInt(Some(version)) => Ok(version),
        other => Err(Error::internal("every record has a version", format!("{other:?}"))),
    }
}
