//! Aggregates: records counted, added and averaged by group, in one statement.
//!
//! Rows and values come from an inner select, groups from an outer one over its columns, so that no expression stands
//! twice. Exact sums, averages, `having` and the order are worked out here from at most 10,000 groups: 64-bit
//! overflow, division and rounding differ between the databases. The bounds of periods come from the tenant's zone, and
//! the database only looks a row's period up among them: a range that an index serves, then as many comparisons as
//! halving takes.

mod datum;
mod having;
mod measure;
mod period;
mod request;
mod source;

use std::cmp::Ordering;

use sea_orm::{
    ColumnType, ConnectionTrait, QueryResult,
    sea_query::{Alias, Expr, Query, SelectStatement},
};

use self::{
    datum::Datum,
    request::{Column, Plan},
};
pub use self::{measure::Function, period::Grain, request::AggregateQuery};
use super::{Shape, bytes::put, past};
use crate::{
    access::{self, Verb},
    context::Context,
    error::{Code, Error, Result},
};

/// Groups that are looked at.
pub const MAX_GROUPS: usize = 10_000;
/// Groups that are answered.
pub const MAX_LIMIT: u64 = 1_000;
pub const MAX_MEASURES: usize = 20;
pub const MAX_GROUP_BY: usize = 4;
pub const MAX_PERIODS: usize = 1_000;

/// One group.
struct Group {
    /// Place of its period.
    period: Datum,
    keys: Vec<Datum>,
    measures: Vec<Datum>,
}

/// The measures of the records that the actor may see and the filter keeps, by group:
/// `{"data":[{"period":..,"group":{..},"measures":{..}}],"page":{"has_more":..}}`.
///
/// Cost: one statement over the rows of the filter; memory for at most 10,000 groups.
///
/// # Errors
/// `Forbidden`; `Malformed` with everything that is wrong with the query, more groups than are looked at, or a sum that is
/// too large.
pub async fn aggregate(cx: &Context, shape: &Shape, query: &AggregateQuery) -> Result<Vec<u8>> {
    access::may(&cx.actor, Verb::Read, shape)?;
    past::keeps(cx, shape)?;
    let plan = Plan::of(cx, shape, query)?;
    let rows = cx.reader().query_all(&plan.statement(cx)).await?;
    if rows.len() > MAX_GROUPS {
        let detail = format!("makes more than {MAX_GROUPS} groups; narrow `where` or group by less");
        return Err(Error::malformed("/group_by", Code::QueryTooExpensive, detail));
    }
    let mut groups = rows.iter().map(|row| plan.group(row)).collect::<Result<Vec<_>>>()?;
    if let Some(having) = &plan.having {
        groups.retain(|group| having.holds(&group.measures));
    }
    groups.sort_by(|a, b| plan.order(a, b));
    let more = groups.len() > plan.limit;
    groups.truncate(plan.limit);
    plan.body(&groups, more)
}

impl Plan {
    fn statement(&self, cx: &Context) -> SelectStatement {
        let (mut rows, zone) = (self.rows.clone(), cx.tenant.time_zone);
        let mut groups = Query::select();
        let mut by = Vec::new();
        if let Some((source, periods)) = &self.periods {
            rows.and_where(periods.within(&source.value, &source.kind, zone));
            rows.expr_as(periods.place(&source.value, &source.kind, zone), Alias::new("p"));
            by.push(Alias::new("p"));
        }
        for (i, key) in self.keys.iter().enumerate() {
            let name = Alias::new(format!("k{i}"));
            rows.expr_as(key.source.value.clone(), name.clone());
            by.push(name);
        }
        groups.columns(by.clone());
        for (i, measure) in self.measures.iter().enumerate() {
            let name = format!("m{i}");
            if let Some(source) = &measure.source {
                rows.expr_as(source.value.clone(), Alias::new(name.as_str()));
            }
            groups.exprs(measure.expressions(&name));
        }
        rows.expr_as(Expr::val(1), Alias::new("one")); // a select needs a column, though rows are only counted
        groups.group_by_columns(by).limit(MAX_GROUPS as u64 + 1).from_subquery(rows, Alias::new("rows")).take()
    }

    fn group(&self, row: &QueryResult) -> Result<Group> {
        let mut index = 0;
        let mut next = |n: usize| {
            index += n;
            index - n
        };
        let period = match &self.periods {
            Some(_) => Datum::read(row, next(1), &ColumnType::BigInteger)?,
            None => Datum::Null,
        };
        let read = |index, kind| Datum::read(row, index, kind);
        let keys = self.keys.iter().map(|key| read(next(1), &key.source.column)).collect::<Result<Vec<_>>>()?;
        let mut measures = Vec::with_capacity(self.measures.len());
        for measure in &self.measures {
            let currency = measure.currency.and_then(|key| keys.get(key)).and_then(Datum::text);
            measures.push(measure.read(row, next(measure.width()), currency)?);
        }
        Ok(Group { period, keys, measures })
    }

    fn order(&self, a: &Group, b: &Group) -> Ordering {
        let compare = |column: &Column| match column {
            Column::Period => a.period.order(&b.period),
            Column::Key(i) => pair(&a.keys, &b.keys, *i),
            Column::Measure(i) => pair(&a.measures, &b.measures, *i),
        };
        self.sort.iter().fold(Ordering::Equal, |order, (column, descending)| {
            let next = compare(column);
            order.then(if *descending { next.reverse() } else { next })
        })
    }

    fn body(&self, groups: &[Group], more: bool) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(64 + groups.len() * 128);
        out.extend_from_slice(br#"{"data":["#);
        for (i, group) in groups.iter().enumerate() {
            out.extend_from_slice(if i > 0 { b",{" } else { b"{" });
            if let (Some((_, periods)), Datum::Integer(place)) = (&self.periods, &group.period) {
                out.extend_from_slice(br#""period":"#);
                put(&mut out, &usize::try_from(*place).ok().and_then(|place| periods.starts.get(place)))?;
                out.push(b',');
            }
            out.extend_from_slice(br#""group":"#);
            members(&mut out, self.keys.iter().map(|key| &key.name), &group.keys)?;
            out.extend_from_slice(br#","measures":"#);
            members(&mut out, self.measures.iter().map(|measure| &measure.name), &group.measures)?;
            out.push(b'}');
        }
        out.extend_from_slice(br#"],"page":{"has_more":"#);
        put(&mut out, &more)?;
        out.extend_from_slice(b"}}");
        Ok(out)
    }
}

fn pair(a: &[Datum], b: &[Datum], i: usize) -> Ordering {
    a.get(i).zip(b.get(i)).map_or(Ordering::Equal, |(a, b)| a.order(b))
}

fn members<'n>(out: &mut Vec<u8>, names: impl Iterator<Item = &'n String>, values: &[Datum]) -> Result<()> {
    out.push(b'{');
    for (i, (name, value)) in names.zip(values).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        put(out, name)?;
        out.push(b':');
        value.print(out)?;
    }
    out.push(b'}');
    Ok(())
}
