//! Whether what was ranked high did better afterwards: the outcome by fifths of the ranking.

use sea_orm::{
    ConnectionTrait, QueryResult,
    sea_query::{
        Alias, CaseStatement, Expr, ExprTrait, Func, JoinType, Query, SelectStatement, SimpleExpr, WindowStatement,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    object,
    plan::Plan,
    request::{self, Outcome},
};
use crate::{
    context::Context,
    error::{Error, Result},
    metrics::{self, Wanted},
    ports::InputType,
    values::decimal,
};

/// `{"outcome", "subjects", "sum", "fifths": [{"fifth", "subjects", "sum", "share", "with_outcome",
/// "with_outcome_share"}]}`: fifth i holds the subjects ranked floor((i - 1) n / 5) to floor(i n / 5) by value, ties by
/// external id; `share` is of the outcome's sum, `with_outcome_share` of the fifth's subjects whose outcome is above 0.
///
/// # Errors
/// `MixedCurrency`, the database.
pub async fn fifths(cx: &Context, plan: &Plan) -> Result<Map<String, Json>> {
    let outcome = Outcome::deserialize(plan.run.outcome.clone().unwrap_or_default())
        .map_err(|source| Error::internal("a backtest has an outcome", source))?;
    let wanted = request::wanted(&outcome, plan.subject.shape(), &cx.tenant).map_err(|it| Error::Invalid(vec![it]))?;
    let currency = cx.tenant.base_currency.as_str();
    let money = wanted.fits(InputType::Money);
    let shown =
        |sum: i64| if money { json!({"amount": decimal(sum, currency), "currency": currency}) } else { json!(sum) };
    let rows = cx.reader().query_all(&grouped(cx, plan, &wanted)?).await?;
    let groups = rows.iter().map(Group::read).collect::<Result<Vec<_>>>()?;
    let foreign: i64 = groups.iter().map(|group| group.foreign).sum();
    if foreign > 0 && money {
        return Err(metrics::mixed(cx, foreign, "the outcome"));
    }
    if groups.iter().any(|group| group.sum.saturating_abs() > metrics::WHOLE) {
        return Err(metrics::beyond("the outcome"));
    }
    let (subjects, sum): (i64, i64) =
        groups.iter().fold((0, 0), |(n, sum), group| (n + group.subjects, sum + group.sum));
    let fifths: Vec<_> = groups
        .iter()
        .map(|group| {
            json!({
                "fifth": group.fifth, "subjects": group.subjects, "sum": shown(group.sum), "share": share(group.sum, sum),
                "with_outcome": group.with, "with_outcome_share": share(group.with, group.subjects),
            })
        })
        .collect();
    Ok(object(json!({"outcome": outcome, "subjects": subjects, "sum": shown(sum), "fifths": fifths})))
}

struct Group {
    fifth: i64,
    subjects: i64,
    sum: i64,
    with: i64,
    foreign: i64,
}

impl Group {
    fn read(row: &QueryResult) -> Result<Self> {
        Ok(Self {
            fifth: row.try_get("", "fifth")?,
            subjects: row.try_get("", "subjects")?,
            sum: row.try_get("", "total")?,
            with: row.try_get("", "with_outcome")?,
            foreign: row.try_get("", "in_other_currency")?,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "sums stay within 2^53, where f64 is exact")]
fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One row a fifth that has subjects, in order.
fn grouped(cx: &Context, plan: &Plan, wanted: &Wanted) -> Result<SelectStatement> {
    let of = |table: &'static str, column: &'static str| Expr::col((Alias::new(table), Alias::new(column)));
    let whole = |expr: SimpleExpr| SimpleExpr::from(Func::cast_as(Func::sum(expr), Alias::new("bigint")));
    let outcome = metrics::select(
        cx,
        plan.subject.shape(),
        plan.scope.clone(),
        None,
        std::slice::from_ref(wanted),
        plan.run.as_of,
    )?;
    let fifth = CaseStatement::new();
    let fifth = (1..5).fold(fifth, |case, i: i64| {
        // counted from 1, rank k is within the first floor(i n / 5) just where 5 k <= i n
        case.case(of("ranked", "rank").mul(5).lte(of("ranked", "n").mul(i)), i)
    });
    let mut select = Query::select();
    select
        .expr_as(fifth.finally(5_i64), Alias::new("fifth"))
        .expr_as(of("ranked", "subject_id").count(), Alias::new("subjects"))
        .expr_as(metrics::sum(of("o", "f0").if_null(0_i64)), Alias::new("total"))
        .expr_as(
            whole(CaseStatement::new().case(of("o", "f0").gt(0_i64), 1_i64).finally(0_i64).into()),
            Alias::new("with_outcome"),
        )
        .expr_as(whole(of("o", "foreign").if_null(0_i64)), Alias::new("in_other_currency"))
        .from_subquery(ranked(cx, plan), Alias::new("ranked"))
        .join_subquery(JoinType::LeftJoin, outcome, Alias::new("o"), of("o", "id").eq(of("ranked", "subject_id")))
        .group_by_col(Alias::new("fifth"))
        .order_by(Alias::new("fifth"), sea_orm::Order::Asc);
    Ok(select)
}

/// The run's subjects with their rank from 1 and their number.
fn ranked(cx: &Context, plan: &Plan) -> SelectStatement {
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let order = WindowStatement::new()
        .order_by(Alias::new("value_after"), sea_orm::Order::Desc)
        .order_by_expr(col("external_id").if_null(""), sea_orm::Order::Asc)
        .order_by(Alias::new("subject_id"), sea_orm::Order::Asc)
        .take();
    Query::select()
        .column(Alias::new("subject_id"))
        .expr_window_as(Func::cust(Alias::new("row_number")), order, Alias::new("rank"))
        .expr_window_as(col("subject_id").count(), WindowStatement::new(), Alias::new("n"))
        .from(Alias::new("run_result"))
        .and_where(col("tenant_id").eq(cx.tenant.id))
        .and_where(col("run_id").eq(plan.run.id))
        .and_where(col("value_after").is_not_null())
        .take()
}
