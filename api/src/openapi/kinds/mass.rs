//! What becomes a job: `POST /v1/{kind}/mass-update`, `../mass-delete`, `../{id}/erase`.

use ripen_core::{
    access::Verb,
    engine::{Shape, erase::erasable},
};
use serde_json::{Map, Value as Json, json};

use super::{operation, words};
use crate::openapi::shared::{failing, parameter, schema, set};

pub(super) fn describe(shape: &Shape, title: &str, paths: &mut Map<String, Json>) {
    for (verb, name) in [(Verb::Update, "update"), (Verb::Delete, "delete")] {
        if shape.verbs.contains(&verb) && shape.verbs.contains(&Verb::Create) {
            paths.insert(format!("/v1/{}/mass-{name}", shape.plural), json!({"post": mass(shape, title, verb, name)}));
        }
    }
    if erasable(shape) && shape.verbs.contains(&Verb::Create) {
        paths.insert(format!("/v1/{}/{{id}}/erase", shape.plural), json!({"post": erase(shape)}));
    }
}

fn erase(shape: &Shape) -> Json {
    let name = words(&shape.name);
    let once = shape.erased_once.map_or_else(String::new, |(field, value)| {
        format!(" A living one is erased once its `{field}` is `{value}`; before, the answer is 409.")
    });
    let text = format!(
        "Empties what says who the {name} is and what is known of them: in the record, living or deleted, in what was merged \
         into it, in interactions about it, in the change log, in rows that imports refused and in answers kept for an \
         Idempotency-Key; a failed job that would bring the person back cannot be tried again. Ids, times, amounts and \
         references stay. The job's `result` counts what was emptied, and names where some of the texts are still found. There is no way \
         back.{once} Needs `{}:delete` and `job:read` too.",
        shape.name
    );
    let id = format!("erase_{}", shape.name);
    let mut operation = operation(shape, Verb::Delete, &id, &format!("Erase one {name}"), &text);
    set(&mut operation, "x-right", "person:erase");
    set(&mut operation, "parameters", json!([parameter("id")]));
    set(
        &mut operation,
        "responses",
        failing(accepted(), &["400", "401", "403", "404", "409", "422", "429", "500", "503"]),
    );
    operation
}

/// The answer to what becomes a job.
fn accepted() -> Json {
    json!({"202": {"description": "The job.", "content": {"application/json": {"schema": schema("Job")}},
        "headers": {"Location": {"description": "The job.", "schema": {"type": "string"}}}}})
}

fn mass(shape: &Shape, title: &str, verb: Verb, name: &str) -> Json {
    let plural = words(&shape.plural);
    let (summary, what) = match verb {
        Verb::Update => ("Change", "Sets the fields in `data` of"),
        _ => ("Delete", "Deletes"),
    };
    let text = format!(
        "{what} all {plural} that the filter keeps when it is asked for and that you may change, as a job: by the rules of \
         single requests, each refusal at `/v1/jobs/{{id}}/errors`. `dry_run` tries it 500 records at a time and keeps \
         none of it: what depends on others further away having been written, as a delete does on those that refer to the \
         record, may end otherwise. \
         `POST /v1/jobs/{{id}}/undo` takes it back. Needs `job:read` too."
    );
    let id = format!("mass_{name}_{}", shape.plural.replace('-', "_"));
    let mut operation = operation(shape, verb, &id, &format!("{summary} many {plural}"), &text);
    let filter = json!({"description": "A filter, as text or as its tree.",
        "anyOf": [{"type": "string", "example": "created_at < now()-365d"}, schema("Filter")]});
    let mut properties = json!({"where": filter, "dry_run": {"type": "boolean", "default": false}});
    let mut required = vec!["where"];
    if verb == Verb::Update {
        set(&mut properties, "data", schema(&format!("{title}Patch")));
        required.push("data");
    }
    let body = json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties});
    let content = json!({"application/json": {"schema": body}});
    set(
        &mut operation,
        "requestBody",
        json!({"required": true, "description": "Which, and what.", "content": content}),
    );
    set(
        &mut operation,
        "responses",
        failing(accepted(), &["400", "401", "403", "413", "415", "422", "429", "500", "503"]),
    );
    operation
}
