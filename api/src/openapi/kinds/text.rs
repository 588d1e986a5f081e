//! `search`: the parameter that looks for words.

use ripen_core::engine::{Shape, search};
use serde_json::{Value as Json, json};

/// It names the fields it reads; `None` where the kind has none.
pub(super) fn parameter(shape: &Shape) -> Option<Json> {
    let fields = search::fields(shape).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "Words that must all be in {fields}, in any order, width and case; the last one may be unfinished. Chinese and \
         other scripts without spaces match by what stands together, a number also by its last digits. Combines with \
         `filter`; the order is that of `sort`."
    );
    let schema = json!({"type": "string", "minLength": 1, "maxLength": search::LONGEST});
    (!fields.is_empty()).then(|| json!({"name": "search", "in": "query", "description": text, "schema": schema}))
}
