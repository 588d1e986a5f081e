//! Which groups are answered: the filter's tree over measures, which are whole numbers only once the database is done.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::{
    datum::Datum,
    measure::{Measure, units},
};
use crate::{
    engine::{
        FieldType,
        filter::{Amount, Asked, Check, Filter, Literal, Test, amount, bind},
    },
    error::{Code, Violation, unknown},
};

pub(super) enum Having {
    All(Vec<Having>),
    Any(Vec<Having>),
    Not(Box<Having>),
    Null(usize),
    /// The measure stands in one of these orders to the value. Compared with null it does not.
    Is(usize, &'static [Ordering], Value),
}

/// What a measure is compared with.
pub(super) enum Value {
    /// A number against numbers, or against amounts of any currency.
    Number(Decimal),
    Money(Decimal, String),
    Other(Datum),
}

const EQUAL: &[Ordering] = &[Ordering::Equal];
const AT_LEAST: &[Ordering] = &[Ordering::Greater, Ordering::Equal];
const AT_MOST: &[Ordering] = &[Ordering::Less, Ordering::Equal];

impl Having {
    /// # Errors
    /// Every condition that names no measure, or a value the measure cannot have.
    pub fn new(asked: Asked<'_>, measures: &[Measure], filter: &Filter) -> Result<Self, Vec<Violation>> {
        let all = |all: &[Filter]| {
            let (mut read, mut broken) = (Vec::new(), Vec::new());
            for inner in all {
                match Self::new(asked, measures, inner) {
                    Ok(having) => read.push(having),
                    Err(wrong) => broken.extend(wrong),
                }
            }
            if broken.is_empty() { Ok(read) } else { Err(broken) }
        };
        match filter {
            Filter::And(inner) => all(inner).map(Self::All),
            Filter::Or(inner) => all(inner).map(Self::Any),
            Filter::Not(inner) => Self::new(asked, measures, inner).map(|inner| Self::Not(Box::new(inner))),
            Filter::Any(any) => {
                Err(vec![any.violation(Code::UnknownField, "`having` is about measures, which have no relations")])
            }
            Filter::Test(test) => {
                Self::test(asked, measures, test).map_err(|(code, detail)| vec![test.violation(code, &detail)])
            }
        }
    }

    fn test(asked: Asked<'_>, measures: &[Measure], test: &Test) -> Result<Self, (Code, String)> {
        let names = || measures.iter().map(|measure| measure.name.as_str());
        let Some(place) = names().position(|name| name == test.field) else {
            return Err((Code::UnknownField, unknown("measure", &test.field, names())));
        };
        let kind = measures.get(place).map_or(FieldType::Integer, Measure::kind);
        let is = |orders, literal| Ok(Self::Is(place, orders, value(asked, &kind, literal)?));
        match &test.check {
            Check::IsNull => Ok(Self::Null(place)),
            Check::IsNotNull => Ok(Self::Not(Box::new(Self::Null(place)))),
            Check::Eq(literal) | Check::Has(literal) => is(EQUAL, literal),
            Check::Ne(literal) => is(&[Ordering::Less, Ordering::Greater], literal),
            Check::Lt(literal) => is(&[Ordering::Less], literal),
            Check::Lte(literal) => is(AT_MOST, literal),
            Check::Gt(literal) => is(&[Ordering::Greater], literal),
            Check::Gte(literal) => is(AT_LEAST, literal),
            Check::Between([low, high]) => Ok(Self::All(vec![is(AT_LEAST, low)?, is(AT_MOST, high)?])),
            Check::In(all) => Ok(Self::Any(all.iter().map(|literal| is(EQUAL, literal)).collect::<Result<_, _>>()?)),
            Check::Contains(_) | Check::StartsWith(_) => {
                Err((Code::WrongType, "a measure is compared as a whole".to_owned()))
            }
        }
    }

    pub fn holds(&self, measures: &[Datum]) -> bool {
        let of = |place: &usize| measures.get(*place).unwrap_or(&Datum::Null);
        match self {
            Self::All(all) => all.iter().all(|inner| inner.holds(measures)),
            Self::Any(any) => any.iter().any(|inner| inner.holds(measures)),
            Self::Not(inner) => !inner.holds(measures),
            Self::Null(place) => *of(place) == Datum::Null,
            Self::Is(place, orders, value) => value.against(of(place)).is_some_and(|order| orders.contains(&order)),
        }
    }
}

impl Value {
    /// How `datum` stands to it; `None` where the two do not compare: null, or an amount of another currency.
    fn against(&self, datum: &Datum) -> Option<Ordering> {
        match (self, datum) {
            (_, Datum::Null) => None,
            (Self::Number(number), datum) => Some(datum.decimal()?.cmp(number)),
            (Self::Money(number, currency), Datum::Money { currency: of, .. }) => {
                Some(datum.decimal()?.cmp(number)).filter(|_| of == currency)
            }
            (Self::Money(..), _) => None,
            (Self::Other(other), datum) => Some(datum.order(other)),
        }
    }
}

fn value(asked: Asked<'_>, kind: &FieldType, literal: &Literal) -> Result<Value, (Code, String)> {
    match (kind, literal) {
        (FieldType::Money, literal) => Ok(match amount(literal)? {
            Amount::Bare(number) => Value::Number(number),
            Amount::Of(money) => {
                let currency = money.currency.as_str();
                Value::Money(units(money.minor, currency), currency.to_owned())
            }
        }),
        (FieldType::Integer | FieldType::Number, Literal::Number(number)) => Ok(Value::Number(*number)),
        (kind, literal) => Ok(Value::Other(Datum::from(bind(asked, kind, literal)?))),
    }
}
