//! Rules that several kinds share.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use crate::{
    context::Unit,
    error::{Code, Result, Violation},
};

/// Two moments or days, in order where both are known.
pub(super) fn ordered<T: PartialOrd>(
    (first, earlier): (&str, Option<T>),
    (second, later): (&str, Option<T>),
) -> Option<Violation> {
    let wrong = earlier.zip(later).is_some_and(|(earlier, later)| later < earlier);
    wrong.then(|| Violation::field(second, Code::InvalidValue, format!("must not be before {first}")))
}

/// Candidates whose way upwards comes back to themselves. `edge` is a record with the one above it, in `column` of
/// `table`. One statement, whatever the size of the slice and the height of the tree.
pub(super) async fn loops<M>(
    unit: &Unit<'_>,
    table: &'static str,
    column: &'static str,
    slice: &[(Option<M>, M)],
    edge: impl Fn(&M) -> (Uuid, Option<Uuid>),
) -> Result<Vec<(usize, Violation)>> {
    let moved: Vec<_> = slice
        .iter()
        .enumerate()
        .filter(|(_, (before, after))| before.as_ref().and_then(|row| edge(row).1) != edge(after).1)
        .filter_map(|(at, (_, after))| Some((at, edge(after).0, edge(after).1?)))
        .collect();
    let mut above = ancestors(unit, table, column, moved.iter().map(|(_, _, parent)| *parent)).await?;
    above.extend(slice.iter().map(|(_, after)| edge(after)));
    let mut broken = Vec::new();
    for (at, id, parent) in moved {
        let mut steps = above.len();
        let mut here = Some(parent);
        while let Some(place) = here.filter(|place| *place != id && steps > 0) {
            here = above.get(&place).copied().flatten();
            steps -= 1;
        }
        if here == Some(id) {
            broken.push((at, Violation::field(column, Code::InvalidValue, "would make a circle")));
        }
    }
    Ok(broken)
}

/// The stored edges on the way up from these records.
async fn ancestors(
    unit: &Unit<'_>,
    table: &str,
    column: &str,
    from: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, Option<Uuid>>> {
    let mut starts: Vec<_> = from.collect();
    starts.sort_unstable();
    starts.dedup();
    let mut edges = HashMap::new();
    for part in starts.chunks(1000) {
        let places: Vec<_> = (2..part.len() + 2).map(|n| format!("${n}")).collect();
        let sql = format!(
            "with recursive up(id, parent) as ( \
                 select id, \"{column}\" from \"{table}\" where tenant_id = $1 and id in ({}) \
                 union \
                 select t.id, t.\"{column}\" from \"{table}\" as t join up on t.id = up.parent where t.tenant_id = $1 \
             ) select id, parent from up",
            places.join(", ")
        );
        let values = [unit.cx.tenant.id].into_iter().chain(part.iter().copied()).map(Value::from);
        for row in unit.txn.query_all_raw(Statement::from_sql_and_values(unit.cx.backend(), sql, values)).await? {
            edges.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        }
    }
    Ok(edges)
}
