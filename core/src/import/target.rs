//! One entry of the mapping: which field is made of what.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::{
    read::Writing,
    spec::{Wrong, escaped},
};
use crate::{
    access::{self, Verb},
    context::Context,
    engine::{Field, FieldAccess, FieldType, Shape, custom::CUSTOM},
    error::{Code, unknown},
};

/// A field and what it is made of.
#[derive(Clone, Debug)]
pub struct Target {
    /// As the mapping names it: `amount`, `amount.currency`, `owner_since`.
    pub name: String,
    /// The field itself; for `owner_since` and its like that name.
    pub field: String,
    pub place: Place,
    pub source: Source,
    /// How the source's text is read.
    pub kind: FieldType,
    pub writing: Option<Writing>,
    pub access: FieldAccess,
    /// An empty cell leaves the field alone: it cannot be null, and a create has a default for it.
    pub skips_empty: bool,
}

/// Where a value goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Whole,
    /// A member of the field's object: `billing_address.city`, `custom.budget`.
    Part(String),
    /// The currency of the money that the field is, or that is a member of it: `amount.currency`, `custom.budget.currency`.
    /// The amount's place is that of the money.
    Currency(Option<String>),
    /// When the record's first interval began.
    Since(Began),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    Owner,
    Stage,
    Grade,
}

#[derive(Clone, Debug)]
pub enum Source {
    Constant(Json),
    Column(String),
    Lookup(Lookup),
}

/// The id of the record of `kind` whose field `by` has the text of the column.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub column: String,
    pub kind: Arc<str>,
    pub by: String,
    pub missing: Missing,
}

/// What becomes of a row whose lookup finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Error,
    Null,
    /// A record with just that field is created.
    Create,
}

/// Pseudo-fields of imported history, with the field whose first interval they begin.
const SINCE: [(&str, &str, Began); 3] = [
    ("owner_since", "owner_id", Began::Owner),
    ("stage_since", "stage_id", Began::Stage),
    ("grade_since", "grade", Began::Grade),
];

impl Target {
    pub fn lookup(&self) -> Option<&Lookup> {
        if let Source::Lookup(lookup) = &self.source { Some(lookup) } else { None }
    }

    pub fn column(&self) -> Option<&str> {
        match &self.source {
            Source::Constant(_) => None,
            Source::Column(column) | Source::Lookup(Lookup { column, .. }) => Some(column),
        }
    }
}

/// Reads `mapping` and `formats`.
pub(super) fn targets(cx: &Context, shape: &Shape, given: &Map<String, Json>, wrong: &mut Wrong) -> Vec<Target> {
    let Some(mapping) = wrong.object(given, "mapping").filter(|mapping| !mapping.is_empty()) else {
        wrong.add("/mapping", Code::Required, r#"must map at least one field, {"name": {"column": "Name"}}"#);
        return Vec::new();
    };
    let mut targets = Vec::new();
    for (name, entry) in mapping {
        if wrong.is_enough() {
            break;
        }
        let pointer = format!("/mapping/{}", escaped(name));
        let Some((mut target, field)) = place(shape, name, &pointer, wrong) else { continue };
        if let Some(source) = source(cx, shape, &field, entry, &pointer, wrong) {
            target.source = source;
            targets.push(target);
        }
    }
    contradictions(shape, mapping, &targets, wrong);
    for (name, format) in wrong.object(given, "formats").into_iter().flatten() {
        if wrong.is_enough() {
            break;
        }
        let pointer = format!("/formats/{}", escaped(name));
        match targets.iter_mut().find(|t| t.name == *name) {
            None if mapping.contains_key(name) => {}
            None => {
                let detail = unknown("mapped field", name, mapping.keys().map(String::as_str));
                wrong.add(&pointer, Code::UnknownField, detail);
            }
            Some(target) => match Writing::parse(format, &target.kind) {
                Ok(writing) => target.writing = Some(writing),
                Err(detail) => wrong.add(&pointer, Code::InvalidValue, detail),
            },
        }
    }
    targets
}

/// Refuses what single entries do not show to be wrong.
fn contradictions(shape: &Shape, mapping: &Map<String, Json>, targets: &[Target], wrong: &mut Wrong) {
    for part in targets {
        let detail = match &part.place {
            Place::Currency(_) => {
                let money = part.name.trim_end_matches(".currency");
                let amounts = [money.to_owned(), format!("{money}.amount")];
                let alone = !amounts.iter().any(|amount| mapping.contains_key(amount));
                alone.then(|| format!("is of no use without `{money}.amount`"))
            }
            _ if part.name == part.field => None,
            _ => {
                mapping.contains_key(&part.field).then(|| format!("`{}` is mapped as a whole and in parts", part.field))
            }
        };
        if let Some(detail) = detail {
            wrong.add(&format!("/mapping/{}", escaped(&part.name)), Code::InvalidValue, detail);
        }
    }
    let mut own = targets.iter().filter_map(Target::lookup).filter(|lookup| lookup.kind == shape.name);
    if let Some(first) = own.next()
        && own.any(|lookup| lookup.by != first.by)
    {
        let detail = format!("lookups into `{}` itself must all be by the same field", shape.name);
        wrong.add("/mapping", Code::InvalidValue, detail);
    }
}

/// What a name of the mapping means, its source still open, and the field whose values it takes.
fn place(shape: &Shape, name: &str, pointer: &str, wrong: &mut Wrong) -> Option<(Target, Field)> {
    let target = |root: &str, place, field: Field, access, skips_empty| {
        let source = Source::Constant(Json::Null);
        let (name, root, kind) = (name.to_owned(), root.to_owned(), field.kind.clone());
        Some((Target { name, field: root, place, source, kind, writing: None, access, skips_empty }, field))
    };
    if let Some((_, _, began)) = SINCE.iter().find(|(since, of, _)| *since == name && shape.field(of).is_some()) {
        let began = Place::Since(*began);
        return target(name, began, inner(name, FieldType::Instant, &Json::Null), FieldAccess::History, true);
    }
    let (root, rest) = name.split_once('.').map_or((name, None), |(root, rest)| (root, Some(rest)));
    let Some(field) = shape.field(root) else {
        let since = SINCE.iter().filter(|(_, of, _)| shape.field(of).is_some()).map(|(since, ..)| *since);
        wrong.add(pointer, Code::UnknownField, unknown("field", root, shape.field_names().chain(since)));
        return None;
    };
    if matches!(field.access, FieldAccess::Server | FieldAccess::Read) {
        wrong.add(pointer, Code::ReadOnly, field.read_only().detail);
        return None;
    }
    let Some(rest) = rest else {
        let skips = !field.nullable && !field.required;
        return target(root, Place::Whole, field.clone(), field.access, skips);
    };
    let found = match rest.split_once('.') {
        _ if root != CUSTOM => part(field, None, rest).map(|(place, part)| (place, part, false)),
        own => own_place(shape, own.map_or((rest, None), |(key, part)| (key, Some(part)))),
    };
    match found {
        Ok((place, part, skips)) => target(root, place, part, field.access, skips),
        Err(detail) => {
            wrong.add(pointer, Code::UnknownField, detail);
            None
        }
    }
}

/// A custom field, or a part of one, and whether an empty cell leaves it alone.
fn own_place(shape: &Shape, (key, rest): (&str, Option<&str>)) -> Result<(Place, Field, bool), String> {
    let names = shape.custom.active().map(|field| &*field.key);
    let own = shape.custom.get(key).ok_or_else(|| unknown("custom field", key, names))?;
    match rest {
        None => Ok((Place::Part(key.to_owned()), own.field.clone(), own.field.required)),
        Some(rest) => part(&own.field, Some(key), rest).map(|(place, part)| (place, part, false)),
    }
}

/// A part of the field, as the field's schema has it; `key`: the field is a member of the one that holds the tenant's own.
fn part(field: &Field, key: Option<&str>, name: &str) -> Result<(Place, Field), String> {
    let parts = match field.kind {
        FieldType::Money | FieldType::Json => field.schema.get("properties").and_then(Json::as_object),
        _ => None,
    };
    let parts = parts.ok_or_else(|| format!("`{}` has no parts", field.name))?;
    let names = parts.keys().map(String::as_str);
    let schema = parts.get(name).ok_or_else(|| unknown(&format!("part of {}", field.name), name, names))?;
    let part = inner(&format!("{}.{name}", field.name), FieldType::of(schema, None), schema);
    let key = key.map(str::to_owned);
    Ok(match (&field.kind, name) {
        (FieldType::Money, "amount") => (key.map_or(Place::Whole, Place::Part), field.clone()),
        (FieldType::Money, _) => (Place::Currency(key), part),
        _ => (Place::Part(name.to_owned()), part),
    })
}

/// What is no field of the kind, yet read and checked as one.
fn inner(name: &str, kind: FieldType, schema: &Json) -> Field {
    Field {
        name: name.to_owned(),
        kind,
        columns: Vec::new(),
        nullable: true,
        required: false,
        access: FieldAccess::Write,
        schema: schema.clone(),
        document: None,
    }
}

fn source(
    cx: &Context,
    shape: &Shape,
    field: &Field,
    entry: &Json,
    pointer: &str,
    wrong: &mut Wrong,
) -> Option<Source> {
    let wanted = r#"must be {"column": ..}, {"constant": ..} or {"column": .., "lookup": ..}"#;
    let Json::Object(entry) = entry else {
        wrong.add(pointer, Code::WrongType, wanted);
        return None;
    };
    wrong.keys(pointer, entry, &["column", "constant", "lookup"]);
    match (entry.get("column"), entry.get("constant"), entry.get("lookup")) {
        (None, Some(constant), None) => constant_of(cx, shape, field, constant, pointer, wrong),
        (Some(Json::String(column)), None, None) => Some(Source::Column(column.clone())),
        (Some(Json::String(column)), None, Some(given)) => {
            let pointer = format!("{pointer}/lookup");
            lookup(cx, field, column, given, &pointer, wrong).map(Source::Lookup)
        }
        _ => {
            wrong.add(pointer, Code::InvalidValue, wanted);
            None
        }
    }
}

/// A constant is a value as the API takes it; the same check answers here, before any row is read.
fn constant_of(
    cx: &Context,
    shape: &Shape,
    field: &Field,
    constant: &Json,
    pointer: &str,
    wrong: &mut Wrong,
) -> Option<Source> {
    let value = match (&field.kind, constant) {
        (FieldType::Money, Json::String(amount)) => {
            json!({"amount": amount, "currency": cx.tenant.base_currency.as_str()})
        }
        _ => constant.clone(),
    };
    let checked = match shape.custom.active().find(|own| own.field.name == field.name) {
        Some(own) => own.read(&value).map(drop),
        None => field.decode(&value).map(drop),
    };
    if let Err(violation) = checked {
        wrong.add(&format!("{pointer}/constant"), violation.code, violation.detail);
        return None;
    }
    Some(Source::Constant(value))
}

fn lookup(cx: &Context, field: &Field, column: &str, given: &Json, pointer: &str, wrong: &mut Wrong) -> Option<Lookup> {
    let FieldType::Reference(kind) = &field.kind else {
        wrong.add(pointer, Code::InvalidValue, format!("`{}` does not refer to another record", field.name));
        return None;
    };
    let Json::Object(given) = given else {
        wrong.add(pointer, Code::WrongType, r#"must be like {"kind": .., "by": .., "missing": ..}"#);
        return None;
    };
    wrong.keys(pointer, given, &["kind", "by", "missing"]);
    let text = |key: &str| given.get(key).map(|value| value.as_str().unwrap_or_default());
    if text("kind").is_some_and(|named| *named != **kind) {
        wrong.add(&format!("{pointer}/kind"), Code::InvalidValue, format!("`{}` refers to `{kind}`", field.name));
    }
    let missing = match text("missing") {
        None | Some("error") => Missing::Error,
        Some("null") => Missing::Null,
        Some("create") => Missing::Create,
        Some(_) => {
            wrong.add(&format!("{pointer}/missing"), Code::InvalidValue, "must be one of error, null, create");
            return None;
        }
    };
    let target = cx.kind(kind)?.shape();
    if let Err(error) = access::may(&cx.actor, Verb::Read, target) {
        wrong.add(pointer, Code::Forbidden, error.to_string());
        return None;
    }
    let simple = |f: &&Field| !matches!(f.kind, FieldType::Money | FieldType::Json);
    let by = text("by").unwrap_or_default();
    let Some(found) = target.field(by).filter(simple) else {
        let names = target.fields.iter().filter(simple).map(|f| f.name.as_str());
        let detail = unknown(&format!("field of {kind} to look up by,"), by, names);
        wrong.add(&format!("{pointer}/by"), Code::UnknownField, detail);
        return None;
    };
    let others: Vec<_> = target.fields.iter().filter(|f| f.required && f.name != by).map(|f| f.name.as_str()).collect();
    let refused = match missing {
        Missing::Null if !field.nullable => Some(format!("`{}` cannot be null", field.name)),
        Missing::Create if found.access != FieldAccess::Write => Some(format!("`{by}` cannot be set")),
        Missing::Create if !others.is_empty() => Some(format!("a new {kind} also needs {}", others.join(", "))),
        _ => None,
    };
    if let Some(detail) = refused {
        wrong.add(&format!("{pointer}/missing"), Code::InvalidValue, detail);
        return None;
    }
    Some(Lookup { column: column.to_owned(), kind: Arc::clone(kind), by: by.to_owned(), missing })
}
