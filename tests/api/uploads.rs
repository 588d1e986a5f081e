//! Files on their way in: with a key or without, slow or broken off, they hold nobody up and leave nothing behind.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    imports::{ended, job, left},
    support::{Answer, Caller, TestServer, block_on, databases, on_both, prepare},
};

const SPEC: &str = r#"{"kind": "account", "mapping": {"name": {"column": "name"}}}"#;

/// A file of accounts with so many bytes at least.
fn file(bytes: usize) -> String {
    format!("name\n{}", "Acme Corporation\n".repeat(bytes / 17 + 1))
}

async fn keyed(admin: &Caller, file: String) -> Answer {
    let form = Form::new().text("spec", SPEC).part("file", Part::text(file).file_name("f.csv"));
    admin.send(admin.request("POST", "/v1/imports").header("Idempotency-Key", "k").multipart(form)).await
}

#[test]
fn a_file_of_several_chunks_with_a_key_is_imported_once_and_answered_as_before() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let first = keyed(&admin, file(2 << 20)).await.expect(202);
        let done = job(&admin, first.header("location"), ended).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        let again = keyed(&admin, file(2 << 20)).await.expect(202);
        assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &first.bytes));
        let other = keyed(&admin, file(2 << 20) + "Another\n").await.expect(422);
        assert_eq!(other.problem(), "idempotency_key_reused");
        assert_eq!((left(&server, "job").await, left(&server, "job_input").await), (1, 0), "no chunk is left");
    });
}

/// Sends the head of a form and the beginning of its file, and pauses.
async fn paused(server: &TestServer, key: &str) -> TcpStream {
    let token = server.as_admin().await.token.unwrap();
    let mut socket = TcpStream::connect(server.base().trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{key}\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 4000000\r\n\r\n\
         --x\r\nContent-Disposition: form-data; name=\"spec\"\r\n\r\n{SPEC}\r\n\
         --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.csv\"\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(file((1 << 20) + 100_000).as_bytes()).await.unwrap();
    socket
}

#[test]
fn a_sender_who_pauses_holds_nobody_up_and_is_cut_off() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let server = TestServer::with(db, |config| config.limits.body_s = 3).await;
            let admin = server.as_admin().await;
            for key in ["", "Idempotency-Key: k\r\n"] {
                let mut socket = paused(&server, key).await;
                let stored = async {
                    while left(&server, "job_input").await == 0 {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(2), stored).await.expect("the first chunk is there for all");
                admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
                assert_eq!(left(&server, "job_input").await, 1, "while the sender pauses");
                let mut answer = Vec::new();
                let whole = socket.read_to_end(&mut answer);
                let _ = tokio::time::timeout(Duration::from_secs(10), whole).await;
                let answer = String::from_utf8_lossy(&answer);
                assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"), "{answer}");
                assert_eq!((left(&server, "job_input").await, left(&server, "job").await), (0, 0));
            }
            server.end().await;
        });
    }
}
