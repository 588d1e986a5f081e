//! Pages by key: the rows that follow a given one in a total order, however long the way to it.
//!
//! Null is smallest. A page that begins among the null values of the first key, or may reach them, is read in two
//! segments, each a range of the index; within a segment one direction compares rows, `(x, id) > (?, ?)`, and mixed
//! directions take the expanded form with the first key's bound in front.

use sea_orm::{
    Condition, Value,
    sea_query::{Expr, ExprTrait},
};

use super::sort::Key;

/// Conditions whose rows, one after the other, are those after `values` in the order of `keys`.
pub(super) fn segments(keys: &[Key], values: &[Value]) -> Vec<Condition> {
    let (Some((first, rest)), Some((value, others))) = (keys.split_first(), values.split_first()) else {
        return vec![Condition::all()];
    };
    let column = column(first);
    match (is_null(value), first.descending) {
        (true, false) => vec![
            Condition::all().add(column.clone().is_null()).add(after(rest, others)),
            Condition::all().add(column.is_not_null()),
        ],
        (true, true) => vec![Condition::all().add(column.is_null()).add(after(rest, others))],
        (false, true) if first.nullable => {
            vec![Condition::all().add(after_within(keys, values)), Condition::all().add(column.is_null())]
        }
        (false, _) => vec![Condition::all().add(after_within(keys, values))],
    }
}

/// After `values`, where the first value is not null and rows with a null there belong to another segment.
fn after_within(keys: &[Key], values: &[Value]) -> Expr {
    if let Some(rows) = by_row(keys, values) {
        return rows;
    }
    let (Some((first, rest)), Some((value, others))) = (keys.split_first(), values.split_first()) else {
        return Expr::val(false);
    };
    let beyond = compare(first, value);
    let bound = if first.descending { column(first).lte(value.clone()) } else { column(first).gte(value.clone()) };
    bound.and(beyond.or(column(first).eq(value.clone()).and(after(rest, others))))
}

/// After `values` with nulls in their place.
fn after(keys: &[Key], values: &[Value]) -> Expr {
    if keys.iter().all(|key| !key.nullable)
        && let Some(rows) = by_row(keys, values)
    {
        return rows;
    }
    let (Some((first, rest)), Some((value, others))) = (keys.split_first(), values.split_first()) else {
        return Expr::val(false);
    };
    let (beyond, same) = match (is_null(value), first.descending) {
        (true, false) => (column(first).is_not_null(), column(first).is_null()),
        (true, true) => (Expr::val(false), column(first).is_null()),
        (false, true) if first.nullable => {
            (compare(first, value).or(column(first).is_null()), column(first).eq(value.clone()))
        }
        (false, _) => (compare(first, value), column(first).eq(value.clone())),
    };
    beyond.or(same.and(after(rest, others)))
}

/// One row comparison, where it says the same: one direction, no null among the values, and no null to reach behind
/// the first key. (A comparison with a null is false, which is right where nulls lie before.)
fn by_row(keys: &[Key], values: &[Value]) -> Option<Expr> {
    let (first, rest) = keys.split_first()?;
    let one_way = rest.iter().all(|key| key.descending == first.descending);
    let nulls_behind = first.descending && rest.iter().any(|key| key.nullable);
    if !one_way || nulls_behind || values.iter().any(is_null) {
        return None;
    }
    let columns = Expr::tuple(keys.iter().map(column));
    let bounds = Expr::tuple(values.iter().map(|value| Expr::val(value.clone())));
    Some(if first.descending { columns.lt(bounds) } else { columns.gt(bounds) })
}

fn compare(key: &Key, value: &Value) -> Expr {
    if key.descending { column(key).lt(value.clone()) } else { column(key).gt(value.clone()) }
}

fn column(key: &Key) -> Expr {
    key.value.clone()
}

fn is_null(value: &Value) -> bool {
    *value == value.as_null()
}
