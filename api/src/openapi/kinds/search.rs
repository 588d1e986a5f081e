//! `POST /v1/{kind}/search`: the list, asked for by a body, and the filter in it.

use ripen_core::{access::Verb, engine::Shape};
use serde_json::{Map, Value as Json, json};

use super::{content, operation, words};
use crate::openapi::shared::{failing, schema, set};

pub(super) fn describe(shape: &Shape, title: &str, paths: &mut Map<String, Json>, schemas: &mut Map<String, Json>) {
    let name = words(&shape.plural);
    let text = format!(
        "Answers a page of the {name} you may see, as the list does, to a question that is a body: `where` is the JSON \
         form of `filter`."
    );
    let id = format!("search_{}", shape.plural.replace('-', "_"));
    let mut search = operation(shape, Verb::Read, &id, &format!("Search {name}"), &text);
    let example = json!({
        "where": {"field": "created_at", "op": "gte", "value": {"fn": "now", "offset": "-30d"}},
        "sort": ["-created_at"], "fields": ["id", "created_at"], "expand": [], "limit": 50,
    });
    let body = json!({"required": true, "description": "The question.", "content": content("Search", Some(example))});
    set(&mut search, "requestBody", body);
    let ok = json!({"200": {"description": "A page.", "content": content(&format!("{title}Page"), None)}});
    let statuses = ["400", "401", "403", "413", "415", "422", "429", "500", "503"];
    set(&mut search, "responses", failing(ok, &statuses));
    paths.insert(format!("/v1/{}/search", shape.plural), json!({"post": search}));
    schemas.insert("Search".to_owned(), question());
    schemas.insert("Filter".to_owned(), filter());
    schemas.insert("FilterValue".to_owned(), value());
}

fn question() -> Json {
    let names = |text: &str| json!({"type": "array", "items": {"type": "string"}, "description": text});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "where": schema("Filter"),
            "sort": names("Fields in order of weight, `-` for descending. Null comes first ascending, last descending."),
            "fields": names("The fields to answer with; none named: all."),
            "expand": names("Relations to answer with as objects beside their ids."),
            "limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
            "cursor": {"type": "string", "description": "`page.next` or `page.prev` of an earlier answer to the same question."},
            "search": {"type": "string", "description": "Words, as the parameter `search` of the list; kinds without it refuse."},
            "known_at": {"type": "string", "format": "date-time", "description": "As the system knew it then."},
            "count": {"type": "string", "enum": ["exact"], "description": "Also counts all records, as `page.total`."},
        },
    })
}

/// The tree of which the parameter `filter` is the text form.
fn filter() -> Json {
    let node = |name: &str, schema: Json, text: &str| {
        json!({"type": "object", "required": [name], "additionalProperties": false, "description": text,
            "properties": {name: schema}})
    };
    let all = json!({"type": "array", "minItems": 1, "items": schema("Filter")});
    let one = schema("FilterValue");
    json!({
        "description": "Which records. At most 50 conditions and junctions, 8 levels, 200 values in one `in`.",
        "oneOf": [
            node("and", all.clone(), "All hold."),
            node("or", all, "At least one holds."),
            node("not", schema("Filter"), "It does not hold."),
            node("any", json!({
                "type": "object", "required": ["relation", "where"], "additionalProperties": false,
                "properties": {
                    "relation": {"type": "string", "description": "The plural of the kind that refers to this one, \
                        `opportunities`; where several of its fields do, `opportunities_by_owner`."},
                    "where": schema("Filter"),
                },
            }), "At least one record that refers to this one fits."),
            {
                "type": "object", "required": ["field", "op"], "additionalProperties": false,
                "description": "A check of one field.",
                "properties": {
                    "field": {"type": "string", "description": "`name`, or a path over relations: `account.owner.name`."},
                    "op": {"type": "string", "enum": ["eq", "ne", "lt", "lte", "gt", "gte", "has", "in", "between",
                        "contains", "starts_with", "is_null", "is_not_null"]},
                    "value": {"description": "One value; a list for `in` and `between`; none for `is_null` and \
                        `is_not_null`.", "anyOf": [one.clone(), {"type": "array", "minItems": 1, "items": one}]},
                },
            },
        ],
    })
}

fn value() -> Json {
    json!({
        "description": "A value, or a function that stands for one.",
        "oneOf": [
            {"type": "string"}, {"type": "number"}, {"type": "boolean"},
            {
                "type": "object", "required": ["fn"], "additionalProperties": false,
                "properties": {
                    "fn": {"type": "string", "enum": ["me", "my_team", "now", "today"]},
                    "offset": {"type": "string", "pattern": "^[+-][0-9]{1,6}[hdwmy]$",
                        "description": "Of `now` and `today`: hours (`now` only), days, weeks, months, years."},
                },
            },
        ],
    })
}
