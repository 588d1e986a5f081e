//! What many operations have in common: parameters, failures, the words around them.

use serde_json::{Map, Value as Json, json};

use crate::Catalogue;

pub(super) const DESCRIPTION: &str = "A headless CRM core: records, facts, plugins, decisions. Every failure is a \
    problem document (RFC 9457) whose `code` is listed at `/problems`. Unknown parameters and fields are refused with \
    the nearest name there is. Each operation states the right it needs in `x-right`.";

/// The right of operations that need no token.
const PUBLIC: &str = "public";

pub(super) fn parameter(name: &str) -> Json {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

pub(super) fn schema(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Sets a member of an object.
pub(super) fn set(object: &mut Json, name: &str, value: impl Into<Json>) {
    if let Json::Object(members) = object {
        members.insert(name.to_owned(), value.into());
    }
}

pub(super) fn parameters() -> Json {
    let query = |name: &str, schema: Json, text: &str| json!({"name": name, "in": "query", "description": text, "schema": schema});
    let text = || json!({"type": "string"});
    json!({
        "filter": query("filter", text(), "Which records: comparisons joined by `AND`, `OR`, `NOT`, such as \
            `amount >= 1000 AND (stage.kind = \"won\" OR owner_id = me())`. Parentheses are required where `AND` and \
            `OR` meet; dots lead over relations, `any(contacts, title : \"CEO\")` to what refers to the record. Values may \
            be `me()`, `IN my_team()`, `now()-30d` or `today()+1w`."),
        "sort": query("sort", text(), "Fields in order of weight, `-` for descending: `-created_at,name`, `custom.budget`. \
            Null comes first ascending, last descending."),
        "fields": query("fields", text(), "The fields to answer with: `id,name`."),
        "expand": query("expand", text(), "Relations to answer with as objects beside their ids: `owner,account.owner`."),
        "limit": query("limit", json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
            "Records a page."),
        "count": query("count", json!({"type": "string", "enum": ["exact"]}), "Also counts all records of the filter, \
            as `page.total`."),
        "cursor": query("cursor", text(), "Where the page begins: `page.next` or `page.prev` of an earlier answer to the \
            same query."),
        "known_at": query("known_at", json!({"type": "string", "format": "date-time"}), "Answers with what the system knew at \
            this instant, which must have passed: records as they were, with those deleted since and without those made \
            since. Rights are those of today. Such an answer has no `ETag`."),
        "id": {"name": "id", "in": "path", "required": true, "description": "The record's id.",
            "schema": {"type": "string", "format": "uuid"}},
        "if_match": {"name": "If-Match", "in": "header", "schema": {"type": "string"},
            "description": "The `ETag` of the record as you read it; refused with 412 if it has changed since."},
        "idempotency_key": {"name": "Idempotency-Key", "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": "Visible ASCII, fresh for each request. The same request with the same key within 24 hours is \
                carried out once, and answered as the first time with `Idempotent-Replayed: true`; another request with \
                it is refused with 422, one that comes while the first is under way with 409."},
        "if_none_match": {"name": "If-None-Match", "in": "header", "schema": {"type": "string"},
            "description": "`ETag`s you have; answered with 304 if one is current."},
    })
}

/// Failures by status: component name, meaning.
const FAILURES: [(&str, &str, &str); 13] = [
    ("400", "Malformed", "The request cannot be read."),
    ("401", "Unauthenticated", "No valid token was sent."),
    ("403", "Forbidden", "The right of the operation is missing."),
    ("404", "NotFound", "It does not exist, or you may not see it."),
    ("409", "Conflict", "The request contradicts what is stored."),
    ("412", "Stale", "The record has changed since you read it."),
    ("413", "TooLarge", "The body is too large."),
    ("415", "UnsupportedMediaType", "The body has a media type this path does not take."),
    ("422", "Invalid", "The request breaks rules of its content; `errors` names each place."),
    ("428", "PreconditionRequired", "The tenant requires `If-Match`."),
    ("429", "TooManyRequests", "A limit is reached; `Retry-After` tells when to come back."),
    ("500", "Internal", "Something is wrong on the server's side."),
    ("503", "Unavailable", "The server or its database cannot answer now."),
];

pub(super) fn responses() -> Json {
    let one = |text: &str| json!({"description": text, "content": {"application/problem+json": {"schema": schema("Problem")}}});
    FAILURES.iter().map(|(_, name, text)| ((*name).to_owned(), one(text))).collect::<Map<_, _>>().into()
}

/// `responses` with the failures of these statuses.
pub(super) fn failing(mut responses: Json, statuses: &[&str]) -> Json {
    for (status, name, _) in FAILURES.iter().filter(|(status, ..)| statuses.contains(status)) {
        if responses.get(status).is_none() {
            set(&mut responses, status, json!({"$ref": format!("#/components/responses/{name}")}));
        }
    }
    responses
}

/// An action's operation as its author described it, with the failures that follow from what it takes.
pub(super) fn complete(path: &str, mut operation: Json) -> Json {
    let public = operation.get("x-right").is_some_and(|right| right == PUBLIC);
    let mut statuses = vec!["500", "503"];
    if public {
        set(&mut operation, "security", json!([]));
    } else {
        statuses.extend(["400", "401", "403", "429"]);
    }
    if path.contains('{') {
        statuses.push("404");
    }
    if operation.get("requestBody").is_some() {
        statuses.extend(["400", "413", "415", "422", "429"]);
    }
    let responses = operation.get_mut("responses").map(Json::take).unwrap_or_default();
    set(&mut operation, "responses", failing(responses, &statuses));
    operation
}

/// What every operation that writes for a caller takes and may answer: its `Idempotency-Key`.
pub(super) fn once(item: &mut Json) {
    for method in ["post", "put", "patch", "delete"] {
        let Some(operation) = item.get_mut(method) else { continue };
        let right = operation.get("x-right").and_then(Json::as_str).unwrap_or(PUBLIC);
        let asks = right.ends_with(":read") && operation.get("requestBody").is_some();
        if right == PUBLIC || asks {
            continue;
        }
        let parameters = operation.get("parameters").and_then(Json::as_array).cloned().unwrap_or_default();
        let parameters: Vec<_> = parameters.into_iter().chain([parameter("idempotency_key")]).collect();
        set(operation, "parameters", parameters);
        let responses = operation.get_mut("responses").map(Json::take).unwrap_or_default();
        set(operation, "responses", failing(responses, &["400", "409", "422"]));
    }
}

/// The same for a part of a request, which has no request id of its own.
pub(super) fn row_problem(catalogue: &Catalogue) -> Json {
    let mut problem = problem(catalogue);
    set(&mut problem, "description", "Why one operation of several was refused (RFC 9457).");
    if let Some(Json::Array(required)) = problem.get_mut("required") {
        required.retain(|name| name != "request_id");
    }
    if let Some(Json::Object(properties)) = problem.get_mut("properties") {
        properties.remove("request_id");
    }
    problem
}

pub(super) fn problem(catalogue: &Catalogue) -> Json {
    let codes: Vec<_> = catalogue.codes().collect();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "Where this instance explains the code."},
            "title": {"type": "string", "description": "What the code means, the same every time."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What was wrong this time and how to mend it."},
            "code": {"type": "string", "enum": codes, "description": "Stable; programs may match on it."},
            "errors": {"type": "array", "description": "Each thing wrong, all at once.", "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string",
                        "description": "JSON pointer into the body, or the name of a parameter or header."},
                    "code": {"type": "string", "description": "As above."},
                    "detail": {"type": "string", "description": "What is wrong with the place and how to mend it."},
                },
            }},
            "request_id": {"type": "string", "description": "Under which the server's log tells more."},
        },
    })
}
