//! The export of a kind.

use ripen_core::{access::Verb, engine::Shape};
use serde_json::{Map, Value as Json, json};

use super::{operation, past, text, words};
use crate::openapi::shared::{failing, parameter, set};

pub(super) fn describe(shape: &Shape, paths: &mut Map<String, Json>) {
    let plural = words(&shape.plural);
    let description = format!(
        "Streams all {plural} that the filter keeps and you may see, as of one moment. In CSV and workbooks money is two \
         columns, `amount.amount` and `amount.currency`, JSON is its text, and the header names the fields as an import's \
         mapping does. In CSV a text that a spreadsheet would take for a formula begins with an apostrophe, which an import \
         with `formula_guard` takes off. The oldest records come first where nothing is said. A file whose transfer breaks off is not \
         whole: nothing else tells of a failure after its beginning."
    );
    let id = format!("export_{}", shape.plural.replace('-', "_"));
    let mut get = operation(shape, Verb::Read, &id, &format!("Export {plural}"), &description);
    let format = json!({"name": "format", "in": "query", "description": "What the file is.",
        "schema": {"type": "string", "enum": ["csv", "ndjson", "xlsx"], "default": "csv"}});
    let shared = ["filter", "sort", "fields"].into_iter().chain(past(shape)).map(parameter);
    set(&mut get, "parameters", [format].into_iter().chain(shared).chain(text::parameter(shape)).collect::<Json>());
    let file = json!({"schema": {"type": "string"}});
    let binary = json!({"schema": {"type": "string", "contentMediaType": "application/octet-stream"}});
    let ok = json!({"200": {"description": "The file.", "content": {
        "text/csv": file, "application/x-ndjson": file,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": binary}}});
    set(&mut get, "responses", failing(ok, &["400", "401", "403", "429", "500", "503"]));
    paths.insert(format!("/v1/{}/export", shape.plural), json!({"get": get}));
}
