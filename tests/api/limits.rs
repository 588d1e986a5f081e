//! How often one may ask, told in every answer; and every limit in one place.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::support::{Db, Person, TestServer, block_on, on_both, prepare};

#[test]
fn a_tenant_and_a_token_have_so_many_requests_a_minute_and_every_answer_tells_what_is_left() {
    prepare(Db::Sqlite);
    block_on(async {
        let server = TestServer::with(Db::Sqlite, |config| {
            config.limits.tenant_per_minute = 6;
            config.limits.token_per_minute = 3;
        });
        let server = server.await;
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let first = admin.get("/v1/accounts").await.expect(200);
        assert_eq!(first.header("ratelimit-policy"), "\"tenant\";q=6;w=60, \"token\";q=3;w=60");
        assert_eq!(first.header("ratelimit"), "\"tenant\";r=5;t=10, \"token\";r=2;t=20");
        let refused = admin.get("/v1/accounts?no").await.expect(400);
        assert_eq!(refused.header("ratelimit"), "\"tenant\";r=4;t=20, \"token\";r=1;t=40", "refusals count too");
        admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let over = admin.get("/v1/accounts").await.expect(429);
        assert_eq!((over.problem(), over.header("retry-after")), ("too_many_requests", "20"));
        assert!(over.header("ratelimit").ends_with("\"token\";r=0;t=60"), "{}", over.header("ratelimit"));
        assert!(over.header("ratelimit").starts_with("\"tenant\";r=3;"), "{}", over.header("ratelimit"));
        for _ in 0..3 {
            admin.get("/v1/accounts").await.expect(429);
            rep.get("/v1/accounts").await.expect(200);
        }
        let all = server.as_person(Person::Manager).await.get("/v1/accounts").await.expect(429);
        assert!(all.json["detail"].as_str().unwrap().contains("tenant"), "{}", all.json);
        let stranger = server.as_person(Person::Stranger).await;
        stranger.get("/v1/accounts").await.expect(200);
        assert_eq!(server.anonymous().get("/livez").await.expect(200).header("ratelimit"), "");
        server.clock.advance(TimeDelta::seconds(20));
        admin.get("/v1/accounts").await.expect(200);
        server.clock.advance(TimeDelta::seconds(-3600));
        admin.get("/v1/accounts").await.expect(429);
        server.clock.advance(TimeDelta::seconds(60));
        admin.get("/v1/accounts").await.expect(200);
        server.end().await;
    });
}

#[test]
fn a_quota_may_be_as_large_as_its_setting() {
    prepare(Db::Sqlite);
    block_on(async {
        let server = TestServer::with(Db::Sqlite, |config| {
            config.limits.tenant_per_minute = u32::MAX;
            config.limits.token_per_minute = 100_000_000;
        });
        let server = server.await;
        let answer = server.as_admin().await.get("/v1/accounts").await.expect(200);
        assert!(answer.header("ratelimit").ends_with("\"token\";r=99999999;t=1"), "{}", answer.header("ratelimit"));
        server.end().await;
    });
}

#[test]
fn every_limit_is_told_as_the_settings_and_the_code_have_it() {
    on_both(|server| async move {
        let rep = server.as_person(Person::Rep).await;
        let told = rep.get("/v1/limits").await.expect(200).json;
        for (place, value) in [
            ("/requests/per_minute_of_tenant", json!(600_000)),
            ("/requests/per_minute_of_token", json!(120_000)),
            ("/bodies/json_bytes", json!(1 << 20)),
            ("/bodies/json_depth", json!(64)),
            ("/bodies/batch_bytes", json!(8 << 20)),
            ("/bodies/plugin_bytes", json!(24 << 20)),
            ("/lists/page", json!(200)),
            ("/lists/names", json!(1000)),
            ("/filters/nodes", json!(50)),
            ("/filters/depth", json!(8)),
            ("/filters/values", json!(200)),
            ("/filters/relations", json!(2)),
            ("/filters/letters_beyond_ascii", json!(80)),
            ("/searches/characters", json!(200)),
            ("/searches/records_where_fields_are_hidden", json!(1000)),
            ("/aggregates/measures", json!(20)),
            ("/aggregates/group_by", json!(4)),
            ("/aggregates/periods", json!(1000)),
            ("/aggregates/groups", json!(1000)),
            ("/aggregates/groups_looked_at", json!(10_000)),
            ("/lines/of_record", json!(500)),
            ("/merges/records", json!(10_000)),
            ("/erasures/records", json!(10_000)),
            ("/custom/fields", json!(200)),
            ("/custom/objects", json!(100)),
            ("/custom/options", json!(200)),
            ("/custom/indexed_characters", json!(500)),
            ("/passwords/least_characters", json!(10)),
            ("/imports/workbook_bytes", json!(64 << 20)),
            ("/bodies/upload_seconds", json!(300)),
            ("/batches/operations", json!(1000)),
            ("/composites/operations", json!(100)),
            ("/exports/at_once_of_tenant", json!(2)),
            ("/idempotency/kept_seconds", json!(86_400)),
        ] {
            assert_eq!(told.pointer(place), Some(&value), "{place}");
        }
        let over = rep.get("/v1/accounts?limit=201").await.expect(400);
        assert!(over.json["detail"].as_str().unwrap().contains(&told["lists"]["page"].to_string()));
        server.anonymous().get("/v1/limits").await.expect(401);
        assert_eq!(rep.post("/v1/limits", Json::Null).await.expect(405).header("allow"), "GET, HEAD");
    });
}

#[test]
fn a_proxy_that_is_trusted_says_where_a_request_comes_from_and_nobody_else_does() {
    prepare(Db::Sqlite);
    block_on(async {
        for (trusted, waits) in [(false, true), (true, false)] {
            let server = TestServer::with(Db::Sqlite, |config| {
                config.server.trusted_proxies = trusted.then(|| "127.0.0.0/8".parse().unwrap()).into_iter().collect();
            });
            let server = server.await;
            let nobody = server.anonymous();
            let login = async |n: usize| {
                let body = json!({"tenant": "acme", "email": "admin@acme.example", "password": "wrong wrong"});
                let request =
                    nobody.request("POST", "/v1/auth/login").header("X-Forwarded-For", format!("203.0.113.{n}"));
                nobody.send(request.json(&body)).await.status
            };
            let mut answers = Vec::new();
            for n in 0..8 {
                answers.push(login(n).await);
            }
            assert_eq!(answers.contains(&429), waits, "{answers:?}");
            server.end().await;
        }
    });
}
