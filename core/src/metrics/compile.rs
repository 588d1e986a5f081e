//! Definitions to SQL: one statement for any number of subjects, one grouped pass over each source table.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::{
    Condition, QueryResult, Value,
    sea_query::{Alias, CaseStatement, Expr, ExprTrait, Func, JoinType, Query, SelectStatement, SimpleExpr},
};
use uuid::Uuid;

use super::{
    Window,
    fact::{Fact, Measure, Source, Unit},
    first_day_from, local_day, start_of,
};
use crate::{
    context::{Context, Tenant},
    engine::{Field, FieldType, Shape},
    error::{Code, Error, Result, Violation, unknown},
    ports::InputType,
};

/// The longest time that a default of "days since" may say: both databases know the day.
pub const DAYS: i64 = 100_000;

/// One column of facts about subjects: a metric over a window, or a field of the subject itself.
#[derive(Clone, Debug)]
pub enum Wanted {
    Fact { fact: Fact, window: Window },
    Field(Field),
}

/// Inclusive range of subject ids a page covers; source rows outside are not touched.
pub type Keys = (Uuid, Uuid);

/// A value of a fact, in its unit: days, minor units, milliseconds, days since 1970-01-01, or as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Text(String),
}

impl Datum {
    pub(super) fn is_beyond(&self) -> bool {
        matches!(self, Self::Integer(n) if n.unsigned_abs() > WHOLE.unsigned_abs())
    }
}

impl Wanted {
    /// Reads a binding such as `metric:order_count` with its window, or `field:industry`, for subjects of this kind.
    ///
    /// # Errors
    /// `UnknownFact` with the nearest that exists for the subject.
    pub fn parse(from: &str, window: Window, subject: &Shape) -> Result<Self, Violation> {
        let wrong = |detail: String| Violation::field("from", Code::UnknownFact, detail);
        if let Some(name) = from.strip_prefix("field:") {
            let single = |field: &&Field| !matches!(field.kind, FieldType::Json | FieldType::Choices(_));
            let field = subject.any_field(name).filter(single);
            return field.cloned().map(Self::Field).ok_or_else(|| {
                let detail = unknown("field", name, subject.all_names());
                wrong(format!("{detail} (kind {})", subject.name))
            });
        }
        let Some(name) = from.strip_prefix("metric:") else {
            return Err(wrong(format!("`{from}` must start with `metric:` or `field:`")));
        };
        let possible = || Fact::all().filter(|fact| fact.source().subject_column(&subject.name).is_some());
        let fact = possible().find(|fact| fact.name() == name);
        let fact = fact.ok_or_else(|| {
            let detail = unknown("metric", name, possible().map(Fact::name));
            wrong(format!("{detail} (for subjects of kind {})", subject.name))
        })?;
        Ok(Self::Fact { fact, window })
    }

    /// Whether a plugin's input of this type can take it.
    pub fn fits(&self, input: InputType) -> bool {
        use InputType as T;
        match self {
            Self::Fact { fact, .. } => match fact.unit() {
                Unit::Count | Unit::Days => [T::Number, T::Integer].contains(&input),
                Unit::Money => input == T::Money,
            },
            Self::Field(field) => match field.kind {
                FieldType::Integer => [T::Number, T::Integer].contains(&input),
                FieldType::Number => input == T::Number,
                FieldType::Money => input == T::Money,
                FieldType::Date => input == T::Date,
                FieldType::Instant => input == T::Instant,
                FieldType::Boolean => input == T::Boolean,
                FieldType::Json | FieldType::Choices(_) => false,
                _ => input == T::Text,
            },
        }
    }

    /// The unit as the plugin contract names it: an ISO 4217 code, `days`, `ms`, `day`.
    pub fn unit(&self, tenant: &Tenant) -> Option<String> {
        let money = || Some(tenant.base_currency.as_str().to_owned());
        match self {
            Self::Fact { fact, .. } => match fact.unit() {
                Unit::Count => None,
                Unit::Days => Some("days".to_owned()),
                Unit::Money => money(),
            },
            Self::Field(field) => match field.kind {
                FieldType::Money => money(),
                FieldType::Date => Some("day".to_owned()),
                FieldType::Instant => Some("ms".to_owned()),
                _ => None,
            },
        }
    }

    fn is_money(&self) -> bool {
        match self {
            Self::Fact { fact, .. } => fact.unit() == Unit::Money,
            Self::Field(field) => field.kind == FieldType::Money,
        }
    }

    /// True where a later stored time means a smaller value: the order of "days since" is that of time reversed.
    pub(super) fn reversed(&self) -> bool {
        matches!(self, Self::Fact { fact, .. } if fact.unit() == Unit::Days)
    }

    /// What the column would hold for a value in the fact's unit, where a default stands in for a missing fact; `None` for what
    /// has no order. Days are no more than [`DAYS`].
    pub(super) fn stored(&self, value: &Datum, as_of: DateTime<Utc>, tenant: &Tenant) -> Option<Value> {
        #[expect(clippy::cast_precision_loss, reason = "whole numbers of facts are exact as doubles")]
        let double = |value: &i64| *value as f64;
        match (self, value) {
            (Self::Fact { fact, .. }, Datum::Integer(days)) if fact.unit() == Unit::Days => {
                let days = TimeDelta::days((*days).clamp(0, DAYS));
                let day = local_day(as_of, tenant.time_zone).checked_sub_signed(days)?;
                let by_day = fact.source().time_column().1;
                Some(if by_day { day.into() } else { start_of(day, tenant.time_zone).into() })
            }
            (Self::Field(field), Datum::Integer(value)) if field.kind == FieldType::Number => {
                Some(double(value).into())
            }
            (_, Datum::Integer(value)) => Some((*value).into()),
            (Self::Field(field), Datum::Number(value)) if field.kind == FieldType::Number => Some((*value).into()),
            _ => None,
        }
    }

    /// Reads column `index` of a row and turns times into days.
    pub(super) fn datum(
        &self,
        row: &QueryResult,
        index: usize,
        as_of: DateTime<Utc>,
        tenant: &Tenant,
    ) -> Result<Option<Datum>> {
        let zone = tenant.time_zone;
        let since = |day: NaiveDate| Datum::Integer((local_day(as_of, zone) - day).num_days());
        Ok(match self {
            Self::Fact { fact, .. } => match (fact.unit(), fact.source().time_column().1) {
                (Unit::Days, true) => row.try_get_by_index::<Option<NaiveDate>>(index)?.map(since),
                (Unit::Days, false) => {
                    row.try_get_by_index::<Option<DateTime<Utc>>>(index)?.map(|at| since(local_day(at, zone)))
                }
                _ => row.try_get_by_index::<Option<i64>>(index)?.map(Datum::Integer),
            },
            Self::Field(field) => match field.kind {
                FieldType::Integer | FieldType::Money => {
                    row.try_get_by_index::<Option<i64>>(index)?.map(Datum::Integer)
                }
                FieldType::Number => row.try_get_by_index::<Option<f64>>(index)?.map(Datum::Number),
                FieldType::Boolean => row.try_get_by_index::<Option<bool>>(index)?.map(Datum::Boolean),
                FieldType::Date => row
                    .try_get_by_index::<Option<NaiveDate>>(index)?
                    .map(|day| Datum::Integer((day - NaiveDate::default()).num_days())),
                FieldType::Instant => row
                    .try_get_by_index::<Option<DateTime<Utc>>>(index)?
                    .map(|at| Datum::Integer(at.timestamp_millis())),
                FieldType::Id | FieldType::Reference(_) => {
                    row.try_get_by_index::<Option<Uuid>>(index)?.map(|id| Datum::Text(id.to_string()))
                }
                _ => row.try_get_by_index::<Option<String>>(index)?.map(Datum::Text),
            },
        })
    }
}

/// `SELECT id, external_id, f0, f1, .., foreign` over the subjects that satisfy `population` (a condition on the table
/// of the subject's kind), in no particular order. `foreign` counts amounts in other currencies than the base: read it
/// with [`read`], which refuses to add them.
///
/// # Errors
/// `UnknownFact` where a fact has no such subject.
pub fn select(
    cx: &Context,
    subject: &Shape,
    population: Condition,
    keys: Option<Keys>,
    wanted: &[Wanted],
    as_of: DateTime<Utc>,
) -> Result<SelectStatement> {
    let table = subject.table();
    let id = || Expr::col((table.clone(), Alias::new("id")));
    let mut select = Query::select();
    select.column((table.clone(), Alias::new("id"))).column((table.clone(), Alias::new("external_id")));
    select.from(table.clone()).cond_where(population);
    if let Some((first, last)) = keys {
        select.and_where(id().gte(first)).and_where(id().lte(last));
    }
    let mut foreign: SimpleExpr = Expr::val(0_i64);
    for (i, want) in wanted.iter().enumerate() {
        let name = Alias::new(format!("f{i}"));
        match want {
            Wanted::Fact { fact, .. } => {
                let of = (Alias::new(joined(fact.source())), name.clone());
                let value = Expr::col(of);
                // a subject without rows has done nothing: zero events, zero money, but no "days since"
                let value = if fact.unit() == Unit::Days { value } else { value.if_null(0_i64) };
                select.expr_as(value, name);
            }
            Wanted::Field(field) => {
                let mut cells = subject.cells(cx.backend(), field, &table).into_iter();
                if let Some((_, value)) = cells.next() {
                    select.expr_as(value, name);
                }
                if let Some((_, currency)) = cells.next() {
                    let other = currency.ne(cx.tenant.base_currency.as_str());
                    foreign = foreign.add(CaseStatement::new().case(other, 1_i64).finally(0_i64));
                }
            }
        }
    }
    for source in [Source::Orders, Source::Wins, Source::OpenDeals, Source::Interactions] {
        let Some(pass) = pass(cx, subject, source, keys, wanted, as_of)? else { continue };
        let alias = Alias::new(joined(source));
        let on = Expr::col((alias.clone(), Alias::new("subject"))).eq(id());
        foreign = foreign.add(Expr::col((alias.clone(), Alias::new("foreign"))).if_null(0_i64));
        select.join_subquery(JoinType::LeftJoin, pass, alias, on);
    }
    select.expr_as(foreign, Alias::new("foreign"));
    Ok(select)
}

fn joined(source: Source) -> &'static str {
    match source {
        Source::Orders => "orders",
        Source::Wins => "wins",
        Source::OpenDeals => "open_deals",
        Source::Interactions => "interactions",
    }
}

/// One source table, grouped by subject, with every fact wanted of it.
fn pass(
    cx: &Context,
    subject: &Shape,
    source: Source,
    keys: Option<Keys>,
    wanted: &[Wanted],
    as_of: DateTime<Utc>,
) -> Result<Option<SelectStatement>> {
    let facts: Vec<_> = wanted
        .iter()
        .enumerate()
        .filter_map(|(i, want)| match want {
            Wanted::Fact { fact, window } if fact.source() == source => Some((i, *fact, *window)),
            _ => None,
        })
        .collect();
    let Some((_, first, _)) = facts.first() else { return Ok(None) };
    let Some(column) = source.subject_column(&subject.name) else {
        let detail = format!("`{}` is no fact of {}", first.name(), subject.plural);
        return Err(Error::invalid("from", Code::UnknownFact, detail));
    };
    let table = Alias::new(source.table());
    let of = |name: &'static str| Expr::col((table.clone(), Alias::new(name)));
    let mut select = Query::select();
    select
        .expr_as(of(column), Alias::new("subject"))
        .from(table.clone())
        .group_by_col((table.clone(), Alias::new(column)));
    select.and_where(of("tenant_id").eq(cx.tenant.id)).and_where(of("deleted_at").is_null());
    select.cond_where(counted(source, &table, as_of));
    match keys {
        Some((first, last)) => select.and_where(of(column).gte(first)).and_where(of(column).lte(last)),
        None => select.and_where(of(column).is_not_null()),
    };
    let mut foreign = Condition::any();
    for (i, fact, window) in facts {
        let inside = within_window(cx, source, window, as_of);
        let (time, _) = source.time_column();
        let case = |value: SimpleExpr| CaseStatement::new().case(inside.clone(), value);
        let value: SimpleExpr = match fact.measure() {
            Measure::Count => Func::count(case(Expr::val(1_i64))).into(),
            Measure::Sum => {
                let other = of("amount_currency").ne(cx.tenant.base_currency.as_str());
                foreign = foreign.add(inside.clone().add(other));
                sum(case(of("amount_minor")).into())
            }
            Measure::First => Func::min(case(of(time))).into(),
            Measure::Last => Func::max(case(of(time))).into(),
        };
        select.expr_as(value, Alias::new(format!("f{i}")));
    }
    let counted = if foreign.is_empty() {
        Expr::val(0_i64)
    } else {
        Func::count(CaseStatement::new().case(foreign, 1_i64)).into()
    };
    select.expr_as(counted, Alias::new("foreign"));
    Ok(Some(select))
}

/// The largest whole number that plugins in every language are sent exactly, 2^53 - 1.
pub const WHOLE: i64 = (1 << 53) - 1;

/// The sum of whole numbers, exact up to [`WHOLE`] and more than that beyond: no database fails over it.
pub fn sum(values: SimpleExpr) -> SimpleExpr {
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact as a double")]
    let whole = WHOLE as f64;
    let sum = SimpleExpr::from(Func::sum(values.cast_as("double precision")));
    let beyond = SimpleExpr::from(Func::cust("abs").arg(sum.clone())).gt(whole);
    CaseStatement::new().case(beyond, WHOLE + 1).finally(sum.cast_as("bigint")).into()
}

/// Refuses a figure beyond [`WHOLE`].
pub fn beyond(of: &str) -> Error {
    let detail =
        format!("{of} has amounts that come to more than {WHOLE} minor units, which no plugin is sent exactly");
    Error::conflict(Code::OutOfRange, detail)
}

/// Which rows of a source count at all.
fn counted(source: Source, table: &Alias, as_of: DateTime<Utc>) -> Condition {
    let of = |name: &'static str| Expr::col((table.clone(), Alias::new(name)));
    match source {
        Source::Orders => Condition::all().add(of("state").is_in(["placed", "fulfilled"])),
        Source::Interactions => Condition::all(),
        Source::OpenDeals => Condition::any().add(of("closed_at").is_null()).add(of("closed_at").gte(as_of)),
        Source::Wins => {
            let stage = |name: &'static str| Expr::col((Alias::new("stage"), Alias::new(name)));
            let won = Query::select()
                .expr(Expr::val(1))
                .from(Alias::new("stage"))
                .and_where(stage("tenant_id").eq(of("tenant_id")))
                .and_where(stage("id").eq(of("stage_id")))
                .and_where(stage("kind").eq("won"))
                .take();
            Condition::all().add(Expr::exists(won))
        }
    }
}

fn within_window(cx: &Context, source: Source, window: Window, as_of: DateTime<Utc>) -> Condition {
    let zone = cx.tenant.time_zone;
    let (from, to) = window.bounds(as_of, zone);
    let (column, by_day) = source.time_column();
    let time = || Expr::col((Alias::new(source.table()), Alias::new(column)));
    let bound = |at: DateTime<Utc>| if by_day { Expr::val(first_day_from(at, zone)) } else { Expr::val(at) };
    Condition::all().add_option(from.map(|at| time().gte(bound(at)))).add_option(to.map(|at| time().lt(bound(at))))
}

/// Reads one row of [`select`]: id, external id, and a datum a wanted column (`None`: no value).
///
/// # Errors
/// `MixedCurrency` where amounts in several currencies would have to be added; `OutOfRange` beyond [`WHOLE`].
pub fn read(
    cx: &Context,
    row: &QueryResult,
    wanted: &[Wanted],
    as_of: DateTime<Utc>,
) -> Result<(Uuid, Option<String>, Vec<Option<Datum>>)> {
    let foreign: i64 = row.try_get("", "foreign")?;
    let id: Uuid = row.try_get_by_index(0)?;
    if foreign > 0 && wanted.iter().any(Wanted::is_money) {
        return Err(mixed(cx, foreign, &id.to_string()));
    }
    let data: Vec<_> =
        wanted.iter().enumerate().map(|(i, want)| want.datum(row, i + 2, as_of, &cx.tenant)).collect::<Result<_>>()?;
    if data.iter().flatten().any(Datum::is_beyond) {
        return Err(beyond(&id.to_string()));
    }
    Ok((id, row.try_get_by_index(1)?, data))
}

/// Refuses to add what is in several currencies.
pub fn mixed(cx: &Context, amounts: i64, of: &str) -> Error {
    let base = cx.tenant.base_currency.as_str();
    let detail = format!("{of} has {amounts} amounts in other currencies than {base}, which cannot be added to it");
    Error::conflict(Code::MixedCurrency, detail)
}
