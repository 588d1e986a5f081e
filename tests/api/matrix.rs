//! Every operation as every role, by really asking: the table of what each is answered. 403 is a missing right; 404 and 422 come
//! after it, for a record that nobody has and a body that says nothing.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value as Json, json};

use crate::{
    openapi::{document, example, operations},
    roles::someone,
    support::{Caller, Db, Person, on},
};

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/snapshots/matrix.txt");
const NOBODYS: &str = "01939e2b-6c00-7000-8000-000000000001";

/// A body that gets as far as the right: the description's own example, or the least that can be read.
pub(crate) fn body(path: &str, operation: &Json) -> Json {
    match path.rsplit('/').next() {
        Some("batch") => json!({"operations": [{"op": "update", "id": NOBODYS, "data": {}}]}),
        Some("aggregate") => json!({"measures": [{"fn": "count"}]}),
        Some("explain") => json!({"user": NOBODYS, "kind": "account"}),
        _ => example(operation),
    }
}

async fn ask(caller: &Caller, (path, method, operation): &(String, String, Json)) -> u16 {
    let place = path.replace("{id}", NOBODYS).replace("{code}", "stale");
    let request = caller.request(&method.to_ascii_uppercase(), &place);
    let request = if operation.get("requestBody").is_some() { request.json(&body(path, operation)) } else { request };
    caller.send(request).await.status
}

#[test]
fn every_operation_answers_every_role_as_was_agreed() {
    on(Db::Sqlite, |server| async move {
        let reader = json!({"rights": ["*:read"], "rows": {"default": "all"}});
        let clerk = json!({"rights": ["account:*", "contact:create", "contact:update", "me:*"]});
        let callers = [
            ("nobody", server.anonymous()),
            ("admin", server.as_admin().await),
            ("manager", server.as_person(Person::Manager).await),
            ("rep", server.as_person(Person::Rep).await),
            ("reader", someone(&server, "reader", reader).await),
            ("clerk", someone(&server, "clerk", clerk).await),
        ];
        let mut lines = BTreeMap::new();
        for operation in operations(&document()) {
            let (path, method, what) = &operation;
            let stream = what["responses"]["200"]["content"].get("text/event-stream").is_some();
            if stream || path == "/v1/auth/logout" || path.starts_with("/v1/me/") {
                continue; // does not end by itself; would end the callers' own sessions
            }
            let mut line = String::new();
            for (name, caller) in &callers {
                let _ = write!(line, " {name}={}", ask(caller, &operation).await);
            }
            lines.insert(format!("{path} {method}"), line);
        }
        let mut text = "# Written by UPDATE_SNAPSHOTS=1 cargo test --test api matrix\n".to_owned();
        for (operation, line) in lines {
            let _ = writeln!(text, "{operation}:{line}");
        }
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(PLACE, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(PLACE).unwrap(), "what roles are answered has changed");
    });
}
