//! Who is in which team: once at a time.

use ripen_core::engine::{Operation, Since, only};
use ripen_migrations::{Migrator, MigratorTrait as _};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::SchemaManager;
use serde_json::{Value as Json, json};
use tokio::spawn;

use crate::support::{Answer, Caller, Person, TestServer, on_both};

/// A new team and what puts a person into it.
async fn team(server: &TestServer, admin: &Caller) -> Json {
    let user = server.as_person(Person::Rep).await.get("/v1/me").await.expect(200).json["user"]["id"].clone();
    let team = admin.post("/v1/teams", json!({"name": "North"})).await.expect(201);
    json!({"team_id": team.id(), "user_id": user})
}

#[test]
fn nobody_is_in_a_team_twice_at_a_time() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let member = team(&server, &admin).await;
        let first = admin.post("/v1/memberships", member.clone()).await.expect(201);
        let twice = admin.post("/v1/memberships", member.clone()).await.expect(422);
        assert_eq!(twice.errors(), [("/user_id", "duplicate")]);
        let here = format!("/v1/memberships/{}", first.id());
        admin.patch(&here, json!({"to_at": "2026-02-01T00:00:00Z"})).await.expect(200);
        let second = admin.post("/v1/memberships", member.clone()).await.expect(201);
        let again = admin.patch(&here, json!({"to_at": null})).await.expect(422);
        assert_eq!(again.errors(), [("/user_id", "duplicate")]);
        admin.delete(&format!("/v1/memberships/{}", second.id())).await.expect(204);
        admin.patch(&here, json!({"to_at": null, "role": "lead"})).await.expect(200);
        let back = admin.post(&format!("/v1/memberships/{}/restore", second.id()), json!({})).await.expect(422);
        assert_eq!(back.errors(), [("/user_id", "duplicate")]);

        let other = team(&server, &admin).await;
        let create = json!({"op": "create", "data": other});
        let batch = json!({"operations": [create.clone(), create]});
        let both = admin.post("/v1/memberships/batch", batch).await.expect(200).json;
        let statuses: Vec<_> = both["results"].as_array().unwrap().iter().map(|row| &row["status"]).collect();
        assert_eq!(statuses, [&json!(201), &json!(422)], "{both}");
    });
}

#[test]
fn of_two_who_put_a_person_into_a_team_at_once_one_does() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let member = team(&server, &admin).await;
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        let data = member.as_object().unwrap().clone();
        let create = Operation::Create { data, since: Since::default() };
        only(cx.kind("membership").unwrap().write(&unit, vec![create]).await.unwrap()).unwrap();
        let late = spawn(async move { admin.post("/v1/memberships", member).await });
        server.waiting(1).await;
        unit.commit().await.unwrap();
        assert!([409, 422].contains(&late.await.unwrap().status));
    });
}

#[test]
fn of_memberships_that_were_double_before_the_oldest_stays() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut lead = team(&server, &admin).await;
        lead["role"] = json!("lead");
        let oldest = admin.post("/v1/memberships", lead).await.expect(201);
        let double = admin.post("/v1/memberships", team(&server, &admin).await).await.expect(201);
        let connection = &server.world().store.write;
        let manager = SchemaManager::new(connection);
        let all = Migrator::migrations();
        let one = all.iter().find(|migration| migration.name().ends_with("one_membership")).unwrap();
        one.down(&manager).await.unwrap();
        let join = "update membership set team_id = (select team_id from membership where role = 'lead')";
        connection.execute_unprepared(join).await.unwrap();
        one.up(&manager).await.unwrap();
        let now = async |made: &Answer| admin.get(&format!("/v1/memberships/{}", made.id())).await.expect(200);
        let ended = now(&double).await;
        assert_eq!((&ended.json["to_at"], &ended.json["version"]), (&double.json["created_at"], &json!(2)));
        assert_eq!(now(&oldest).await.bytes, oldest.bytes);
    });
}
