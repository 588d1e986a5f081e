//! The Shape: everything known at run time about a kind, made once from its typed entity.

use std::{collections::BTreeMap, sync::Arc};

use sea_orm::{
    ColumnTrait, ColumnType, Condition, DbBackend, IdenStatic, Iterable,
    sea_query::{Alias, Expr, ExprTrait, IntoIden},
};
use serde_json::{Map, Value as Json, json};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};
use uuid::Uuid;

use super::{
    Field, FieldAccess, FieldType, Record,
    custom::{CUSTOM, CustomFields},
    parts::Parts,
};
use crate::{
    access::Verb,
    values::{Country, Email, Phone, Url},
};

/// Columns that are not fields: the tenant is the caller's, a deleted record is not there, the object is the kind's.
const HIDDEN: [&str; 3] = ["tenant_id", "deleted_at", OBJECT];
/// Says of which custom object a row is.
const OBJECT: &str = "object_id";
const SERVER: [&str; 2] = ["version", "updated_at"];
const HISTORY: [&str; 2] = ["created_at", "created_by"];
/// References every kind that has them shares.
const USERS: [(&str, &str); 2] = [("owner_id", "user"), ("created_by", "user")];

/// One column of the kind's table.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: ColumnType,
    pub nullable: bool,
}

/// Which rows of a kind an actor may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the tenant's: setup such as stages and products.
    Tenant,
    /// Those whose `owner_id` is within the actor's reach.
    Owner,
    /// Those whose subject (`subject_kind`, `subject_id`) the actor may see: decisions.
    Subject,
    /// Those whose parent the actor may see: owned children.
    Part,
    /// Those that the actor has asked for, unless they see everything: jobs, whose results hold whatever their asker reached.
    Asker,
}

/// A kind of record, as the engine, the HTTP surface, imports and runs see it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
pub struct Shape {
    /// Singular `snake_case`: `account`.
    pub name: Arc<str>,
    /// Path segment, plural kebab-case: `accounts`.
    pub plural: Arc<str>,
    pub description: String,
    /// What it is called in each language, where a tenant has said so: `{"en": "Warranty", "zh": "保修"}`.
    pub labels: Option<Json>,
    pub scope: Scope,
    /// Reps may not read it although its scope would let them.
    pub restricted: bool,
    pub verbs: &'static [Verb],
    /// See [`Record::DEFINES`].
    pub defines: bool,
    /// Two of its records may become one.
    pub merges: bool,
    /// The change log has its past.
    pub logged: bool,
    /// See [`Record::SEARCH`].
    pub search: &'static [&'static str],
    /// Its owned children.
    pub parts: Option<Parts>,
    /// See [`Record::PARENT`].
    pub parent: Option<(&'static str, &'static str)>,
    /// See [`Record::PERSONAL`].
    pub personal: &'static [&'static str],
    /// See [`Record::QUOTES`].
    pub quotes: &'static [&'static str],
    /// See [`Record::ABOUT`].
    pub about: &'static [&'static str],
    /// See [`Record::ERASED_ONCE`].
    pub erased_once: Option<(&'static str, &'static str)>,
    pub columns: Vec<Column>,
    pub fields: Vec<Field>,
    /// Sets of fields whose values no two live records share.
    pub unique: Vec<&'static [&'static str]>,
    /// A body that creates a valid record, references apart.
    pub example: Json,
    /// Fields that a tenant has added to the kind.
    pub custom: CustomFields,
    /// The custom object whose records these are, where they share their table with those of others.
    pub object: Option<Uuid>,
    table: Arc<str>,
    by_name: BTreeMap<String, usize>,
    /// Fields that whoever asks may not read.
    hidden: Vec<Field>,
}

impl Shape {
    pub fn of<R: Record>() -> Self {
        let schema = resolved::<R::Model>();
        let columns: Vec<_> = R::Column::iter()
            .map(|c| {
                let def = c.def();
                Column { name: c.as_str().to_owned(), kind: def.get_column_type().clone(), nullable: def.is_null() }
            })
            .collect();
        let mut fields = fields::<R>(&columns, &schema);
        let parts = R::PARTS.map(|(field, shape)| Parts { field, shape: Arc::new(shape()) });
        if let Some(parts) = &parts
            && let Some(field) = fields.iter_mut().find(|field| field.name == parts.field)
        {
            field.document = None; // its items are checked one by one
            field.schema = parts.schema(field.schema.get("description").unwrap_or(&Json::Null));
        }
        let by_name = fields.iter().enumerate().map(|(i, f)| (f.name.clone(), i)).collect();
        let mut unique = vec![["external_id"].as_slice()];
        unique.extend(R::UNIQUE);
        unique.retain(|set| set.iter().all(|name| fields.iter().any(|f| f.name == *name)));
        Self {
            name: R::NAME.into(),
            plural: R::PLURAL.into(),
            description: schema.get("description").and_then(Json::as_str).unwrap_or_default().to_owned(),
            labels: None,
            scope: R::SCOPE,
            restricted: R::RESTRICTED,
            verbs: R::VERBS,
            defines: R::DEFINES,
            merges: R::VERBS == Verb::ALL && !R::AFFECTS_ACCESS,
            logged: R::LOGGED,
            search: R::SEARCH,
            parts,
            parent: R::PARENT,
            personal: R::PERSONAL,
            quotes: R::QUOTES,
            about: R::ABOUT,
            erased_once: R::ERASED_ONCE,
            columns,
            fields,
            unique,
            example: R::example(),
            custom: CustomFields::default(),
            object: None,
            table: R::NAME.into(),
            by_name,
            hidden: Vec::new(),
        }
    }

    /// The same kind with the fields for which `access` says how they may be set, and without the others.
    #[must_use]
    pub fn narrowed(&self, access: impl Fn(&Field) -> Option<FieldAccess>) -> Self {
        let (mut fields, mut hidden) = (Vec::new(), self.hidden.clone());
        for field in &self.fields {
            match access(field) {
                Some(access) => fields.push(Field { access, ..field.clone() }),
                None => hidden.push(field.clone()),
            }
        }
        let by_name = fields.iter().enumerate().map(|(i, f)| (f.name.clone(), i)).collect();
        let custom = self.custom.narrowed(access);
        Self { custom, ..Self { fields, by_name, hidden, ..self.clone() } }.described()
    }

    /// Whether whoever asks sees the fields that the kind came with: all of them, and no others.
    pub(super) fn is_as_built(&self) -> bool {
        let own = self.hidden.is_empty() && self.custom.all().next().is_none();
        own && self.parts.as_ref().is_none_or(|parts| parts.shape.is_as_built())
    }

    /// The same kind with the fields of its owned children as `child`, their kind, has them.
    #[must_use]
    pub fn listing(&self, child: &Self) -> Self {
        let mut whole = self.clone();
        let Some(parts) = &mut whole.parts else { return whole };
        parts.shape = Arc::new(child.clone());
        if let Some(field) = self.by_name.get(parts.field).and_then(|i| whole.fields.get_mut(*i)) {
            field.schema = parts.schema(field.schema.get("description").unwrap_or(&Json::Null));
        }
        whole
    }

    /// Whether a field of that name is there that whoever asks may not read.
    pub fn hides(&self, name: &str) -> bool {
        self.hidden.iter().any(|field| field.name == name) || self.custom.hides(name)
    }

    /// The field, whoever asks.
    pub fn stored_field(&self, name: &str) -> Option<&Field> {
        self.field(name).or_else(|| self.hidden.iter().find(|field| field.name == name))
    }

    /// Every field, whoever asks, but for those that the tenant has added.
    pub(super) fn stored_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().chain(&self.hidden)
    }

    /// Whether whoever asks may read every field.
    pub(super) fn is_whole(&self) -> bool {
        self.hidden.is_empty()
    }

    /// The table that keeps its records.
    pub fn table(&self) -> Alias {
        Alias::new(&*self.table)
    }

    pub fn table_name(&self) -> &str {
        &self.table
    }

    /// Which rows of its table are its records, as a condition on `alias`: all, unless it is a custom object.
    pub fn rows(&self, alias: impl IntoIden) -> Condition {
        let object = self.object.map(|object| Expr::col((alias.into_iden(), Alias::new(OBJECT))).eq(object));
        Condition::all().add_option(object)
    }

    /// The same kind with a tenant's own fields.
    #[must_use]
    pub fn with_custom(self, custom: CustomFields) -> Self {
        Self { custom, ..self }.described()
    }

    /// With the custom fields that are seen as the schema of the field that holds them.
    fn described(mut self) -> Self {
        if let Some(field) = self.by_name.get(CUSTOM).and_then(|i| self.fields.get_mut(*i)) {
            field.schema = self.custom.schema();
        }
        self
    }

    /// The kind of a custom object, whose records are rows of this shape's table.
    #[must_use]
    pub fn of_object(mut self, id: Uuid, name: &str, plural: &str, description: String, scope: Scope) -> Self {
        if scope != Scope::Owner {
            self.fields.retain(|field| field.name != "owner_id");
            self.by_name = self.fields.iter().enumerate().map(|(i, f)| (f.name.clone(), i)).collect();
        }
        Self { name: name.into(), plural: plural.into(), object: Some(id), description, scope, ..self }
    }

    /// What a create puts in the column that tells custom objects apart.
    pub(super) fn stamp(&self) -> Option<(&'static str, Uuid)> {
        self.object.map(|object| (OBJECT, object))
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).and_then(|i| self.fields.get(*i))
    }

    /// The field, one that the tenant has added under its whole name among them, `custom.budget`.
    pub fn any_field(&self, name: &str) -> Option<&Field> {
        let own = || self.custom.active().map(|own| &own.field).find(|field| field.name == name);
        self.field(name).or_else(own)
    }

    /// Every field, with each of those that the tenant has added in the place of the one that holds them.
    pub fn every_field(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.name != CUSTOM).chain(self.custom.active().map(|own| &own.field))
    }

    /// The names of all of those.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.field_names().chain(self.custom.names())
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|f| f.name.as_str())
    }

    /// Fields that hold the id of another record, with that record's kind.
    pub fn references(&self) -> impl Iterator<Item = (&Field, &str)> {
        self.fields.iter().filter_map(|f| match &f.kind {
            FieldType::Reference(kind) => Some((f, &**kind)),
            _ => None,
        })
    }

    /// What a field, the tenant's own among them, holds in each row of `alias`: of money the smallest units and the currency;
    /// nothing for several choices.
    pub fn cells(&self, backend: DbBackend, field: &Field, alias: &Alias) -> Vec<(ColumnType, Expr)> {
        if let Some(own) = field.custom_key().and_then(|key| self.custom.get(key)) {
            let alias = alias.clone().into_iden();
            return own.cells().iter().map(|cell| (cell.kind.clone(), cell.value(backend, &alias))).collect();
        }
        let value = |column: &Column| Expr::col((alias.clone(), Alias::new(column.name.as_str())));
        self.columns_of(field).map(|column| (column.kind.clone(), value(column))).collect()
    }

    /// The columns of a field.
    pub fn columns_of<'a>(&'a self, field: &'a Field) -> impl Iterator<Item = &'a Column> {
        field.columns.iter().filter_map(|i| self.columns.get(*i))
    }
}

fn fields<R: Record>(columns: &[Column], schema: &Json) -> Vec<Field> {
    let mut fields = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let name = column.name.as_str();
        if HIDDEN.contains(&name) {
            continue;
        }
        let currency = name.strip_suffix("_minor").map(|stem| format!("{stem}_currency"));
        if let Some(second) = currency.and_then(|name| columns.iter().position(|c| c.name == name)) {
            let stem = name.trim_end_matches("_minor");
            let mut money = money_schema();
            let said = schema.pointer(&format!("/properties/{name}/description"));
            money.extend(said.map(|said| ("description".to_owned(), said.clone())));
            fields.push(field::<R>(stem, FieldType::Money, vec![i, second], column, Json::Object(money)));
        } else if name
            .strip_suffix("_currency")
            .is_none_or(|stem| !columns.iter().any(|c| c.name == format!("{stem}_minor")))
        {
            let schema = schema.pointer(&format!("/properties/{name}")).cloned().unwrap_or_default();
            let reference = R::REFERENCES.iter().chain(&USERS).find(|(from, _)| *from == name).map(|(_, kind)| *kind);
            fields.push(field::<R>(name, FieldType::of(&schema, reference), vec![i], column, schema));
        }
    }
    fields
}

fn field<R: Record>(name: &str, kind: FieldType, columns: Vec<usize>, column: &Column, schema: Json) -> Field {
    let access = if name == "id" {
        FieldAccess::Create
    } else if R::HISTORY.contains(&name) || HISTORY.contains(&name) {
        FieldAccess::History
    } else if SERVER.contains(&name) || schema.get("readOnly") == Some(&Json::Bool(true)) {
        FieldAccess::Server
    } else {
        FieldAccess::Write
    };
    let required = access == FieldAccess::Write && !column.nullable && !R::DEFAULTS.iter().any(|(of, _)| *of == name);
    let document = (kind == FieldType::Json).then(|| document(&schema)).flatten();
    Field { name: name.to_owned(), kind, columns, nullable: column.nullable, required, access, schema, document }
}

/// What checks a JSON value; `None` only for a schema that is none, which a test of all kinds rules out.
fn document(schema: &Json) -> Option<Arc<jsonschema::Validator>> {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .with_format("email", |text: &str| Email::parse(text).is_ok())
        .with_format("phone", |text: &str| Phone::parse(text).is_ok())
        .with_format("uri", |text: &str| Url::parse(text).is_ok())
        .with_format("country", |text: &str| Country::parse(text).is_ok())
        .build(schema);
    validator.ok().map(Arc::new)
}

/// How an amount is written in JSON.
pub fn money_schema() -> Map<String, Json> {
    let schema = [
        ("type", json!("object")),
        ("required", json!(["amount", "currency"])),
        ("additionalProperties", json!(false)),
        (
            "properties",
            json!({
                "amount": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$", "description": "Decimal string."},
                "currency": {"type": "string", "format": "currency", "description": "ISO 4217 code."},
            }),
        ),
        ("example", json!({"amount": "1234.50", "currency": "USD"})),
    ];
    schema.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The model's JSON Schema with nested types inlined: value types and enums have no component of their own.
fn resolved<M: PartialSchema + ToSchema>() -> Json {
    let mut nested: Vec<(String, RefOr<utoipa::openapi::Schema>)> = Vec::new();
    M::schemas(&mut nested);
    let parts: BTreeMap<String, Json> =
        nested.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())).collect();
    let mut schema = serde_json::to_value(M::schema()).unwrap_or_default();
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            inline(property, &parts);
        }
    }
    schema
}

/// `{"$ref"}` and `{"oneOf": [{"type": "null"}, {"$ref"}]}` become the schema referred to, at every depth; the place's own
/// words win.
fn inline(property: &mut Json, parts: &BTreeMap<String, Json>) {
    let target = match property.get("oneOf") {
        Some(Json::Array(choices)) => choices.iter().find_map(|choice| choice.get("$ref")),
        _ => property.get("$ref"),
    };
    let named = target.and_then(Json::as_str).and_then(|path| path.rsplit('/').next());
    if let Some(mut whole) = named.and_then(|name| parts.get(name)).cloned() {
        let optional = property.get("oneOf").is_some();
        if let (Json::Object(own), Json::Object(base)) = (&*property, &mut whole) {
            for (key, value) in own.iter().filter(|(key, _)| !["$ref", "oneOf"].contains(&key.as_str())) {
                base.insert(key.clone(), value.clone());
            }
            if optional && let Some(Json::String(name)) = base.get("type").cloned() {
                base.insert("type".to_owned(), json!([name, "null"]));
            }
        }
        *property = whole;
    }
    if let Some(Json::Object(inner)) = property.get_mut("properties") {
        inner.values_mut().for_each(|part| inline(part, parts));
    }
    for part in ["items", "additionalProperties"] {
        if let Some(part) = property.get_mut(part) {
            inline(part, parts);
        }
    }
}
