//! Filters: one tree with several front ends, compiled to the same SQL condition everywhere.
//!
//! The text form, `amount >= 1000 AND (stage.kind = "won" OR owner_id IS NULL)`:
//!
//! ```ebnf
//! filter     = factor , ( { "AND" , factor } | { "OR" , factor } ) ;
//! factor     = "NOT" , factor | "(" , filter , ")" | condition ;
//! condition  = path , comparison , value
//!            | path , "IN" , "[" , value , { "," , value } , "]"
//!            | path , "BETWEEN" , value , "AND" , value
//!            | path , "IS" , [ "NOT" ] , "NULL"
//!            | ( "contains" | "starts_with" ) , "(" , path , "," , string , ")" ;
//! comparison = "=" | "!=" | "<" | "<=" | ">" | ">=" ;
//! path       = name , { "." , name } ;
//! value      = string | number , [ currency ] | "true" | "false" ;
//! string     = a JSON string, in double quotes ;
//! number     = [ "-" ] , digits , [ "." , digits ] ;
//! currency   = an ISO 4217 code ;
//! ```
//!
//! Keywords are written in either case. `NOT` binds closest; where `AND` and `OR` mix, parentheses say what is meant.
//! The JSON form of the same tree: `{"and": [..]}`, `{"or": [..]}`, `{"not": ..}`,
//! `{"field": "amount", "op": "gte", "value": 1000}`.
//!
//! What it means:
//! * A path follows to-one relations, `account.parent.name`: the relation of a reference field has its name without
//!   `_id`. At most two are followed. A record the actor may not see is not there.
//! * Logic has two values. A comparison with null is false, and its `NOT` is true. A path is null where any step is.
//! * Dates, instants and ids are strings. Texts compare by bytes.
//! * `contains` and `starts_with` take ASCII letters in either case as equal and compare everything else exactly: the
//!   widest rule that SQLite and PostgreSQL share without an index of their own.
//! * Money compares a bare number with each row's own amount, `1000` with 1000 yuan and 1000 yen alike; `1000 CNY`
//!   takes only rows in that currency. `amount.currency` is a text.

mod compile;
mod lex;
mod money;
mod parse;
mod value;

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use self::{compile::compile, parse::parse};
use crate::error::{Code, Error, Result};

/// Conditions and junctions of one filter.
pub const MAX_NODES: usize = 50;
/// Levels of the tree, and of parentheses.
pub const MAX_DEPTH: usize = 8;
/// Values of one `IN`.
pub const MAX_VALUES: usize = 200;

/// A condition on the records of a kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    #[serde(untagged)]
    Test(Test),
}

/// A check of one field.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Test {
    /// Dotted path: `name`, `account.name`.
    pub field: String,
    #[serde(flatten)]
    pub check: Check,
    /// Character of the text where the field is named, from 1.
    #[serde(skip)]
    at: Option<usize>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case")]
pub enum Check {
    Eq(Literal),
    Ne(Literal),
    Lt(Literal),
    Lte(Literal),
    Gt(Literal),
    Gte(Literal),
    In(Vec<Literal>),
    /// Both ends belong to it.
    Between([Literal; 2]),
    Contains(String),
    StartsWith(String),
    IsNull,
    IsNotNull,
}

/// A value as the caller writes it; the field says what it means.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    Boolean(bool),
    Number(#[serde(with = "number")] Decimal),
    Text(String),
}

impl Filter {
    /// # Errors
    /// `query_too_expensive` beyond the budgets.
    pub fn within_budget(&self) -> Result<()> {
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
                Err(Error::malformed("filter", Code::QueryTooExpensive, detail))
            }
        }
    }

    /// Nodes, depth, and the values of the longest `IN`.
    fn size(&self) -> (usize, usize, usize) {
        let inner = match self {
            Self::And(all) | Self::Or(all) => all.as_slice(),
            Self::Not(inner) => std::slice::from_ref(inner.as_ref()),
            Self::Test(Test { check: Check::In(values), .. }) => return (1, 1, values.len()),
            Self::Test(_) => return (1, 1, 0),
        };
        inner
            .iter()
            .map(Self::size)
            .fold((1, 1, 0), |(nodes, depth, values), (n, d, v)| (nodes + n, depth.max(d + 1), values.max(v)))
    }
}

/// The text form; [`parse`] reads it back.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, word) = match self {
            Self::Test(test) => return test.fmt(f),
            Self::Not(inner) => {
                return match inner.as_ref() {
                    Self::And(_) | Self::Or(_) => write!(f, "NOT ({inner})"),
                    _ => write!(f, "NOT {inner}"),
                };
            }
            Self::And(all) => (all, " AND "),
            Self::Or(all) => (all, " OR "),
        };
        for (i, inner) in all.iter().enumerate() {
            f.write_str(if i > 0 { word } else { "" })?;
            match inner {
                Self::And(_) | Self::Or(_) => write!(f, "({inner})")?,
                _ => inner.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match &self.check {
            Check::Eq(value) => write!(f, "{field} = {value}"),
            Check::Ne(value) => write!(f, "{field} != {value}"),
            Check::Lt(value) => write!(f, "{field} < {value}"),
            Check::Lte(value) => write!(f, "{field} <= {value}"),
            Check::Gt(value) => write!(f, "{field} > {value}"),
            Check::Gte(value) => write!(f, "{field} >= {value}"),
            Check::In(values) => {
                let values: Vec<String> = values.iter().map(Literal::to_string).collect();
                write!(f, "{field} IN [{}]", values.join(", "))
            }
            Check::Between([low, high]) => write!(f, "{field} BETWEEN {low} AND {high}"),
            Check::Contains(part) => write!(f, "contains({field}, {})", quoted(part)),
            Check::StartsWith(part) => write!(f, "starts_with({field}, {})", quoted(part)),
            Check::IsNull => write!(f, "{field} IS NULL"),
            Check::IsNotNull => write!(f, "{field} IS NOT NULL"),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(flag) => flag.fmt(f),
            Self::Number(number) => number.normalize().fmt(f),
            Self::Text(text) => f.write_str(&quoted(text)),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON numbers. One that a double cannot hold exactly is written as a string, which money fields take as well.
mod number {
    use rust_decimal::{Decimal, prelude::ToPrimitive};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        let number = number.normalize();
        match (number.to_i64().filter(|_| number.is_integer()), number.to_f64()) {
            (Some(whole), _) => serializer.serialize_i64(whole),
            (None, Some(double)) if Decimal::try_from(double).is_ok_and(|d| d == number) => {
                serializer.serialize_f64(double)
            }
            _ => serializer.collect_str(&number),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = serde_json::Number::deserialize(deserializer)?.to_string();
        Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
