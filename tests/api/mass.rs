//! Writes to everything a filter keeps, as jobs, and what jobs wrote, undone.

use serde_json::{Value as Json, json};

use crate::{
    imports::{ended, errors, imported, job},
    roles::someone,
    support::{Answer, Caller, Person, on_both},
};

/// The job's result, and its place.
async fn done(caller: &Caller, accepted: Answer) -> (Json, String) {
    let accepted = accepted.expect(202);
    let place = accepted.header("location").to_owned();
    let job = job(caller, &place, ended).await;
    assert_eq!(job["state"], "succeeded", "{job:#}");
    (job["result"].clone(), place)
}

async fn undo(caller: &Caller, place: &str) -> (Json, String) {
    done(caller, caller.post(&format!("{place}/undo"), json!({})).await).await
}

async fn account(caller: &Caller, data: Json) -> String {
    caller.post("/v1/accounts", data).await.expect(201).id().to_owned()
}

/// Every account as a list has it, without what each write changes.
async fn accounts(caller: &Caller) -> Vec<Json> {
    let fields = "name,external_id,industry,parent_id,employees,billing_address,owner_id,custom,id";
    let list = caller.list("/v1/accounts", &[("sort", "id"), ("limit", "200"), ("fields", fields)]).await.expect(200);
    list.data().clone()
}

#[test]
fn what_a_filter_keeps_is_changed_at_once_and_put_back_but_for_what_others_changed_since() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let field = json!({"kind": "account", "name": "tier", "type": "text"});
        admin.post("/v1/custom-fields", field).await.expect(201);
        let address = json!({"street": "1 Main St", "city": "Berlin", "country": "DE"});
        let one = account(&admin, json!({"name": "One", "employees": 5, "billing_address": address})).await;
        let two = account(&admin, json!({"name": "Two", "employees": 50, "custom": {"tier": "b"}})).await;
        account(&admin, json!({"name": "Three", "employees": 500})).await;
        let before = accounts(&admin).await;
        let data = json!({"industry": "retail", "billing_address": {"city": "Bonn", "postal_code": "53111"}, "custom": {"tier": "a"}});
        let wish = |dry: bool| json!({"where": "employees < 100", "data": data, "dry_run": dry});
        let (tried, _) = done(&admin, admin.post("/v1/accounts/mass-update", wish(true)).await).await;
        let result = |dry: bool| json!({"kind": "account", "dry_run": dry, "matched": 2, "changed": 2, "unchanged": 0, "failed": 0});
        assert_eq!(tried, result(true));
        assert_eq!(accounts(&admin).await, before, "a dry run keeps nothing");
        let (written, place) = done(&admin, admin.post("/v1/accounts/mass-update", wish(false)).await).await;
        assert_eq!(written, result(false));
        let now = admin.get(&format!("/v1/accounts/{one}")).await.expect(200).json;
        assert_eq!((&now["industry"], &now["billing_address"]["city"]), (&json!("retail"), &json!("Bonn")), "{now}");
        admin.patch(&format!("/v1/accounts/{one}"), json!({"employees": 6})).await.expect(200);
        admin.patch(&format!("/v1/accounts/{two}"), json!({"custom": {"tier": "c"}})).await.expect(200);
        let (undone, undo_place) = undo(&admin, &place).await;
        assert_eq!((&undone["undone"], &undone["failed"]), (&json!(1), &json!(1)), "{undone}");
        let wrong = errors(&admin, &undo_place).await;
        assert_eq!((&wrong[0]["record_id"], &wrong[0]["code"]), (&json!(two), &json!("conflict")), "{wrong:?}");
        assert!(wrong[0]["detail"].as_str().unwrap().ends_with("changed since: custom.tier"), "{wrong:?}");
        let back = admin.get(&format!("/v1/accounts/{one}")).await.expect(200).json;
        assert_eq!(back["billing_address"], address, "whole again, with nothing of what was merged in");
        assert_eq!((&back["industry"], &back["custom"], &back["employees"]), (&Json::Null, &Json::Null, &json!(6)));
    });
}

#[test]
fn what_a_filter_keeps_is_deleted_children_first_and_comes_back_parents_first() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let parent = account(&admin, json!({"name": "Parent", "industry": "old"})).await;
        account(&admin, json!({"name": "Child", "industry": "old", "parent_id": parent})).await;
        let held = account(&admin, json!({"name": "Held", "industry": "old"})).await;
        admin
            .post("/v1/contacts", json!({"first_name": "Ann", "last_name": "Lee", "account_id": held}))
            .await
            .expect(201);
        let before = accounts(&admin).await;
        let tree = json!({"where": {"field": "industry", "op": "eq", "value": "old"}});
        let (written, place) = done(&admin, admin.post("/v1/accounts/mass-delete", tree).await).await;
        assert_eq!((&written["changed"], &written["failed"]), (&json!(2), &json!(1)), "{written}");
        let wrong = errors(&admin, &place).await;
        assert_eq!(
            (&wrong[0]["record_id"], &wrong[0]["code"]),
            (&json!(held), &json!("still_referenced")),
            "{wrong:?}"
        );
        assert_eq!(accounts(&admin).await.len(), 1);
        let (undone, again) = undo(&admin, &place).await;
        assert_eq!((&undone["undone"], &undone["failed"]), (&json!(2), &json!(0)), "{undone}");
        assert_eq!(accounts(&admin).await, before);
        let (redone, _) = undo(&admin, &again).await;
        assert_eq!(redone["undone"], 2, "an undo is undone as anything else is");
        assert_eq!(accounts(&admin).await.len(), 1);
    });
}

#[test]
fn an_import_is_undone_whole_and_its_undo_too() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        account(&admin, json!({"name": "Acme", "external_id": "a1", "employees": 5})).await;
        account(&admin, json!({"name": "Same", "external_id": "a2", "employees": 7})).await;
        let before = accounts(&admin).await;
        let lookup = json!({"kind": "account", "by": "external_id", "missing": "error"});
        let mapping = json!({"external_id": {"column": "key"}, "name": {"column": "name"},
                             "employees": {"column": "size"}, "parent_id": {"column": "above", "lookup": lookup}});
        let spec = json!({"kind": "account", "mode": "upsert", "match": "external_id", "mapping": mapping});
        // the parent of the first row comes last, and a row corrects an earlier one
        let file = "key,name,size,above\na1,Acme Inc,50,a9\na2,Same,7,\na3,New,1,a1\na3,Newer,2,a1\na9,Top,900,\n";
        let (result, place) = imported(&admin, &spec, file).await;
        assert_eq!(
            (&result["created"], &result["updated"], &result["unchanged"]),
            (&json!(2), &json!(2), &json!(1)),
            "{result}"
        );
        let after = accounts(&admin).await;
        assert_eq!(after.len(), 4);
        let (undone, undo_place) = undo(&admin, &place).await;
        assert_eq!(undone["failed"], 0, "{undone} {:?}", errors(&admin, &undo_place).await);
        assert_eq!(accounts(&admin).await, before);
        let (redone, _) = undo(&admin, &undo_place).await;
        assert_eq!(redone["failed"], 0, "{redone}");
        assert_eq!(accounts(&admin).await, after);
    });
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        account(&admin, json!({"name": "Acme"})).await;
        for (body, wanted) in [
            (json!({}), vec![("/where", "required"), ("/data", "required")]),
            (json!({"where": "id IS NOT NULL", "data": {"nam": "x"}}), vec![("/data/nam", "unknown_field")]),
            (json!({"where": "id IS NOT NULL", "data": {"version": 1}}), vec![("/data/version", "read_only")]),
            (
                json!({"where": "id IS NOT NULL", "data": {"employees": "many"}}),
                vec![("/data/employees", "wrong_type")],
            ),
            (json!({"where": "nam = \"x\"", "data": {"name": "x"}}), vec![("/where", "unknown_field")]),
            (
                json!({"where": {"field": "nam", "op": "eq", "value": "x"}, "data": {"name": "x"}}),
                vec![("/where/field", "unknown_field")],
            ),
            (json!({"where": "name =", "data": {"name": "x"}, "all": true}), vec![("/all", "unknown_field")]),
        ] {
            let refused = admin.post("/v1/accounts/mass-update", body.clone()).await.expect(422);
            assert_eq!(refused.errors(), wanted, "{body}");
        }
        let all = json!({"where": "id IS NOT NULL"});
        let rep = server.as_person(Person::Rep).await;
        assert_eq!(rep.post("/v1/accounts/mass-delete", all.clone()).await.expect(403).problem(), "forbidden");
        admin.post("/v1/scores/mass-delete", all.clone()).await.expect(405);
        let other = server.as_person(Person::OtherRep).await;
        account(&other, json!({"name": "Theirs"})).await;
        let manager = server.as_person(Person::Manager).await;
        let (result, place) = done(&manager, manager.post("/v1/accounts/mass-delete", all).await).await;
        assert_eq!(result["matched"], 0, "a manager deletes what is theirs and their team's");
        assert_eq!(accounts(&admin).await.len(), 2);
        let stranger = server.as_person(Person::Stranger).await;
        stranger.post(&format!("{place}/undo"), json!({})).await.expect(404);
        assert_eq!(undo(&manager, &place).await.0["changes"], 0);
    });
}

#[test]
fn what_no_record_can_take_is_refused_at_its_place_inside_of_a_field() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for field in [
            json!({"name": "tier", "type": "text", "validation": {"max_length": 2}}),
            json!({"name": "budget", "type": "money"}),
        ] {
            let mut field = field;
            field["kind"] = "account".into();
            admin.post("/v1/custom-fields", field).await.expect(201);
        }
        for (data, place, code) in [
            (json!({"custom": {"nope": 1}}), "/data/custom/nope", "unknown_field"),
            (json!({"custom": {"tier": "long"}}), "/data/custom/tier", "too_long"),
            (json!({"custom": {"budget": {"amont": "1"}}}), "/data/custom/budget/amont", "unknown_field"),
            (json!({"annual_revenue": {"amont": "1"}}), "/data/annual_revenue/amont", "unknown_field"),
            (json!({"billing_address": {"cty": "Bonn"}}), "/data/billing_address", "invalid_value"),
            (json!({"name": {"a": "b"}}), "/data/name", "wrong_type"),
        ] {
            let wish = json!({"where": "id IS NOT NULL", "data": data});
            let refused = admin.post("/v1/accounts/mass-update", wish).await.expect(422);
            assert_eq!(refused.errors(), [(place, code)], "{data}");
        }
        account(&admin, json!({"name": "Acme", "custom": {"budget": {"amount": "1", "currency": "EUR"}}})).await;
        let parts = json!({"custom": {"budget": {"amount": "2"}, "tier": null}, "billing_address": {"city": "Bonn", "street": null}});
        let wish = json!({"where": "id IS NOT NULL", "data": parts});
        assert_eq!(done(&admin, admin.post("/v1/accounts/mass-update", wish).await).await.0["changed"], 1);
    });
}

#[test]
fn a_record_under_an_id_of_the_future_is_taken_too() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let next_year = "019c0f5a-9c00-7000-8000-0000000000aa";
        account(&admin, json!({"name": "Ahead", "id": next_year})).await;
        account(&admin, json!({"name": "Now"})).await;
        let wish = json!({"where": "id IS NOT NULL", "data": {"industry": "retail"}});
        let (written, _) = done(&admin, admin.post("/v1/accounts/mass-update", wish).await).await;
        assert_eq!((&written["matched"], &written["changed"]), (&json!(2), &json!(2)), "{written}");
    });
}

#[test]
fn a_delete_takes_what_refers_to_a_record_first_however_far_apart_they_were_made() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let child = account(&admin, json!({"name": "Child"})).await;
        let between: Vec<_> = (0..500).map(|n| json!({"op": "create", "data": {"name": format!("n{n}")}})).collect();
        admin.post("/v1/accounts/batch", json!({"operations": between})).await.expect(200);
        let parent = account(&admin, json!({"name": "Parent"})).await;
        admin.patch(&format!("/v1/accounts/{child}"), json!({"parent_id": parent})).await.expect(200);
        let held = account(&admin, json!({"name": "Held"})).await;
        let contact = json!({"last_name": "Lee", "account_id": held});
        admin.post("/v1/contacts", contact).await.expect(201);
        let wish = json!({"where": "id IS NOT NULL"});
        let (written, place) = done(&admin, admin.post("/v1/accounts/mass-delete", wish).await).await;
        let counts = ["matched", "changed", "failed"].map(|name| written[name].clone());
        assert_eq!(counts, [503, 502, 1], "{written}");
        let wrong = errors(&admin, &place).await;
        assert_eq!(wrong.len(), 1, "each refusal once: {wrong:?}");
        assert_eq!((&wrong[0]["record_id"], &wrong[0]["code"]), (&json!(held), &json!("still_referenced")));
        let (undone, _) = undo(&admin, &place).await;
        assert_eq!((&undone["undone"], &undone["failed"]), (&json!(502), &json!(0)), "{undone}");
    });
}

#[test]
fn an_undo_is_refused_whole_for_want_of_a_right_that_any_of_it_takes() {
    on_both(|server| async move {
        let rights = json!(["account:create", "account:update", "*:read", "import:create"]);
        let clerk = someone(&server, "clerk", json!({"rights": rights, "rows": {"default": "all"}})).await;
        let mapping = json!({"external_id": {"column": "key"}, "name": {"column": "name"}});
        let spec = json!({"kind": "account", "mode": "upsert", "match": "external_id", "mapping": mapping});
        account(&clerk, json!({"name": "Old", "external_id": "a"})).await;
        account(&clerk, json!({"name": "Older", "external_id": "c"})).await;
        let (_, updated) = imported(&clerk, &spec, "key,name\nc,Newer\n").await;
        let (_, both) = imported(&clerk, &spec, "key,name\na,Newest\nb,Fresh\n").await;
        let before = accounts(&clerk).await;
        let refused = clerk.post(&format!("{both}/undo"), json!({})).await.expect(403);
        assert!(refused.json["detail"].as_str().unwrap().contains("account:delete"), "{}", refused.json);
        assert_eq!(accounts(&clerk).await, before);
        let admin = server.as_admin().await;
        assert_eq!(undo(&admin, &both).await.0["undone"], 2);
        assert_eq!(undo(&clerk, &updated).await.0["undone"], 1, "what it changed alone takes no right to delete");
    });
}

#[test]
fn a_value_that_one_record_left_to_another_goes_back_from_hand_to_hand() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let code = json!({"kind": "account", "name": "code", "type": "text", "unique": true});
        admin.post("/v1/custom-fields", code).await.expect(201);
        account(&admin, json!({"name": "First", "external_id": "a", "custom": {"code": "x"}})).await;
        account(&admin, json!({"name": "Second", "external_id": "b", "custom": {"code": "z"}})).await;
        let before = accounts(&admin).await;
        let mapping = ["external_id", "name", "custom.code"].map(|name| (name.to_owned(), json!({"column": name})));
        let mapping: Json = mapping.into_iter().collect();
        let spec = json!({"kind": "account", "mode": "upsert", "match": "external_id", "mapping": mapping});
        // the last row of a page of the import and the first of the next
        let new = (0..999).map(|n| format!("n{n},New,")).collect::<Vec<_>>().join("\n");
        let file = format!("external_id,name,custom.code\n{new}\na,First,y\nb,Second,x\n");
        let (result, place) = imported(&admin, &spec, file).await;
        assert_eq!((&result["updated"], &result["failed"]), (&json!(2), &json!(0)), "{result}");
        let (undone, at) = undo(&admin, &place).await;
        assert_eq!(undone["failed"], 0, "{undone} {:?}", errors(&admin, &at).await);
        assert_eq!(accounts(&admin).await, before);
    });
}
