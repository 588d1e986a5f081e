//! A plugin that misbehaves: stopped, named on its run, and the server and earlier decisions are none the worse.

use serde_json::json;

use super::{
    data,
    support::{Person, on_both},
    work::{HOSTILE, all, ended, install, run, upload},
};

const MODES: [(&str, &str); 8] = [
    ("loop", "plugin_fuel_exhausted"),
    ("memory_bomb", "plugin_memory_exceeded"),
    ("deep_recursion", "plugin_stack_exhausted"),
    ("panic", "plugin_panicked"),
    ("huge_list", "plugin_returned_too_much"),
    ("host_call_flood", "plugin_host_calls_exceeded"),
    ("wrong_row_count", "plugin_wrong_row_count"),
    ("nan", "plugin_not_finite"),
];

#[test]
fn every_misbehaviour_ends_its_run_and_nothing_else() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        data::write(&cx, "account", (0..200).map(|n| json!({"name": format!("Account {n}")})).collect()).await;
        let admin = server.as_admin().await;
        upload(&admin, HOSTILE).await;
        install(&admin, json!({"key": "hostile", "plugin": "hostile", "kind": "scorer", "config": {"mode": "ok"}}))
            .await;
        for (mode, code) in MODES {
            let wanted = json!({"installation": "hostile", "mode": "simulate", "config": {"mode": mode}});
            let job = ended(&admin, admin.post("/v1/plugin-runs", wanted).await).await;
            assert_eq!((&job["state"], &job["problem"]["code"]), (&json!("failed"), &json!(code)), "{mode} {job:#}");
            let failed = admin.get(&format!("/v1/plugin-runs/{}", job["id"].as_str().unwrap())).await.expect(200);
            assert_eq!((&failed.json["ended"], &failed.json["problem"]), (&json!("failed"), &json!(code)));
            admin.get("/livez").await.expect(200);
        }
    });
}

#[test]
fn a_run_that_fails_keeps_what_is_known_and_marks_it() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        data::write(&cx, "account", (0..200).map(|n| json!({"name": format!("Account {n}")})).collect()).await;
        let admin = server.as_admin().await;
        upload(&admin, HOSTILE).await;
        install(&admin, json!({"key": "hostile", "plugin": "hostile", "kind": "scorer", "config": {"mode": "ok"}}))
            .await;
        let apply = json!({"installation": "hostile", "mode": "apply", "as_of": "2026-01-01"});
        assert_eq!(run(&admin, apply.clone()).await["scored"], 200);

        let broken = admin.patch("/v1/installations/hostile", json!({"config": {"mode": "panic"}})).await.expect(200);
        assert_eq!(broken.json["config_version"], 2);
        let job = ended(&admin, admin.post("/v1/plugin-runs", apply.clone()).await).await;
        assert_eq!(job["problem"]["code"], "plugin_panicked", "{job:#}");
        let stale = all(&admin, "/v1/scores", "stale = true AND value = 50 AND config_version = 1", None).await;
        assert_eq!(stale.len(), 200);

        admin.patch("/v1/installations/hostile", json!({"config": {"mode": "ok"}})).await.expect(200);
        run(&admin, apply).await;
        assert_eq!(all(&admin, "/v1/scores", "stale = false AND config_version = 3", None).await.len(), 200);
    });
}

#[test]
fn a_configuration_that_breaks_the_plugin_is_refused_when_it_is_given() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        upload(&admin, HOSTILE).await;
        let installation =
            |mode: &str| json!({"key": mode, "plugin": "hostile", "kind": "scorer", "config": {"mode": mode}});
        let refused = admin.post("/v1/installations", installation("init_error")).await.expect(422);
        assert_eq!(refused.errors(), [("/config", "config_invalid")]);
        let panicked = admin.post("/v1/installations", installation("init_panic")).await;
        assert_eq!(panicked.problem(), "plugin_panicked");
        assert!(all(&admin, "/v1/installations", "config_version = 1", None).await.is_empty());
    });
}
