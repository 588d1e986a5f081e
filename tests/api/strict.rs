//! Nothing that is sent is passed over in silence, and no answer is taken for another.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::{
    hostile::talk,
    openapi::{document, operations},
    roles::someone,
    support::{Answer, PASSWORD, on_both},
};

const NOBODY: &str = "01939e2b-6c00-7000-8000-000000000001";

#[test]
fn an_operation_that_takes_no_body_refuses_one() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut asked = 0;
        for (path, method, operation) in operations(&document()) {
            let reads = method == "get" || operation["x-right"] == "public";
            if reads || operation.get("requestBody").is_some() {
                continue;
            }
            let request = || admin.request(&method.to_ascii_uppercase(), &path.replace("{id}", NOBODY));
            let refused = admin.send(request().json(&json!({"hard": true, "soft": 1}))).await;
            assert_eq!(refused.status, 422, "{method} {path}");
            assert_eq!(refused.errors(), [("/hard", "unknown_field"), ("/soft", "unknown_field")], "{method} {path}");
            let text = admin.send(request().header("Content-Type", "text/plain").body("hard")).await;
            assert_eq!(text.status, 415, "{method} {path}");
            let empty = admin.send(request().json(&json!({}))).await;
            assert!([404, 409].contains(&empty.status), "{method} {path}: {}", empty.json);
            asked += 1;
        }
        assert!(asked > 40, "{asked}");
        let token = admin.token.unwrap();
        let chunked = format!(
            "POST /v1/accounts/{NOBODY}/restore HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        );
        let answer = talk(&server, chunked.as_bytes(), Duration::from_secs(8)).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "a body of no bytes is none: {answer}");
    });
}

#[test]
fn everything_that_is_wrong_with_a_body_is_told_at_once() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let body = json!({"wher": {}, "limit": "many", "sort": ["name"], "cout": "exact"});
        let refused = admin.post("/v1/accounts/search", body).await.expect(422);
        let mut errors = refused.errors();
        errors.sort_unstable();
        assert_eq!(errors, [("/cout", "unknown_field"), ("/limit", "wrong_type"), ("/wher", "unknown_field")]);
        assert!(refused.json["errors"].to_string().contains("did you mean `where`?"), "{}", refused.json);
        let body = json!({"plugin": "rfm", "knd": "scorer"});
        let refused = admin.post("/v1/installations", body).await.expect(422);
        let codes: Vec<_> = refused.errors().into_iter().map(|(_, code)| code).collect();
        assert_eq!(codes, ["unknown_field", "required"], "{}", refused.json);
        let many: serde_json::Map<_, _> = (0..1000).map(|n| (format!("n{n}"), json!(n))).collect();
        let refused = admin.post("/v1/accounts/search", json!(many)).await.expect(422);
        assert_eq!(refused.errors().len(), 20, "each costs another reading");
    });
}

#[test]
fn a_key_is_refused_where_nobody_is_known_whose_it_could_be() {
    on_both(|server| async move {
        let anyone = server.anonymous();
        let body = json!({"tenant": "acme", "email": "admin@acme.example", "password": PASSWORD});
        for path in ["login", "refresh", "logout", "password"] {
            let request = anyone.request("POST", &format!("/v1/auth/{path}")).header("Idempotency-Key", "once");
            let refused = anyone.send(request.json(&body)).await.expect(400);
            assert_eq!(refused.errors(), [("Idempotency-Key", "invalid_parameter")], "{path}");
        }
        anyone.post("/v1/auth/login", body).await.expect(200);
    });
}

#[test]
fn an_answer_that_may_have_no_encoding_is_a_problem_like_any_other() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for wish in ["identity;q=0", "*;q=0"] {
            let asked = admin.request("GET", "/v1/accounts").header("Accept-Encoding", wish);
            let refused = admin.send(asked).await.expect(406);
            assert_eq!(refused.problem(), "not_acceptable", "{wish}");
        }
    });
}

#[test]
fn a_tag_tells_apart_what_a_record_looks_like() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let money = json!({"amount": "7", "currency": "EUR"});
        let made = admin.post("/v1/accounts", json!({"name": "Acme", "annual_revenue": money})).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        let with = async |tag: &str| {
            let asked = admin.request("GET", &here).header("If-None-Match", tag);
            admin.send(asked).await
        };
        assert_eq!(with(made.header("etag")).await.status, 304);
        let field = json!({"kind": "account", "name": "budget", "type": "integer"});
        let field = admin.post("/v1/custom-fields", field).await.expect(201);
        let custom = json!({"custom": {"budget": 5}});
        let filled = admin.patch(&here, custom).await.expect(200);
        assert_eq!(with(filled.header("etag")).await.status, 304, "the tag of a write is that of a read");
        let definition = format!("/v1/custom-fields/{}", field.id());
        admin.patch(&definition, json!({"state": "retired"})).await.expect(200);
        let without = with(filled.header("etag")).await.expect(200);
        assert_eq!((&without.json["version"], &without.json["custom"]), (&filled.json["version"], &json!({})));
        let fields = json!({"account": {"annual_revenue": "none"}});
        let role = json!({"rights": ["account:*"], "rows": {"default": "all"}, "fields": fields});
        let clerk = someone(&server, "clerk", role).await;
        let asked = clerk.request("GET", &here).header("If-None-Match", without.header("etag"));
        let narrow = clerk.send(asked).await.expect(200);
        assert!(narrow.object().get("annual_revenue").is_none());
        let change = clerk.request("PATCH", &here).header("If-Match", narrow.header("etag"));
        let changed: Answer = clerk.send(change.json(&json!({"name": "Acme Ltd"}))).await.expect(200);
        let stale = clerk.request("PATCH", &here).header("If-Match", narrow.header("etag"));
        clerk.send(stale.json(&json!({"name": "Acme Inc"}))).await.expect(412);
        assert_eq!(changed.json["version"], 3);
    });
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("n{n}")).collect()
}

/// An object of strange members.
fn members(n: usize, value: &str) -> Json {
    names(n).into_iter().map(|name| (name, json!(value))).collect::<serde_json::Map<_, _>>().into()
}

/// Requests with as much wrong as their bodies have room for.
fn endless() -> Vec<(&'static str, &'static str, Json)> {
    let many = members(20_000, "none");
    let nested = json!({"or": vec![json!({"or": vec![json!({"or": vec![1; 40]}); 40]}); 40]});
    let nulls = json!({"field": "name", "op": "in", "value": vec![json!(null); 1000]});
    let role = json!({"key": "x", "name": "X", "rights": names(20_000)});
    let fields = json!({"key": "x", "name": "X", "rights": ["account:read"], "fields": {"account": many}});
    let own = |more: Json| {
        let mut field = json!({"kind": "account", "name": "budget", "type": "number"});
        field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        field
    };
    let references = json!({"name": vec![json!({"$ref": "a.id"}); 20_000]});
    let composite = json!({"operations": [{"op": "create", "kind": "account", "data": references}]});
    let batch = json!({"atomic": true, "operations": vec![members(100, "x"); 1000]});
    let search = |question: Json| ("POST", "/v1/accounts/search", question);
    vec![
        search(json!({"where": {"or": vec![1; 100_000]}})),
        search(json!({"where": nested})),
        search(json!({"where": {"and": [many]}})),
        search(json!({"where": nulls})),
        search(json!({"sort": names(20_000)})),
        search(json!({"fields": names(1000)})),
        search(json!({"expand": names(1000)})),
        ("POST", "/v1/accounts/aggregate", json!({"measures": [{"fn": "count"}], "sort": names(20_000)})),
        ("POST", "/v1/accounts", many.clone()),
        ("POST", "/v1/accounts", json!({"name": "Acme", "custom": many})),
        ("POST", "/v1/orders", json!({"lines": [many]})),
        ("POST", "/v1/orders", json!({"lines": vec![json!({"x": 1}); 500]})),
        ("POST", "/v1/accounts/batch", many.clone()),
        ("POST", "/v1/accounts/batch", batch),
        ("POST", "/v1/composite", composite),
        ("POST", "/v1/accounts/mass-update", json!({"where": "id IS NOT NULL", "data": many})),
        ("PATCH", "/v1/tenant", many.clone()),
        ("POST", "/v1/roles", role),
        ("POST", "/v1/roles", fields),
        ("POST", "/v1/custom-fields", own(json!({"validation": many}))),
        ("POST", "/v1/custom-fields", own(json!({"label": members(20_000, "")}))),
    ]
}

#[test]
fn however_much_is_wrong_no_more_is_told_than_anybody_mends() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (n, (method, path, body)) in endless().into_iter().enumerate() {
            let refused = admin.send(admin.request(method, path).json(&body)).await;
            let told = refused.errors().len();
            assert!([400, 422].contains(&refused.status) && (20..=40).contains(&told), "{n} {path}: {told}");
            assert!(refused.bytes.len() < 30_000, "{n} {path}: {} bytes", refused.bytes.len());
        }
        let long = "x".repeat(900_000);
        let refused = admin.post("/v1/accounts", json!({"name": "Acme", &long: 1})).await.expect(422);
        assert_eq!(refused.errors(), [(&*format!("/{long}"), "unknown_field")]);
        let deep = "owner.".repeat(150_000) + "name";
        for member in ["fields", "expand"] {
            let refused = admin.post("/v1/accounts/search", json!({member: [deep]})).await.expect(400);
            assert_eq!(refused.errors(), [(&*format!("/{member}"), "unknown_field")], "users have no owner");
            let refused = admin.post("/v1/accounts/search", json!({member: names(1001)})).await.expect(400);
            assert_eq!(refused.errors(), [(&*format!("/{member}"), "query_too_expensive")]);
        }
    });
}

#[test]
fn a_text_with_a_nul_character_is_refused_wherever_it_comes_from() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let nul = "a\u{0}b";
        let operation = json!({"op": "create", "data": {"name": "Acme", "billing_address": {"street": nul}}});
        for (method, path, body) in [
            ("POST", "/v1/accounts", json!({"name": "Acme", "billing_address": {"street": nul}})),
            ("POST", "/v1/accounts", json!({"name": "Acme", nul: 1})),
            ("POST", "/v1/accounts/batch", json!({"operations": [operation]})),
            ("PATCH", "/v1/tenant", json!({"name": nul})),
            ("POST", "/v1/api-keys", json!({"name": nul, "scopes": ["*:read"]})),
            ("POST", "/v1/plugin-runs", json!({"installation": nul, "mode": "apply"})),
            ("POST", "/v1/installations", json!({"key": "x", "plugin": nul, "kind": "scorer", "subject": "account"})),
            ("POST", "/v1/auth/login", json!({"tenant": nul, "email": nul, "password": PASSWORD})),
        ] {
            let refused = admin.send(admin.request(method, path).json(&body)).await.expect(400);
            assert_eq!(
                (refused.problem(), refused.errors()),
                ("invalid_value", vec![("body", "invalid_value")]),
                "{path}"
            );
            assert!(refused.json["detail"].as_str().unwrap().contains("line 1 column"), "{}", refused.json);
        }
        for name in ["filter", "sort", "cursor", "search"] {
            let refused = admin.get(&format!("/v1/accounts?{name}=a%00")).await.expect(400);
            assert_eq!(refused.errors(), [(name, "invalid_parameter")]);
        }
        for (method, path) in [("POST", "/activate"), ("POST", "/pause"), ("PATCH", ""), ("GET", "")] {
            let request = admin.request(method, &format!("/v1/installations/a%00{path}"));
            let request = if method == "PATCH" { request.json(&json!({"config": {}})) } else { request };
            assert_eq!(admin.send(request).await.expect(404).problem(), "not_found", "{method} {path}");
        }
    });
}
