//! A request with an `Idempotency-Key` has one effect and one answer.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use reqwest::multipart::{Form, Part};
use ripen_core::{access::Actor, context::Context, idempotency::Attempt};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value as Json, json};

use crate::{
    every_kind::{Maker, every_kind, path, takes},
    support::{Answer, Caller, Person, TestServer, on_both},
};

async fn keyed(caller: &Caller, key: &str, method: &str, path: &str, body: &Json) -> Answer {
    caller.send(caller.request(method, path).header("Idempotency-Key", key).json(body)).await
}

async fn count(server: &TestServer, table: &str) -> i64 {
    let store = &server.world().store;
    let sql = sea_orm::Statement::from_string(store.backend, format!("select count(*) from \"{table}\""));
    store.read.query_one_raw(sql).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// The same answer, told to be one given before.
#[track_caller]
fn replayed(first: &Answer, again: &Answer) {
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
    for name in ["content-type", "location", "etag"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
}

#[test]
fn a_replayed_key_answers_with_the_stored_response_for_every_kind() {
    every_kind(|server, maker: &mut Maker, shape| {
        Box::pin(async move {
            let (admin, body) = (maker.admin.clone(), Json::from(maker.body(&shape).await));
            let key = |verb: &str| format!("{}-{verb}", shape.name);
            let rows = count(server, shape.table_name()).await;
            let made = keyed(&admin, &key("create"), "POST", &path(&shape), &body).await.expect(201);
            replayed(&made, &keyed(&admin, &key("create"), "POST", &path(&shape), &body).await);
            assert_eq!(count(server, shape.table_name()).await, rows + 1);
            let here = format!("{}/{}", path(&shape), made.id());
            if takes(&shape, ripen_core::access::Verb::Update) {
                let patch = json!({"external_id": key("patch")});
                let changed = keyed(&admin, &key("patch"), "PATCH", &here, &patch).await.expect(200);
                replayed(&changed, &keyed(&admin, &key("patch"), "PATCH", &here, &patch).await);
                assert_eq!(admin.get(&here).await.expect(200).json["version"], 2);
            }
            if takes(&shape, ripen_core::access::Verb::Delete) {
                let gone = keyed(&admin, &key("delete"), "DELETE", &here, &Json::Null).await.expect(204);
                replayed(&gone, &keyed(&admin, &key("delete"), "DELETE", &here, &Json::Null).await);
            }
        })
    });
}

#[test]
fn a_key_belongs_to_one_request_of_one_caller() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let stranger = server.as_person(Person::Stranger).await;
        let body = json!({"name": "Acme"});
        let made = keyed(&admin, "k", "POST", "/v1/accounts", &body).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        for (method, path, other) in [
            ("POST", "/v1/accounts", json!({"name": "Other"})),
            ("POST", "/v1/products", body.clone()),
            ("PATCH", here.as_str(), body.clone()),
        ] {
            let refused = keyed(&admin, "k", method, path, &other).await.expect(422);
            assert_eq!(refused.problem(), "idempotency_key_reused", "{method} {path}");
        }
        for other in [&rep, &stranger] {
            let own = keyed(other, "k", "POST", "/v1/accounts", &body).await.expect(201);
            assert_ne!(own.id(), made.id());
            assert_eq!(own.header("idempotent-replayed"), "");
        }
    });
}

#[test]
fn only_successful_answers_are_kept_and_for_a_day() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let refused = keyed(&admin, "k", "POST", "/v1/accounts", &json!({"name": ""})).await.expect(422);
        assert_eq!(refused.problem(), "validation_failed");
        assert_eq!(count(&server, "idempotency_key").await, 0);
        let body = json!({"name": "Acme"});
        let made = keyed(&admin, "k", "POST", "/v1/accounts", &body).await.expect(201);
        server.clock.advance(TimeDelta::hours(24) - TimeDelta::milliseconds(1));
        let admin = server.again(Person::Admin).await;
        replayed(&made, &keyed(&admin, "k", "POST", "/v1/accounts", &body).await);
        server.clock.advance(TimeDelta::milliseconds(1));
        let fresh = keyed(&admin, "k", "POST", "/v1/accounts", &body).await.expect(201);
        assert_ne!(fresh.id(), made.id());
        assert_eq!(count(&server, "idempotency_key").await, 1, "the old answer is gone");
    });
}

#[test]
fn old_answers_are_removed_while_the_server_runs() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        keyed(&admin, "k", "POST", "/v1/accounts", &json!({"name": "Acme"})).await.expect(201);
        server.clock.advance(TimeDelta::hours(25));
        for _ in 0..3000 {
            if count(&server, "idempotency_key").await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody sends a key, and nobody tidies");
    });
}

#[test]
fn a_key_is_1_to_255_visible_characters() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let long = "k".repeat(256);
        for key in ["", "a b", "\u{e4}", &long] {
            let refused = keyed(&admin, key, "POST", "/v1/accounts", &json!({"name": "Acme"})).await.expect(400);
            assert_eq!(refused.problem(), "invalid_parameter", "{key}");
            assert_eq!(refused.errors(), [("Idempotency-Key", "invalid_parameter")]);
        }
        keyed(&admin, &long[1..], "POST", "/v1/accounts", &json!({"name": "Acme"})).await.expect(201);
        let twice = admin.request("POST", "/v1/accounts").header("Idempotency-Key", "a").header("Idempotency-Key", "b");
        let twice = admin.send(twice.json(&json!({"name": "Acme"}))).await.expect(400);
        assert_eq!(twice.errors(), [("Idempotency-Key", "invalid_parameter")]);
    });
}

#[test]
fn a_key_under_way_is_refused_until_its_request_has_ended() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let user = admin.get("/v1/me").await.expect(200).json["user"]["id"].as_str().unwrap().parse().unwrap();
        let attempt = Attempt::new("k", "POST", "/v1/accounts").unwrap();
        let actor = Actor::system_for(Some(user));
        let system = server.context(Person::Admin).await;
        let cx = Context { actor: Arc::new(actor), attempt: Some(Arc::new(attempt)), ..system };
        let unit = cx.begin().await.unwrap();
        let body = json!({"name": "Acme"});
        let early = keyed(&admin, "k", "POST", "/v1/accounts", &body).await.expect(409);
        assert_eq!((early.problem(), early.header("retry-after")), ("request_in_flight", "1"));
        drop(unit);
        keyed(&admin, "k", "POST", "/v1/accounts", &body).await.expect(201);
    });
}

#[test]
fn many_at_once_with_one_key_write_once() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut sent = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let admin = admin.clone();
            sent.spawn(async move { keyed(&admin, "k", "POST", "/v1/accounts", &json!({"name": "Acme"})).await });
        }
        let mut first = 0;
        for answer in sent.join_all().await {
            match (answer.status, answer.header("idempotent-replayed")) {
                (201, "") => first += 1,
                (201, "true") => {}
                _ => assert_eq!(answer.problem(), "request_in_flight"),
            }
        }
        assert_eq!((first, count(&server, "account").await), (1, 1));
    });
}

#[test]
fn actions_take_keys_without_knowing_it() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let spec = json!({"kind": "account", "mode": "insert", "mapping": {"name": {"column": "name"}}}).to_string();
        let import = |file: &'static str| {
            let form = Form::new().text("spec", spec.clone()).part("file", Part::text(file).file_name("f.csv"));
            admin.send(admin.request("POST", "/v1/imports").header("Idempotency-Key", "k").multipart(form))
        };
        let job = import("name\nAcme\n").await.expect(202);
        replayed(&job, &import("name\nAcme\n").await);
        assert_eq!(import("name\nOther\n").await.expect(422).problem(), "idempotency_key_reused");
        assert_eq!(count(&server, "job").await, 1);
        let here = format!("/v1/jobs/{}/cancel", job.id());
        let cancelled = keyed(&admin, "c", "POST", &here, &Json::Null).await;
        let again = keyed(&admin, "c", "POST", &here, &Json::Null).await;
        if cancelled.status == 200 {
            replayed(&cancelled, &again);
        } else {
            assert_eq!((cancelled.problem(), again.problem()), ("invalid_state", "invalid_state"));
        }
    });
}
