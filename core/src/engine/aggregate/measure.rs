//! Measures: what is worked out over the rows of a group.
//!
//! Sums are exact: SQLite overflows at 64 bits and PostgreSQL goes on without end, so both add the upper and the lower 32
//! bits of each number by themselves, which 2^31 rows cannot overflow, and the two are put together here.

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use sea_orm::{
    QueryResult,
    sea_query::{Alias, Expr, ExprTrait, Func},
};
use serde::Deserialize;

use super::{datum::Datum, source::Source};
use crate::{
    engine::FieldType,
    error::{Code, Error, Result, Violation},
    values::digits,
};

/// Decimals of an average of whole numbers.
const AVERAGE_DIGITS: u32 = 6;
/// What JSON numbers hold exactly.
const MAX_INTEGER: i64 = (1 << 53) - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Of rows, or of values that are not null.
    Count,
    CountDistinct,
    Sum,
    Min,
    Max,
    /// The exact sum divided by the count, rounded half away from zero: money to its smallest unit, whole numbers to six
    /// decimals.
    Avg,
}

pub(super) struct Measure {
    pub name: String,
    pub function: Function,
    pub source: Option<Source>,
    /// Of money: the key that holds its currency.
    pub currency: Option<usize>,
    /// Its place in the request.
    pub pointer: String,
}

impl Function {
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountDistinct => "count_distinct",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
        }
    }

    /// # Errors
    /// Why values of this type have no such measure.
    pub(super) fn takes(self, kind: &FieldType) -> Result<(), String> {
        let countable = *kind != FieldType::Json;
        let added = matches!(kind, FieldType::Integer | FieldType::Money);
        let ordered = !matches!(
            kind,
            FieldType::Json | FieldType::Boolean | FieldType::Choice(_) | FieldType::Id | FieldType::Reference(_)
        );
        match self {
            Self::Count => Ok(()),
            Self::CountDistinct if countable => Ok(()),
            Self::Min | Self::Max if ordered => Ok(()),
            Self::Sum | Self::Avg if added => Ok(()),
            Self::Sum | Self::Avg if *kind == FieldType::Number => {
                Err("adds whole numbers and money: a sum of binary fractions would depend on the order of rows"
                    .to_owned())
            }
            Self::Sum | Self::Avg => Err("adds whole numbers and money".to_owned()),
            Self::Min | Self::Max => Err("needs values that have an order".to_owned()),
            Self::CountDistinct => Err("cannot tell JSON values apart".to_owned()),
        }
    }

    /// Amounts in several currencies are never one measure.
    pub(super) fn is_by_currency(self) -> bool {
        self != Self::Count
    }
}

impl Measure {
    /// What its value is.
    pub fn kind(&self) -> FieldType {
        match (self.function, &self.source) {
            (Function::Min | Function::Max | Function::Sum, Some(source)) => source.kind.clone(),
            (Function::Avg, Some(Source { kind: FieldType::Money, .. })) => FieldType::Money,
            (Function::Avg, _) => FieldType::Number,
            _ => FieldType::Integer,
        }
    }

    /// What the statement reads of each group, over the values in `column`.
    pub fn expressions(&self, column: &str) -> Vec<Expr> {
        let value = || Expr::col(Alias::new(column));
        let whole = |sum: Expr| -> Expr { sum.cast_as(Alias::new("bigint")) };
        match self.function {
            Function::Count if self.source.is_none() => vec![Func::count(Expr::val(1)).into()],
            Function::Count => vec![Func::count(value()).into()],
            Function::CountDistinct => vec![Func::count_distinct(value()).into()],
            Function::Min => vec![Func::min(value()).into()],
            Function::Max => vec![Func::max(value()).into()],
            Function::Sum | Function::Avg => vec![
                whole(Func::sum(value().right_shift(32_i32)).into()),
                whole(Func::sum(value().bit_and(i64::from(u32::MAX))).into()),
                Func::count(value()).into(),
            ],
        }
    }

    /// Number of [`Measure::expressions`].
    pub fn width(&self) -> usize {
        if matches!(self.function, Function::Sum | Function::Avg) { 3 } else { 1 }
    }

    /// Its value from the columns that begin at `index`; `currency` is that of the group, for money.
    ///
    /// # Errors
    /// `out_of_range` at the measure where a sum is larger than what is printed exactly.
    pub fn read(&self, row: &QueryResult, index: usize, currency: Option<&str>) -> Result<Datum> {
        let number = |i: usize| -> Result<Option<i64>> { Ok(row.try_get_by_index(index + i)?) };
        match (self.function, &self.source) {
            (Function::Count | Function::CountDistinct, _) | (_, None) => {
                Ok(Datum::Integer(number(0)?.unwrap_or_default()))
            }
            (Function::Min | Function::Max, Some(source)) if source.kind == FieldType::Money => {
                Ok(number(0)?.map_or(Datum::Null, |minor| amount(minor, currency)))
            }
            (Function::Min | Function::Max, Some(source)) => Datum::read(row, index, &source.column),
            (Function::Sum | Function::Avg, Some(source)) => match (number(0)?, number(1)?, number(2)?) {
                (Some(upper), Some(lower), Some(count)) if count > 0 => {
                    let sum = (i128::from(upper) << 32) + i128::from(lower);
                    self.total(sum, count, source, currency).ok_or_else(|| self.too_large())
                }
                _ => Ok(Datum::Null),
            },
        }
    }

    fn total(&self, sum: i128, count: i64, source: &Source, currency: Option<&str>) -> Option<Datum> {
        let money = source.kind == FieldType::Money;
        let most = if money { i64::MAX } else { MAX_INTEGER };
        let sum = i64::try_from(sum).ok().filter(|sum| sum.unsigned_abs() <= most.unsigned_abs())?;
        let average = |digits: u32| {
            let exact = Decimal::from(sum).checked_div(count.into())?;
            Some(exact.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero))
        };
        Some(match (self.function, money) {
            (Function::Avg, true) => amount(average(0)?.to_i64()?, currency),
            (Function::Avg, false) => Datum::Decimal(average(AVERAGE_DIGITS)?),
            (_, true) => amount(sum, currency),
            (_, false) => Datum::Integer(sum),
        })
    }

    fn too_large(&self) -> Error {
        let detail = format!(
            "`{}` is larger than can be written exactly (2^53 for numbers, 2^63 smallest units for money); narrow `where` \
             or group by more",
            self.name
        );
        Error::Malformed(vec![Violation { pointer: self.pointer.clone(), code: Code::OutOfRange, detail }])
    }
}

fn amount(minor: i64, currency: Option<&str>) -> Datum {
    currency.map_or(Datum::Null, |currency| Datum::Money { minor, currency: currency.to_owned() })
}

/// An amount as a number of its currency's whole units.
pub(super) fn units(minor: i64, currency: &str) -> Decimal {
    Decimal::new(minor, digits(currency).into())
}
