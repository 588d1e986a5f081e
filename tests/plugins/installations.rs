//! An installation is checked as a whole before it is stored, and switched without a restart.

use serde_json::{Value as Json, json};

use super::{
    data,
    support::{Caller, Person, on_both},
    work::{HOSTILE, RFM, all, ended, install, run, upload},
};

#[test]
fn what_does_not_fit_is_named_all_at_once() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        let wrong = json!({
            "key": "wrong", "plugin": "rfm", "kind": "scorer", "where": "nmae = \"x\"", "config": {"weights": [1, -1]},
            "bindings": {
                "orders": {"from": "metric:order_cont"},
                "revenue": {"from": "metric:order_count"},
                "recency_days": {"from": "metric:days_since_last_order", "window": "a year"},
                "recncy": {"from": "metric:order_count"},
            },
        });
        let refused = admin.post("/v1/installations", wrong).await.expect(422);
        let mut errors = refused.errors();
        errors.sort_unstable();
        errors.dedup();
        assert_eq!(
            errors,
            [
                ("/bindings/orders", "unknown_fact"),
                ("/bindings/recency_days", "invalid_value"),
                ("/bindings/recncy", "unknown_field"),
                ("/bindings/revenue", "wrong_unit"),
                ("/config/weights", "config_invalid"),
                ("/config/weights/1", "config_invalid"),
                ("/where", "unknown_field"),
            ]
        );
        let text = refused.json["errors"].to_string();
        for near in ["order_count", "recency_days", "name"] {
            assert!(text.contains(&format!("did you mean `{near}`?")), "{near}: {text}");
        }
        let install = |change: Json| {
            let mut installation = json!({"key": "rfm", "plugin": "rfm", "kind": "scorer"});
            installation.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let admin = admin.clone();
            async move { admin.post("/v1/installations", installation).await.expect(422) }
        };
        assert_eq!(install(json!({"plugin": "rfn@1.0.0"})).await.errors(), [("/plugin", "reference_not_found")]);
        assert_eq!(install(json!({"key": "a/b"})).await.errors(), [("/key", "invalid_value")]);
        let windowed = json!({"bindings": {"orders": {"from": "field:employees", "window": "P1Y"}}});
        assert_eq!(install(windowed).await.errors(), [("/bindings/orders", "invalid_value")]);
        for subject in ["acount", "order_line"] {
            let refused = install(json!({"subject": subject})).await;
            assert!(refused.errors().contains(&("/subject", "invalid_value")), "{subject}");
        }
        assert_eq!(install(json!({"kind": "incentive"})).await.errors(), [("/kind", "invalid_value")]);
        assert_eq!(install(json!({"config": {"weights": [0, 0, 0]}})).await.errors(), [("/config", "config_invalid")]);
        admin.post("/v1/installations", json!({"key": "rfm", "plugin": "rfm", "kind": "scorer"})).await.expect(201);
        assert_eq!(install(json!({})).await.errors(), [("/key", "duplicate")]);
    });
}

#[test]
fn switching_takes_effect_on_the_next_run() {
    on_both(|server| async move {
        data::companies(&server.context(Person::Admin).await).await;
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        let bindings = json!({
            "recency_days": {"from": "metric:days_since_last_win"}, "orders": {"from": "metric:won_count"},
            "revenue": {"from": "metric:won_amount"},
        });
        let installation = json!({"key": "rfm", "plugin": "rfm", "kind": "segmenter", "bindings": bindings});
        let apply = json!({"installation": "rfm", "mode": "apply", "as_of": "2018-01-01"});
        admin.post("/v1/installations", installation.clone()).await.expect(201);
        let draft = admin.post("/v1/plugin-runs", apply.clone()).await.expect(409);
        assert_eq!(draft.problem(), "invalid_state");
        admin.post("/v1/installations/rfm/activate", json!({})).await.expect(200);
        assert_eq!(run(&admin, apply.clone()).await["scored"], 85);
        let paused = admin.post("/v1/installations/rfm/pause", json!({})).await.expect(200);
        assert_eq!(paused.json["state"], "paused");
        admin.post("/v1/plugin-runs", apply.clone()).await.expect(409);
        let simulated = run(&admin, json!({"installation": "rfm", "mode": "simulate", "as_of": "2018-01-01"})).await;
        assert_eq!((&simulated["result"]["subjects"], &simulated["result"]["changed"]), (&json!(85), &json!(0)));
        admin.post("/v1/installations/rfm/activate", json!({})).await.expect(200);
        run(&admin, apply).await;
        let mut second = installation;
        second["key"] = json!("second");
        install(&admin, second).await;
    });
}

#[test]
fn the_tenants_own_description_names_the_plugins_at_work_and_what_they_are_told() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let told = async |caller: &Caller| caller.get("/v1/openapi.json").await.expect(200).json;
        upload(&admin, RFM).await;
        install(&admin, json!({"key": "rfm", "plugin": "rfm", "kind": "scorer"})).await;
        admin.post("/v1/installations/rfm/activate", json!({})).await.expect(200);
        let at_work = told(&admin).await;
        let named = &at_work["x-plugins"];
        assert_eq!(named.as_array().unwrap().len(), 1, "{named}");
        assert_eq!((&named[0]["key"], &named[0]["kind"]), (&json!("rfm"), &json!("scorer")));
        assert!(named[0]["config"]["properties"]["weights"].is_object(), "{named}");
        let run = &at_work["components"]["schemas"]["NewRun"]["properties"]["installation"];
        assert_eq!(run["examples"], json!(["rfm"]));
        admin.post("/v1/installations/rfm/pause", json!({})).await.expect(200);
        assert_eq!(told(&admin).await["x-plugins"], json!([]), "from the next request on");
        let stranger = server.as_person(Person::Stranger).await;
        assert_eq!(told(&stranger).await["x-plugins"], json!([]));
    });
}

#[test]
fn an_installation_is_changed_from_the_version_one_has_seen() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install(&admin, json!({"key": "rfm", "plugin": "rfm", "kind": "scorer"})).await;
        let seen = admin.get("/v1/installations?filter=key = \"rfm\"").await.expect(200).data()[0].clone();
        let patch = |tag: Option<String>| {
            let request = admin.request("PATCH", "/v1/installations/rfm");
            let request = request.header("Content-Type", "application/merge-patch+json");
            let request = tag.into_iter().fold(request, |request, tag| request.header("If-Match", tag));
            admin.send(request.body(json!({"config": {"weights": [1, 1, 2]}}).to_string()))
        };
        let tag = format!("\"v{}\"", seen["version"]);
        let changed = patch(Some(tag.clone())).await.expect(200);
        assert_eq!(changed.json["config"]["weights"], json!([1, 1, 2]));
        assert_eq!(patch(Some(tag)).await.expect(412).problem(), "stale");
        admin.patch("/v1/tenant", json!({"require_preconditions": true})).await.expect(200);
        assert_eq!(patch(None).await.expect(428).problem(), "precondition_required");
        patch(Some(changed.header("etag").to_owned())).await.expect(200);
    });
}

#[test]
fn a_run_that_makes_no_sense_is_refused_before_it_starts() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        upload(&admin, RFM).await;
        install(&admin, json!({"key": "score", "plugin": "rfm", "kind": "scorer"})).await;
        install(&admin, json!({"key": "label", "plugin": "rfm", "kind": "segmenter"})).await;
        let outcome = json!({"fact": "order_revenue", "window": "P9M"});
        let cases = [
            (json!({"mode": "backtest"}), vec![("/outcome", "required")]),
            (json!({"mode": "apply", "outcome": outcome}), vec![("/outcome", "invalid_value")]),
            (json!({"mode": "apply", "config": {}}), vec![("/config", "invalid_value")]),
            (json!({"mode": "simulate", "as_of": "yesterday"}), vec![("/as_of", "invalid_value")]),
            (json!({"mode": "simulate", "where": "name ="}), vec![("/where", "filter_syntax")]),
            (json!({"mode": "simulate", "where": "created_at > now()"}), vec![("/where", "invalid_value")]),
            (json!({"mode": "simulate", "config": {"weights": 1}}), vec![("/config/weights", "config_invalid")]),
            (
                json!({"mode": "backtest", "outcome": {"fact": "days_since_last_order", "window": "P1Y"}}),
                vec![("/outcome/fact", "wrong_unit")],
            ),
            (
                json!({"mode": "backtest", "outcome": {"fact": "order_revenu", "window": "P1Y"}}),
                vec![("/outcome/fact", "unknown_fact")],
            ),
            (
                json!({"mode": "backtest", "outcome": {"fact": "order_revenue", "window": "9M"}}),
                vec![("/outcome/window", "invalid_value")],
            ),
            (
                json!({"mode": "backtest", "outcome": outcome, "installation": "label"}),
                vec![("/mode", "invalid_value")],
            ),
        ];
        for (change, errors) in cases {
            let mut wanted = json!({"installation": "score"});
            wanted.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert_eq!(admin.post("/v1/plugin-runs", wanted).await.expect(422).errors(), errors, "{change}");
        }
        let unknown = admin.post("/v1/plugin-runs", json!({"installation": "scor", "mode": "apply"})).await.expect(404);
        assert_eq!(unknown.problem(), "not_found");
        let empty =
            ended(&admin, admin.post("/v1/plugin-runs", json!({"installation": "score", "mode": "apply"})).await).await;
        assert_eq!((&empty["state"], &empty["progress"]["total"]), (&json!("succeeded"), &json!(0)));
    });
}

#[test]
fn a_simulation_covers_what_its_asker_may_see() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        let admin = server.as_admin().await;
        let mut accounts = Vec::new();
        for person in [Person::Rep, Person::OtherRep] {
            let me = server.as_person(person).await.get("/v1/me").await.expect(200);
            accounts.push(json!({"name": format!("{person:?}"), "owner_id": me.json["user"]["id"]}));
        }
        let ids = data::write(&cx, "account", accounts).await;
        let order = |of: usize| json!({"account_id": ids[of], "placed_on": "2026-01-02", "amount": {"amount": "5", "currency": "USD"}});
        data::write(&cx, "order", vec![order(0), order(1)]).await;
        upload(&admin, RFM).await;
        install(&admin, json!({"key": "rfm", "plugin": "rfm", "kind": "scorer"})).await;
        let simulate = json!({"installation": "rfm", "mode": "simulate"});
        let (whole, manager) = (run(&admin, simulate.clone()).await, server.as_person(Person::Manager).await);
        assert_eq!(whole["rows"], 2);
        let part = run(&manager, simulate).await;
        assert_eq!(part["rows"], 1, "the manager leads one of the two owners");
        manager.get(&format!("/v1/plugin-runs/{}", whole["id"].as_str().unwrap())).await.expect(404);
    });
}

#[test]
fn records_of_a_kind_that_an_admin_has_made_are_scored_by_their_own_fields() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let object = json!({"name": "warranty", "plural": "warranties"});
        admin.post("/v1/custom-objects", object).await.expect(201);
        let field = |name: &str, kind: &str| json!({"kind": "warranty", "name": name, "type": kind});
        for field in [field("months", "integer"), field("open", "boolean"), field("note", "text")] {
            admin.post("/v1/custom-fields", field).await.expect(201);
        }
        for (name, custom) in [
            ("Fridge", json!({"months": 12, "open": true})),
            ("Oven", json!({"months": 24, "open": true})),
            ("Lamp", json!({"months": 6, "open": false})),
        ] {
            admin.post("/v1/warranties", json!({"name": name, "custom": custom})).await.expect(201);
        }
        upload(&admin, HOSTILE).await;
        let installation = |from: &str| {
            json!({"key": "warranties", "plugin": "hostile", "kind": "scorer", "subject": "warranty",
                   "where": "custom.open = true", "config": {"mode": "ok"}, "bindings": {"orders": {"from": from}}})
        };
        let wrong = admin.post("/v1/installations", installation("field:custom.moths")).await.expect(422);
        assert!(wrong.json["errors"].to_string().contains("did you mean `custom.months`?"), "{}", wrong.json);
        let text = admin.post("/v1/installations", installation("field:custom.note")).await.expect(422);
        assert_eq!(text.errors().len(), 1, "{}", text.json);
        install(&admin, installation("field:custom.months")).await;
        let apply = json!({"installation": "warranties", "mode": "apply", "as_of": "2026-01-01"});
        let first = run(&admin, apply.clone()).await;
        assert_eq!(first["scored"], 2);
        let scores = all(&admin, "/v1/scores", "subject_kind = \"warranty\"", Some("subject")).await;
        let mut names: Vec<_> = scores.iter().map(|score| score["subject"]["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["Fridge", "Oven"]);
        let longer = json!({"operations": [{"op": "update", "id": scores[0]["subject_id"], "data": {"custom": {"months": 36}}}]});
        admin.post("/v1/warranties/batch", longer).await.expect(200);
        let second = run(&admin, apply.clone()).await;
        assert_ne!(first["input_digest"], second["input_digest"], "the plugin has seen the value");
    });
}

#[test]
fn custom_money_is_a_fact_in_the_tenants_currency_as_built_in_money_is() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let field = json!({"kind": "account", "name": "budget", "type": "money"});
        admin.post("/v1/custom-fields", field).await.expect(201);
        let cx = server.context(Person::Admin).await;
        let money = |amount: usize, currency: &str| json!({"amount": amount.to_string(), "currency": currency});
        let mut ids = Vec::new();
        for n in 1..=5 {
            let body = json!({"name": format!("A{n}"), "annual_revenue": money(n * 100, "USD"),
                "custom": {"budget": money(n * 100, "USD")}});
            ids.push(admin.post("/v1/accounts", body).await.expect(201).id().to_owned());
        }
        let order = |id: &String| json!({"account_id": id, "placed_on": "2026-01-02", "amount": money(5, "USD")});
        data::write(&cx, "order", ids.iter().map(order).collect()).await;
        upload(&admin, RFM).await;
        let mut told = Vec::new();
        for (key, from) in [("own", "field:custom.budget"), ("built-in", "field:annual_revenue")] {
            let bindings = json!({"revenue": {"from": from}});
            install(&admin, json!({"key": key, "plugin": "rfm", "kind": "scorer", "bindings": bindings})).await;
            run(&admin, json!({"installation": key, "mode": "apply"})).await;
            let scores = all(&admin, "/v1/scores", &format!("installation.key = \"{key}\""), None).await;
            let parts = ["subject_id", "value", "contributions", "reasons"];
            let mut scores: Vec<_> = scores.iter().map(|score| parts.map(|part| score[part].to_string())).collect();
            scores.sort_unstable();
            told.push(scores);
        }
        assert_eq!((told[0].len(), &told[0]), (5, &told[1]));
        assert_ne!(told[0][0][1], told[0][4][1], "the amounts make a difference");
        let euros = json!({"custom": {"budget": money(7, "EUR")}});
        admin.patch(&format!("/v1/accounts/{}", ids[0]), euros).await.expect(200);
        let asked = admin.post("/v1/plugin-runs", json!({"installation": "own", "mode": "apply"})).await;
        let job = ended(&admin, asked).await;
        assert_eq!((&job["state"], &job["problem"]["code"]), (&json!("failed"), &json!("mixed_currency")));
    });
}
