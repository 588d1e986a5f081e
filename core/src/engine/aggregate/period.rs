//! Periods of time: their bounds are worked out here, in the tenant's zone, and the database looks them up.

use chrono::{Datelike, Days, Months, NaiveDate};
use chrono_tz::Tz;
use sea_orm::{
    Value,
    sea_query::{CaseStatement, Expr, ExprTrait},
};
use serde::Deserialize;

use crate::{engine::FieldType, metrics::start_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    Day,
    /// From Monday on.
    Week,
    Month,
    Quarter,
    Year,
}

/// Periods that follow each other.
pub(super) struct Periods {
    /// The first day of each. The first period may begin before what was asked for, and the last end after it.
    pub starts: Vec<NaiveDate>,
    /// Where counting begins.
    from: NaiveDate,
    /// Counts no more.
    to: NaiveDate,
}

impl Grain {
    /// The first day of the period with `day` in it.
    fn start(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => Some(day),
            Self::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            Self::Month => day.with_day(1),
            Self::Quarter => day.with_day(1)?.with_month(day.month0() / 3 * 3 + 1),
            Self::Year => day.with_day(1)?.with_month(1),
        }
    }

    fn next(self, start: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => start.checked_add_days(Days::new(1)),
            Self::Week => start.checked_add_days(Days::new(7)),
            Self::Month => start.checked_add_months(Months::new(1)),
            Self::Quarter => start.checked_add_months(Months::new(3)),
            Self::Year => start.checked_add_months(Months::new(12)),
        }
    }
}

impl Periods {
    /// Those that have a day in `[from, to)`; `None` where they are more than `most`.
    pub fn new(grain: Grain, from: NaiveDate, to: NaiveDate, most: usize) -> Option<Self> {
        let starts = std::iter::successors(grain.start(from), |start| grain.next(*start));
        let starts: Vec<_> = starts.take_while(|start| *start < to).take(most + 1).collect();
        (starts.len() <= most).then_some(Self { starts, from, to })
    }

    /// The rows that count: a range that an index serves.
    pub fn within(&self, column: &Expr, kind: &FieldType, zone: Tz) -> Expr {
        let bound = |day| Expr::val(bound(day, kind, zone));
        column.clone().gte(bound(self.from)).and(column.clone().lt(bound(self.to)))
    }

    /// The place of a row's period among `starts`, found by halves.
    pub fn place(&self, column: &Expr, kind: &FieldType, zone: Tz) -> Expr {
        find(column, kind, zone, &self.starts, 0)
    }
}

fn find(column: &Expr, kind: &FieldType, zone: Tz, starts: &[NaiveDate], first: i64) -> Expr {
    let (lower, upper) = starts.split_at(starts.len() / 2);
    match upper.first().filter(|_| !lower.is_empty()) {
        None => Expr::val(first),
        Some(middle) => {
            let before = column.clone().lt(Expr::val(bound(*middle, kind, zone)));
            let next = first + i64::try_from(lower.len()).unwrap_or_default();
            CaseStatement::new()
                .case(before, find(column, kind, zone, lower, first))
                .finally(find(column, kind, zone, upper, next))
                .into()
        }
    }
}

fn bound(day: NaiveDate, kind: &FieldType, zone: Tz) -> Value {
    if *kind == FieldType::Date { day.into() } else { start_of(day, zone).into() }
}
