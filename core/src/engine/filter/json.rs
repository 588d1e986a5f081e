//! The JSON form: read strictly, with the pointer of everything that is wrong.

use chrono::NaiveDate;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Deserializer, Serializer, de};
use serde_json::{Map, Value as Json};

use super::{Any, At, Call, Check, Filter, Function, Literal, MAX_DEPTH, Offset, Test, call::Asked, value::Wrong};
use crate::{
    engine::date,
    error::{Code, VIOLATIONS, Violation, enough, unknown},
    values::{double, exact},
};

const JUNCTIONS: [&str; 4] = ["and", "or", "not", "any"];
const OPERATORS: [&str; 13] =
    ["eq", "ne", "lt", "lte", "gt", "gte", "has", "in", "between", "contains", "starts_with", "is_null", "is_not_null"];
const SHAPE: &str = r#"such as {"field": "name", "op": "eq", "value": "Acme"}, {"and": [..]}, {"or": [..]}, {"not": ..} or {"any": {"relation": .., "where": ..}}"#;

type Broken = Vec<Violation>;

/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(json: &Json, pointer: &str) -> Result<Filter, Broken> {
    node(json, pointer, 1)
}

fn node(json: &Json, pointer: &str, depth: usize) -> Result<Filter, Broken> {
    if depth > MAX_DEPTH {
        return Err(one(pointer, Code::QueryTooExpensive, format!("nested deeper than {MAX_DEPTH} levels")));
    }
    let Json::Object(members) = json else {
        return Err(one(pointer, Code::WrongType, format!("must be an object, {SHAPE}")));
    };
    let Some(word) = JUNCTIONS.into_iter().find(|word| members.contains_key(*word)) else {
        return if ["field", "op", "value"].iter().any(|name| members.contains_key(*name)) {
            test(members, pointer).map(Filter::Test)
        } else {
            let strangers = strangers(members, pointer, &["field", "op", "value"]);
            let nothing = || one(pointer, Code::Required, format!("must be an object, {SHAPE}"));
            Err(Some(strangers).filter(|found| !found.is_empty()).unwrap_or_else(nothing))
        };
    };
    let mut broken = strangers(members, pointer, &[word]);
    let (inner, pointer) = (members.get(word).unwrap_or(&Json::Null), format!("{pointer}/{word}"));
    let read = match word {
        "not" => node(inner, &pointer, depth + 1).map(|inner| Filter::Not(Box::new(inner))),
        "any" => any(inner, &pointer, depth).map(Filter::Any),
        _ => list(inner, &pointer, depth).map(|mut all| match all.pop() {
            // one condition says the same alone, and only so has it a text
            Some(alone) if all.is_empty() => alone,
            last => {
                all.extend(last);
                if word == "and" { Filter::And(all) } else { Filter::Or(all) }
            }
        }),
    };
    settle(read, &mut broken)
}

fn list(json: &Json, pointer: &str, depth: usize) -> Result<Vec<Filter>, Broken> {
    let Some(all) = json.as_array().filter(|all| !all.is_empty()) else {
        return Err(one(pointer, Code::WrongType, "must be a list of at least one condition"));
    };
    let (mut read, mut broken) = (Vec::with_capacity(all.len()), Vec::new());
    for (i, inner) in all.iter().enumerate() {
        if enough(&broken) {
            break;
        }
        match node(inner, &format!("{pointer}/{i}"), depth + 1) {
            Ok(filter) => read.push(filter),
            Err(wrong) => broken.extend(wrong),
        }
    }
    settle(Ok(read), &mut broken)
}

fn any(json: &Json, pointer: &str, depth: usize) -> Result<Any, Broken> {
    let Json::Object(members) = json else {
        return Err(one(pointer, Code::WrongType, r#"must be like {"relation": "opportunities", "where": ..}"#));
    };
    let mut broken = strangers(members, pointer, &["relation", "where"]);
    let relation = settle(text(members, pointer, "relation"), &mut broken);
    let inner = members.get("where").ok_or_else(|| one(&format!("{pointer}/where"), Code::Required, "is missing"));
    let filter = inner.and_then(|inner| node(inner, &format!("{pointer}/where"), depth + 1));
    match (relation, settle(filter, &mut broken)) {
        (Ok(relation), Ok(filter)) => {
            Ok(Any { relation, filter: Box::new(filter), at: At::Pointer(pointer.to_owned()) })
        }
        _ => Err(broken),
    }
}

fn test(members: &Map<String, Json>, pointer: &str) -> Result<Test, Broken> {
    let mut broken = strangers(members, pointer, &["field", "op", "value"]);
    let field = text(members, pointer, "field").and_then(|field| {
        let whole = !field.split('.').any(str::is_empty);
        if whole {
            Ok(field)
        } else {
            Err(one(&format!("{pointer}/field"), Code::FilterSyntax, "lacks a name beside a dot"))
        }
    });
    let field = settle(field, &mut broken);
    let check = text(members, pointer, "op").and_then(|op| check(&op, members.get("value"), pointer));
    match (field, settle(check, &mut broken)) {
        (Ok(field), Ok(check)) => Ok(Test { field, check, at: At::Pointer(pointer.to_owned()) }),
        _ => Err(broken),
    }
}

fn check(op: &str, value: Option<&Json>, pointer: &str) -> Result<Check, Broken> {
    if !OPERATORS.contains(&op) {
        let detail = format!("{} (there are {})", unknown("operator", op, OPERATORS), OPERATORS.join(", "));
        return Err(one(&format!("{pointer}/op"), Code::FilterSyntax, detail));
    }
    let pointer = format!("{pointer}/value");
    if op == "is_null" || op == "is_not_null" {
        let check = if op == "is_null" { Check::IsNull } else { Check::IsNotNull };
        let surplus = value.map(|_| one(&pointer, Code::UnknownField, format!("`{op}` takes no value")));
        return surplus.map_or(Ok(check), Err);
    }
    let value = value.ok_or_else(|| one(&pointer, Code::Required, "is missing"))?;
    let part = || {
        let part = value.as_str().map(str::to_owned);
        part.ok_or_else(|| one(&pointer, Code::WrongType, "must be a string"))
    };
    match op {
        "contains" => return part().map(Check::Contains),
        "starts_with" => return part().map(Check::StartsWith),
        "in" => return literals(value, &pointer).map(Check::In),
        "between" => {
            let ends = <[Literal; 2]>::try_from(literals(value, &pointer)?);
            return ends.map(Check::Between).map_err(|_| {
                one(&pointer, Code::WrongType, "must be a list of two values, the lower and the upper end")
            });
        }
        _ => {}
    }
    let value = literal(value, &pointer)?;
    Ok(match op {
        "eq" => Check::Eq(value),
        "ne" => Check::Ne(value),
        "lt" => Check::Lt(value),
        "lte" => Check::Lte(value),
        "gt" => Check::Gt(value),
        "gte" => Check::Gte(value),
        _ => Check::Has(value),
    })
}

fn literals(json: &Json, pointer: &str) -> Result<Vec<Literal>, Broken> {
    let Some(all) = json.as_array().filter(|all| !all.is_empty()) else {
        return Err(one(pointer, Code::WrongType, "must be a list of at least one value"));
    };
    let (mut read, mut broken) = (Vec::with_capacity(all.len()), Vec::new());
    for (i, value) in all.iter().enumerate() {
        if enough(&broken) {
            break;
        }
        match literal(value, &format!("{pointer}/{i}")) {
            Ok(literal) => read.push(literal),
            Err(wrong) => broken.extend(wrong),
        }
    }
    settle(Ok(read), &mut broken)
}

fn literal(json: &Json, pointer: &str) -> Result<Literal, Broken> {
    let wrong = |code, detail: String| one(pointer, code, detail);
    match json {
        Json::Bool(flag) => Ok(Literal::Boolean(*flag)),
        Json::String(text) => Ok(Literal::Text(text.clone())),
        Json::Number(number) => {
            let text = number.to_string();
            let read = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text));
            read.map(Literal::Number)
                .map_err(|_| wrong(Code::FilterSyntax, "the number has more than 28 digits".to_owned()))
        }
        Json::Object(members) => call(members, pointer).map(Literal::Call),
        Json::Null => Err(wrong(Code::FilterSyntax, "compare with null by `is_null` or `is_not_null`".to_owned())),
        Json::Array(_) => Err(wrong(Code::WrongType, "must be one value; several stand behind `in`".to_owned())),
    }
}

fn call(members: &Map<String, Json>, pointer: &str) -> Result<Call, Broken> {
    let mut broken = strangers(members, pointer, &["fn", "offset"]);
    let wrong = |member: &str, detail| one(&format!("{pointer}{member}"), Code::FilterSyntax, detail);
    let function =
        text(members, pointer, "fn").and_then(|name| Function::parse(&name).map_err(|detail| wrong("/fn", detail)));
    let function = settle(function, &mut broken);
    let offset = members.contains_key("offset").then(|| {
        text(members, pointer, "offset")
            .and_then(|text| Offset::parse(&text).map_err(|detail| wrong("/offset", detail)))
    });
    match (function, settle(offset.transpose(), &mut broken)) {
        (Ok(function), Ok(offset)) => Call::new(function, offset).map_err(|detail| wrong("/offset", detail)),
        _ => Err(broken),
    }
}

/// A day, as a date or as `today()` with an offset.
///
/// # Errors
/// It is neither; the violation is at `pointer`.
pub(crate) fn day(asked: Asked<'_>, json: &Json, pointer: &str) -> Result<NaiveDate, Broken> {
    let wrong = |(code, detail): Wrong| one(pointer, code, detail);
    match literal(json, pointer)? {
        Literal::Text(text) => date(&text).map_err(|detail| wrong((Code::InvalidValue, detail))),
        Literal::Call(Call { function: Function::Today, offset }) => {
            asked.day(offset, asked.cx.tenant.time_zone).map_err(wrong)
        }
        _ => Err(wrong((Code::WrongType, r#"must be a date such as "2026-01-31", or {"fn": "today"}"#.to_owned()))),
    }
}

/// The value, unless something was wrong here or before.
fn settle<T>(read: Result<T, Broken>, broken: &mut Broken) -> Result<T, Broken> {
    match read {
        Ok(value) if broken.is_empty() => Ok(value),
        Ok(_) => Err(broken.clone()),
        Err(wrong) => {
            broken.extend(wrong);
            Err(broken.clone())
        }
    }
}

fn text(members: &Map<String, Json>, pointer: &str, name: &str) -> Result<String, Broken> {
    let pointer = format!("{pointer}/{name}");
    match members.get(name) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err(one(&pointer, Code::WrongType, "must be a string")),
        None => Err(one(&pointer, Code::Required, "is missing")),
    }
}

/// Members that have no place here.
fn strangers(members: &Map<String, Json>, pointer: &str, known: &[&str]) -> Broken {
    let stranger = |name: &&String| !known.contains(&name.as_str());
    let violation = |name: &String| {
        let near = if known.len() == 3 { [known, &JUNCTIONS].concat() } else { known.to_vec() };
        one(
            &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")),
            Code::UnknownField,
            unknown("member", name, near),
        )
    };
    members.keys().filter(stranger).take(VIOLATIONS).flat_map(violation).collect()
}

fn one(pointer: &str, code: Code, detail: impl Into<String>) -> Broken {
    vec![Violation { pointer: pointer.to_owned(), code, detail: detail.into() }]
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Json::deserialize(deserializer)?, "").map_err(de::Error::custom)
    }
}

/// JSON numbers. One that a double cannot hold exactly is written as a string, which money fields take as well.
pub(super) fn number<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    let number = number.normalize();
    match (number.to_i64().filter(|_| number.is_integer()), double(&number)) {
        (Some(whole), _) => serializer.serialize_i64(whole),
        (None, Some(double)) if exact(double) == Some(number) => serializer.serialize_f64(double),
        _ => serializer.collect_str(&number),
    }
}
