//! Whose a job is: what it may do, who sees it, who may undo it, and what passes for it.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::{
    imports::{ended, errors, imported, job, left, post},
    roles::someone,
    support::{Caller, Person, TestServer, on_both},
};

const FILE: &str = "name,size\nAcme,1\nBeta,2\nGamma,many\n";

fn accounts() -> Json {
    json!({"kind": "account", "mapping": {"name": {"column": "name"}, "employees": {"column": "size"}}})
}

/// A program of the caller's with a key of these scopes, and where the key is.
async fn robot(server: &TestServer, of: &Caller, scopes: &[&str]) -> (Caller, String) {
    let made = of.post("/v1/api-keys", json!({"name": "Robot", "scopes": scopes})).await.expect(201);
    (server.with_token(made.json["key"].as_str()), format!("/v1/api-keys/{}", made.id()))
}

async fn undone(caller: &Caller, place: &str) -> Json {
    let accepted = caller.post(&format!("{place}/undo"), json!({})).await.expect(202);
    job(caller, accepted.header("location"), ended).await
}

#[test]
fn who_could_not_ask_for_a_job_neither_ends_undoes_nor_repeats_it_nor_reads_what_it_refused() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (result, place) = imported(&admin, &accounts(), FILE).await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(2), &json!(1)), "{result}");
        let seen = admin.get(&place).await.expect(200).json;
        assert_eq!(seen["rights"], json!(["import:create", "job:read", "account:create"]));
        let (reader, _) = robot(&server, &admin, &["*:read"]).await;
        let auditor = someone(&server, "auditor", json!({"rights": ["*:read"], "rows": {"default": "all"}})).await;
        for caller in [&reader, &auditor] {
            assert_eq!(caller.get(&place).await.expect(200).json["id"], seen["id"]);
            for action in ["undo", "cancel", "retry"] {
                let refused = caller.post(&format!("{place}/{action}"), json!({})).await.expect(403);
                assert!(refused.json["detail"].as_str().unwrap().contains("import:create"), "{}", refused.json);
            }
            caller.get(&format!("{place}/errors")).await.expect(403);
        }
        assert_eq!(left(&server, "account where deleted_at is null").await, 2);
        assert_eq!(undone(&admin, &place).await["result"]["undone"], 2);
    });
}

#[test]
fn a_job_does_what_its_key_may_and_nothing_more() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let scopes = ["import:create", "job:read", "account:read", "account:create"];
        let (robot, _) = robot(&server, &admin, &scopes).await;
        let (_, place) = imported(&robot, &accounts(), FILE).await;
        let refused = robot.post(&format!("{place}/undo"), json!({})).await.expect(403);
        assert!(refused.json["detail"].as_str().unwrap().contains("account:delete"), "{}", refused.json);
        assert_eq!(left(&server, "account where deleted_at is null").await, 2);
        assert_eq!(undone(&admin, &place).await["result"]["undone"], 2, "its user may");
    });
}

#[test]
fn an_import_makes_no_record_of_another_kind_that_its_key_may_not_make() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let lookup = json!({"by": "name", "missing": "create"});
        let mapping = json!({"last_name": {"column": "name"}, "account_id": {"column": "firm", "lookup": lookup}});
        let spec = json!({"kind": "contact", "mapping": mapping});
        let mut scopes = vec!["import:create", "job:read", "contact:create", "account:read"];
        let (robot_without, _) = robot(&server, &admin, &scopes).await;
        let refused = post(&robot_without, &spec, "name,firm\nLee,Acme\n").await.expect(403);
        assert!(refused.json["detail"].as_str().unwrap().contains("account:create"), "{}", refused.json);
        assert_eq!((left(&server, "job").await, left(&server, "job_input").await), (0, 0));
        scopes.push("account:create");
        let (robot_with, _) = robot(&server, &admin, &scopes).await;
        assert_eq!(imported(&robot_with, &spec, "name,firm\nLee,Acme\n").await.0["created"], 1);
    });
}

#[test]
fn a_job_whose_key_has_ended_ends_too() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (robot, key) = robot(&server, &admin, &["import:create", "job:read", "account:create"]).await;
        server.fails("change", true).await;
        let place = post(&robot, &accounts(), FILE).await.expect(202).header("location").to_owned();
        while left(&server, "job_queue where attempts > 0 and worker is null").await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await; // it is tried again once time goes by
        }
        admin.delete(&key).await.expect(204);
        server.fails("change", false).await;
        server.clock.advance(TimeDelta::seconds(10));
        let failed = job(&admin, &place, ended).await;
        assert_eq!((&failed["state"], &failed["problem"]["code"]), (&json!("failed"), &json!("unauthenticated")));
        assert!(failed["problem"]["detail"].as_str().unwrap().starts_with("the key"), "{failed}");
        assert_eq!(left(&server, "account").await, 0);
    });
}

#[test]
fn a_job_is_seen_by_who_asked_for_it_and_by_those_who_see_everything() {
    on_both(|server| async move {
        let (admin, manager) = (server.as_admin().await, server.as_person(Person::Manager).await);
        let (_, place) = imported(&admin, &accounts(), FILE).await;
        let wish = json!({"where": "id IS NOT NULL"});
        let own = manager.post("/v1/accounts/mass-delete", wish).await.expect(202);
        let own = job(&manager, own.header("location"), ended).await["id"].clone();
        let clerk = someone(&server, "clerk", json!({"rights": ["*:*"], "rows": {"default": "own"}})).await;
        for (caller, seen) in [(&manager, vec![&own]), (&clerk, vec![])] {
            for path in [place.clone(), format!("{place}/errors")] {
                assert_eq!(caller.get(&path).await.expect(404).problem(), "not_found", "{path}");
            }
            caller.post(&format!("{place}/undo"), json!({})).await.expect(404);
            let list = caller.get("/v1/jobs").await.expect(200);
            assert_eq!(list.data().iter().map(|job| &job["id"]).collect::<Vec<_>>(), seen);
            let export = caller.get("/v1/jobs/export?format=ndjson").await.expect(200).bytes;
            assert_eq!(String::from_utf8(export).unwrap().lines().count(), seen.len());
        }
        assert_eq!(admin.get("/v1/jobs").await.expect(200).data().len(), 2);
        assert_eq!(errors(&admin, &place).await.len(), 1);
        let me = clerk.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let explained = admin.post("/v1/access/explain", json!({"user": me, "kind": "job"})).await.expect(200);
        assert!(explained.json.to_string().contains("they see the jobs that they asked for"), "{}", explained.json);
    });
}

#[test]
fn what_somebody_changed_under_the_id_of_a_job_is_theirs_and_stays() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (_, place) = imported(&admin, &accounts(), FILE).await;
        let list = admin.list("/v1/accounts", &[("filter", "name = \"Acme\"")]).await.expect(200);
        let here = format!("/v1/accounts/{}", list.data()[0]["id"].as_str().unwrap());
        let log = loop {
            let log = admin.get("/v1/changes?kind=account").await.expect(200);
            if log.data().len() == 2 {
                break log;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let id = log.data()[0]["request_id"].as_str().unwrap();
        assert!(place.ends_with(id), "{place} {id}");
        let edit = admin.request("PATCH", &here).header("X-Request-Id", id).json(&json!({"name": "Acme Inc"}));
        let edited = admin.send(edit).await.expect(200);
        let undo = undone(&admin, &place).await;
        assert_eq!((&undo["result"]["undone"], &undo["result"]["failed"]), (&json!(1), &json!(1)), "{undo}");
        assert_eq!(admin.get(&here).await.expect(200).bytes, edited.bytes);
    });
}
