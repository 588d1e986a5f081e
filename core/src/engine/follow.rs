//! What follows from a slice of writes whatever the kind: the log, the words to be found by, who owns the records, custom
//! values and owned children.

use sea_orm::{Iterable, ModelTrait, Value, sea_query::InsertStatement};
use serde_json::Value as Json;

use super::{
    Interval, Move, Record, Saved, Shape,
    custom::{self, CUSTOM},
    draft, history, intervals, parts, search, store,
    write::{Candidate, changed, id_of, version_of},
};
use crate::{context::Unit, error::Result};

const OWNERSHIP: Interval = Interval { table: "ownership", value: "user_id", origin: Some("how") };

/// What the log, the words to be found by and the ownership intervals take up of up to 250 records: made without the
/// database, which can work meanwhile.
pub(super) struct Traces {
    log: InsertStatement,
    words: search::Documents,
    moves: Vec<Move>,
}

impl Traces {
    pub(super) fn of<R: Record>(unit: &Unit<'_>, shape: &Shape, candidates: &[&Candidate<R::Model>]) -> Result<Self> {
        Ok(Self {
            log: history::log(unit, &shape.name, entries::<R>(shape, candidates)?),
            words: words::<R>(unit, shape, candidates)?,
            moves: moves::<R>(shape, candidates)?,
        })
    }

    /// What stores them. What must go before is gone after this.
    pub(super) async fn inserts(self, unit: &Unit<'_>, shape: &Shape) -> Result<Vec<InsertStatement>> {
        let mut inserts = vec![self.log];
        inserts.extend(search::put(&unit.txn, unit.cx.tenant.id, shape, self.words).await?);
        inserts.extend(intervals::moved(unit, OWNERSHIP, &shape.name, &self.moves).await?);
        Ok(inserts)
    }
}

/// The values of the tenant's own fields, owned children, and the kind's own effects.
pub(super) async fn follow<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<()> {
    custom::follow(unit, shape, &customs::<R>(shape, candidates.iter())?).await?;
    parts::follow(unit, shape, &lists::<R>(shape, candidates.iter())?).await?;
    if R::AFFECTS_ACCESS && !candidates.is_empty() {
        unit.changes_access();
    }
    let saved: Vec<_> =
        candidates.iter().map(|c| Saved { before: c.before.clone(), after: c.after.clone(), since: c.since }).collect();
    R::effects(unit, &saved).await
}

fn entries<R: Record>(shape: &Shape, candidates: &[&Candidate<R::Model>]) -> Result<Vec<history::Entry>> {
    let entry = |c: &Candidate<R::Model>| {
        Ok(history::Entry {
            record: id_of::<R>(&c.after)?,
            version: version_of::<R>(&c.after)?,
            changed: names::<R>(shape, c),
            before: c.before.as_ref().map(draft::columns).transpose()?,
        })
    };
    candidates.iter().copied().map(entry).collect()
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
pub(super) fn customs<'c, R: Record>(
    shape: &Shape,
    candidates: impl Iterator<Item = &'c Candidate<R::Model>>,
) -> Result<Vec<store::JsonChange>> {
    if shape.custom.all().next().is_none() {
        return Ok(Vec::new());
    }
    json_changes::<R>(shape, CUSTOM, candidates)
}

/// The same for the list of children.
pub(super) fn lists<'c, R: Record>(
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
fn moves<R: Record>(shape: &Shape, candidates: &[&Candidate<R::Model>]) -> Result<Vec<Move>> {
    if shape.stored_field("owner_id").is_none() {
        return Ok(Vec::new());
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
    Ok(moves)
}

/// The words by which the records are found, where a searched field or a deletion changed them.
fn words<R: Record>(unit: &Unit<'_>, shape: &Shape, candidates: &[&Candidate<R::Model>]) -> Result<search::Documents> {
    let columns = search::columns(shape);
    let all: Vec<_> = R::Column::iter().collect();
    let deleted = draft::column::<R>("deleted_at")?;
    let cells = |row: &R::Model| {
        let living = row.get(deleted) == Value::ChronoDateTimeUtc(None);
        living.then(|| columns.iter().filter_map(|i| all.get(*i)).map(|column| row.get(*column)).collect::<Vec<_>>())
    };
    let mut records = Vec::with_capacity(candidates.len());
    for c in candidates.iter().filter(|_| !columns.is_empty()) {
        let after = cells(&c.after);
        if c.before.as_ref().and_then(cells) != after {
            records.push((id_of::<R>(&c.after)?, after));
        }
    }
    let fresh = candidates.iter().all(|c| c.before.is_none());
    Ok(search::documents(unit.cx.tenant.id, shape, records.into_iter(), fresh))
}
