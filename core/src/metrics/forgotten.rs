//! Deals that time has passed over: open for longer than any deal of the tenant ever took to close.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::{
    Condition, ConnectionTrait, Order,
    sea_query::{Alias, Expr, ExprTrait, Func, JoinType, Query, SelectStatement},
};
use uuid::Uuid;

use super::{first_day_from, local_day};
use crate::{context::Context, engine::within, error::Result};

/// What the actor may see of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Forgotten {
    /// Longest time from opening to closing of any closed deal, calendar days.
    pub longest_days: i64,
    /// Deals opened before `as_of` and not closed by then.
    pub open: i64,
    /// Those of them that have been open for longer than `longest_days`.
    pub forgotten: i64,
    /// List prices of their products added up, minor units of the base currency.
    pub list_value_minor: i64,
    /// Who owns how many of them, most first, then by name.
    pub owners: Vec<(Uuid, String, i64)>,
}

/// Four statements over the opportunities the actor may see; list prices in other currencies than the base are left out.
///
/// # Errors
/// The database.
pub async fn forgotten(cx: &Context, as_of: DateTime<Utc>) -> Result<Forgotten> {
    let db = &cx.reader();
    let longest_days = longest(cx, as_of).await?;
    let mut open = open(cx, as_of)?;
    open.expr(Expr::val(1).count());
    let open = db.query_one(&open).await?.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();

    let oldest = local_day(as_of, cx.tenant.time_zone) - TimeDelta::days(longest_days);
    let older = Expr::col((Alias::new("opportunity"), Alias::new("opened_on"))).lt(oldest);
    let price = |name: &'static str| Expr::col((Alias::new("product"), Alias::new(name)));
    let mut sums = self::open(cx, as_of)?;
    let listed = Condition::all()
        .add(price("tenant_id").eq(cx.tenant.id))
        .add(price("id").equals((Alias::new("opportunity"), Alias::new("product_id"))))
        .add(price("price_currency").eq(cx.tenant.base_currency.as_str()));
    sums.join(JoinType::LeftJoin, Alias::new("product"), listed)
        .and_where(older.clone())
        .expr(Expr::val(1).count())
        .expr(Func::cast_as(Func::sum(price("price_minor")), Alias::new("bigint")));
    let sums = db.query_one(&sums).await?;
    let (forgotten, value) = match &sums {
        Some(row) => (row.try_get_by_index(0)?, row.try_get_by_index::<Option<i64>>(1)?),
        None => (0, None),
    };

    let user = |name: &'static str| Expr::col((Alias::new("user"), Alias::new(name)));
    let owner = (Alias::new("opportunity"), Alias::new("owner_id"));
    let mut owners = self::open(cx, as_of)?;
    owners
        .join(JoinType::InnerJoin, Alias::new("user"), user("tenant_id").eq(cx.tenant.id).and(user("id").equals(owner)))
        .and_where(older)
        .columns([(Alias::new("user"), Alias::new("id")), (Alias::new("user"), Alias::new("name"))])
        .expr_as(Expr::val(1).count(), Alias::new("n"))
        .group_by_columns([(Alias::new("user"), Alias::new("id")), (Alias::new("user"), Alias::new("name"))])
        .order_by(Alias::new("n"), Order::Desc)
        .order_by((Alias::new("user"), Alias::new("name")), Order::Asc)
        .order_by((Alias::new("user"), Alias::new("id")), Order::Asc);
    let rows = db.query_all(&owners).await?;
    let owners =
        rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?)));
    Ok(Forgotten {
        longest_days,
        open,
        forgotten,
        list_value_minor: value.unwrap_or_default(),
        owners: owners.collect::<Result<_>>()?,
    })
}

/// `FROM opportunity WHERE` the actor may see it, it was opened before `as_of`, and it was not closed by then.
fn open(cx: &Context, as_of: DateTime<Utc>) -> Result<SelectStatement> {
    let of = |name: &'static str| Expr::col((Alias::new("opportunity"), Alias::new(name)));
    let not_closed = Condition::any().add(of("closed_at").is_null()).add(of("closed_at").gte(as_of));
    let mut select = deals(cx)?;
    select.and_where(of("opened_on").lt(first_day_from(as_of, cx.tenant.time_zone))).cond_where(not_closed);
    Ok(select)
}

fn deals(cx: &Context) -> Result<SelectStatement> {
    let opportunity = cx.resolve("opportunities")?.shape();
    let table = Alias::new("opportunity");
    Ok(Query::select().from(table.clone()).cond_where(within(cx, opportunity, table)).take())
}

/// Longest run from opening to closing among deals closed before `as_of`. The day of `closed_at` depends on the zone,
/// so the database only names, for each opening day, the last closing: as many rows as there are days.
async fn longest(cx: &Context, as_of: DateTime<Utc>) -> Result<i64> {
    let of = |name: &'static str| Expr::col((Alias::new("opportunity"), Alias::new(name)));
    let mut select = deals(cx)?;
    select
        .column((Alias::new("opportunity"), Alias::new("opened_on")))
        .expr(Func::max(of("closed_at")))
        .and_where(of("opened_on").is_not_null())
        .and_where(of("closed_at").lt(as_of))
        .group_by_col((Alias::new("opportunity"), Alias::new("opened_on")));
    let mut longest = 0;
    for row in cx.reader().query_all(&select).await? {
        let (opened, closed): (NaiveDate, DateTime<Utc>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        longest = Ord::max(longest, (local_day(closed, cx.tenant.time_zone) - opened).num_days());
    }
    Ok(longest)
}
