//! `POST /v1/{kind}/batch` and `POST /v1/{kind}/{id}/restore`.

use ripen_core::{
    access::Verb,
    engine::{Shape, batch::LARGEST},
};
use serde_json::{Map, Value as Json, json};

use super::{operation, record, words};
use crate::openapi::shared::{failing, parameter, schema, set};

const RESULT: &str = "BatchResult";

pub(super) fn describe(shape: &Shape, title: &str, paths: &mut Map<String, Json>, schemas: &mut Map<String, Json>) {
    if !shape.verbs.contains(&Verb::Create) {
        return;
    }
    schemas.insert(format!("{title}Batch"), body(shape, title));
    schemas.insert(RESULT.to_owned(), result());
    paths.insert(format!("/v1/{}/batch", shape.plural), json!({"post": batch(shape, title)}));
    if shape.merges {
        schemas.insert("Merging".to_owned(), merging());
        paths.insert(format!("/v1/{}/{{id}}/merge", shape.plural), json!({"post": merge(shape, title)}));
    }
    if shape.verbs.contains(&Verb::Delete) {
        paths.insert(format!("/v1/{}/{{id}}/restore", shape.plural), json!({"post": restore(shape, title)}));
    }
}

fn batch(shape: &Shape, title: &str) -> Json {
    let text = format!(
        "Up to {LARGEST} operations in a body of up to 8 MiB, written as one slice by the rules of single requests; each \
         needs the right of its own. With `atomic` all are written, or none and the problem names every bad one; without \
         it the good ones are, and each bad one has its problem in its own result. Results come in the order of the \
         operations. A record may be in one operation of a batch."
    );
    let id = format!("batch_{}", shape.plural.replace('-', "_"));
    let summary = format!("Write many {}", words(&shape.plural));
    let mut operation = operation(shape, Verb::Create, &id, &summary, &text);
    let rights = [Verb::Create, Verb::Update, Verb::Delete].into_iter().filter(|verb| shape.verbs.contains(verb));
    let rights: Vec<_> = rights.map(|verb| format!("{}:{}", shape.name, verb.as_str())).collect();
    set(&mut operation, "x-right", rights.join(" or "));
    let content = json!({"application/json": {"schema": schema(&format!("{title}Batch"))}});
    set(&mut operation, "requestBody", json!({"required": true, "description": "The operations.", "content": content}));
    let failures = ["400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503"];
    set(&mut operation, "responses", failing(results(), &failures));
    operation
}

/// The answer to many operations.
pub(super) fn results() -> Json {
    let results = json!({"type": "object", "required": ["results"], "properties": {
        "results": {"type": "array", "items": schema(RESULT)}}});
    json!({"200": {"description": "What became of each.", "content": {"application/json": {"schema": results}}}})
}

fn body(shape: &Shape, title: &str) -> Json {
    let sets: Vec<_> = shape.unique.iter().map(|set| format!("`{}`", set.join("` and `"))).collect();
    json!({
        "type": "object",
        "description": format!("Operations on {}.", words(&shape.plural)),
        "required": ["operations"],
        "additionalProperties": false,
        "properties": {
            "atomic": {"type": "boolean", "default": false, "description": "All or none."},
            "operations": {"type": "array", "minItems": 1, "maxItems": LARGEST, "items": {
                "type": "object",
                "required": ["op"],
                "additionalProperties": false,
                "properties": {
                    "op": {"type": "string", "enum": ["create", "update", "upsert", "delete"]},
                    "id": {"type": "string", "format": "uuid",
                        "description": "The record of an update or a delete; a create may bring its own."},
                    "version": {"type": "integer", "minimum": 1,
                        "description": "Of an update or a delete: refused unless the record is at it."},
                    "data": {"description": "Its fields; of an update those that change.",
                        "anyOf": [schema(&format!("New{title}")), schema(&format!("{title}Patch"))]},
                    "by": {"type": ["string", "array"], "items": {"type": "string"}, "default": "external_id",
                        "description": format!("Fields by which an upsert finds its record: {}.", sets.join(", "))},
                },
            }},
        },
    })
}

fn result() -> Json {
    json!({
        "type": "object",
        "description": "What became of one operation.",
        "required": ["status", "id", "version"],
        "properties": {
            "status": {"type": "integer", "description": "As a single request would have answered it."},
            "id": {"type": ["string", "null"], "format": "uuid", "description": "The record; null where it was refused."},
            "version": {"type": ["integer", "null"], "description": "The record's version now."},
            "problem": schema("RowProblem"),
        },
    })
}

fn merging() -> Json {
    json!({
        "type": "object",
        "description": "Which record becomes one with this.",
        "required": ["from"],
        "additionalProperties": false,
        "properties": {
            "from": {"type": "string", "format": "uuid", "description": "The record that goes."},
            "take": {"type": "array", "items": {"type": "string"}, "default": [],
                "description": "Fields whose values it has; fields that are empty here are filled from it anyway."},
        },
    })
}

fn merge(shape: &Shape, title: &str) -> Json {
    let name = words(&shape.name);
    let text = format!(
        "Another {name} becomes one with this: what refers to it refers to this one, it is deleted, and the history of both is \
         kept. `Location` names the merge, by which it can be undone. Refused where a record cannot follow, because of a unique \
         value for example. Needs the rights to update and to delete."
    );
    let id = format!("merge_{}", shape.name);
    let mut operation = operation(shape, Verb::Delete, &id, &format!("Merge two {}", words(&shape.plural)), &text);
    set(&mut operation, "parameters", json!([parameter("id"), parameter("if_match")]));
    let content = json!({"application/json": {"schema": schema("Merging")}});
    set(&mut operation, "requestBody", json!({"required": true, "description": "The other.", "content": content}));
    let mut ok = record("200", "The record that stays.", title, shape);
    if let Some(headers) = ok.pointer_mut("/200/headers") {
        set(headers, "Location", json!({"description": "The merge.", "schema": {"type": "string"}}));
    }
    let failures = ["400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "429", "500", "503"];
    set(&mut operation, "responses", failing(ok, &failures));
    operation
}

fn restore(shape: &Shape, title: &str) -> Json {
    let name = words(&shape.name);
    let text = format!(
        "The {name} is there again as it was. Refused where another record has taken a unique value of it since, or where \
         a record it refers to is gone. Needs the right to delete."
    );
    let id = format!("restore_{}", shape.name);
    let mut operation = operation(shape, Verb::Delete, &id, &format!("Restore one deleted {name}"), &text);
    set(&mut operation, "parameters", json!([parameter("id"), parameter("if_match")]));
    let ok = record("200", "The record as it is now.", title, shape);
    let failures = ["400", "401", "403", "404", "409", "412", "422", "428", "429", "500", "503"];
    set(&mut operation, "responses", failing(ok, &failures));
    operation
}
