//! Money in filters: numbers against amounts whose smallest units differ.

use rust_decimal::{Decimal, prelude::ToPrimitive};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};

use super::{Check, Literal, value::Wrong};
use crate::{
    error::Code,
    values::{Money, unusual_digits},
};

/// The two columns of a money field.
pub(super) struct Columns {
    pub minor: Expr,
    pub currency: Expr,
}

/// What a row's amount is compared with.
pub(crate) enum Amount {
    /// A number: against the row's own amount, whatever its currency.
    Bare(Decimal),
    Of(Money),
}

impl Columns {
    pub fn check(&self, check: &Check) -> Result<Expr, Wrong> {
        Ok(match check {
            Check::Eq(literal) | Check::Has(literal) => self.equals(&amount(literal)?),
            Check::Ne(literal) => match amount(literal)? {
                Amount::Bare(n) => self.below(n).or(self.above(n)),
                Amount::Of(money) => self.of(&money, self.minor.clone().ne(money.minor)),
            },
            Check::Lt(literal) => match amount(literal)? {
                Amount::Bare(n) => self.below(n),
                Amount::Of(money) => self.of(&money, self.minor.clone().lt(money.minor)),
            },
            Check::Gt(literal) => match amount(literal)? {
                Amount::Bare(n) => self.above(n),
                Amount::Of(money) => self.of(&money, self.minor.clone().gt(money.minor)),
            },
            Check::Lte(literal) => self.at_most(&amount(literal)?),
            Check::Gte(literal) => self.at_least(&amount(literal)?),
            Check::Between([low, high]) => self.at_least(&amount(low)?).and(self.at_most(&amount(high)?)),
            Check::In(literals) => {
                let mut any = Expr::val(false);
                for literal in literals {
                    any = any.or(self.equals(&amount(literal)?));
                }
                any
            }
            Check::IsNull => self.minor.clone().is_null(),
            Check::IsNotNull => self.minor.clone().is_not_null(),
            Check::Contains(_) | Check::StartsWith(_) => {
                return Err((Code::WrongType, "is money, not a text".to_owned()));
            }
        })
    }

    fn equals(&self, amount: &Amount) -> Expr {
        self.at_least(amount).and(self.at_most(amount))
    }

    fn at_least(&self, amount: &Amount) -> Expr {
        match amount {
            Amount::Bare(n) => self.minor.clone().gte(self.threshold(*n, Decimal::ceil)),
            Amount::Of(money) => self.of(money, self.minor.clone().gte(money.minor)),
        }
    }

    fn at_most(&self, amount: &Amount) -> Expr {
        match amount {
            Amount::Bare(n) => self.minor.clone().lte(self.threshold(*n, Decimal::floor)),
            Amount::Of(money) => self.of(money, self.minor.clone().lte(money.minor)),
        }
    }

    fn below(&self, n: Decimal) -> Expr {
        self.minor.clone().lt(self.threshold(n, Decimal::ceil))
    }

    fn above(&self, n: Decimal) -> Expr {
        self.minor.clone().gt(self.threshold(n, Decimal::floor))
    }

    fn of(&self, money: &Money, check: Expr) -> Expr {
        self.currency.clone().eq(money.currency.as_str()).and(check)
    }

    /// `n` in the smallest unit of the row's currency. Rounded to the side where comparing whole units gives the same
    /// as comparing amounts: no amount lies between `n` and its ceiling, or its floor.
    fn threshold(&self, n: Decimal, round: fn(&Decimal) -> Decimal) -> Expr {
        let usual = minor(n, 2, round);
        if n.is_zero() {
            return Expr::val(usual);
        }
        let mut case = CaseStatement::new();
        for (digits, codes) in unusual_digits() {
            case = case.case(self.currency.clone().is_in(codes.iter().copied()), Expr::val(minor(n, *digits, round)));
        }
        case.finally(Expr::val(usual)).into()
    }
}

/// Beyond what can be stored: the largest or smallest that can.
fn minor(n: Decimal, digits: u8, round: fn(&Decimal) -> Decimal) -> i64 {
    let unit = Decimal::from(10_u64.pow(u32::from(digits)));
    let scaled = n.checked_mul(unit).and_then(|scaled| round(&scaled).to_i64());
    scaled.unwrap_or(if n.is_sign_negative() { i64::MIN } else { i64::MAX })
}

pub(crate) fn amount(literal: &Literal) -> Result<Amount, Wrong> {
    match literal {
        Literal::Number(number) => Ok(Amount::Bare(*number)),
        Literal::Boolean(_) | Literal::Call(_) => {
            Err((Code::WrongType, "must be a number, or an amount such as 1000 CNY".to_owned()))
        }
        Literal::Text(text) => match text.split_once(' ') {
            Some((amount, currency)) => Money::parse(amount, currency).map(Amount::Of),
            None => Decimal::from_str_exact(text)
                .map(Amount::Bare)
                .map_err(|_| format!("`{text}` is not a number, nor an amount such as `1000 CNY`")),
        }
        .map_err(|detail| (Code::InvalidValue, detail)),
    }
}
