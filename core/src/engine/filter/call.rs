//! Functions that stand for a value: who asks, and when.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sea_orm::{
    Value,
    sea_query::{Expr, ExprTrait},
};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::value::Wrong;
use crate::{
    access,
    context::Context,
    engine::FieldType,
    error::{Code, unknown},
    metrics::{local_day, shifted, shifted_day, start_of},
};

/// Largest number of an offset.
const MAX_OFFSET: i32 = 100_000;

/// `now()-30d`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    #[serde(rename = "fn")]
    pub function: Function,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// The user who asks.
    Me,
    /// The same with those below them: several values.
    MyTeam,
    Now,
    /// The day that `now()` has in the tenant's zone.
    Today,
}

/// `-30d`, `+1m`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Negative: back.
    pub amount: i32,
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Function {
    pub const ALL: [Self; 4] = [Self::Me, Self::MyTeam, Self::Now, Self::Today];

    pub fn name(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::MyTeam => "my_team",
            Self::Now => "now",
            Self::Today => "today",
        }
    }

    /// It depends on when it is asked.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Now | Self::Today)
    }

    /// # Errors
    /// There is no such function; what there is, for people.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|function| function.name() == name).ok_or_else(|| {
            format!("{} (values are {})", unknown("function", name, names), names.map(|n| format!("{n}()")).join(", "))
        })
    }
}

impl Call {
    /// # Errors
    /// The function takes no offset, or not in this unit.
    pub(super) fn new(function: Function, offset: Option<Offset>) -> Result<Self, String> {
        match offset {
            Some(_) if !function.is_time() => Err(format!("{function} takes no offset")),
            Some(offset) if function == Function::Today && offset.unit == Unit::Hour => {
                Err("today() is a day; offset it in d, w, m or y, or take now()".to_owned())
            }
            _ => Ok(Self { function, offset }),
        }
    }
}

impl Unit {
    const ALL: [(char, Self); 5] =
        [('h', Self::Hour), ('d', Self::Day), ('w', Self::Week), ('m', Self::Month), ('y', Self::Year)];
}

impl Offset {
    /// `-30d`
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not an offset such as -30d or +1m (h hours, d days, w weeks, m months, y years)");
        let unit = text.chars().last().and_then(|last| Unit::ALL.into_iter().find(|(letter, _)| *letter == last));
        let (letter, unit) = unit.ok_or_else(wrong)?;
        let number = text.strip_suffix(letter).unwrap_or_default();
        let digits = number.strip_prefix(['+', '-']).filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        digits.filter(|digits| !digits.is_empty()).ok_or_else(wrong)?;
        let amount: Option<i32> = number.parse().ok().filter(|n: &i32| n.abs() <= MAX_OFFSET);
        let amount = amount.ok_or_else(|| format!("an offset is at most {MAX_OFFSET}"))?;
        Ok(Self { amount, unit })
    }

    /// Months, then days.
    fn by_calendar(self) -> (i32, i32) {
        match self.unit {
            Unit::Hour => (0, 0),
            Unit::Day => (0, self.amount),
            Unit::Week => (0, 7 * self.amount),
            Unit::Month => (self.amount, 0),
            Unit::Year => (12 * self.amount, 0),
        }
    }
}

impl std::fmt::Display for Offset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letter = Unit::ALL.into_iter().find(|(_, unit)| *unit == self.unit).map_or('d', |(letter, _)| letter);
        write!(f, "{:+}{letter}", self.amount)
    }
}

impl Serialize for Offset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Who asks and when: what functions are worth.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub cx: &'a Context,
    pub now: DateTime<Utc>,
}

impl Asked<'_> {
    /// # Errors
    /// The field cannot have such a value, or there is none.
    pub fn value(&self, call: Call, kind: &FieldType) -> Result<Value, Wrong> {
        let zone = self.cx.tenant.time_zone;
        let wrong = |detail: String| (Code::WrongType, format!("{call} {detail}, and this must be {}", kind.wanted()));
        match (call.function, kind) {
            (Function::Me, kind) if holds_user(kind) => Ok(self.me()?.into()),
            (Function::Me, _) => Err(wrong("is a user's id".to_owned())),
            (Function::MyTeam, _) => {
                Err((Code::WrongType, "my_team() is several users; ask `IN my_team()`".to_owned()))
            }
            (Function::Now, FieldType::Instant) => Ok(self.instant(call.offset, zone)?.into()),
            (Function::Now, FieldType::Date) => {
                Err((Code::WrongType, "holds a date; compare it with today()".to_owned()))
            }
            (Function::Now, _) => Err(wrong("is an instant".to_owned())),
            (Function::Today, FieldType::Date) => Ok(self.day(call.offset, zone)?.into()),
            (Function::Today, FieldType::Instant) => Ok(start_of(self.day(call.offset, zone)?, zone).into()),
            (Function::Today, _) => Err(wrong("is a date".to_owned())),
        }
    }

    /// The day a date stands for: `2026-01-31`, or `today()` with an offset.
    pub fn day(&self, offset: Option<Offset>, zone: Tz) -> Result<NaiveDate, Wrong> {
        let (months, days) = offset.map_or((0, 0), Offset::by_calendar);
        shifted_day(local_day(self.now, zone), months, days).filter(|day| within_calendar(*day)).ok_or_else(beyond)
    }

    fn instant(&self, offset: Option<Offset>, zone: Tz) -> Result<DateTime<Utc>, Wrong> {
        let at = match offset {
            None => Some(self.now),
            Some(Offset { amount, unit: Unit::Hour }) => self.now.checked_add_signed(TimeDelta::hours(amount.into())),
            Some(offset) => {
                let (months, days) = offset.by_calendar();
                shifted(self.now, months, days, zone)
            }
        };
        at.filter(|at| within_calendar(at.date_naive())).ok_or_else(beyond)
    }

    fn me(&self) -> Result<Uuid, Wrong> {
        self.cx.actor.user.ok_or_else(|| (Code::InvalidValue, "nobody asks: me() has no value here".to_owned()))
    }

    /// `column` is the id of one of the caller's team.
    pub fn in_team(&self, column: &Expr, kind: &FieldType) -> Result<Expr, Wrong> {
        if !holds_user(kind) {
            return Err((Code::WrongType, format!("my_team() is users' ids, and this must be {}", kind.wanted())));
        }
        Ok(column.clone().binary(sea_orm::sea_query::BinOper::In, access::team(self.cx, self.me()?, self.now)))
    }
}

/// A field of this type may hold a user's id.
fn holds_user(kind: &FieldType) -> bool {
    match kind {
        FieldType::Id => true,
        FieldType::Reference(kind) => &**kind == "user",
        _ => false,
    }
}

/// Years that both databases print with four digits.
fn within_calendar(day: NaiveDate) -> bool {
    (1..=9998).contains(&day.year())
}

fn beyond() -> Wrong {
    (Code::InvalidValue, "the offset leads out of the calendar".to_owned())
}
