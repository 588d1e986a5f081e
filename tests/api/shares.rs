//! Records that someone beside their owner may see or change, until a time.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::support::{Caller, Person, TestServer, on_both};

const SHARES: &str = "/v1/shares";

async fn me(caller: &Caller) -> Json {
    caller.get("/v1/me").await.expect(200).json["user"]["id"].clone()
}

async fn seen(caller: &Caller) -> Vec<String> {
    let rows = caller.list("/v1/accounts", &[("sort", "name")]).await.expect(200);
    rows.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// Two reps, the first with three accounts.
async fn reps(server: &TestServer) -> (Caller, Caller, Vec<String>) {
    let (one, other) = (server.as_person(Person::Rep).await, server.as_person(Person::OtherRep).await);
    let mut ids = Vec::new();
    for name in ["A", "B", "C"] {
        ids.push(one.post("/v1/accounts", json!({"name": name})).await.expect(201).id().to_owned());
    }
    (one, other, ids)
}

fn share(id: &str, access: &str, more: &Json) -> Json {
    let mut share = json!({"subject_kind": "account", "subject_id": id, "access": access});
    share.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    share
}

#[test]
fn what_is_shared_is_seen_everywhere_until_its_time_and_changed_only_where_that_was_said() {
    on_both(|server| async move {
        let (one, other, ids) = reps(&server).await;
        assert_eq!(seen(&other).await, Vec::<String>::new());
        let with = json!({"user_id": me(&other).await, "until_at": "2026-01-31T09:32:00Z"});
        one.post(SHARES, share(&ids[0], "read", &with)).await.expect(201);
        let made = one.post(SHARES, share(&ids[1], "write", &with)).await.expect(201);
        assert_eq!(seen(&other).await, ["A", "B"]);
        let place = |n: usize| format!("/v1/accounts/{}", ids[n]);
        other.get(&place(0)).await.expect(200);
        let refused = other.patch(&place(0), json!({"name": "Mine"})).await.expect(403);
        assert_eq!(refused.problem(), "outside_your_reach");
        other.patch(&place(1), json!({"name": "Better"})).await.expect(200);
        other.patch(&place(2), json!({"name": "Mine"})).await.expect(404);
        let count = other.post("/v1/accounts/aggregate", json!({"measures": [{"fn": "count"}]})).await.expect(200);
        assert_eq!(count.data()[0]["measures"]["count"], 2);
        let export = other.get("/v1/accounts/export?fields=name&sort=name").await.expect(200);
        assert_eq!(export.bytes, b"name\r\nA\r\nBetter\r\n");
        let contact = json!({"last_name": "Jones", "account_id": ids[0]});
        let contact = other.post("/v1/contacts", contact).await.expect(201);
        let deep = other.get(&format!("/v1/contacts/{}?expand=account", contact.id())).await.expect(200);
        assert_eq!(deep.json["account"]["name"], "A");
        let log = loop {
            let log = other.get("/v1/changes?kind=account").await.expect(200);
            if log.data().len() >= 3 {
                break log; // another test's transaction may hold the log back
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        assert!(log.data().iter().all(|change| change["id"] != json!(ids[2])));
        assert_eq!(other.get(&format!("{SHARES}/{}", made.id())).await.expect(200).json["access"], "write");
        server.clock.advance(TimeDelta::minutes(2));
        assert_eq!(seen(&other).await, Vec::<String>::new());
        other.patch(&place(1), json!({"name": "Late"})).await.expect(404);
    });
}

#[test]
fn a_team_shares_while_one_is_in_it_and_who_may_change_a_record_may_share_it() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (one, other, ids) = reps(&server).await;
        let team = admin.post("/v1/teams", json!({"name": "North"})).await.expect(201).id().to_owned();
        one.post(SHARES, share(&ids[0], "read", &json!({"team_id": team}))).await.expect(201);
        assert_eq!(seen(&other).await, Vec::<String>::new());
        let member = json!({"team_id": team, "user_id": me(&other).await, "role": "member"});
        let member = admin.post("/v1/memberships", member).await.expect(201);
        assert_eq!(seen(&other).await, ["A"]);
        let on = share(&ids[0], "read", &json!({"user_id": me(&admin).await}));
        assert_eq!(other.post(SHARES, on).await.expect(422).errors(), [("/subject_id", "reference_not_found")]);
        let theirs = share(&ids[1], "write", &json!({"user_id": me(&other).await}));
        assert_eq!(other.post(SHARES, theirs).await.expect(422).errors(), [("/subject_id", "reference_not_found")]);
        admin.delete(&format!("/v1/memberships/{}", member.id())).await.expect(204);
        assert_eq!(seen(&other).await, Vec::<String>::new());
        for (wrong, place) in [
            (share(&ids[0], "read", &json!({})), "/user_id"),
            (share(&ids[0], "read", &json!({"user_id": me(&other).await, "team_id": team})), "/user_id"),
            (
                json!({"subject_kind": "stage", "subject_id": ids[0], "access": "read", "team_id": team}),
                "/subject_kind",
            ),
            (share("01939e2b-6c00-7000-8000-000000000009", "read", &json!({"team_id": team})), "/subject_id"),
        ] {
            assert_eq!(one.post(SHARES, wrong.clone()).await.expect(422).errors()[0].0, place, "{wrong}");
        }
        let stranger = me(&server.as_person(Person::Stranger).await).await;
        let foreign = one.post(SHARES, share(&ids[0], "read", &json!({"user_id": stranger}))).await.expect(422);
        assert_eq!(foreign.errors(), [("/user_id", "reference_not_found")]);
        let question = json!({"user": me(&other).await, "kind": "account", "id": ids[0], "verb": "update"});
        one.post(SHARES, share(&ids[0], "read", &json!({"user_id": me(&other).await}))).await.expect(201);
        let why = admin.post("/v1/access/explain", question).await.expect(200).json;
        assert_eq!(
            (&why["allowed"], &why["steps"][3]["detail"]),
            (&json!(false), &json!("the account is shared with them to be read"))
        );
    });
}

#[test]
fn who_may_only_read_a_record_takes_no_share_of_it_away() {
    on_both(|server| async move {
        let (manager, admin) = (server.as_person(Person::Manager).await, server.as_admin().await);
        let (_, other, _) = reps(&server).await;
        let theirs = other.post("/v1/accounts", json!({"name": "Theirs"})).await.expect(201).id().to_owned();
        let rep = me(&server.as_person(Person::Rep).await).await;
        let read = share(&theirs, "read", &json!({"user_id": me(&manager).await}));
        let read = other.post(SHARES, read).await.expect(201).id().to_owned();
        let write = other.post(SHARES, share(&theirs, "write", &json!({"user_id": rep}))).await.expect(201);
        let place = format!("{SHARES}/{}", write.id());
        manager.get(&place).await.expect(200);
        assert_eq!(manager.delete(&place).await.expect(403).problem(), "outside_your_reach");
        let shorter = json!({"until_at": "2026-01-31T09:31:00Z"});
        assert_eq!(manager.patch(&place, shorter).await.expect(403).problem(), "outside_your_reach");
        let operations = json!([{"op": "delete", "id": write.id()}]);
        let none = manager.post("/v1/shares/batch", json!({"operations": operations})).await.expect(200);
        assert_eq!(none.json["results"][0]["problem"]["code"], "outside_your_reach");
        let question = json!({"user": me(&manager).await, "kind": "share", "id": write.id(), "verb": "delete"});
        assert_eq!(admin.post("/v1/access/explain", question).await.expect(200).json["allowed"], false);
        let raised = admin.patch(&format!("{SHARES}/{read}"), json!({"access": "write"})).await;
        raised.expect(200);
        manager.delete(&place).await.expect(204);
        manager.post(&format!("{place}/restore"), Json::Null).await.expect(200);
        admin.delete(&format!("/v1/accounts/{theirs}")).await.expect(204);
        admin.delete(&place).await.expect(204);
    });
}
