//! What a tenant chooses for itself.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::support::{Answer, Caller, Person, on_both};

const HERE: &str = "/v1/tenant";

async fn require(caller: &Caller, on: bool) -> Answer {
    let patch = caller.request("PATCH", HERE).header("If-Match", "*").json(&json!({"require_preconditions": on}));
    caller.send(patch).await
}

#[test]
fn everyone_reads_the_tenant_and_admins_change_it_from_the_version_they_know() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let seen = rep.get(HERE).await.expect(200);
        assert_eq!(seen.header("etag"), "\"v1\"");
        let told = |answer: &Answer| {
            ["slug", "name", "base_currency", "time_zone", "require_preconditions", "version"]
                .map(|name| answer.json[name].clone())
        };
        assert_eq!(told(&seen), [json!("acme"), json!("acme"), json!("USD"), json!("UTC"), json!(false), json!(1)]);
        assert_eq!(rep.get("/v1/me").await.expect(200).json["tenant"], seen.json);
        assert!(
            rep.patch(HERE, json!({"name": "Mine"})).await.expect(403).json["detail"]
                .as_str()
                .unwrap()
                .contains("tenant:update")
        );
        let changed = admin.patch(HERE, json!({"name": "Acme Ltd", "time_zone": "Asia/Shanghai"})).await.expect(200);
        assert_eq!((changed.header("etag"), &changed.json["time_zone"]), ("\"v2\"", &json!("Asia/Shanghai")));
        let stale = admin.request("PATCH", HERE).header("If-Match", "\"v1\"").json(&json!({"name": "Late"}));
        assert_eq!(admin.send(stale).await.expect(412).problem(), "stale");
        assert_eq!(rep.get(HERE).await.expect(200).bytes, changed.bytes);
        let stranger = server.as_person(Person::Stranger).await;
        assert_eq!(stranger.get(HERE).await.expect(200).json["slug"], "globex");
        let wrong =
            json!({"name": "", "time_zone": "Berlin", "require_preconditions": 1, "slug": "x", "base_curency": "EUR"});
        let refused = admin.patch(HERE, wrong).await.expect(422);
        let mut errors = refused.errors();
        errors.sort_unstable();
        assert_eq!(
            errors,
            [
                ("/base_curency", "unknown_field"),
                ("/name", "invalid_value"),
                ("/require_preconditions", "wrong_type"),
                ("/slug", "read_only"),
                ("/time_zone", "invalid_value"),
            ]
        );
        assert_eq!(admin.get(HERE).await.expect(200).bytes, changed.bytes);
    });
}

#[test]
fn days_are_those_of_the_new_zone_from_the_next_request_on() {
    on_both(|server| async move {
        server.clock.advance(TimeDelta::hours(8)); // 17:30 on the 31st in UTC, 01:30 on the 1st in Shanghai
        let admin = server.as_admin().await;
        admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let today = [("filter", "created_at >= today()")];
        let yesterday = [("filter", "created_at < today()")];
        server.clock.advance(TimeDelta::hours(7)); // half past midnight in UTC
        let admin = server.again(Person::Admin).await;
        assert_eq!(admin.list("/v1/accounts", &yesterday).await.expect(200).data().len(), 1);
        admin.patch(HERE, json!({"time_zone": "Asia/Shanghai"})).await.expect(200);
        assert_eq!(admin.list("/v1/accounts", &today).await.expect(200).data().len(), 1);
    });
}

#[test]
fn a_tenant_that_requires_preconditions_refuses_blind_writes_with_428() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        admin.patch(&here, json!({"employees": 1})).await.expect(200);
        require(&admin, true).await.expect(200);
        let rename = json!({"name": "Blind"});
        let refused = [
            admin.patch(&here, rename.clone()).await,
            admin.delete(&here).await,
            admin.post(&format!("{here}/restore"), Json::Null).await,
            admin.patch(HERE, json!({"name": "Blind"})).await,
        ];
        for refused in refused {
            assert_eq!(refused.expect(428).problem(), "precondition_required");
        }
        let update = |version: Json| {
            let step = json!({"op": "update", "kind": "account", "id": made.id(), "data": rename});
            let mut step = step.as_object().unwrap().clone();
            step.extend((!version.is_null()).then(|| ("version".to_owned(), version)));
            step
        };
        let batch = async |version: Json| {
            let mut step = update(version);
            step.remove("kind");
            let create = json!({"op": "create", "data": {"name": "New"}});
            admin.post("/v1/accounts/batch", json!({"operations": [step, create]})).await.expect(200).json
        };
        let told = batch(Json::Null).await;
        assert_eq!((&told["results"][0]["status"], &told["results"][1]["status"]), (&json!(428), &json!(201)));
        let composite = admin.post("/v1/composite", json!({"operations": [update(Json::Null)]})).await.expect(422);
        assert_eq!(composite.errors(), [("/operations/0", "precondition_required")]);
        assert_eq!(admin.get(&here).await.expect(200).json["name"], "Acme");
        assert_eq!(batch(json!(2)).await["results"][0]["status"], 200);
        let any = admin.request("PATCH", &here).header("If-Match", "*").json(&json!({"name": "Any"}));
        admin.send(any).await.expect(200);
        let seen = admin.request("DELETE", &here).header("If-Match", "\"v4\"");
        admin.send(seen).await.expect(204);
        require(&admin, false).await.expect(200);
        admin.post(&format!("{here}/restore"), Json::Null).await.expect(200);
        admin.patch(&here, rename).await.expect(200);
    });
}
