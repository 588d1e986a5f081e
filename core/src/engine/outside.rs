//! Rules of the engine itself that look at other rows: uniqueness, references both ways, the owner within reach.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{
    ConnectionTrait, Value,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::{
    Record, Shape, custom,
    follow::{customs, lists},
    other::among,
    parts,
    store::Row,
    unique::{self, Claim, Unique},
    visible,
    write::{Candidate, changed, id_of, row},
};
use crate::{
    context::Unit,
    error::{Code, Error, Result, Violation},
};

/// What is wrong with the candidates that stay, by place in the slice. `refused`: those that are already.
pub(super) async fn broken<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
    mut refused: HashSet<usize>,
) -> Result<Vec<(usize, Violation)>> {
    let kept = || candidates.iter().filter(|c| !c.deletes);
    let every = || (0..shape.columns.len()).collect();
    let rows = kept().map(|c| Ok((row::<R>(c)?, if c.restores { every() } else { changed::<R>(c) })));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let (customs, lists) = (customs::<R>(shape, kept())?, lists::<R>(shape, kept())?);
    let mut broken = dangling(unit, shape, &rows).await?;
    broken.extend(unreached(unit, shape, &rows));
    broken.extend(custom::dangling(unit, shape, &customs).await?);
    broken.extend(parts::dangling(unit, shape, &lists).await?);
    refused.extend(broken.iter().map(|(index, _)| *index));
    let rows: Vec<_> = rows.into_iter().map(|(row, _)| row).collect();
    let mut wanted = claims(unit, shape, &rows).await?;
    wanted.extend(custom::claims(unit, shape, &customs).await?);
    wanted.extend(parts::claims(unit, shape, &lists).await?);
    broken.extend(unique::duplicates(&wanted, refused));
    Ok(broken)
}

/// Candidates that would have an owner beyond the actor's reach.
fn unreached(unit: &Unit<'_>, shape: &Shape, rows: &[(Row, Vec<usize>)]) -> Vec<(usize, Violation)> {
    let owner = shape.stored_field("owner_id").and_then(|field| field.columns.first().copied());
    let Some(owner) = owner else { return Vec::new() };
    let beyond = |row: &Row| {
        let id = row.cells.get(owner).and_then(|cell| match cell {
            Value::Uuid(id) => *id,
            _ => None,
        });
        !unit.cx.actor.reaches(shape, id)
    };
    let violation = || Violation::field("owner_id", Code::OutsideYourReach, "must be a user within your reach");
    let moved = rows.iter().filter(|(_, changed)| changed.contains(&owner));
    moved.filter(|(row, _)| beyond(row)).map(|(row, _)| (row.index, violation())).collect()
}

/// Candidates that would go although others refer to them.
pub(super) async fn still_referenced<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<Vec<(usize, Error)>> {
    let leaving = candidates.iter().filter(|c| c.deletes);
    let mut leaving = leaving.map(|c| Ok((id_of::<R>(&c.after)?, c.index))).collect::<Result<BTreeMap<_, _>>>()?;
    let mut refused = Vec::new();
    while !leaving.is_empty() {
        let ids: Vec<_> = leaving.keys().copied().collect();
        let counts = referrers(unit, shape, &ids).await?;
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

/// What the candidates want of each set of unique fields. One statement a set for up to 500.
async fn claims(unit: &Unit<'_>, shape: &Shape, rows: &[Row]) -> Result<Vec<Unique>> {
    let live = visible(&unit.cx.everywhere(), shape);
    let mut all = Vec::new();
    for set in &shape.unique {
        let fields = || set.iter().filter_map(|name| shape.stored_field(name));
        let cells: Vec<usize> = fields().flat_map(|field| field.columns.iter().copied()).collect();
        let claim = |row: &Row| {
            let key: Vec<Value> = cells.iter().filter_map(|i| row.cells.get(*i)).cloned().collect();
            let whole = key.iter().all(|value| *value != value.as_null());
            let place = set.first().copied().unwrap_or_default().to_owned();
            whole.then_some(Claim { index: row.index, record: row.id, place, key })
        };
        let claims: Vec<_> = rows.iter().filter_map(claim).collect();
        let columns: Vec<_> = fields().flat_map(|field| shape.columns_of(field)).collect();
        let keys: Vec<_> = claims.iter().map(|claim| &claim.key).collect();
        let held = unique::holders(unit, &live, &columns, &keys).await?;
        let rule = match set {
            [_] => "must be unique".to_owned(),
            several => format!("{} must be unique together", several.join(", ")),
        };
        all.push(Unique { rule, claims, held });
    }
    Ok(all)
}

/// Candidates that refer to records which do not exist for the actor. One statement a referenced kind.
async fn dangling(unit: &Unit<'_>, shape: &Shape, rows: &[(Row, Vec<usize>)]) -> Result<Vec<(usize, Violation)>> {
    let mut wanted: BTreeMap<&str, Vec<Wanted>> = BTreeMap::new();
    for (field, kind) in shape.references().filter(|(f, _)| f.name != "created_by" || unit.history) {
        let Some(column) = field.columns.first() else { continue };
        for (row, _) in rows.iter().filter(|(_, changed)| changed.contains(column)) {
            if let Some(Value::Uuid(Some(id))) = row.cells.get(*column)
                && !(field.name == "owner_id" && unit.cx.actor.user == Some(*id))
            {
                let one = Wanted { index: row.index, place: field.name.clone(), id: *id };
                wanted.entry(kind).or_default().push(one); // who asks is there, and need not be looked up
            }
        }
    }
    let slice: Vec<_> = rows.iter().map(|(row, _)| row.id).collect();
    lost(unit, shape, wanted, &slice).await
}

/// A record that a candidate refers to, and where it does.
pub(super) struct Wanted {
    pub index: usize,
    /// Dotted.
    pub place: String,
    pub id: Uuid,
}

/// Those that do not exist for the actor, by kind; records of the slice itself are there. One statement a kind.
pub(super) async fn lost(
    unit: &Unit<'_>,
    shape: &Shape,
    wanted: BTreeMap<&str, Vec<Wanted>>,
    slice: &[Uuid],
) -> Result<Vec<(usize, Violation)>> {
    let mut broken = Vec::new();
    for (kind, wanted) in wanted.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
        let mut found = existing(unit, kind, wanted.iter().map(|one| one.id).collect()).await?;
        if *kind == *shape.name {
            found.extend(slice);
        }
        let detail = format!("there is no such {kind}, or you may not see it");
        broken.extend(
            wanted
                .into_iter()
                .filter(|one| !found.contains(&one.id))
                .map(|one| (one.index, Violation::field(&one.place, Code::ReferenceNotFound, detail.as_str()))),
        );
    }
    Ok(broken)
}

async fn existing(unit: &Unit<'_>, kind: &str, ids: HashSet<Uuid>) -> Result<HashSet<Uuid>> {
    let Some(target) = unit.cx.kind(kind) else {
        return Err(Error::internal("a reference names a kind of the registry", kind.to_owned()));
    };
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    among(unit, &visible(unit.cx, target.shape()), &ids).await
}

/// Which of the candidates that have just been stored the filter of the writer's role does not keep. One statement for up
/// to 1,000.
pub(super) async fn unseen<R: Record>(
    unit: &Unit<'_>,
    shape: &Shape,
    candidates: &[Candidate<R::Model>],
) -> Result<Vec<usize>> {
    let there = candidates.iter().filter(|c| !c.deletes);
    let there = there.map(|c| Ok((id_of::<R>(&c.after)?, c.index))).collect::<Result<Vec<_>>>()?;
    let found = existing(unit, &shape.name, there.iter().map(|(id, _)| *id).collect()).await?;
    Ok(there.into_iter().filter(|(id, _)| !found.contains(id)).map(|(_, index)| index).collect())
}

/// Why such a one is refused.
pub(super) fn beyond(shape: &Shape) -> Error {
    let detail = format!("would be outside the {} that your role keeps", shape.plural);
    Error::Invalid(vec![Violation { pointer: String::new(), code: Code::OutsideYourReach, detail }])
}

/// How many live records of each kind, these apart, refer to these: they must go first. One statement, and one where custom
/// fields may refer to the kind.
async fn referrers(unit: &Unit<'_>, shape: &Shape, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<(String, i64)>>> {
    let mut union: Option<sea_orm::sea_query::SelectStatement> = None;
    // what goes with a record does not hold it
    let part = |other: &&Shape| other.parent.is_none_or(|(_, kind)| *kind != *shape.name);
    for other in unit.cx.tenant.kinds.shapes().filter(part) {
        for (field, _) in other.references().filter(|(f, kind)| **kind == *shape.name && f.name != "created_by") {
            let column = Alias::new(field.name.as_str());
            let mut select = Query::select()
                .expr_as(Expr::val(&*other.plural), Alias::new("kind"))
                .expr_as(Expr::col(column.clone()), Alias::new("referred"))
                .expr_as(Expr::col(Alias::new("id")).count(), Alias::new("n"))
                .from(other.table())
                .cond_where(other.rows(other.table()))
                .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
                .and_where(Expr::col(Alias::new("deleted_at")).is_null())
                .and_where(Expr::col(column.clone()).is_in(ids.iter().copied()))
                .group_by_col(column)
                .take();
            if other.name == shape.name {
                select.and_where(Expr::col(Alias::new("id")).is_not_in(ids.iter().copied()));
            }
            match &mut union {
                Some(all) => {
                    all.union(sea_orm::sea_query::UnionType::All, select);
                }
                None => union = Some(select),
            }
        }
    }
    let mut counts: HashMap<Uuid, Vec<(String, i64)>> = HashMap::new();
    if let Some(select) = union {
        for row in unit.txn.query_all(&select).await? {
            let id: Uuid = row.try_get("", "referred")?;
            counts.entry(id).or_default().push((row.try_get("", "kind")?, row.try_get("", "n")?));
        }
    }
    for (id, kind, n) in custom::referrers(unit, shape, ids).await? {
        counts.entry(id).or_default().push((kind, n));
    }
    Ok(counts)
}
