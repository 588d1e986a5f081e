//! Kinds of a tenant's own: what an admin makes with one request has every mechanism of a built-in kind. The tests of every
//! kind run over one too.

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::context::Clock as _;
use serde_json::{Value as Json, json};

use crate::{
    imports::{imported, left},
    support::{Answer, Caller, Person, TestServer, on_both},
};

const WARRANTIES: &str = "/v1/warranties";

/// The kind `warranty`, with fields of its own, and one field more of accounts.
pub async fn warranties(admin: &Caller) {
    let object = json!({"name": "warranty", "plural": "warranties", "label": {"en": "Warranty", "zh": "保修"}});
    admin.post("/v1/custom-objects", object).await.expect(201);
    for field in [
        json!({"kind": "warranty", "name": "covers", "type": "reference", "refers_to": "account"}),
        json!({"kind": "warranty", "name": "serial", "type": "text", "unique": true}),
        json!({"kind": "warranty", "name": "months", "type": "integer", "validation": {"min": 1, "max": 120}}),
        json!({"kind": "warranty", "name": "ends_on", "type": "date"}),
        json!({"kind": "warranty", "name": "level", "type": "choice", "options": ["basic", "full"]}),
        json!({"kind": "account", "name": "segment", "type": "choice", "options": ["small", "large"]}),
    ] {
        admin.post("/v1/custom-fields", field).await.expect(201);
    }
}

async fn account(caller: &Caller, name: &str) -> String {
    caller.post("/v1/accounts", json!({"name": name})).await.expect(201).id().to_owned()
}

async fn warranty(caller: &Caller, name: &str, custom: Json) -> Answer {
    caller.post(WARRANTIES, json!({"name": name, "custom": custom})).await
}

async fn names(caller: &Caller, path: &str, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = caller.list(path, parameters).await.expect(200);
    answer.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_kind_of_a_tenants_own_has_every_mechanism() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        warranties(&admin).await;
        let before = server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
        server.clock.advance(TimeDelta::seconds(1));
        let acme = account(&admin, "Acme").await;
        let one =
            warranty(&admin, "Fridge", json!({"covers": acme, "serial": "A1", "months": 24, "level": "full"})).await;
        let one = one.expect(201);
        let operations = json!([
            {"op": "upsert", "by": "custom.serial", "data": {"name": "Freezer", "custom": {"serial": "A2", "months": 12}}},
            {"op": "upsert", "by": "custom.serial", "data": {"name": "Cold room", "custom": {"serial": "A1"}}},
        ]);
        let done = admin.post(&format!("{WARRANTIES}/batch"), json!({"operations": operations})).await.expect(200);
        let statuses: Vec<_> = done.json["results"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
        assert_eq!(statuses, [&json!(201), &json!(200)], "{}", done.json);
        assert_eq!(done.json["results"][1]["id"], one.id());
        warranty(&rep, "Oven", json!({"months": 6})).await.expect(201);
        reads(&admin, &acme).await;
        assert_eq!(names(&rep, WARRANTIES, &[]).await, ["Oven"], "reps see their own");
        let stranger = server.as_person(Person::Stranger).await;
        stranger.get(WARRANTIES).await.expect(404);
        assert_eq!(names(&admin, WARRANTIES, &[("known_at", &before)]).await, Vec::<String>::new());
        import(&admin).await;
        past(&server, &admin, one.id()).await;
        shared(&admin, &rep, one.id()).await;
        let gone = admin.delete(&format!("/v1/accounts/{acme}")).await.expect(409);
        assert!(gone.json["detail"].as_str().unwrap().contains("2 warranties"), "{}", gone.json);
        let document = admin.get("/v1/openapi.json").await.expect(200).json;
        assert_eq!(document["paths"][WARRANTIES]["get"]["operationId"], "list_warranties");
        let months = "/components/schemas/Warranty/properties/custom/properties/months/maximum";
        assert_eq!(document.pointer(months), Some(&json!(120)));
        let labels = document.pointer("/components/schemas/Warranty/x-labels");
        assert_eq!(labels, Some(&json!({"en": "Warranty", "zh": "保修"})));
        assert!(admin.get("/openapi.json").await.expect(200).json["paths"][WARRANTIES].is_null());
    });
}

async fn reads(admin: &Caller, acme: &str) {
    for (parameters, wanted) in [
        (vec![("filter", "custom.months > 10"), ("sort", "name")], vec!["Cold room", "Freezer"]),
        (vec![("filter", "custom.covers.name = \"Acme\"")], vec!["Cold room"]),
        (vec![("filter", "NOT custom.level = \"full\""), ("sort", "name")], vec!["Freezer", "Oven"]),
        (vec![("search", "cold")], vec!["Cold room"]),
    ] {
        assert_eq!(names(admin, WARRANTIES, &parameters).await, wanted, "{parameters:?}");
    }
    let covered = [("filter", "any(warranties, custom.months >= 24)")];
    assert_eq!(names(admin, "/v1/accounts", &covered).await, ["Acme"]);
    let expanded = [("expand", "custom.covers"), ("filter", "custom.serial = \"A1\"")];
    let expanded = admin.list(WARRANTIES, &expanded).await.expect(200);
    assert_eq!(expanded.data()[0]["custom.covers"]["id"], acme, "{}", expanded.json);
    let sums = json!({"measures": [{"fn": "sum", "field": "custom.months"}, {"fn": "count"}],
                      "group_by": ["custom.covers.name", "custom.level"]});
    let sums = admin.post(&format!("{WARRANTIES}/aggregate"), sums).await.expect(200);
    let rows: Vec<_> = sums.data().iter().map(|row| (&row["group"], &row["measures"])).collect();
    assert_eq!(rows.len(), 2, "{}", sums.json);
    assert_eq!(rows[1].0, &json!({"custom.covers.name": "Acme", "custom.level": "full"}), "{}", sums.json);
    assert_eq!(rows[0].1, &json!({"sum_custom_months": 18, "count": 2}), "{}", sums.json);
    let file = admin.get(&format!("{WARRANTIES}/export?fields=name,custom.serial,custom.months&sort=name")).await;
    assert_eq!(
        String::from_utf8_lossy(&file.expect(200).bytes),
        "name,custom.serial,custom.months\r\nCold room,A1,24\r\nFreezer,A2,12\r\nOven,,6\r\n"
    );
}

async fn import(admin: &Caller) {
    let lookup = json!({"kind": "account", "by": "name", "missing": "error"});
    let mapping = json!({"name": {"column": "What"}, "custom.months": {"column": "Months"},
                         "custom.covers": {"column": "Who", "lookup": lookup}});
    let spec = json!({"kind": "warranty", "mapping": mapping});
    let (result, _) = imported(admin, &spec, "What,Months,Who\nLamp,3,Acme\nBulb,300,Acme\nTube,3,Nobody\n").await;
    assert_eq!((&result["created"], &result["failed"]), (&json!(1), &json!(2)), "{result}");
    let lamp = admin.list(WARRANTIES, &[("filter", "custom.covers.name = \"Acme\" AND custom.months = 3")]).await;
    assert_eq!(lamp.expect(200).data().len(), 1);
}

async fn past(server: &TestServer, admin: &Caller, id: &str) {
    let then = server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    server.clock.advance(TimeDelta::seconds(1));
    admin.patch(&format!("{WARRANTIES}/{id}"), json!({"custom": {"months": 60, "level": "basic"}})).await.expect(200);
    for (filter, wanted) in [
        ("custom.months = 24", true),
        ("custom.months = 60", false),
        ("NOT custom.level = \"basic\" AND name = \"Cold room\"", true),
        ("custom.covers.name = \"Acme\" AND custom.level = \"full\"", true),
        ("custom.ends_on IS NULL AND name = \"Cold room\"", true),
    ] {
        let found = names(admin, WARRANTIES, &[("filter", filter), ("known_at", &then)]).await;
        assert_eq!(found.contains(&"Cold room".to_owned()), wanted, "{filter}");
    }
    let covered = [("filter", "any(warranties, custom.months = 24)"), ("known_at", then.as_str())];
    assert_eq!(names(admin, "/v1/accounts", &covered).await, ["Acme"]);
}

async fn shared(admin: &Caller, rep: &Caller, id: &str) {
    let here = format!("{WARRANTIES}/{id}");
    rep.get(&here).await.expect(404);
    let me = rep.get("/v1/me").await.expect(200);
    let share =
        json!({"subject_kind": "warranty", "subject_id": id, "user_id": me.json["user"]["id"], "access": "read"});
    admin.post("/v1/shares", share).await.expect(201);
    assert_eq!(rep.get(&here).await.expect(200).json["custom"]["months"], 60);
    let refused = rep.patch(&here, json!({"name": "Mine"})).await.expect(403);
    assert_eq!(refused.problem(), "outside_your_reach");
}

#[test]
fn merged_accounts_take_what_refers_to_them_by_custom_fields_and_give_it_back() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        warranties(&admin).await;
        let (stays, goes) = (account(&admin, "Acme").await, account(&admin, "Acme Inc").await);
        let large = json!({"custom": {"segment": "large"}});
        admin.patch(&format!("/v1/accounts/{goes}"), large).await.expect(200);
        let it = warranty(&admin, "Fridge", json!({"covers": goes, "months": 24})).await.expect(201);
        let merged = admin.post(&format!("/v1/accounts/{stays}/merge"), json!({"from": goes})).await.expect(200);
        assert_eq!(merged.json["custom"]["segment"], "large", "{}", merged.json);
        let here = format!("{WARRANTIES}/{}", it.id());
        let moved = admin.get(&here).await.expect(200);
        assert_eq!(moved.json["custom"], json!({"covers": stays, "months": 24}));
        let merge = admin.get("/v1/merges").await.expect(200).data()[0]["id"].as_str().unwrap().to_owned();
        admin.post(&format!("/v1/merges/{merge}/undo"), json!({})).await.expect(200);
        assert_eq!(admin.get(&here).await.expect(200).json["custom"]["covers"], goes);
        assert_eq!(admin.get(&format!("/v1/accounts/{stays}")).await.expect(200).json["custom"], Json::Null);
    });
}

#[test]
fn roles_limit_single_custom_fields_everywhere() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        warranties(&admin).await;
        let wrong = json!({"key": "clerk", "name": "Clerk", "rights": ["warranty:*"],
                           "fields": {"warranty": {"custom.mnths": "none"}}});
        let refused = admin.post("/v1/roles", wrong).await.expect(422);
        assert_eq!(refused.errors(), [("/fields/warranty/custom.mnths", "unknown_field")]);
        let role = json!({"key": "clerk", "name": "Clerk", "rights": ["warranty:*", "change:read"], "rows": {"default": "all"},
                          "fields": {"warranty": {"custom.months": "none", "custom.level": "read"}}});
        admin.post("/v1/roles", role).await.expect(201);
        let rep = server.as_person(Person::Rep).await;
        let me = rep.get("/v1/me").await.expect(200).json["user"]["id"].as_str().unwrap().to_owned();
        admin.patch(&format!("/v1/users/{me}"), json!({"role": "clerk"})).await.expect(200);
        let it = warranty(&admin, "Fridge", json!({"serial": "A1", "months": 24, "level": "full"})).await.expect(201);
        let here = format!("{WARRANTIES}/{}", it.id());
        let seen = json!({"serial": "A1", "level": "full"});
        assert_eq!(rep.get(&here).await.expect(200).json["custom"], seen);
        let hidden = rep.list(WARRANTIES, &[("filter", "custom.months = 24")]).await.expect(400);
        let unknown = rep.list(WARRANTIES, &[("filter", "custom.mnths = 24")]).await.expect(400);
        assert_eq!(hidden.errors()[0].1, unknown.errors()[0].1, "as if there were no such field");
        for (patch, wanted) in [
            (json!({"custom": {"months": 1}}), ("/custom/months", "unknown_field")),
            (json!({"custom": {"level": "basic"}}), ("/custom/level", "read_only")),
        ] {
            assert_eq!(rep.patch(&here, patch).await.expect(422).errors(), [wanted]);
        }
        let changed = rep.patch(&here, json!({"custom": {"serial": "A9"}})).await.expect(200);
        assert_eq!(changed.json["custom"], json!({"serial": "A9", "level": "full"}));
        assert_eq!(admin.get(&here).await.expect(200).json["custom"]["months"], 24, "what one cannot see stays");
        let none = rep.patch(&here, json!({"custom": null})).await.expect(200);
        assert_eq!(none.json["custom"], json!({"level": "full"}));
        assert_eq!(admin.get(&here).await.expect(200).json["custom"], json!({"months": 24, "level": "full"}));
        let document = rep.get("/v1/openapi.json").await.expect(200);
        let own = document.json.pointer("/components/schemas/Warranty/properties/custom/properties").unwrap();
        assert!(own["months"].is_null() && own["serial"].is_object() && own["level"]["readOnly"] == true, "{own}");
        let file = rep.get(&format!("{WARRANTIES}/export?fields=custom")).await.expect(200);
        assert_eq!(
            String::from_utf8_lossy(&file.bytes).lines().next(),
            Some("custom.covers,custom.serial,custom.ends_on,custom.level")
        );
        let feed = rep.get("/v1/changes?kind=warranty").await.expect(200);
        assert!(!String::from_utf8_lossy(&feed.bytes).contains("months"), "{}", feed.json);
    });
}

#[test]
fn a_kind_of_the_whole_tenants_is_everybodys_to_read_and_nobodys_own() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let object = json!({"name": "region", "plural": "regions", "scope": "tenant"});
        admin.post("/v1/custom-objects", object).await.expect(201);
        let made = admin.post("/v1/regions", json!({"name": "North"})).await.expect(201);
        assert!(made.json["owner_id"].is_null() && !made.object().contains_key("owner_id"), "{}", made.json);
        let owned = left(&server, "ownership where kind = 'region'").await;
        assert_eq!((owned, left(&server, "custom_record where owner_id is not null").await), (0, 0));
        assert_eq!(names(&rep, "/v1/regions", &[]).await, ["North"]);
        rep.post("/v1/regions", json!({"name": "South"})).await.expect(403);
        let role = json!({"key": "mapper", "name": "Mapper", "rights": ["region:*"], "rows": {"default": "own"}});
        admin.post("/v1/roles", role).await.expect(201);
        let me = rep.get("/v1/me").await.expect(200).json["user"]["id"].as_str().unwrap().to_owned();
        admin.patch(&format!("/v1/users/{me}"), json!({"role": "mapper"})).await.expect(200);
        rep.post("/v1/regions", json!({"name": "East"})).await.expect(201);
        let refused = admin.post("/v1/regions", json!({"name": "South", "owner_id": made.id()})).await.expect(422);
        assert_eq!(refused.errors(), [("/owner_id", "unknown_field")]);
    });
}

#[test]
fn names_that_mean_something_else_are_refused_and_a_kind_goes_last() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (name, plural, wanted) in [
            ("account", "accounts", vec![("/name", "reserved_name"), ("/plural", "reserved_name")]),
            ("change", "changes", vec![("/name", "reserved_name"), ("/plural", "reserved_name")]),
            ("Project", "projects", vec![("/name", "invalid_value")]),
            ("project", "my_projects", vec![("/plural", "invalid_value")]),
            ("project", "project", vec![("/plural", "invalid_value")]),
        ] {
            let refused = admin.post("/v1/custom-objects", json!({"name": name, "plural": plural})).await.expect(422);
            assert_eq!(refused.errors(), wanted, "{name}");
        }
        warranties(&admin).await;
        let twice = json!({"name": "warranty", "plural": "warranty-cards"});
        assert_eq!(admin.post("/v1/custom-objects", twice).await.expect(422).errors(), [("/name", "duplicate")]);
        let it = warranty(&admin, "Fridge", json!({})).await.expect(201);
        let kind = admin.get("/v1/custom-objects").await.expect(200).data()[0]["id"].as_str().unwrap().to_owned();
        let here = format!("/v1/custom-objects/{kind}");
        let moved = admin.patch(&here, json!({"name": "guarantee", "scope": "tenant"})).await.expect(422);
        assert_eq!(moved.errors(), [("/name", "read_only"), ("/scope", "read_only")]);
        let kept = admin.delete(&here).await.expect(422);
        assert_eq!(kept.errors(), [("/name", "existing_values")]);
        admin.delete(&format!("{WARRANTIES}/{}", it.id())).await.expect(204);
        for field in admin.list("/v1/custom-fields", &[("filter", "kind = \"warranty\"")]).await.expect(200).data() {
            admin.delete(&format!("/v1/custom-fields/{}", field["id"].as_str().unwrap())).await.expect(204);
        }
        admin.delete(&here).await.expect(204);
        admin.get(WARRANTIES).await.expect(404);
    });
}
