//! What happens to an installation while a run of it is under way, and facts that no plugin can be sent.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use super::{
    data,
    rfm::install_everything,
    support::{Answer, Caller, Person, TestServer, on_both},
    work::{RFM, all, ended, put_off, run, upload},
};

/// A run that has been asked for, and has not come to store its first page.
async fn under_way(server: &TestServer, admin: &Caller) -> Answer {
    data::companies(&server.context(Person::Admin).await).await;
    upload(admin, RFM).await;
    install_everything(admin).await;
    server.fails("score", true).await;
    let asked = admin.post("/v1/plugin-runs", json!({"installation": "companies-scorer", "mode": "apply"})).await;
    put_off(server).await;
    server.fails("score", false).await;
    asked
}

/// How a run that goes on now ends: its job and itself.
async fn goes_on(server: &TestServer, admin: &Caller, asked: Answer) -> (Json, Json) {
    server.clock.advance(TimeDelta::seconds(10));
    let job = ended(admin, asked).await;
    let run = admin.get(&format!("/v1/plugin-runs/{}", job["id"].as_str().unwrap())).await.expect(200).json;
    assert_eq!((&job["state"], &run["ended"]), (&json!("failed"), &json!("failed")));
    assert_eq!(job["problem"]["code"], run["problem"]);
    (job, run)
}

#[test]
fn a_run_decides_nothing_once_its_installation_is_paused() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let asked = under_way(&server, &admin).await;
        admin.post("/v1/installations/companies-scorer/pause", json!({})).await.expect(200);
        let (_, run) = goes_on(&server, &admin, asked).await;
        assert_eq!(run["problem"], "invalid_state");
        assert!(all(&admin, "/v1/scores", "value >= 0", None).await.is_empty());
    });
}

#[test]
fn a_run_ends_where_a_newer_configuration_has_been_applied() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let asked = under_way(&server, &admin).await;
        let changed = json!({"config": {"weights": [1, 0, 0]}});
        admin.patch("/v1/installations/companies-scorer", changed).await.expect(200);
        run(&admin, json!({"installation": "companies-scorer", "mode": "apply"})).await;
        let (job, run) = goes_on(&server, &admin, asked).await;
        assert_eq!(run["problem"], "invalid_state");
        assert!(job["problem"]["detail"].as_str().unwrap().contains("newer configuration"), "{job:#}");
        let scores = all(&admin, "/v1/scores", "value >= 0", None).await;
        assert!(!scores.is_empty() && scores.iter().all(|score| score["config_version"] == 2));
    });
}

#[test]
fn a_run_that_failed_with_its_database_says_so_and_goes_on_when_it_is_told_to() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let asked = under_way(&server, &admin).await.expect(202);
        server.fails("score", true).await;
        let (job, run) = (format!("/v1/jobs/{}", asked.id()), format!("/v1/plugin-runs/{}", asked.id()));
        while admin.get(&job).await.expect(200).json["state"] != "failed" {
            put_off(&server).await;
            server.clock.advance(TimeDelta::seconds(30));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let failed = admin.get(&run).await.expect(200).json;
        assert_eq!((&failed["ended"], &failed["problem"]), (&json!("failed"), &json!("database_unavailable")));
        server.fails("score", false).await;
        admin.post(&format!("{job}/retry"), json!({})).await.expect(202);
        while admin.get(&job).await.expect(200).json["state"] != "succeeded" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let done = admin.get(&run).await.expect(200).json;
        assert_eq!((&done["ended"], &done["problem"]), (&json!("succeeded"), &json!(null)));
        assert!(!all(&admin, "/v1/scores", "value >= 0", None).await.is_empty());
    });
}

#[test]
fn amounts_that_no_plugin_can_be_sent_stop_the_run_and_name_the_subject() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        let ann = data::write(&cx, "account", vec![json!({"name": "Ann", "kind": "person"})]).await[0];
        let amount = json!({"amount": "92233720368547758.07", "currency": "USD"});
        let order = json!({"account_id": ann, "placed_on": "2025-12-01", "amount": amount});
        data::write(&cx, "order", vec![order.clone(), order]).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let asked = admin.post("/v1/plugin-runs", json!({"installation": "customers-scorer", "mode": "apply"})).await;
        let job = ended(&admin, asked).await;
        assert_eq!((&job["state"], &job["problem"]["code"]), (&json!("failed"), &json!("out_of_range")));
    });
}
