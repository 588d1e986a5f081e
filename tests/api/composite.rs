//! Operations on several kinds in one transaction, which refer to each other's records.

use serde_json::{Value as Json, json};

use crate::support::{Answer, Caller, Person, on_both};

const HERE: &str = "/v1/composite";

async fn composite(caller: &Caller, operations: Json) -> Answer {
    caller.post(HERE, json!({"operations": operations})).await
}

/// Records of every kind that the test writes to.
async fn everything(caller: &Caller) -> Vec<Json> {
    let mut all = Vec::new();
    for kind in ["accounts", "contacts", "opportunities", "pipelines", "stages"] {
        all.extend(caller.get(&format!("/v1/{kind}?sort=id")).await.expect(200).data().clone());
    }
    all
}

#[test]
fn records_that_refer_to_each_other_are_written_in_one_request_whatever_their_order() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let operations = json!([
            {"op": "create", "kind": "contact", "data": {"last_name": "Coyote", "account_id": {"$ref": "acme.id"}}},
            {"ref": "deal", "op": "create", "kind": "opportunity",
             "data": {"name": "Rockets", "account_id": {"$ref": "acme.id"}, "stage_id": {"$ref": "open.id"}}},
            {"ref": "acme", "op": "upsert", "kind": "account", "data": {"name": "Acme", "external_id": "acme"}},
            {"ref": "open", "op": "create", "kind": "stage",
             "data": {"pipeline_id": {"$ref": "sales.id"}, "name": "Open", "position": 1, "kind": "open"}},
            {"ref": "sales", "op": "create", "kind": "pipeline", "data": {"name": "Sales"}},
            {"op": "update", "kind": "opportunity", "id": {"$ref": "deal.id"}, "version": 1, "data": {"name": "Skates"}},
        ]);
        let answer = composite(&admin, operations.clone()).await.expect(200);
        let results = answer.json["results"].as_array().unwrap();
        let told: Vec<_> =
            results.iter().map(|r| (r["status"].as_u64().unwrap(), r["version"].as_i64().unwrap())).collect();
        assert_eq!(told, [(201, 1), (201, 1), (201, 1), (201, 1), (201, 1), (200, 2)], "{}", answer.json);
        let id = |n: usize| results[n]["id"].as_str().unwrap();
        assert_eq!(id(1), id(5));
        let deal = admin.get(&format!("/v1/opportunities/{}", id(1))).await.expect(200).json;
        let told = (&deal["name"], &deal["account_id"], &deal["stage_id"], &deal["pipeline_id"]);
        assert_eq!(told, (&json!("Skates"), &json!(id(2)), &json!(id(3)), &json!(id(4))));
        let contact = admin.get(&format!("/v1/contacts/{}", id(0))).await.expect(200).json;
        assert_eq!(contact["account_id"], id(2));
        let again = composite(
            &admin,
            json!([
                {"ref": "acme", "op": "upsert", "kind": "account", "data": {"name": "Acme Ltd", "external_id": "acme"}},
                {"op": "delete", "kind": "contact", "id": id(0)},
            ]),
        );
        let again = again.await.expect(200).json;
        let told: Vec<_> = again["results"].as_array().unwrap().iter().map(|r| r["status"].as_u64().unwrap()).collect();
        assert_eq!((told, &again["results"][0]["id"]), (vec![200, 204], &json!(id(2))));
    });
}

#[test]
fn a_composite_is_written_whole_or_not_at_all_and_says_everything_that_is_wrong() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let before = everything(&admin).await;
        let refused = composite(
            &admin,
            json!([
                {"ref": "a", "op": "create", "kind": "account", "data": {"name": "Good"}},
                {"ref": "b", "op": "create", "kind": "account", "data": {"name": "", "employees": -1}},
                {"op": "create", "kind": "contact", "data": {"last_name": "Waits", "account_id": {"$ref": "b.id"}}},
                {"op": "create", "kind": "contact", "data": {"account_id": {"$ref": "a.id"}}},
                {"op": "update", "kind": "account", "id": account.id(), "version": 7, "data": {"name": "Stale"}},
                {"op": "delete", "kind": "account", "id": "01939e2b-6c00-7000-8000-000000000001"},
            ]),
        );
        let refused = refused.await.expect(422);
        let places: Vec<_> = refused.errors().iter().map(|(place, _)| (*place).to_owned()).collect();
        for place in
            ["/operations/1/data/name", "/operations/3/data/last_name", "/operations/4/version", "/operations/5/id"]
        {
            assert!(places.iter().any(|told| told == place), "{place}: {places:?}");
        }
        assert!(!places.iter().any(|place| place.starts_with("/operations/0") || place.starts_with("/operations/2")));
        let twice = composite(
            &admin,
            json!([
                {"op": "create", "kind": "account", "data": {"name": "One", "external_id": "x"}},
                {"op": "create", "kind": "account", "data": {"name": "Two", "external_id": "x"}},
            ]),
        );
        assert_eq!(twice.await.expect(422).errors(), [("/operations/1/data/external_id", "duplicate")]);
        assert_eq!(everything(&admin).await, before);
    });
}

#[test]
fn references_that_lead_nowhere_twice_or_in_a_circle_are_refused_at_their_place() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let before = everything(&admin).await;
        let account = |name: Json, parent: Json| json!({"ref": name, "op": "create", "kind": "account", "data": {"name": "A", "parent_id": parent}});
        let to = |name: &str| json!({"$ref": name});
        for (operations, place, code) in [
            (json!([account(json!("a"), to("b.id"))]), "/operations/0/data/parent_id", "reference_not_found"),
            (json!([account(json!("a"), to("a.id"))]), "/operations/0", "circular_reference"),
            (
                json!([
                    account(json!("x"), Json::Null),
                    account(json!("a"), to("b.id")),
                    account(json!("b"), to("a.id"))
                ]),
                "/operations/1",
                "circular_reference",
            ),
            (
                json!([account(json!("a"), Json::Null), account(json!("a"), Json::Null)]),
                "/operations/1/ref",
                "duplicate",
            ),
            (json!([account(json!("a b"), Json::Null)]), "/operations/0/ref", "invalid_value"),
            (json!([account(json!("a"), to("a"))]), "/operations/0/data/parent_id", "invalid_value"),
            (json!([account(json!("a"), to("a.name"))]), "/operations/0/data/parent_id", "invalid_value"),
            (json!([account(json!("a"), json!({"$ref": 7}))]), "/operations/0/data/parent_id", "invalid_value"),
            (json!([{"op": "create", "data": {}}]), "/operations/0/kind", "required"),
            (json!([{"op": "create", "kind": "acount", "data": {}}]), "/operations/0/kind", "invalid_value"),
            (json!([{"op": "create", "kind": "job", "data": {}}]), "/operations/0/op", "invalid_value"),
            (json!([{"op": "create", "kind": "account", "day": {}}]), "/operations/0/day", "unknown_field"),
            (json!(["create"]), "/operations/0", "wrong_type"),
            (json!([]), "/operations", "required"),
        ] {
            let refused = composite(&admin, operations.clone()).await.expect(422);
            assert!(refused.errors().contains(&(place, code)), "{operations}: {}", refused.json);
        }
        let many = vec![account(Json::Null, Json::Null); 101];
        assert_eq!(composite(&admin, many.into()).await.expect(422).errors(), [("/operations", "out_of_range")]);
        assert_eq!(everything(&admin).await, before);
    });
}

#[test]
fn a_composite_takes_a_hundred_operations_and_not_one_more() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let operations = |contacts: usize| -> Json {
            let account = json!({"ref": "a", "op": "create", "kind": "account", "data": {"name": "Acme"}});
            let data = |n: usize| json!({"last_name": format!("Jones {n}"), "account_id": {"$ref": "a.id"}});
            let contact = |n| json!({"op": "create", "kind": "contact", "data": data(n)});
            (0..contacts).map(contact).chain([account]).collect()
        };
        let total = async |kind: &str| {
            admin.get(&format!("/v1/{kind}?count=exact&limit=1")).await.expect(200).json["page"]["total"].clone()
        };
        let refused = composite(&admin, operations(100)).await.expect(422);
        assert_eq!(refused.errors(), [("/operations", "out_of_range")]);
        assert_eq!((total("accounts").await, total("contacts").await), (json!(0), json!(0)));
        let answer = composite(&admin, operations(99)).await.expect(200);
        let results = answer.json["results"].as_array().unwrap();
        assert!(results.len() == 100 && results.iter().all(|one| one["status"] == 201), "{}", answer.json);
        assert_eq!((total("accounts").await, total("contacts").await), (json!(1), json!(99)));
    });
}

#[test]
fn each_operation_needs_its_own_right_and_reach() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let before = everything(&admin).await;
        let operations = json!([
            {"op": "create", "kind": "account", "data": {"name": "Mine"}},
            {"op": "create", "kind": "pipeline", "data": {"name": "Mine"}},
        ]);
        let refused = composite(&rep, operations).await.expect(403);
        assert!(refused.json["detail"].as_str().unwrap().contains("pipeline:create"));
        let theirs = admin.post("/v1/accounts", json!({"name": "Theirs", "owner_id": null})).await.expect(201);
        let operations = json!([
            {"op": "create", "kind": "account", "data": {"name": "Mine"}},
            {"op": "update", "kind": "account", "id": theirs.id(), "data": {"name": "Mine too"}},
        ]);
        assert_eq!(composite(&rep, operations).await.expect(422).errors(), [("/operations/1/id", "not_found")]);
        admin.delete(&format!("/v1/accounts/{}", theirs.id())).await.expect(204);
        assert_eq!(everything(&admin).await, before);
        let stranger = server.as_person(Person::Stranger).await;
        let account = admin.post("/v1/accounts", json!({"name": "Ours"})).await.expect(201);
        let contact =
            json!([{"op": "create", "kind": "contact", "data": {"last_name": "Spy", "account_id": account.id()}}]);
        let refused = composite(&stranger, contact).await.expect(422);
        assert_eq!(refused.errors(), [("/operations/0/data/account_id", "reference_not_found")]);
        assert_eq!(server.anonymous().get(HERE).await.expect(405).header("allow"), "POST");
    });
}
