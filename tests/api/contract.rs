//! What holds for every request, whatever it asks for.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use ripen_core::error::Code;
use serde_json::json;

use crate::support::{Db, Person, TestServer, block_on, on, on_both};

#[test]
fn errors_are_problem_documents_with_a_page_for_their_code() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let missing = admin.get("/v1/acounts").await.expect(404);
        assert_eq!(missing.problem(), "not_found");
        assert!(missing.json["detail"].as_str().unwrap().contains("did you mean `/v1/accounts`?"));
        let page = server.anonymous().get(missing.json["type"].as_str().unwrap()).await.expect(200);
        assert_eq!((&page.json["code"], &page.json["title"]), (&json!("not_found"), &missing.json["title"]));
        let codes = server.anonymous().get("/problems").await.expect(200);
        let codes: Vec<_> = codes.data().iter().map(|entry| entry["code"].as_str().unwrap()).collect();
        for code in ["stale", "query_too_expensive", "plugin_fuel_exhausted"] {
            assert!(codes.contains(&code), "{code}");
        }
        assert_eq!(server.anonymous().get("/problems/none").await.expect(404).problem(), "not_found");
    });
}

#[test]
fn every_code_has_a_page_with_its_title_and_stands_in_the_description() {
    on_both(|server| async move {
        let anyone = server.anonymous();
        let own = Code::all().map(|code| (code.name(), code.title()));
        let plugins = ripen_plugins::CODES.iter().map(|code| (code.code.to_owned(), code.title));
        let wanted: BTreeMap<String, &str> = own.chain(plugins).collect();
        let listed = anyone.get("/problems").await.expect(200);
        assert_eq!(listed.data().len(), wanted.len(), "each once");
        for (code, title) in &wanted {
            let entry = json!({"type": format!("/problems/{code}"), "code": code, "title": title});
            assert!(listed.data().contains(&entry), "{code}");
            assert_eq!(anyone.get(&format!("/problems/{code}")).await.expect(200).json, entry);
        }
        let document = anyone.get("/openapi.json").await.expect(200).json;
        for schema in ["Problem", "RowProblem"] {
            let codes = document["components"]["schemas"][schema]["properties"]["code"]["enum"].as_array().unwrap();
            let mut codes: Vec<_> = codes.iter().map(|code| code.as_str().unwrap()).collect();
            codes.sort_unstable();
            assert_eq!(codes, wanted.keys().map(String::as_str).collect::<Vec<_>>(), "{schema}");
        }
    });
}

#[test]
fn the_request_id_is_the_callers_if_it_is_safe() {
    on(Db::Sqlite, |server| async move {
        let nobody = server.anonymous();
        let sent = |id: &str| nobody.request("GET", "/livez").header("X-Request-Id", id);
        assert_eq!(nobody.send(sent("order-7_a.b")).await.header("x-request-id"), "order-7_a.b");
        for unsafe_id in ["has space", "", "<script>", &"x".repeat(65)] {
            let answer = nobody.send(sent(unsafe_id)).await;
            assert_eq!(answer.header("x-request-id").len(), 36, "{unsafe_id}");
        }
        let theirs = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        assert_eq!(nobody.send(sent(theirs)).await.header("x-request-id"), theirs);
        for ours in ["019c1363-49c0-7000-8000-000000000001", "019c136349c070008000000000000001"] {
            let answer = nobody.send(sent(ours)).await;
            assert!(![ours, ""].contains(&answer.header("x-request-id")), "version 7 is the server's");
        }
        let failed = nobody.send(nobody.request("GET", "/v1/users").header("X-Request-Id", "mine")).await.expect(401);
        assert_eq!(failed.json["request_id"], "mine");
    });
}

#[test]
fn known_paths_say_which_methods_they_take() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        for (method, path, allow) in [
            ("PUT", "/v1/accounts", "GET, HEAD, POST"),
            ("DELETE", "/v1/accounts", "GET, HEAD, POST"),
            ("POST", "/v1/accounts/01939e2b-6c00-7000-8000-000000000001", "DELETE, GET, HEAD, PATCH"),
            ("GET", "/v1/auth/login", "POST"),
            ("POST", "/v1/me", "GET, HEAD"),
            ("POST", "/livez", "GET, HEAD"),
            ("DELETE", "/openapi.json", "GET, HEAD"),
        ] {
            let refused = admin.send(admin.request(method, path)).await.expect(405);
            assert_eq!((refused.problem(), refused.header("allow")), ("method_not_allowed", allow), "{method} {path}");
        }
        let slash = admin.get("/v1/accounts/").await.expect(404);
        assert!(slash.json["detail"].as_str().unwrap().contains("did you mean `/v1/accounts`?"), "{}", slash.json);
    });
}

#[test]
fn parameters_are_known_and_come_once() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let unknown = admin.get("/v1/accounts?sorted=name").await.expect(400);
        assert_eq!((unknown.problem(), unknown.errors()), ("unknown_parameter", vec![("sorted", "unknown_parameter")]));
        assert!(unknown.json["detail"].as_str().unwrap().contains("did you mean `sort`?"));
        let twice = admin.get("/v1/accounts?limit=1&limit=2").await.expect(400);
        assert_eq!(twice.errors(), [("limit", "invalid_parameter")]);
        for limit in ["0", "201", "-1", "many"] {
            let refused = admin.get(&format!("/v1/accounts?limit={limit}")).await.expect(400);
            assert_eq!(refused.errors(), [("limit", "invalid_parameter")], "{limit}");
        }
        for public in ["/livez", "/readyz", "/metrics", "/problems", "/problems/stale", "/openapi.json"] {
            let refused = server.anonymous().get(&format!("{public}?verbose=1")).await.expect(400);
            assert_eq!(refused.errors(), [("verbose", "unknown_parameter")], "{public}");
        }
        let id = admin.get("/v1/accounts/7").await.expect(404);
        assert_eq!(id.problem(), "not_found");
    });
}

#[test]
fn an_expired_token_says_so() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        server.clock.advance(TimeDelta::minutes(11));
        let expired = admin.get("/v1/accounts").await.expect(401);
        assert_eq!(expired.problem(), "token_expired");
        assert!(expired.header("www-authenticate").contains("invalid_token"));
    });
}

#[test]
fn a_rep_reads_the_setup_and_may_not_change_it() {
    on_both(|server| async move {
        let rep = server.as_person(Person::Rep).await;
        rep.get("/v1/pipelines").await.expect(200);
        let refused = rep.post("/v1/pipelines", json!({"name": "Mine"})).await.expect(403);
        assert_eq!(refused.problem(), "forbidden");
        assert!(refused.json["detail"].as_str().unwrap().contains("pipeline:create"));
        let other = server.as_person(Person::OtherRep).await;
        let theirs = other.post("/v1/accounts", json!({"name": "Theirs"})).await.expect(201);
        rep.get(&format!("/v1/accounts/{}", theirs.id())).await.expect(404);
        let mine = rep.post("/v1/accounts", json!({"name": "Mine"})).await.expect(201);
        server.as_person(Person::Manager).await.get(&format!("/v1/accounts/{}", mine.id())).await.expect(200);
    });
}

#[test]
fn writers_without_a_version_all_get_through() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        let writes = (0..8).map(|n| {
            let (admin, here) = (admin.clone(), here.clone());
            tokio::spawn(async move { admin.patch(&here, json!({"employees": n + 1})).await.expect(200) })
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap();
        }
        assert_eq!(admin.get(&here).await.expect(200).json["version"], 9);
    });
}

#[test]
fn figures_and_health_tell_what_the_server_did() {
    on_both(|server| async move {
        let anyone = server.anonymous();
        assert_eq!(anyone.get("/livez").await.expect(200).json["status"], "ok");
        assert_eq!(anyone.get("/readyz").await.expect(200).json["status"], "ok");
        server.as_admin().await.get("/v1/accounts").await.expect(200);
        let figures = anyone.get("/metrics").await.expect(200);
        let text = String::from_utf8_lossy(&figures.bytes);
        let line = "ripen_http_requests_total{method=\"GET\",route=\"/v1/{kind}\",status=\"200\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("ripen_http_request_seconds_bucket{method=\"GET\",route=\"/livez\""), "{text}");
    });
}

#[test]
fn answers_carry_the_headers_that_keep_browsers_safe_and_shrink_on_request() {
    on(Db::Sqlite, |server| async move {
        let anyone = server.anonymous();
        let answer = anyone.get("/problems").await.expect(200);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(answer.header("access-control-allow-origin"), "");
        let packed = anyone.request("GET", "/problems").header("Accept-Encoding", "gzip");
        let packed = anyone.send(packed).await.expect(200);
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert!(packed.bytes.starts_with(&[0x1f, 0x8b]) && packed.bytes.len() < answer.bytes.len() / 2);
    });
}

#[test]
fn a_server_that_stops_finishes_and_starts_again_with_its_data() {
    crate::support::prepare(Db::Sqlite);
    block_on(async {
        let mut server = TestServer::new(Db::Sqlite).await;
        let made = server.as_admin().await.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        server.restart().await;
        let read = server.as_admin().await.get(&format!("/v1/accounts/{}", made.id())).await.expect(200);
        assert_eq!(read.bytes, made.bytes);
        server.end().await;
    });
}

#[test]
fn head_is_answered_as_get_is_without_the_body() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        for (path, status) in
            [(here.as_str(), 200), ("/v1/accounts?limit=1", 200), ("/livez", 200), ("/v1/accounts/7", 404)]
        {
            let (get, head) = (admin.get(path).await, admin.send(admin.request("HEAD", path)).await);
            assert_eq!((get.status, head.status, head.bytes.len()), (status, status, 0), "{path}");
            for name in ["content-type", "content-length", "etag", "link", "cache-control"] {
                assert_eq!(head.header(name), get.header(name), "{path} {name}");
            }
        }
        let stream = admin.send(admin.request("HEAD", "/v1/changes/stream")).await.expect(200);
        assert_eq!((stream.header("content-type"), stream.bytes.len()), ("text/event-stream", 0));
        let unchanged = admin.request("HEAD", &here).header("If-None-Match", "\"v1\"");
        admin.send(unchanged).await.expect(304);
        let refused = admin.send(admin.request("HEAD", "/v1/accounts/batch")).await.expect(405);
        assert_eq!(refused.header("allow"), "POST");
        let allowed = admin.send(admin.request("PUT", "/v1/accounts")).await.expect(405);
        assert_eq!(allowed.header("allow"), "GET, HEAD, POST");
    });
}
