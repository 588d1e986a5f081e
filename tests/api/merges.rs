//! Two records that are one, and two again.

use serde_json::{Value as Json, json};

use crate::{
    every_kind::{every_kind, path},
    support::{Answer, Caller, Person, on_both},
};

async fn post(caller: &Caller, path: &str, body: Json) -> String {
    caller.post(path, body).await.expect(201).id().to_owned()
}

async fn merged(caller: &Caller, into: &str, body: Json) -> Answer {
    caller.post(&format!("/v1/accounts/{into}/merge"), body).await
}

async fn get(caller: &Caller, plural: &str, id: &str) -> Json {
    caller.get(&format!("/v1/{plural}/{id}")).await.expect(200).json
}

/// Two accounts with what refers to them: `(stays, goes, contact, child)`.
async fn two(admin: &Caller) -> [String; 4] {
    let stays = json!({"name": "Acme", "phone": "+4930111", "source": "fair"});
    let stays = post(admin, "/v1/accounts", stays).await;
    let goes = json!({"name": "ACME Ltd", "phone": "+4930222", "website": "https://acme.example", "external_id": "a1",
                      "referred_by_id": stays});
    let goes = post(admin, "/v1/accounts", goes).await;
    let contact = post(admin, "/v1/contacts", json!({"last_name": "Jones", "account_id": goes})).await;
    let child = post(admin, "/v1/accounts", json!({"name": "Child", "parent_id": goes})).await;
    [stays, goes, contact, child]
}

#[test]
fn what_refers_to_the_one_that_goes_follows_and_an_undo_puts_everything_back() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let [stays, goes, contact, child] = two(&admin).await;
        admin.patch(&format!("/v1/accounts/{stays}"), json!({"parent_id": goes})).await.expect(200);
        let before = [get(&admin, "accounts", &stays).await, get(&admin, "accounts", &goes).await];
        let answer = merged(&admin, &stays, json!({"from": goes, "take": ["phone"]})).await.expect(200);
        let place = answer.header("location").to_owned();
        let told = ["name", "phone", "website", "external_id", "source", "parent_id", "referred_by_id"];
        assert_eq!(
            told.map(|name| answer.json[name].clone()),
            [
                json!("Acme"),
                json!("+4930222"),
                json!("https://acme.example"),
                json!("a1"),
                json!("fair"),
                json!(null),
                json!(null)
            ]
        );
        admin.get(&format!("/v1/accounts/{goes}")).await.expect(404);
        assert_eq!(get(&admin, "contacts", &contact).await["account_id"], json!(stays));
        assert_eq!(get(&admin, "accounts", &child).await["parent_id"], json!(stays));
        let merge = admin.get(&place).await.expect(200).json;
        assert_eq!((&merge["merged_id"], &merge["undone_at"]), (&json!(goes), &Json::Null));
        let listed = admin.list("/v1/merges", &[("filter", &format!("merged_id = \"{goes}\""))]).await.expect(200);
        assert_eq!(listed.data().len(), 1);
        let undone = admin.post(&format!("{place}/undo"), Json::Null).await.expect(200);
        assert_eq!(undone.json["undone_at"], "2026-01-31T09:30:00.000Z");
        let plain = |mut json: Json| {
            json.as_object_mut().unwrap().retain(|name, _| !["version", "updated_at"].contains(&name.as_str()));
            json
        };
        for (id, before) in [&stays, &goes].into_iter().zip(before) {
            assert_eq!(plain(get(&admin, "accounts", id).await), plain(before));
        }
        assert_eq!(get(&admin, "contacts", &contact).await["account_id"], json!(goes));
        assert_eq!(get(&admin, "accounts", &child).await["parent_id"], json!(goes));
        let twice = admin.post(&format!("{place}/undo"), Json::Null).await.expect(409);
        assert_eq!(twice.problem(), "invalid_state");
    });
}

#[test]
fn an_undo_is_refused_where_anything_was_changed_since_and_says_what() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let [stays, goes, contact, child] = two(&admin).await;
        let answer = merged(&admin, &stays, json!({"from": goes})).await.expect(200);
        let place = format!("{}/undo", answer.header("location"));
        admin
            .patch(&format!("/v1/accounts/{stays}"), json!({"website": "https://new.example", "name": "Free"}))
            .await
            .expect(200);
        admin.patch(&format!("/v1/contacts/{contact}"), json!({"account_id": null})).await.expect(200);
        admin.delete(&format!("/v1/accounts/{child}")).await.expect(204);
        let refused = admin.post(&place, Json::Null).await.expect(409);
        let mut places: Vec<_> = refused.errors().iter().map(|(place, _)| (*place).to_owned()).collect();
        places.sort_unstable();
        let mut wanted = vec![
            "/website".to_owned(),
            format!("/contact/{contact}/account_id"),
            format!("/account/{child}/parent_id"),
        ];
        wanted.sort_unstable();
        assert_eq!(places, wanted, "{}", refused.json);
        admin.get(&format!("/v1/accounts/{goes}")).await.expect(404);
    });
}

#[test]
fn a_merge_that_makes_no_sense_or_is_not_allowed_changes_nothing() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let [stays, goes, ..] = two(&admin).await;
        let nobody = "01939e2b-6c00-7000-8000-000000000001";
        for (body, place, code) in [
            (json!({"from": stays}), "/from", "invalid_value"),
            (json!({"from": nobody}), "/from", "reference_not_found"),
            (json!({"from": "x"}), "/from", "wrong_type"),
            (json!({}), "/from", "required"),
            (json!({"from": goes, "take": ["nam", "version"]}), "/take/0", "unknown_field"),
            (json!({"from": goes, "takes": []}), "/takes", "unknown_field"),
        ] {
            let refused = merged(&admin, &stays, body.clone()).await.expect(422);
            assert!(refused.errors().contains(&(place, code)), "{body}: {}", refused.json);
        }
        merged(&admin, nobody, json!({"from": goes})).await.expect(404);
        let stale = admin.request("POST", &format!("/v1/accounts/{stays}/merge")).header("If-Match", "\"v9\"");
        admin.send(stale.json(&json!({"from": goes}))).await.expect(412);
        merged(&rep, &stays, json!({"from": goes})).await.expect(403);
        let stranger = server.as_person(Person::Stranger).await;
        merged(&stranger, &stays, json!({"from": goes})).await.expect(404);
        let theirs = post(&stranger, "/v1/accounts", json!({"name": "Theirs"})).await;
        assert_eq!(
            merged(&admin, &stays, json!({"from": theirs})).await.expect(422).errors(),
            [("/from", "reference_not_found")]
        );
        admin
            .delete(&format!("/v1/accounts/{}", post(&admin, "/v1/accounts", json!({"name": "x"})).await))
            .await
            .expect(204);
        admin.post(&format!("/v1/users/{nobody}/merge"), json!({"from": nobody})).await.expect(404);
        assert_eq!(get(&admin, "accounts", &stays).await["version"], 1);
        assert_eq!(get(&admin, "accounts", &goes).await["version"], 1);
        assert!(admin.get("/v1/merges").await.expect(200).data().is_empty());
    });
}

#[test]
fn two_records_of_every_kind_that_merges_become_one_and_two_again() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            if !shape.merges {
                return;
            }
            let (stays, goes) = (maker.make(&shape).await, maker.make(&shape).await);
            let here = format!("{}/{}", path(&shape), stays.id());
            let merge = maker.admin.post(&format!("{here}/merge"), json!({"from": goes.id()})).await.expect(200);
            let gone = format!("{}/{}", path(&shape), goes.id());
            maker.admin.get(&gone).await.expect(404);
            let undo = format!("{}/undo", merge.header("location"));
            maker.admin.post(&undo, Json::Null).await.expect(200);
            maker.admin.get(&gone).await.expect(200);
        })
    });
}
