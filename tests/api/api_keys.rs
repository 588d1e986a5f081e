//! Keys by which programs act as a user, within scopes.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value as Json, json};

use crate::{
    crash::everything,
    support::{Answer, Caller, Person, TestServer, on_both},
};

const KEYS: &str = "/v1/api-keys";

async fn key(caller: &Caller, scopes: Json) -> Answer {
    caller.post(KEYS, json!({"name": "Robot", "scopes": scopes})).await
}

fn robot(server: &TestServer, made: &Answer) -> Caller {
    server.with_token(made.json["key"].as_str())
}

#[test]
fn a_key_does_what_its_user_may_and_its_scopes_name() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let made = key(&rep, json!(["account:*", "contact:read", "pipeline:create", "me:read"])).await.expect(201);
        assert_eq!(made.header("cache-control"), "no-store");
        let text = made.json["key"].as_str().unwrap();
        assert!(
            text.starts_with("ripen_pat_")
                && text.len() == 47
                && text.starts_with(made.json["prefix"].as_str().unwrap())
        );
        let robot = robot(&server, &made);
        let mine = robot.post("/v1/accounts", json!({"name": "Robots"})).await.expect(201);
        let me = robot.get("/v1/me").await.expect(200).json;
        assert_eq!((&mine.json["owner_id"], &me["user"]["email"]), (&me["user"]["id"], &json!("rep@acme.example")));
        let rights: Vec<_> = me["rights"].as_array().unwrap().iter().map(|right| right.as_str().unwrap()).collect();
        assert_eq!(rights, ["account:create", "account:read", "account:update", "contact:read", "me:read"]);
        robot.post("/v1/contacts", json!({"last_name": "Jones"})).await.expect(403);
        robot.post("/v1/pipelines", json!({"name": "Not the user's"})).await.expect(403);
        let theirs = admin.post("/v1/accounts", json!({"name": "Theirs", "owner_id": null})).await.expect(201);
        robot.get(&format!("/v1/accounts/{}", theirs.id())).await.expect(404);
        assert_eq!(key(&robot, json!(["*:*"])).await.expect(403).problem(), "forbidden");
        let listed = rep.get(KEYS).await.expect(200);
        let shown = &listed.data()[0];
        assert_eq!((listed.data().len(), &shown["id"]), (1, &made.json["id"]));
        assert!(!String::from_utf8(listed.bytes.clone()).unwrap().contains(text));
        assert_eq!(shown["last_used_at"], "2026-01-31T09:30:00.000Z");
    });
}

#[test]
fn a_key_ends_with_its_time_its_removal_or_its_user() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let wish = json!({"name": "Short", "scopes": ["account:read"], "expires_at": "2026-01-31T09:35:00Z"});
        let short = robot(&server, &rep.post(KEYS, wish).await.expect(201));
        let made = key(&rep, json!(["account:read"])).await.expect(201);
        let long = robot(&server, &made);
        for caller in [&short, &long] {
            caller.get("/v1/accounts").await.expect(200);
        }
        server.clock.advance(TimeDelta::minutes(4));
        short.get("/v1/accounts").await.expect(200);
        let last_used = rep.get(KEYS).await.expect(200).data()[0]["last_used_at"].clone();
        assert_eq!(last_used, "2026-01-31T09:34:00.000Z");
        server.clock.advance(TimeDelta::minutes(1));
        assert_eq!(short.get("/v1/accounts").await.expect(401).problem(), "token_expired");
        let place = format!("{KEYS}/{}", made.id());
        server.as_person(Person::OtherRep).await.delete(&place).await.expect(404);
        server.as_person(Person::Stranger).await.delete(&place).await.expect(404);
        long.get("/v1/accounts").await.expect(200);
        rep.delete(&place).await.expect(204);
        assert_eq!(long.get("/v1/accounts").await.expect(401).problem(), "invalid_token");
        rep.delete(&place).await.expect(404);
        let last = robot(&server, &key(&rep, json!(["account:read"])).await.expect(201));
        last.get("/v1/accounts").await.expect(200);
        let everybodys = admin.get("/v1/api-keys?of=everybody").await.expect(200);
        assert_eq!((everybodys.data().len(), admin.get(KEYS).await.expect(200).data().len()), (2, 0));
        rep.get("/v1/api-keys?of=everybody").await.expect(403);
        let user = &everybodys.data()[0]["user_id"];
        let user = format!("/v1/users/{}", user.as_str().unwrap());
        admin.patch(&user, json!({"state": "suspended"})).await.expect(200);
        assert_eq!(last.get("/v1/accounts").await.expect(401).problem(), "invalid_token");
    });
}

#[test]
fn what_is_no_key_opens_nothing_and_only_hashes_are_stored() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = key(&admin, json!(["*:*"])).await.expect(201);
        let text = made.json["key"].as_str().unwrap().to_owned();
        let other = "ripen_pat_000000000000000000000000000000_";
        for wrong in [&text[..46], &text.replace("ripen", "Ripen"), &format!("{text}x"), "ripen_pat_", other] {
            assert_eq!(
                server.with_token(Some(wrong)).get("/v1/me").await.expect(401).problem(),
                "invalid_token",
                "{wrong}"
            );
        }
        let store = &server.world().store;
        let sql =
            Statement::from_string(store.backend, "select name, prefix, hash, cast(scopes as text) as s from api_key");
        let row = store.read.query_one_raw(sql).await.unwrap().unwrap();
        let hash: Vec<u8> = row.try_get("", "hash").unwrap();
        assert_eq!(hash.len(), 32);
        let robot = robot(&server, &made);
        let admins = admin.list("/v1/users", &[("filter", "role = \"rep\"")]).await.expect(200);
        let user = format!("/v1/users/{}", admins.data()[0]["id"].as_str().unwrap());
        let raised = robot.patch(&user, json!({"role": "admin"})).await.expect(422);
        assert_eq!(raised.errors(), [("/role", "outside_your_reach")], "a key makes no admins");
        assert_eq!(key(&robot, json!(["account:read"])).await.expect(409).problem(), "invalid_state");
        robot.post("/v1/roles", json!({"key": "x", "name": "X", "rights": []})).await.expect(403);
        for (wish, places) in [
            (json!({"name": "", "scopes": []}), vec!["/name", "/scopes"]),
            (json!({"name": "x", "scopes": ["acount:read", "user:set_password"]}), vec!["/scopes/0", "/scopes/1"]),
            (json!({"name": "x", "scopes": ["*:*"], "expires_at": "2026-01-31T09:30:00Z"}), vec!["/expires_at"]),
            (json!({"name": "x", "scopes": ["*:*"], "expires_at": "tomorrow"}), vec!["/expires_at"]),
        ] {
            let refused = admin.post(KEYS, wish).await.expect(422);
            assert_eq!(refused.errors().iter().map(|(place, _)| *place).collect::<Vec<_>>(), places);
        }
    });
}

#[test]
fn keys_that_are_made_at_once_are_counted_one_by_one() {
    on_both(|server| async move {
        let rep = server.as_person(Person::Rep).await;
        for _ in 0..97 {
            key(&rep, json!(["account:read"])).await.expect(201);
        }
        let mut makers = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let rep = rep.clone();
            makers.spawn(async move { key(&rep, json!(["account:read"])).await.status });
        }
        let mut answers = makers.join_all().await;
        answers.sort_unstable();
        assert_eq!(answers, [vec![201; 3], vec![409; 9]].concat());
        assert_eq!(rep.get(KEYS).await.expect(200).data().len(), 100);
    });
}

/// Not by the library that the product hashes with.
fn sha_256(bytes: &[u8]) -> Vec<u8> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    suite.tls13().unwrap().common.hash_provider.hash(bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn of_a_key_the_whole_database_has_its_sha_256_and_its_beginning_alone() {
    on_both(|server| async move {
        assert!(hex(&sha_256(b"abc")).starts_with("ba7816bf8f01cfea"));
        let admin = server.as_admin().await;
        let wish = json!({"name": "Robot", "scopes": ["*:*"]});
        // the answer, which has the key in it, is kept for whoever asks again
        let request = admin.request("POST", KEYS).header("Idempotency-Key", "once").json(&wish);
        let made = admin.send(request).await.expect(201);
        robot(&server, &made).get("/v1/me").await.expect(200);
        let text = made.json["key"].as_str().unwrap();
        let store = &server.world().store;
        let sql = Statement::from_string(store.backend, "select hash from api_key");
        let row = store.read.query_one_raw(sql).await.unwrap().unwrap();
        let hash: Vec<u8> = row.try_get("", "hash").unwrap();
        assert_eq!(hash, sha_256(text.as_bytes()));
        let rows: Vec<String> = everything(&server).await.iter().map(|row| row.to_ascii_lowercase()).collect();
        let found = rows.iter().any(|row| row.starts_with("api_key: ") && row.contains(&hex(&hash)));
        assert!(found, "bytes are read as digits");
        let hidden = &text[made.json["prefix"].as_str().unwrap().len()..];
        for secret in [hidden.to_ascii_lowercase(), hex(hidden.as_bytes())] {
            let holding = rows.iter().find(|row| row.contains(&secret));
            assert!(holding.is_none(), "{holding:?}");
        }
    });
}
