//! `POST /v1/composite`.

use ripen_core::{
    access::Verb,
    engine::{Registry, batch::LARGEST_COMPOSITE},
};
use serde_json::{Map, Value as Json, json};

use super::batch::results;
use crate::openapi::shared::{failing, schema, set};

pub(super) fn describe(registry: &Registry, paths: &mut Map<String, Json>, schemas: &mut Map<String, Json>) {
    let written = || registry.shapes().filter(|shape| shape.verbs.contains(&Verb::Create));
    let kinds: Vec<_> = written().map(|shape| &*shape.name).collect();
    let verbs = [Verb::Create, Verb::Update, Verb::Delete];
    let right = |(kind, verb): (&str, Verb)| format!("{kind}:{}", verb.as_str());
    let rights: Vec<_> = written()
        .flat_map(|shape| verbs.into_iter().filter(|v| shape.verbs.contains(v)).map(|v| (&*shape.name, v)))
        .map(right)
        .collect();
    schemas.insert("Composite".to_owned(), body(&kinds));
    let text = format!(
        "Up to {LARGEST_COMPOSITE} operations on several kinds in one transaction: all are written, or none and the problem \
         names every bad one. `{{\"$ref\": \"a.id\"}}`, in `id` and anywhere in `data`, is the id of the record that the \
         operation with the `ref` `a` writes; each operation is carried out after those it refers to, otherwise they keep \
         their order. Each needs the right of its own. Results come in the order of the operations."
    );
    // Readers of the description would follow a reference in an example.
    let content = json!({"application/json": {"schema": schema("Composite"), "example": {"operations": [
        {"ref": "acme", "op": "create", "kind": "account", "data": {"name": "Acme"}},
        {"op": "create", "kind": "contact", "data": {"last_name": "Coyote"}},
    ]}}});
    let mut operation = json!({
        "operationId": "write_composite",
        "summary": "Write records of several kinds",
        "description": text,
        "tags": ["composite"],
        "x-right": rights.join(" or "),
        "requestBody": {"required": true, "description": "The operations.", "content": content},
    });
    let failures = ["400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503"];
    set(&mut operation, "responses", failing(results(), &failures));
    paths.insert("/v1/composite".to_owned(), json!({"post": operation}));
}

fn body(kinds: &[&str]) -> Json {
    let reference = json!({"type": "object", "required": ["$ref"], "additionalProperties": false,
        "properties": {"$ref": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,50}\\.id$"}}});
    json!({
        "type": "object",
        "description": "Operations on several kinds.",
        "required": ["operations"],
        "additionalProperties": false,
        "properties": {"operations": {"type": "array", "minItems": 1, "maxItems": LARGEST_COMPOSITE, "items": {
            "type": "object",
            "required": ["op", "kind"],
            "additionalProperties": false,
            "properties": {
                "ref": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,50}$",
                    "description": "A name for the record it writes, once in the request."},
                "op": {"type": "string", "enum": ["create", "update", "upsert", "delete"]},
                "kind": {"type": "string", "enum": kinds},
                "id": {"description": "The record of an update or a delete; a create may bring its own.",
                    "anyOf": [{"type": "string", "format": "uuid"}, reference]},
                "version": {"type": "integer", "minimum": 1,
                    "description": "Of an update or a delete: refused unless the record is at it."},
                "data": {"type": "object", "description": "Its fields, as in a single request; of an update those that \
                    change. References may stand for ids."},
                "by": {"type": ["string", "array"], "items": {"type": "string"}, "default": "external_id",
                    "description": "Fields by which an upsert finds its record."},
            },
        }}},
    })
}
