//! A tenant's own fields of a kind: what they take, and where their values are found.
//!
//! Their values live together in the record's JSON column `custom`; those that may be filtered or must be unique are kept
//! in `custom_value` too, typed as a filter binds them.

mod cells;
mod index;

use std::{collections::HashSet, sync::Arc};

use regex::Regex;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

pub(super) use self::cells::{Cell, REFERS};
pub(super) use self::index::{claims, dangling, follow, forget_records, holders, referrers};
pub use self::index::{forget_values, index_values};
use super::{Field, FieldAccess, FieldType, merge_patch};
use crate::{
    error::{Code, Violation, enough, unknown},
    values::decimal,
};

/// The field that holds all of them, and the column it is stored in.
pub const CUSTOM: &str = "custom";
/// Characters of a text that may be filtered or must be unique: what an index of PostgreSQL takes, in any script.
pub const MAX_INDEXED: u64 = 500;
/// Smallest units of an amount: what a binary fraction holds exactly, as `custom_value` has numbers.
const MAX_MINOR: i64 = (1 << 53) - 1;

/// One field that a tenant has added to a kind.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
pub struct CustomField {
    pub id: Uuid,
    /// Its name within `custom`.
    pub key: Arc<str>,
    /// The field as everything else knows it, under the name `custom.{key}`; it has no column of its own.
    pub field: Field,
    pub unique: bool,
    /// Its values are in `custom_value`.
    pub indexed: bool,
    /// Its values are kept, and neither shown nor taken.
    pub retired: bool,
    /// The same, where whoever asks may not read it.
    pub hidden: bool,
    /// What a create stores that does not name it.
    pub default: Option<Json>,
    pub bounds: Bounds,
}

/// What a value must also be, beside what its field's schema says.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Characters.
    pub shortest: Option<u64>,
    pub pattern: Option<Regex>,
    /// First and last day or instant, as the field reads them.
    pub earliest: Option<String>,
    pub latest: Option<String>,
}

impl CustomField {
    /// The value as it is stored.
    ///
    /// # Errors
    /// It is not one this field can have.
    pub fn read(&self, value: &Json) -> Result<Json, Violation> {
        let mut cells = self.field.decode(value)?.into_iter();
        let read = cells.next().unwrap_or_default();
        match (&read, cells.next()) {
            (Json::Number(minor), Some(Json::String(currency))) => self.money(minor.as_i64(), &currency),
            (Json::String(text), _) => self.bounded(text).map(|()| read),
            (Json::Array(none), _) if none.is_empty() => Ok(Json::Null),
            _ => Ok(read),
        }
    }

    /// As callers write it, with all of its currency's decimals.
    fn money(&self, minor: Option<i64>, currency: &str) -> Result<Json, Violation> {
        let minor = minor.filter(|minor| (-MAX_MINOR..=MAX_MINOR).contains(minor)).ok_or_else(|| {
            let detail = format!("must be at most {} {currency}", decimal(MAX_MINOR, currency));
            self.field.violation(Code::OutOfRange, detail)
        })?;
        Ok(json!({"amount": decimal(minor, currency), "currency": currency}))
    }

    fn bounded(&self, text: &str) -> Result<(), Violation> {
        let Bounds { shortest, pattern, earliest, latest } = &self.bounds;
        let length = text.chars().count() as u64;
        if let Some(least) = shortest.filter(|least| length < *least) {
            return Err(self.field.violation(Code::OutOfRange, format!("must have at least {least} characters")));
        }
        if self.indexed && length > MAX_INDEXED {
            let detail = format!("must have at most {MAX_INDEXED} characters, because it may be filtered or is unique");
            return Err(self.field.violation(Code::TooLong, detail));
        }
        if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            return Err(self.field.violation(Code::InvalidValue, format!("must match the pattern {pattern}")));
        }
        // days and instants are stored so that texts sort as times do
        if let Some(first) = earliest.as_deref().filter(|first| text < *first) {
            return Err(self.field.violation(Code::OutOfRange, format!("must not be before {first}")));
        }
        if let Some(last) = latest.as_deref().filter(|last| text > *last) {
            return Err(self.field.violation(Code::OutOfRange, format!("must not be after {last}")));
        }
        Ok(())
    }

    /// What no two live records may share.
    pub fn only(&self, stored: &Json) -> Option<String> {
        self.unique.then(|| stored.as_str().map_or_else(|| stored.to_string(), str::to_owned))
    }
}

/// All of a kind, in the order in which they were made. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CustomFields(Arc<[CustomField]>);

impl CustomFields {
    /// Those in use, as far as whoever asks may read them.
    pub fn active(&self) -> impl Iterator<Item = &CustomField> {
        self.in_use().filter(|field| !field.hidden)
    }

    /// Those in use, whoever asks: what values must keep to.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &CustomField> {
        self.0.iter().filter(|field| !field.retired)
    }

    /// As [`Shape::narrowed`](super::Shape::narrowed).
    pub(super) fn narrowed(&self, access: impl Fn(&Field) -> Option<FieldAccess>) -> Self {
        let narrowed = |own: &CustomField| match access(&own.field) {
            Some(access) => CustomField { field: Field { access, ..own.field.clone() }, ..own.clone() },
            None => CustomField { hidden: true, ..own.clone() },
        };
        self.0.iter().map(narrowed).collect()
    }

    pub(super) fn hides(&self, name: &str) -> bool {
        self.in_use().any(|own| own.hidden && own.field.name == name)
    }

    pub fn get(&self, key: &str) -> Option<&CustomField> {
        self.active().find(|field| *field.key == *key)
    }

    /// Every one, with those that have been retired.
    pub fn all(&self) -> impl Iterator<Item = &CustomField> {
        self.0.iter()
    }

    /// Those whose values `custom_value` keeps.
    fn indexed(&self) -> impl Iterator<Item = &CustomField> {
        self.0.iter().filter(|field| field.indexed)
    }

    /// Names as paths say them, `custom.budget`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.active().map(|field| field.field.name.as_str())
    }

    /// What is stored after `given` (RFC 7396) has been laid over `present`, which is `None` for a create.
    ///
    /// # Errors
    /// Everything that is wrong, each at its place.
    pub(super) fn lay(
        &self,
        present: Option<&Json>,
        given: &Json,
        may_set: impl Fn(&Field) -> Result<(), Violation>,
    ) -> Result<Json, Vec<Violation>> {
        let mut whole = present.and_then(Json::as_object).cloned().unwrap_or_default();
        let given = match given {
            Json::Object(given) => given.clone(),
            Json::Null => {
                let settable = self.active().filter(|own| may_set(&own.field).is_ok());
                settable.map(|own| (own.key.to_string(), Json::Null)).collect()
            }
            _ => return Err(vec![Violation::field(CUSTOM, Code::WrongType, "must be an object of custom fields")]),
        };
        let mut broken = Vec::new();
        let mut wrong = HashSet::new();
        for (key, value) in &given {
            if enough(&broken) {
                return Err(broken);
            }
            let present = present.and_then(|present| present.get(key));
            match self.get(key).map(|own| may_set(&own.field).and_then(|()| own.laid(present, value))) {
                Some(Ok(Json::Null)) => drop(whole.remove(key)),
                Some(Ok(stored)) => drop(whole.insert(key.clone(), stored)),
                Some(Err(violation)) => {
                    wrong.insert(key.as_str());
                    broken.push(violation);
                }
                None => broken.push(self.unknown(key)),
            }
        }
        for field in self.in_use().filter(|field| !wrong.contains(&*field.key)) {
            if let Some(default) =
                field.default.as_ref().filter(|_| present.is_none() && !given.contains_key(&*field.key))
            {
                whole.insert(field.key.to_string(), default.clone());
            }
            if field.field.required && !whole.contains_key(&*field.key) {
                broken.push(field.field.violation(Code::Required, "is required"));
            }
        }
        match broken.is_empty() {
            true if whole.is_empty() => Ok(Json::Null),
            true => Ok(Json::Object(whole)),
            false => Err(broken),
        }
    }

    /// What is wrong with a merge patch of the values, whatever it is laid over.
    pub fn refuses(&self, patch: &Map<String, Json>) -> Vec<Violation> {
        let wrong = |(key, value): (&String, &Json)| match self.get(key) {
            None => Some(self.unknown(key)),
            Some(own) if own.field.access != FieldAccess::Write => Some(own.field.read_only()),
            Some(own) if value.is_null() || value.is_object() => own.field.refuses(value),
            Some(own) => own.read(value).err(),
        };
        patch.iter().filter_map(wrong).collect()
    }

    /// What is wrong with values that were stored by other definitions. Those of retired fields are kept as they are.
    pub(super) fn misfits(&self, stored: &Json) -> Vec<Violation> {
        let wrong = |(key, value): (&String, &Json)| match self.0.iter().find(|own| *own.key == **key) {
            Some(own) if own.retired => None,
            Some(own) => own.read(value).err(),
            None => Some(self.unknown(key)),
        };
        let missing = self.in_use().filter(|own| own.field.required && stored.get(&*own.key).is_none());
        let missing = missing.map(|own| own.field.violation(Code::Required, "is required"));
        stored.as_object().into_iter().flatten().filter_map(wrong).chain(missing).collect()
    }

    fn unknown(&self, key: &str) -> Violation {
        let pointer = format!("/{CUSTOM}/{}", key.replace('~', "~0").replace('/', "~1"));
        let detail = if self.0.iter().any(|field| *field.key == *key && !field.hidden) {
            "has been retired; a custom field takes values again once it is active".to_owned()
        } else {
            unknown("custom field", key, self.active().map(|field| &*field.key))
        };
        Violation { pointer, code: Code::UnknownField, detail }
    }

    /// What is shown of a stored value: no retired fields, and only `chosen` ones where there is a choice.
    pub(super) fn show(&self, stored: &Json, chosen: Option<&HashSet<String>>) -> Json {
        let Json::Object(stored) = stored else { return Json::Null };
        let shown = |key: &String| self.get(key).is_some() && chosen.is_none_or(|chosen| chosen.contains(key));
        stored.iter().filter(|(key, _)| shown(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The JSON Schema of the whole object.
    pub(super) fn schema(&self) -> Json {
        let property = |own: &CustomField| {
            let mut schema = own.field.schema.clone();
            if own.field.access != FieldAccess::Write
                && let Some(schema) = schema.as_object_mut()
            {
                schema.insert("readOnly".to_owned(), true.into());
            }
            (own.key.to_string(), schema)
        };
        let properties: Map<_, _> = self.active().map(property).collect();
        json!({"type": "object", "description": "The tenant's own fields.", "additionalProperties": false,
               "properties": properties})
    }
}

impl FromIterator<CustomField> for CustomFields {
    fn from_iter<I: IntoIterator<Item = CustomField>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl CustomField {
    /// Null takes a value away; whether it may be missing is for the whole record to say. Of money, a part may be given alone.
    fn laid(&self, present: Option<&Json>, value: &Json) -> Result<Json, Violation> {
        match (present, value) {
            (_, Json::Null) => Ok(Json::Null),
            (Some(present), Json::Object(_)) => self.read(&merge_patch(present.clone(), value)),
            _ => self.read(value),
        }
    }

    /// The field itself, before anything but its name, type and schema is known.
    pub fn field(key: &str, kind: FieldType, required: bool, schema: Json) -> Field {
        Field {
            name: format!("{CUSTOM}.{key}"),
            kind,
            columns: Vec::new(),
            nullable: !required,
            required,
            access: FieldAccess::Write,
            schema,
            document: None,
        }
    }
}

/// The names of the custom values that differ, `custom.budget`.
pub(super) fn changed(before: Option<&Json>, after: Option<&Json>) -> Vec<String> {
    let empty = Map::new();
    let [before, after] = [before, after].map(|value| value.and_then(Json::as_object).unwrap_or(&empty));
    let mut names: Vec<_> = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)))
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| format!("{CUSTOM}.{key}"))
        .collect();
    names.sort_unstable();
    names
}
