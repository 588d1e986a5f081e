//! `POST /v1/{kind}/aggregate`.

use ripen_core::{access::Verb, engine::Shape};
use serde_json::{Map, Value as Json, json};

use super::{content, operation, words};
use crate::openapi::shared::{failing, schema, set};

pub(super) fn describe(shape: &Shape, paths: &mut Map<String, Json>, schemas: &mut Map<String, Json>) {
    let name = words(&shape.plural);
    let text = format!(
        "Counts, adds and averages the {name} you may see, by group. Amounts in several currencies are never added: a \
         measure of money groups by its currency too."
    );
    let id = format!("aggregate_{}", shape.plural.replace('-', "_"));
    let mut aggregate = operation(shape, Verb::Read, &id, &format!("Aggregate {name}"), &text);
    let example = json!({
        "group_by": ["created_by"],
        "measures": [{"fn": "count"}, {"fn": "max", "field": "updated_at", "as": "latest"}],
        "time_grain": {"field": "created_at", "grain": "month", "from": "2026-01-01", "to": {"fn": "today", "offset": "+1d"}},
        "having": {"field": "count", "op": "gte", "value": 1},
        "sort": ["-count"],
    });
    let body =
        json!({"required": true, "description": "The question.", "content": content("Aggregate", Some(example))});
    set(&mut aggregate, "requestBody", body);
    let ok = json!({"200": {"description": "The groups.", "content": content("Groups", None)}});
    let statuses = ["400", "401", "403", "413", "415", "422", "429", "500", "503"];
    set(&mut aggregate, "responses", failing(ok, &statuses));
    paths.insert(format!("/v1/{}/aggregate", shape.plural), json!({"post": aggregate}));
    schemas.insert("Aggregate".to_owned(), question());
    schemas.insert("Groups".to_owned(), answer());
}

fn question() -> Json {
    let names = |text: &str| json!({"type": "array", "items": {"type": "string"}, "description": text});
    let day = json!({"description": "`YYYY-MM-DD`, or `today` with an offset.", "oneOf": [
        {"type": "string", "format": "date"},
        {"type": "object", "required": ["fn"], "additionalProperties": false, "properties": {
            "fn": {"type": "string", "enum": ["today"]},
            "offset": {"type": "string", "pattern": "^[+-][0-9]{1,6}[dwmy]$"},
        }},
    ]});
    let measure = json!({
        "type": "object", "required": ["fn"], "additionalProperties": false,
        "properties": {
            "fn": {"type": "string", "enum": ["count", "count_distinct", "sum", "min", "max", "avg"],
                "description": "`avg` is rounded half away from zero: money to its smallest unit, numbers to six decimals."},
            "field": {"type": "string", "description": "A field or a path; only `count` goes without, and counts records. \
                Null is not counted."},
            "as": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,59}$",
                "description": "Its name in the answer; `sum_amount` for the sum of `amount` where nothing is said."},
        },
    });
    json!({
        "type": "object", "required": ["measures"], "additionalProperties": false,
        "properties": {
            "where": schema("Filter"),
            "group_by": {"type": "array", "items": {"type": "string"}, "maxItems": 4,
                "description": "Fields or paths over at most two relations, `stage.kind`."},
            "measures": {"type": "array", "items": measure, "minItems": 1, "maxItems": 20},
            "time_grain": {
                "type": "object", "required": ["field", "grain", "from", "to"], "additionalProperties": false,
                "description": "Groups by period too, in the tenant's time zone: records whose `field` is from `from` on and \
                    before `to`. At most 1,000 periods; one without records is not in the answer.",
                "properties": {
                    "field": {"type": "string", "description": "A date or an instant."},
                    "grain": {"type": "string", "enum": ["day", "week", "month", "quarter", "year"],
                        "description": "Weeks begin on Monday."},
                    "from": day.clone(),
                    "to": day,
                },
            },
            "having": {"$ref": "#/components/schemas/Filter", "description": "Which groups, by their measures."},
            "sort": names("Measures, groups or `period`, `-` for descending; then by period and groups."),
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200},
            "known_at": {"type": "string", "format": "date-time", "description": "As the system knew it then."},
        },
    })
}

fn answer() -> Json {
    json!({
        "type": "object", "required": ["data", "page"],
        "properties": {
            "data": {"type": "array", "items": {
                "type": "object", "required": ["group", "measures"],
                "properties": {
                    "period": {"type": "string", "format": "date", "description": "The first day of the period."},
                    "group": {"type": "object", "description": "The values that all its records have."},
                    "measures": {"type": "object", "description": "Null where there was nothing to measure."},
                },
            }},
            "page": {"type": "object", "required": ["has_more"], "properties": {
                "has_more": {"type": "boolean", "description": "There are groups beyond `limit`."}}},
        },
    })
}
