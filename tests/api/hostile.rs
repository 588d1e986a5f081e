//! Bodies and requests that mean harm, or come from broken programs.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, Caller, Db, TestServer, block_on, on, prepare};

async fn raw(caller: &Caller, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    caller.send(caller.request("POST", "/v1/accounts").header("Content-Type", kind).body(body)).await
}

#[test]
fn bodies_that_are_no_exact_json_are_refused_and_leave_nothing() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let deep = format!("{{\"name\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for (status, code, body) in [
            (400, "malformed_json", r#"{"name": "a", "name": "b"}"#.to_owned()),
            (400, "malformed_json", r#"{"name": "a""#.to_owned()),
            (400, "malformed_json", r#"{"name": "a"} trailing"#.to_owned()),
            (400, "malformed_json", String::new()),
            (400, "malformed_json", r#"{"name": NaN}"#.to_owned()),
            (400, "malformed_json", r#"{"name": "\ud800"}"#.to_owned()),
            (400, "json_too_deep", deep),
            (400, "wrong_type", "[]".to_owned()),
            (413, "body_too_large", format!("{{\"name\": \"{}\"}}", "a".repeat(1 << 20))),
            (400, "invalid_value", r#"{"name": "a\u0000b"}"#.to_owned()),
            (422, "validation_failed", format!("{{\"name\": \"{}\"}}", "a".repeat(301))),
            (422, "validation_failed", r#"{"name": "a", "employees": 1e300}"#.to_owned()),
            (422, "validation_failed", r#"{"name": "a", "employees": 99999999999999999999}"#.to_owned()),
            (422, "validation_failed", r#"{"name": "a", "id": "f47ac10b-58cc-4372-a567-0e02b2c3d479"}"#.to_owned()),
        ] {
            let shown = body.chars().take(60).collect::<String>();
            let refused = raw(&admin, "application/json", body).await;
            assert_eq!((refused.status, refused.problem()), (status, code), "{shown}");
        }
        let refused = raw(&admin, "application/json", vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}']).await;
        assert_eq!(refused.expect(400).problem(), "malformed_json");
        for kind in
            ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/merge-patch+json"]
        {
            let refused = raw(&admin, kind, r#"{"name":"a"}"#).await.expect(415);
            assert_eq!(refused.problem(), "unsupported_media_type");
        }
        assert!(admin.get("/v1/accounts").await.expect(200).data().is_empty());
    });
}

#[test]
fn forged_tokens_open_nothing() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let good = admin.token.clone().unwrap();
        let parts: Vec<&str> = good.split('.').collect();
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
        let cut = &good[..good.len() - 4];
        let swapped = format!("{}.{}.{}", parts[0], parts[1].to_uppercase(), parts[2]);
        for token in ["x", "a.b.c", &unsigned, cut, &swapped, &"y".repeat(5000)] {
            let refused = server.with_token(Some(token)).get("/v1/accounts").await.expect(401);
            assert_eq!(refused.problem(), "invalid_token", "{token}");
        }
        let nobody = server.anonymous();
        let basic = nobody.request("GET", "/v1/accounts").header("Authorization", "Basic YWRtaW46YWRtaW4=");
        assert_eq!(nobody.send(basic).await.expect(401).problem(), "unauthenticated");
    });
}

#[test]
fn paths_and_queries_of_any_bytes_get_an_answer() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        for path in [
            "/v1/%2e%2e/etc/passwd",
            "/v1/accounts/%00",
            "/v1/accounts/'%20or%201=1",
            "/v1/accounts?filter=%ff%fe",
            "/v1/accounts?%00=1",
            "/v1/accounts?sort=name;drop%20table%20account",
            "/v1/accounts?cursor=AAAA",
            "/v1/accounts?fields=tenant_id",
            "//v1//accounts",
        ] {
            let answer = admin.get(path).await;
            assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
            answer.problem();
        }
    });
}

/// The answer to raw bytes on the socket, as text; empty where the server hangs up.
pub(crate) async fn talk(server: &TestServer, bytes: &[u8], patience: Duration) -> String {
    let mut socket = TcpStream::connect(server.base().trim_start_matches("http://")).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(patience, socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn slow_and_broken_requests_do_not_hold_the_server() {
    prepare(Db::Sqlite);
    block_on(async {
        let server = TestServer::with(Db::Sqlite, |config| {
            config.limits.body_s = 1;
            config.limits.head_s = 1;
        })
        .await;
        let token = server.as_admin().await.token.unwrap();
        let patience = Duration::from_secs(8);
        let slow = format!(
            "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\n\r\n{{\"name\":"
        );
        let answer = talk(&server, slow.as_bytes(), patience).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"), "{answer}");
        let head = talk(&server, b"GET /livez HTTP/1.1\r\nHost:", patience).await;
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
        let rubbish = talk(&server, b"\x00\x01\x02 nothing\r\n\r\n", patience).await;
        assert!(rubbish.is_empty() || rubbish.starts_with("HTTP/1.1 400"), "{rubbish}");
        server.anonymous().get("/livez").await.expect(200);
        server.end().await;
    });
}

#[test]
fn a_create_may_be_sent_again_with_its_own_id() {
    on(Db::Sqlite, |server| async move {
        let admin = server.as_admin().await;
        let body = json!({"id": "01939e2b-6c00-7000-8000-0000000000aa", "name": "Acme"});
        admin.post("/v1/accounts", body.clone()).await.expect(201);
        let again = admin.post("/v1/accounts", body).await;
        assert!([409, 422].contains(&again.status), "{}", again.status);
        assert_eq!(admin.get("/v1/accounts").await.data().len(), 1);
    });
}
