//! Values that no two live records share: who has them, and which records of a slice may.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ConnectionTrait, Value,
    sea_query::{Alias, Expr, ExprTrait, SelectStatement},
};
use uuid::Uuid;

use super::{Column, read_cell};
use crate::{
    context::Unit,
    error::{Code, Result, Violation},
};

/// Keys of one look: each may be a term of its own, and SQLite takes expressions 1,000 deep.
const KEYS_PER_STATEMENT: usize = 500;

/// The values of one set of fields.
pub(super) struct Unique {
    /// The rule, for people: `must be unique`.
    pub rule: String,
    /// What records of the slice want, in the order of the slice.
    pub claims: Vec<Claim>,
    /// Which live records have any of it.
    pub held: HashMap<Vec<Value>, Uuid>,
}

/// What one record of the slice would have.
pub(super) struct Claim {
    pub index: usize,
    pub record: Uuid,
    /// Dotted.
    pub place: String,
    pub key: Vec<Value>,
}

impl Unique {
    fn violation(&self, claim: &Claim, why: &str) -> Violation {
        Violation::field(&claim.place, Code::Duplicate, format!("{}: {why}", self.rule))
    }
}

/// Candidates that want what another live record has, or an earlier one of the slice that is not refused itself. `refused`:
/// those that are already.
pub(super) fn duplicates(all: &[Unique], mut refused: HashSet<usize>) -> Vec<(usize, Violation)> {
    let mut broken = Vec::new();
    for unique in all {
        for claim in &unique.claims {
            if let Some(holder) = unique.held.get(&claim.key).filter(|holder| **holder != claim.record) {
                broken.push((claim.index, unique.violation(claim, &format!("record {holder} has it"))));
            }
        }
    }
    refused.extend(broken.iter().map(|(index, _)| *index));
    let wanted = all.iter().enumerate().flat_map(|(set, unique)| unique.claims.iter().map(move |claim| (set, claim)));
    let mut wanted: Vec<_> = wanted.collect();
    wanted.sort_by_key(|(_, claim)| claim.index);
    let mut taken = HashSet::new();
    for of_one in wanted.chunk_by(|(_, one), (_, next)| one.index == next.index) {
        let known = broken.len();
        for (set, claim) in of_one.iter().filter(|(set, claim)| taken.contains(&(*set, &claim.key))) {
            let unique = all.get(*set);
            broken.extend(unique.map(|unique| (claim.index, unique.violation(claim, "in this request"))));
        }
        if known == broken.len() && of_one.first().is_some_and(|(_, claim)| !refused.contains(&claim.index)) {
            taken.extend(of_one.iter().map(|(set, claim)| (*set, &claim.key)));
        }
    }
    broken
}

/// Which of the rows of `select` have one of these keys in these columns. One statement for up to 500 keys.
pub(super) async fn holders(
    unit: &Unit<'_>,
    select: &SelectStatement,
    columns: &[&Column],
    keys: &[&Vec<Value>],
) -> Result<HashMap<Vec<Value>, Uuid>> {
    let column = |column: &Column| Expr::col(Alias::new(column.name.as_str()));
    let mut held = HashMap::new();
    for part in keys.chunks(KEYS_PER_STATEMENT) {
        let mut select = select.clone();
        select.column(Alias::new("id")).columns(columns.iter().map(|of| Alias::new(of.name.as_str())));
        if let [one] = columns {
            select.and_where(column(one).is_in(part.iter().filter_map(|key| key.first().cloned())));
        } else {
            let tuple = Expr::tuple(columns.iter().map(|of| column(of)));
            let lists = part.iter().map(|key| Expr::tuple(key.iter().map(|value| Expr::val(value.clone()))));
            select.and_where(lists.fold(Expr::val(false), |any, list| any.or(tuple.clone().eq(list))));
        }
        for row in unit.txn.query_all(&select).await? {
            let cells = columns.iter().enumerate().map(|(i, of)| read_cell(&row, i + 1, &of.kind));
            held.insert(cells.collect::<Result<_, _>>()?, row.try_get_by_index(0)?);
        }
    }
    Ok(held)
}
