//! The generic operations on a kind, and its three schemas: what is read, what creates, what patches.

mod aggregate;
mod batch;
mod composite;
mod export;
mod mass;
mod search;
mod text;

use ripen_core::{
    access::Verb,
    engine::{Field, FieldAccess, FieldType, Registry, Shape},
};
use serde_json::{Map, Value as Json, json};

use super::shared::{failing, parameter, schema, set};

/// An id for examples.
const SAMPLE: &str = "01936b2f-7c00-7000-8000-000000000001";

/// Every kind of the registry, and what concerns several.
pub(super) fn describe(registry: &Registry, paths: &mut Map<String, Json>, schemas: &mut Map<String, Json>) {
    for shape in registry.shapes() {
        describe_kind(shape, paths, schemas);
    }
    composite::describe(registry, paths, schemas);
}

fn describe_kind(shape: &Shape, paths: &mut Map<String, Json>, schemas: &mut Map<String, Json>) {
    let title = title(&shape.name);
    let (mut many, mut one) = (Map::new(), Map::new());
    for verb in shape.verbs {
        match verb {
            Verb::Read => {
                many.insert("get".to_owned(), list(shape, &title));
                one.insert("get".to_owned(), get(shape, &title));
                schemas.insert(format!("{title}Page"), page(&title));
                search::describe(shape, &title, paths, schemas);
                aggregate::describe(shape, paths, schemas);
                export::describe(shape, paths);
            }
            Verb::Create => {
                many.insert("post".to_owned(), create(shape, &title));
                schemas.insert(format!("New{title}"), writable(shape, &title, true));
            }
            Verb::Update => {
                one.insert("patch".to_owned(), update(shape, &title));
                schemas.insert(format!("{title}Patch"), writable(shape, &title, false));
            }
            Verb::Delete => {
                one.insert("delete".to_owned(), delete(shape));
            }
        }
    }
    batch::describe(shape, &title, paths, schemas);
    mass::describe(shape, &title, paths);
    schemas.insert(title, readable(shape));
    paths.insert(format!("/v1/{}", shape.plural), many.into());
    paths.insert(format!("/v1/{}/{{id}}", shape.plural), one.into());
}

/// `plugin_run` -> `PluginRun`.
fn title(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split('_').map(capital).collect()
}

fn words(name: &str) -> String {
    name.replace(['_', '-'], " ")
}

fn operation(shape: &Shape, verb: Verb, id: &str, summary: &str, description: &str) -> Json {
    json!({
        "operationId": id,
        "summary": summary,
        "description": description,
        "tags": [&*shape.plural],
        "x-right": format!("{}:{}", shape.name, verb.as_str()),
    })
}

fn list(shape: &Shape, title: &str) -> Json {
    let text = format!("{} Answers a page of those you may see. {}", shape.description, field_list(shape));
    let id = format!("list_{}", shape.plural.replace('-', "_"));
    let mut operation = operation(shape, Verb::Read, &id, &format!("List {}", words(&shape.plural)), &text);
    let names = ["filter", "sort", "fields", "expand", "limit", "cursor", "count"];
    set(
        &mut operation,
        "parameters",
        names.into_iter().chain(past(shape)).map(parameter).chain(text::parameter(shape)).collect::<Json>(),
    );
    let link = json!({"Link": {"description": "`next` and `prev` (RFC 8288).", "schema": {"type": "string"}}});
    let ok =
        json!({"200": {"description": "A page.", "headers": link, "content": content(&format!("{title}Page"), None)}});
    set(&mut operation, "responses", failing(ok, &["400", "401", "403", "429", "500", "503"]));
    operation
}

/// A parameter that only kinds of the change log take.
fn past(shape: &Shape) -> Option<&'static str> {
    shape.logged.then_some("known_at")
}

fn field_list(shape: &Shape) -> String {
    format!("Fields: {}.", shape.field_names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

fn get(shape: &Shape, title: &str) -> Json {
    let name = words(&shape.name);
    let text = format!("Answers the {name} with this id, if you may see it.");
    let mut operation = operation(shape, Verb::Read, &format!("get_{}", shape.name), &format!("Get one {name}"), &text);
    set(
        &mut operation,
        "parameters",
        ["id", "fields", "expand", "if_none_match"].into_iter().chain(past(shape)).map(parameter).collect::<Json>(),
    );
    let mut ok = record("200", "The record.", title, shape);
    set(&mut ok, "304", json!({"description": "It is as you have it."}));
    set(&mut operation, "responses", failing(ok, &["400", "401", "403", "404", "429", "500", "503"]));
    operation
}

fn create(shape: &Shape, title: &str) -> Json {
    let name = words(&shape.name);
    let text = format!("Stores a new {name}. It may bring its own `id`, a UUID of version 7.");
    let mut operation =
        operation(shape, Verb::Create, &format!("create_{}", shape.name), &format!("Create one {name}"), &text);
    let body = content(&format!("New{title}"), Some(example(shape)));
    set(&mut operation, "requestBody", json!({"required": true, "description": "Its fields.", "content": body}));
    let mut ok = record("201", "Stored.", title, shape);
    let location = json!({"description": "Its path.", "schema": {"type": "string"}});
    if let Some(headers) = ok.pointer_mut("/201/headers") {
        set(headers, "Location", location);
    }
    set(
        &mut operation,
        "responses",
        failing(ok, &["400", "401", "403", "409", "413", "415", "422", "429", "500", "503"]),
    );
    operation
}

fn update(shape: &Shape, title: &str) -> Json {
    let name = words(&shape.name);
    let text = format!(
        "Changes the fields you name and leaves the others, as RFC 7396 says; null empties a field of the {name}."
    );
    let mut operation =
        operation(shape, Verb::Update, &format!("update_{}", shape.name), &format!("Change one {name}"), &text);
    set(&mut operation, "parameters", json!([parameter("id"), parameter("if_match")]));
    let patch = json!({"schema": schema(&format!("{title}Patch"))});
    set(
        &mut operation,
        "requestBody",
        json!({"required": true, "description": "The fields to change.",
        "content": {"application/merge-patch+json": patch, "application/json": patch}}),
    );
    let ok = record("200", "The record as it is now.", title, shape);
    set(
        &mut operation,
        "responses",
        failing(ok, &["400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "429", "500", "503"]),
    );
    operation
}

fn delete(shape: &Shape) -> Json {
    let name = words(&shape.name);
    let text = format!("Removes the {name}. Refused while other records refer to it.");
    let mut operation =
        operation(shape, Verb::Delete, &format!("delete_{}", shape.name), &format!("Delete one {name}"), &text);
    set(&mut operation, "parameters", json!([parameter("id"), parameter("if_match")]));
    let ok = json!({"204": {"description": "Gone."}});
    set(
        &mut operation,
        "responses",
        failing(ok, &["400", "401", "403", "404", "409", "412", "422", "428", "429", "500", "503"]),
    );
    operation
}

fn record(status: &str, text: &str, title: &str, shape: &Shape) -> Json {
    let etag = json!({"ETag": {"description": "The version, for `If-Match`.", "schema": {"type": "string"}}});
    json!({status: {"description": text, "headers": etag, "content": content(title, Some(stored(shape)))}})
}

fn content(name: &str, example: Option<Json>) -> Json {
    let mut media = json!({"schema": schema(name)});
    if let Some(example) = example {
        set(&mut media, "example", example);
    }
    json!({"application/json": media})
}

/// The kind's example with an id where it needs one.
fn example(shape: &Shape) -> Json {
    let mut example = shape.example.clone();
    for field in shape.fields.iter().filter(|f| f.required && shape.example.get(&f.name).is_none()) {
        if let FieldType::Reference(_) | FieldType::Id = field.kind {
            set(&mut example, &field.name, SAMPLE);
        }
    }
    example
}

/// The same as it reads once stored.
fn stored(shape: &Shape) -> Json {
    let mut example = example(shape);
    set(&mut example, "id", SAMPLE);
    set(&mut example, "version", 1);
    for stamp in ["created_at", "updated_at"] {
        set(&mut example, stamp, "2026-01-31T09:30:00.000Z");
    }
    example
}

fn page(title: &str) -> Json {
    let cursor = json!({"type": ["string", "null"], "description": "For the parameter `cursor`; null at the end."});
    json!({
        "type": "object",
        "required": ["data", "page"],
        "properties": {
            "data": {"type": "array", "items": schema(title)},
            "page": {
                "type": "object",
                "required": ["next", "prev", "has_more"],
                "properties": {"next": cursor, "prev": cursor, "has_more": {"type": "boolean"},
                    "total": {"type": "integer", "description": "Where it was asked for."}},
            },
        },
    })
}

fn readable(shape: &Shape) -> Json {
    let property = |field: &Field| {
        let mut schema = typed(field);
        if !matches!(field.access, FieldAccess::Write | FieldAccess::Create) {
            set(&mut schema, "readOnly", true);
        }
        (field.name.clone(), schema)
    };
    let properties: Map<_, _> = shape.fields.iter().map(property).collect();
    let mut schema = json!({"type": "object", "description": shape.description, "properties": properties});
    if let Some(labels) = &shape.labels {
        set(&mut schema, "x-labels", labels.clone());
    }
    schema
}

fn writable(shape: &Shape, title: &str, create: bool) -> Json {
    let may = |field: &&Field| match field.access {
        FieldAccess::Write => true,
        FieldAccess::Create => create,
        FieldAccess::History | FieldAccess::Server | FieldAccess::Read => false,
    };
    let properties: Map<_, _> = shape.fields.iter().filter(may).map(|f| (f.name.clone(), typed(f))).collect();
    let text = if create { format!("A new {title}.") } else { format!("Changes to a {title}.") };
    let mut schema =
        json!({"type": "object", "description": text, "additionalProperties": false, "properties": properties});
    let required: Vec<_> = shape.fields.iter().filter(|f| f.required).map(|f| f.name.clone()).collect();
    if create && !required.is_empty() {
        set(&mut schema, "required", required);
    }
    schema
}

/// The field's schema, saying that it may be null where it may.
fn typed(field: &Field) -> Json {
    let mut schema = if field.schema.is_object() { field.schema.clone() } else { json!({}) };
    if let FieldType::Reference(kind) = &field.kind
        && schema.get("description").is_none()
    {
        set(&mut schema, "description", format!("The id of a {}.", words(kind)));
    }
    if field.nullable {
        if let Some(one) = schema.get("type").and_then(Json::as_str).map(str::to_owned) {
            set(&mut schema, "type", json!([one, "null"]));
        }
        if let Some(Json::Array(words)) = schema.get_mut("enum")
            && !words.contains(&Json::Null)
        {
            words.push(Json::Null);
        }
    }
    schema
}
