//! The shipped plugin over both populations, against figures that an independent script computed from the raw files.

use std::{path::Path, process::Command, sync::Mutex};

use serde_json::{Value as Json, json};

use super::{
    data,
    support::{Caller, Person, on_both},
    work::{RFM, all, ended, install, put_off, run, upload},
};

fn expected() -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent/expected.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub async fn install_everything(admin: &Caller) {
    let wins = json!({
        "recency_days": {"from": "metric:days_since_last_win"},
        "orders": {"from": "metric:won_count", "window": "P365D"},
        "revenue": {"from": "metric:won_amount", "window": "P365D"},
    });
    for kind in ["scorer", "segmenter"] {
        for (name, of, bindings) in [("customers", "person", json!({})), ("companies", "company", wins.clone())] {
            let installation = json!({
                "key": format!("{name}-{kind}"), "plugin": "rfm@1.0.0", "kind": kind,
                "where": format!("kind = \"{of}\""), "bindings": bindings,
            });
            install(admin, installation).await;
        }
    }
}

/// Scores and labels of a population, one line a subject, best first.
async fn exported(admin: &Caller, population: &str) -> Vec<Json> {
    let of = |kind: &str| format!("installation.key = \"{population}-{kind}\"");
    let mut lines = Vec::new();
    let labels = all(admin, "/v1/labels", &of("segmenter"), None).await;
    for score in all(admin, "/v1/scores", &of("scorer"), Some("subject")).await {
        let label = labels
            .iter()
            .find(|label| label["subject_id"] == score["subject_id"])
            .expect("every scored subject has a label");
        let terms: Vec<_> =
            score["contributions"].as_array().unwrap().iter().map(|term| term["value"].clone()).collect();
        lines.push(json!({
            "external_id": score["subject"]["external_id"], "value": score["value"], "label": label["label"],
            "contributions": terms,
        }));
    }
    lines.sort_by(|a, b| {
        let value = |line: &Json| line["value"].as_f64().unwrap();
        let name = |line: &Json| line["external_id"].as_str().unwrap().to_owned();
        value(b).total_cmp(&value(a)).then_with(|| name(a).cmp(&name(b)))
    });
    lines
}

/// Runs the independent script over what the product exported.
fn agrees(exports: &[(&str, &[Json])]) {
    let dir = tempfile::tempdir().unwrap();
    let mut script = Command::new("python3");
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent/check_rfm.py"));
    for (population, lines) in exports {
        let file = dir.path().join(population);
        std::fs::write(&file, lines.iter().map(Json::to_string).collect::<Vec<_>>().join("\n")).unwrap();
        script.arg(format!("{population}={}", file.display()));
    }
    match script.output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(_) => eprintln!("skipped: the independent script needs python3"),
    }
}

#[test]
fn both_populations_agree_with_the_independent_script() {
    let seen = &Mutex::new(Vec::new());
    on_both(|server| async move {
        data::load(&server.context(Person::Admin).await).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let mut digests = Vec::new();
        for (population, as_of) in [("customers", "1998-07-01"), ("companies", "2018-01-01")] {
            for kind in ["scorer", "segmenter"] {
                let wanted = json!({"installation": format!("{population}-{kind}"), "mode": "apply", "as_of": as_of});
                let first = run(&admin, wanted.clone()).await;
                let again = run(&admin, wanted).await;
                for figure in ["input_digest", "rows", "scored", "not_scored", "fuel", "result"] {
                    assert_eq!(first[figure], again[figure], "{population} {kind} {figure}");
                }
                digests.push(json!([first["input_digest"], first["fuel"]]));
            }
        }
        let (customers, companies) = (exported(&admin, "customers").await, exported(&admin, "companies").await);
        assert_eq!((customers.len(), companies.len()), (2357, 85));
        let rewritten = all(&admin, "/v1/scores", "version > 1", None).await;
        assert!(rewritten.is_empty(), "the second run found the same and wrote {}", rewritten.len());
        agrees(&[("cdnow@1998-07-01", &customers), ("b2b@2018-01-01", &companies)]);
        assert_eq!(Json::from(companies.clone()), expected()["b2b_2018_01_01_scores"]);
        seen.lock().unwrap().push((digests, customers, companies));
    });
    let seen = seen.lock().unwrap();
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "both databases give the same");
}

#[test]
fn a_ranking_is_checked_against_what_came_after() {
    on_both(|server| async move {
        data::load(&server.context(Person::Admin).await).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let wanted = json!({
            "installation": "customers-scorer", "mode": "backtest", "as_of": "1997-10-01",
            "outcome": {"fact": "order_revenue", "window": "P9M"},
        });
        let result = run(&admin, wanted).await["result"].clone();
        let fifths = result["fifths"].as_array().unwrap();
        for (found, expected) in fifths.iter().zip(expected()["cdnow_backtest_1997_10_01"].as_array().unwrap()) {
            let percent = |share: &Json| json!((share.as_f64().unwrap() * 1000.0).round() / 10.0);
            assert_eq!(found["subjects"], expected["subjects"]);
            assert_eq!(found["sum"], json!({"amount": expected["outcome_sum"], "currency": "USD"}));
            assert_eq!(percent(&found["share"]), expected["outcome_share_percent"]);
            assert_eq!(found["with_outcome"], expected["with_revenue"]);
            assert_eq!(percent(&found["with_outcome_share"]), expected["with_revenue_percent"]);
        }
        assert_eq!(fifths.len(), 5);
        assert!(all(&admin, "/v1/scores", "value >= 0", None).await.is_empty(), "a backtest books nothing");
    });
}

#[test]
fn a_simulation_says_who_would_move_and_moves_nobody() {
    on_both(|server| async move {
        data::companies(&server.context(Person::Admin).await).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let mut wanted = json!({
            "installation": "companies-scorer", "mode": "simulate", "as_of": "2018-01-01", "config": {"weights": [1, 1, 2]},
        });
        let result = run(&admin, wanted.clone()).await["result"].clone();
        let expected = &expected()["b2b_2018_01_01_double_money"];
        assert_eq!(result["changed_values"], expected["changed_values"]);
        assert_eq!(result["changed_ranks"], expected["changed_ranks"]);
        for way in ["up", "down"] {
            for (found, expected) in result[way].as_array().unwrap().iter().zip(expected[way].as_array().unwrap()) {
                assert_eq!(found["external_id"], expected["external_id"]);
                assert_eq!(
                    found["before"],
                    json!({"value": expected["value_before"], "rank": expected["rank_before"]})
                );
                assert_eq!(found["after"], json!({"value": expected["value_after"], "rank": expected["rank_after"]}));
            }
            assert_eq!(result[way].as_array().unwrap().len(), 20);
        }
        assert!(all(&admin, "/v1/scores", "value >= 0", None).await.is_empty(), "a simulation books nothing");

        // The cuts are those of all companies, however few are looked at: the same values come out.
        wanted["where"] = json!("name = \"Gogozoom\" OR name = \"Xx-holding\"");
        let few = run(&admin, wanted).await["result"].clone();
        assert_eq!((&few["subjects"], &few["changed_values"]), (&json!(2), &json!(2)));
        assert_eq!(few["up"][0]["after"], json!({"value": 62.5, "rank": 1}));
        assert_eq!(few["down"][0]["before"], json!({"value": 66.666_666_666_666_67, "rank": 1}));

        // Who is erased is named by no result any more.
        let gone = admin.list("/v1/accounts", &[("filter", "name = \"Gogozoom\"")]).await.expect(200);
        let erase = format!("/v1/accounts/{}/erase", gone.data()[0]["id"].as_str().unwrap());
        let job = ended(&admin, admin.send(admin.request("POST", &erase)).await).await;
        assert_eq!(job["result"]["erased"]["results"], 4, "{job:#}");
        for path in ["/v1/jobs", "/v1/plugin-runs"] {
            for row in admin.get(path).await.expect(200).data() {
                assert!(!row["result"].to_string().contains("Gogozoom"), "{row:#}");
            }
        }
    });
}

#[test]
fn who_has_no_order_is_not_scored_and_the_reason_is_told() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        let people = ["Ann", "Bob"].map(|name| json!({"external_id": name, "name": name, "kind": "person"}));
        let ids = data::write(&cx, "account", people.to_vec()).await;
        let order = |amount: &str| json!({"account_id": ids[0], "placed_on": "2025-12-01", "amount": {"amount": amount, "currency": "USD"}});
        data::write(&cx, "order", vec![order("12.50")]).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let wanted = json!({"installation": "customers-scorer", "mode": "apply"});
        let first = run(&admin, wanted.clone()).await;
        assert_eq!((&first["scored"], &first["not_scored"]), (&json!(1), &json!(1)));
        assert_eq!(first["result"]["not_scored"], json!({"missing_fact": 1}));
        let silent = all(&admin, "/v1/not-scored", "code = \"missing_fact\"", Some("subject")).await;
        assert_eq!((silent.len(), &silent[0]["args"]), (1, &json!(["recency_days"])));
        assert_eq!(silent[0]["subject"]["name"], "Bob");

        // Bob orders, Ann becomes a company: one decision comes, the other goes.
        data::write(
            &cx,
            "order",
            vec![
                json!({"account_id": ids[1], "placed_on": "2026-01-02", "amount": {"amount": "1", "currency": "USD"}}),
            ],
        )
        .await;
        admin.patch(&format!("/v1/accounts/{}", ids[0]), json!({"kind": "company"})).await.expect(200);
        run(&admin, wanted).await;
        let scores = all(&admin, "/v1/scores", "value >= 0", Some("subject")).await;
        assert_eq!((scores.len(), &scores[0]["subject"]["name"]), (1, &json!("Bob")));
        assert!(all(&admin, "/v1/not-scored", "code = \"missing_fact\"", None).await.is_empty());
    });
}

#[test]
fn a_run_whose_job_may_not_go_on_says_so_itself() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        data::companies(&server.context(Person::Admin).await).await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let key = json!({"name": "Robot", "scopes": ["*:read", "plugin_run:create"]});
        let key = admin.post("/v1/api-keys", key).await.expect(201).json;
        let robot = server.with_token(key["key"].as_str());
        server.fails("score", true).await;
        let asked = robot.post("/v1/plugin-runs", json!({"installation": "companies-scorer", "mode": "apply"})).await;
        let place = asked.header("location").to_owned();
        put_off(&server).await;
        admin.delete(&format!("/v1/api-keys/{}", key["id"].as_str().unwrap())).await.expect(204);
        server.fails("score", false).await;
        server.clock.advance(chrono::TimeDelta::seconds(10));
        let job = ended(&admin, asked.expect(202)).await;
        assert_eq!((&job["state"], &job["problem"]["code"]), (&json!("failed"), &json!("unauthenticated")));
        let run = admin.get(&place.replace("jobs", "plugin-runs")).await.expect(200).json;
        assert_eq!((&run["ended"], &run["problem"]), (&json!("failed"), &json!("unauthenticated")));
    });
}

#[test]
fn the_best_of_a_run_are_among_the_rows_of_who_asked_for_it_and_its_result_is_theirs() {
    on_both(|server| async move {
        let (admin, manager) = (server.as_admin().await, server.as_person(Person::Manager).await);
        let seller = server.as_person(Person::Rep).await;
        let rights = json!(["*:read", "plugin_run:create"]);
        let role = json!({"key": "seller", "name": "Seller", "rights": rights, "rows": {"default": "own"}});
        admin.post("/v1/roles", role).await.expect(201);
        let me = seller.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let path = format!("/v1/users/{}", me.as_str().unwrap());
        admin.patch(&path, json!({"role": "seller"})).await.expect(200);
        let cx = server.context(Person::Admin).await;
        let person =
            |name: &str, owner: Json| json!({"external_id": name, "name": name, "kind": "person", "owner_id": owner});
        let ids = data::write(&cx, "account", vec![person("Ann", me), person("Bob", Json::Null)]).await;
        let order =
            |id| json!({"account_id": id, "placed_on": "2025-12-01", "amount": {"amount": "5", "currency": "USD"}});
        data::write(&cx, "order", ids.iter().map(order).collect()).await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let wanted = json!({"installation": "customers-scorer", "mode": "apply"});
        let best = |run: &Json| -> Vec<Json> {
            run["result"]["best"].as_array().unwrap().iter().map(|one| one["external_id"].clone()).collect()
        };
        let everybodys = run(&admin, wanted.clone()).await;
        assert_eq!(best(&everybodys), ["Ann", "Bob"]);
        assert_eq!(best(&run(&seller, wanted).await), ["Ann"]);
        let key = json!({"name": "Robot", "scopes": ["*:read", "plugin_run:simulate"]});
        let key = admin.post("/v1/api-keys", key).await.expect(201).json["key"].clone();
        let robot = server.with_token(key.as_str());
        let simulated = run(&robot, json!({"installation": "customers-scorer", "mode": "simulate"})).await;
        assert_eq!(simulated["result"]["subjects"], 2);
        for caller in [&manager, &seller] {
            for kind in ["jobs", "plugin-runs"] {
                let place = format!("/v1/{kind}/{}", everybodys["id"].as_str().unwrap());
                assert_eq!(caller.get(&place).await.expect(404).problem(), "not_found", "{place}");
            }
        }
    });
}

#[test]
fn amounts_in_two_currencies_stop_the_run() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        let ann = data::write(&cx, "account", vec![json!({"name": "Ann", "kind": "person"})]).await[0];
        let order = |currency: &str| json!({"account_id": ann, "placed_on": "2025-12-01", "amount": {"amount": "5", "currency": currency}});
        data::write(&cx, "order", vec![order("USD"), order("EUR")]).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install_everything(&admin).await;
        let asked = admin.post("/v1/plugin-runs", json!({"installation": "customers-scorer", "mode": "apply"})).await;
        let job = ended(&admin, asked).await;
        assert_eq!((&job["state"], &job["problem"]["code"]), (&json!("failed"), &json!("mixed_currency")));
        let failed = admin.get(&format!("/v1/plugin-runs/{}", job["id"].as_str().unwrap())).await.expect(200);
        assert_eq!((&failed.json["ended"], &failed.json["problem"]), (&json!("failed"), &json!("mixed_currency")));
        assert!(all(&admin, "/v1/scores", "value >= 0", None).await.is_empty());
    });
}
