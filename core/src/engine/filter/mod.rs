//! Filters: one tree with two front ends, compiled to the same SQL condition everywhere.
//!
//! The text form, `amount >= 1000 AND (stage.kind = "won" OR owner_id = me())`:
//!
//! ```ebnf
//! filter     = factor , ( { "AND" , factor } | { "OR" , factor } ) ;
//! factor     = "NOT" , factor | "(" , filter , ")" | condition ;
//! condition  = path , comparison , value
//!            | path , "IN" , ( "[" , value , { "," , value } , "]" | "my_team()" )
//!            | path , "BETWEEN" , value , "AND" , value
//!            | path , "IS" , [ "NOT" ] , "NULL"
//!            | ( "contains" | "starts_with" ) , "(" , path , "," , string , ")"
//!            | "any" , "(" , path , "," , filter , ")" ;
//! comparison = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ;
//! path       = name , { "." , name } ;
//! value      = string | number , [ currency ] | "true" | "false"
//!            | "me()" | "my_team()" | ( "now()" | "today()" ) , [ offset ] ;
//! string     = a JSON string, in double quotes ;
//! number     = [ "-" ] , digits , [ "." , digits ] ;
//! currency   = an ISO 4217 code ;
//! offset     = ( "+" | "-" ) , digits , ( "h" | "d" | "w" | "m" | "y" ) ;
//! ```
//!
//! Keywords are written in either case. `NOT` binds closest; where `AND` and `OR` mix, parentheses say what is meant.
//! The JSON form of the same tree: `{"and": [..]}`, `{"or": [..]}`, `{"not": ..}`,
//! `{"field": "amount", "op": "gte", "value": 1000}`, `{"any": {"relation": "opportunities", "where": ..}}`, and for a
//! value `{"fn": "now", "offset": "-30d"}`. Both forms are read into the same tree, and each is written from it.
//!
//! What it means:
//! * A path follows to-one relations, `account.parent.name`: the relation of a reference field has its name without
//!   `_id`. A record the actor may not see is not there.
//! * `any(opportunities, ..)` holds where at least one record that refers to this one, and that the actor may see, fits
//!   the filter, whose fields are that record's. The relation is named by the plural of the referring kind
//!   (`plugin_runs`); where several of its fields lead here, by the field too: `opportunities_by_owner`. A path may lead
//!   to it: `any(account.contacts, ..)`. To-one or to-many, at most two relations are followed in a row.
//! * Logic has two values. A comparison with null is false, and its `NOT` is true. A path is null where any step is.
//! * Dates, instants and ids are strings. Texts compare by bytes.
//! * `contains` and `starts_with` take letters in either case as equal, where each is the other's only counterpart (`ä` and
//!   `Ä`, `и` and `И`; not `ß`), and compare everything else exactly. `name : "x"` is `contains(name, "x")`
//!   for a text, an address or a number to reach someone, and `=` for everything else.
//! * Money compares a bare number with each row's own amount, `1000` with 1000 yuan and 1000 yen alike; `1000 CNY`
//!   takes only rows in that currency. `amount.currency` is a text.
//! * `me()` is the user who asks. `my_team()` is that user with the members of the teams they lead, and of every team
//!   below, and everyone who reports to one of these: several values, so `IN` takes it.
//! * `now()` is the moment of the request, `today()` the day it has in the tenant's zone. An offset goes by the calendar
//!   of that zone, in days, weeks, months or years; `m` is a month, and a day that the month lacks becomes its last. `now()`
//!   also goes by hours. Where an instant is asked for, `today()` is the moment at which its day starts. All pages of a
//!   list keep the moment of the first one.

mod call;
mod case;
mod compile;
mod json;
mod lex;
mod money;
mod own;
mod parse;
mod print;
mod value;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value as Json;

pub(super) use self::{
    call::Asked,
    json::day,
    money::{Amount, amount},
    value::bind,
};
pub use self::{
    call::{Call, Function, Offset, Unit},
    case::MOST as MAX_LETTERS,
    compile::{compile, compile_at},
    parse::parse,
};
use crate::error::{Code, Error, Result, Violation};

/// Conditions and junctions of one filter.
pub const MAX_NODES: usize = 50;
/// Levels of the tree, and of parentheses.
pub const MAX_DEPTH: usize = 8;
/// Values of one `IN`.
pub const MAX_VALUES: usize = 200;

/// A filter as a caller writes it.
#[derive(Clone, Debug)]
pub enum Written {
    Text(String),
    /// What stands in the member `where` of a body.
    Json(Json),
}

impl Written {
    /// # Errors
    /// `Malformed` with the place of what cannot be read; `query_too_expensive`.
    pub fn read(&self) -> Result<Filter> {
        match self {
            Self::Text(text) => parse(text),
            Self::Json(json) => Filter::from_json(json, "/where"),
        }
    }
}

impl From<String> for Written {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A condition on the records of a kind.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Any(Any),
    #[serde(untagged)]
    Test(Test),
}

/// At least one record that refers to this one fits.
#[derive(Clone, Debug, Serialize)]
pub struct Any {
    /// `opportunities`, `opportunities_by_owner`, `account.contacts`.
    pub relation: String,
    /// On the records of that relation.
    #[serde(rename = "where")]
    pub filter: Box<Filter>,
    #[serde(skip)]
    at: At,
}

/// A check of one field.
#[derive(Clone, Debug, Serialize)]
pub struct Test {
    /// Dotted path: `name`, `account.name`.
    pub field: String,
    #[serde(flatten)]
    pub check: Check,
    #[serde(skip)]
    at: At,
}

/// Where a condition stands in the request.
#[derive(Clone, Debug)]
enum At {
    /// Of the text, from 1.
    Character(usize),
    /// Into the body.
    Pointer(String),
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case")]
pub enum Check {
    Eq(Literal),
    Ne(Literal),
    Lt(Literal),
    Lte(Literal),
    Gt(Literal),
    Gte(Literal),
    /// `:`, which for texts is `contains` and for the rest `=`.
    Has(Literal),
    In(Vec<Literal>),
    /// Both ends belong to it.
    Between([Literal; 2]),
    Contains(String),
    StartsWith(String),
    IsNull,
    IsNotNull,
}

/// A value as the caller writes it; the field says what it means.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Literal {
    Boolean(bool),
    Number(#[serde(serialize_with = "json::number")] Decimal),
    Text(String),
    Call(Call),
}

impl Filter {
    /// Reads the JSON form, which stands at `pointer` of the body.
    ///
    /// # Errors
    /// `Malformed` with everything that is wrong with it; `query_too_expensive`.
    pub fn from_json(json: &Json, pointer: &str) -> Result<Self> {
        let filter = json::read(json, pointer).map_err(Error::Malformed)?;
        filter.within_budget(pointer)?;
        Ok(filter)
    }

    /// # Errors
    /// `query_too_expensive` beyond the budgets.
    fn within_budget(&self, pointer: &str) -> Result<()> {
        let (nodes, depth, values) = self.size();
        let broken = [
            (nodes, MAX_NODES, "conditions and junctions"),
            (depth, MAX_DEPTH, "levels"),
            (values, MAX_VALUES, "values in one IN"),
        ];
        match broken.iter().find(|(found, most, _)| found > most) {
            None => Ok(()),
            Some((found, most, what)) => {
                let detail = format!("has {found} {what}; at most {most} are taken");
                Err(Error::malformed(pointer, Code::QueryTooExpensive, detail))
            }
        }
    }

    /// Nodes, depth, and the values of the longest `IN`.
    fn size(&self) -> (usize, usize, usize) {
        let inner = match self {
            Self::And(all) | Self::Or(all) => all.as_slice(),
            Self::Not(inner) | Self::Any(Any { filter: inner, .. }) => std::slice::from_ref(inner.as_ref()),
            Self::Test(Test { check: Check::In(values), .. }) => return (1, 1, values.len()),
            Self::Test(_) => return (1, 1, 0),
        };
        inner
            .iter()
            .map(Self::size)
            .fold((1, 1, 0), |(nodes, depth, values), (n, d, v)| (nodes + n, depth.max(d + 1), values.max(v)))
    }

    /// Whether it calls a function that `asked` picks: what it keeps then depends on who asks, or when.
    pub fn calls(&self, asked: impl Fn(Function) -> bool + Copy) -> bool {
        let literals = match self {
            Self::And(all) | Self::Or(all) => return all.iter().any(|inner| inner.calls(asked)),
            Self::Not(inner) | Self::Any(Any { filter: inner, .. }) => return inner.calls(asked),
            Self::Test(test) => test.check.literals(),
        };
        literals.iter().any(|literal| matches!(literal, Literal::Call(call) if asked(call.function)))
    }
}

impl Test {
    /// What is wrong with this condition, at its place.
    pub(super) fn violation(&self, code: Code, detail: &str) -> Violation {
        let member = if code == Code::UnknownField { "/field" } else { "" };
        self.at.violation(&self.field, member, code, detail)
    }
}

impl Any {
    /// What is wrong with its relation.
    pub(super) fn violation(&self, code: Code, detail: &str) -> Violation {
        self.at.violation(&self.relation, "/relation", code, detail)
    }
}

impl Check {
    fn literals(&self) -> &[Literal] {
        match self {
            Self::Eq(one)
            | Self::Ne(one)
            | Self::Lt(one)
            | Self::Lte(one)
            | Self::Gt(one)
            | Self::Gte(one)
            | Self::Has(one) => std::slice::from_ref(one),
            Self::In(several) => several,
            Self::Between(ends) => ends,
            Self::Contains(_) | Self::StartsWith(_) | Self::IsNull | Self::IsNotNull => &[],
        }
    }
}

impl At {
    /// What is wrong with the condition on `name` that stands here; `member` is the part of its JSON form to mend.
    fn violation(&self, name: &str, member: &str, code: Code, detail: &str) -> Violation {
        match self {
            Self::Character(at) => {
                Violation::parameter("filter", code, format!("at character {at}: `{name}`: {detail}"))
            }
            Self::Pointer(at) => {
                Violation { pointer: format!("{at}{member}"), code, detail: format!("`{name}`: {detail}") }
            }
        }
    }
}

#[cfg(test)]
mod tests;
