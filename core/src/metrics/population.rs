//! Quantiles over a whole population, computed by the database.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use sea_orm::{
    ConnectionTrait, Order,
    sea_query::{
        Alias, CaseStatement, Expr, ExprTrait, Func, NullOrdering, Query, SelectStatement, SimpleExpr, WindowStatement,
    },
};

use super::{
    Datum, Wanted,
    compile::{beyond, mixed},
};
use crate::{
    context::Context,
    error::{Error, Result},
};

/// A wanted column with what its absence means for the population.
#[derive(Clone, Debug)]
pub struct Measured {
    pub wanted: Wanted,
    /// Subjects without it are not of the population.
    pub required: bool,
    /// Stands in where it is missing, in the unit of the fact.
    pub default: Option<Datum>,
}

/// Quantiles of one column, in the order asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    pub values: Vec<Option<Datum>>,
    /// Subjects that have a value.
    pub count: i64,
}

/// Quantiles of columns of `facts` (a [`super::select`] over `columns`), by nearest rank: the inverted CDF, the smallest
/// value v with at least q of the population <= v, which is the ceil(q n)-th in order (type 1 of Hyndman and Fan,
/// "Sample Quantiles in Statistical Packages", The American Statistician 50, 1996). Population: the subjects that have
/// every required column. Two statements, whatever the number of columns and quantiles.
///
/// # Errors
/// `MixedCurrency`; `OutOfRange` beyond [`super::WHOLE`]; the database.
pub async fn quantiles(
    cx: &Context,
    facts: &SelectStatement,
    columns: &[Measured],
    asked: &[(usize, Vec<f64>)],
    as_of: DateTime<Utc>,
) -> Result<Vec<Quantiles>> {
    let population = population(cx, facts, columns, as_of);
    let counts = counts(cx, &population, columns, asked).await?;
    let mut ranks = Query::select();
    ranks.from_subquery(population, Alias::new("p"));
    let mut picks = Query::select();
    let mut n = 0;
    for ((column, quantiles), count) in asked.iter().zip(&counts) {
        let Some(measured) = columns.get(*column) else { continue };
        let (value, rank) = (Alias::new(format!("f{column}")), Alias::new(format!("r{column}")));
        let direction = if measured.wanted.reversed() { Order::Desc } else { Order::Asc };
        let window = WindowStatement::new().order_by_with_nulls(value.clone(), direction, NullOrdering::Last).take();
        ranks.column(value.clone()).expr_window_as(Func::cust(Alias::new("row_number")), window, rank.clone());
        for q in quantiles {
            let hit = Expr::col(rank.clone()).eq(nearest_rank(*q, *count)?);
            let pick: SimpleExpr = CaseStatement::new().case(hit, Expr::col(value.clone())).into();
            picks.expr_as(Func::max(pick), Alias::new(format!("q{n}")));
            n += 1;
        }
    }
    if n == 0 {
        return Ok(counts.into_iter().map(|count| Quantiles { values: Vec::new(), count }).collect());
    }
    picks.from_subquery(ranks, Alias::new("r"));
    let row = cx.reader().query_one(&picks).await?;
    let row = row.ok_or_else(|| Error::internal("an aggregate has one row", "none came"))?;
    let mut index = 0..n;
    let mut found = Vec::with_capacity(asked.len());
    for ((column, quantiles), count) in asked.iter().zip(counts) {
        let values = index.by_ref().take(quantiles.len()).map(|i| match columns.get(*column) {
            Some(measured) => measured.wanted.datum(&row, i, as_of, &cx.tenant),
            None => Ok(None),
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        if values.iter().flatten().any(Datum::is_beyond) {
            return Err(beyond("the population"));
        }
        found.push(Quantiles { values, count });
    }
    Ok(found)
}

/// The columns of the subjects that have every required one, defaults filled in.
fn population(cx: &Context, facts: &SelectStatement, columns: &[Measured], as_of: DateTime<Utc>) -> SelectStatement {
    let mut select = Query::select();
    select.from_subquery(facts.clone(), Alias::new("f")).column(Alias::new("foreign"));
    for (i, measured) in columns.iter().enumerate() {
        let name = Alias::new(format!("f{i}"));
        let value = Expr::col(name.clone());
        if measured.required {
            select.and_where(value.clone().is_not_null());
        }
        let default = measured.default.as_ref();
        let filled = default.and_then(|default| measured.wanted.stored(default, as_of, &cx.tenant));
        select.expr_as(filled.map_or_else(|| value.clone(), |stored| value.clone().if_null(stored)), name);
    }
    select
}

async fn counts(
    cx: &Context,
    population: &SelectStatement,
    columns: &[Measured],
    asked: &[(usize, Vec<f64>)],
) -> Result<Vec<i64>> {
    let mut select = Query::select();
    select.from_subquery(population.clone(), Alias::new("p"));
    select.expr_as(
        Func::cast_as(Func::sum(Expr::col(Alias::new("foreign"))), Alias::new("bigint")),
        Alias::new("foreign"),
    );
    for (column, _) in asked {
        select.expr(Func::count(Expr::col(Alias::new(format!("f{column}")))));
    }
    let row = cx.reader().query_one(&select).await?;
    let row = row.ok_or_else(|| Error::internal("an aggregate has one row", "none came"))?;
    let foreign = row.try_get_by_index::<Option<i64>>(0)?.unwrap_or_default();
    if foreign > 0
        && columns.iter().any(|c| c.wanted.unit(&cx.tenant).as_deref() == Some(cx.tenant.base_currency.as_str()))
    {
        return Err(mixed(cx, foreign, "the population"));
    }
    (0..asked.len()).map(|i| Ok(row.try_get_by_index(i + 1)?)).collect()
}

/// The rank, from 1, of the quantile `q` among `n` values in order: ceil(q n), at least 1, in decimal arithmetic, so that 0.2
/// of 85 is the 17th, not the 18th.
///
/// # Errors
/// `q` is no finite number.
pub fn nearest_rank(q: f64, n: i64) -> Result<i64> {
    let q = Decimal::from_str(&q.to_string()).map_err(|source| Error::internal("a quantile is a decimal", source))?;
    let rank = (q * Decimal::from(n)).ceil().to_i64();
    Ok(Ord::max(rank.unwrap_or(n), 1))
}
