//! Many operations in one request, and records that come back.

use ripen_core::access::Verb;
use serde_json::{Value as Json, json};

use crate::{
    every_kind::{Maker, every_kind, path, tagged, takes},
    support::{Answer, Caller, Person, on_both},
};

async fn batch(caller: &Caller, kind: &str, operations: Json, atomic: bool) -> Answer {
    caller.post(&format!("/v1/{kind}/batch"), json!({"operations": operations, "atomic": atomic})).await
}

fn results(answer: &Answer) -> &Vec<Json> {
    answer.json["results"].as_array().expect("a batch has results")
}

fn statuses(answer: &Answer) -> Vec<u64> {
    results(answer).iter().map(|row| row["status"].as_u64().unwrap()).collect()
}

async fn names(caller: &Caller) -> Vec<String> {
    let page = caller.get("/v1/accounts?sort=name&limit=200").await.expect(200);
    page.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

async fn account(caller: &Caller, name: &str, mut data: Json) -> String {
    data["name"] = name.into();
    caller.post("/v1/accounts", data).await.expect(201).id().to_owned()
}

#[test]
fn every_kind_is_written_in_batches() {
    every_kind(|_, maker: &mut Maker, shape| {
        Box::pin(async move {
            let mut operations = Vec::new();
            for i in 0..3 {
                let mut body = maker.body(&shape).await;
                body.insert("external_id".to_owned(), format!("batch-{}-{i}", shape.name).into());
                operations.push(json!({"op": if i == 2 { "upsert" } else { "create" }, "data": body}));
            }
            let made = batch(&maker.admin, &shape.plural, operations.into(), true).await.expect(200);
            assert_eq!(statuses(&made), [201, 201, 201], "{}", shape.name);
            let id = |i: usize| results(&made)[i]["id"].clone();
            let key = format!("batch-{}-2", shape.name);
            let next = json!([
                {"op": "update", "id": id(0), "version": 1, "data": {"external_id": null}},
                {"op": "delete", "id": id(1)},
                {"op": "upsert", "data": {"external_id": key}},
            ]);
            let changed = batch(&maker.admin, &shape.plural, next, true).await.expect(200);
            assert_eq!(statuses(&changed), [200, 204, 200], "{}", shape.name);
            assert_eq!(results(&changed)[2]["id"], id(2), "found by external_id");
            let versions: Vec<_> = results(&changed).iter().map(|row| row["version"].clone()).collect();
            assert_eq!(versions, [json!(2), json!(2), json!(1)], "what changes nothing has no new version");
        })
    });
}

#[test]
fn a_batch_writes_the_good_rows_and_says_what_is_wrong_with_each_other() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let here = admin.post("/v1/accounts", json!({"name": "Here", "external_id": "h"})).await.expect(201);
        let nobody = "01939e2b-6c00-7000-8000-000000000001";
        let operations = json!([
            {"op": "create", "data": {"name": "Good"}},
            {"op": "create", "data": {"name": "", "website": "no url", "nmae": 1}},
            {"op": "update", "id": nobody, "data": {"name": "Nobody"}},
            {"op": "update", "id": here.id(), "version": 7, "data": {"name": "Stale"}},
            {"op": "create", "data": {"name": "Twice", "external_id": "h"}},
            {"op": "delete"},
            {"op": "crate", "data": {}},
            {"op": "create", "data": {"name": "A", "external_id": "same"}},
            {"op": "create", "data": {"name": "B", "external_id": "same"}},
            {"op": "delete", "id": here.id(), "data": {}, "nothing": 1},
            "no object",
        ]);
        let answer = batch(&admin, "accounts", operations.clone(), false).await.expect(200);
        assert_eq!(statuses(&answer), [201, 422, 404, 412, 422, 422, 422, 201, 422, 422, 422]);
        let told: Vec<_> = results(&answer).iter().map(|row| places(&row["problem"])).collect();
        let expected = [
            vec![],
            vec![
                "/operations/1/data/name required",
                "/operations/1/data/nmae unknown_field",
                "/operations/1/data/website invalid_value",
            ],
            vec![],
            vec![],
            vec!["/operations/4/data/external_id duplicate"],
            vec!["/operations/5/id required"],
            vec!["/operations/6/op invalid_value"],
            vec![],
            vec!["/operations/8/data/external_id duplicate"],
            vec!["/operations/9/data unknown_field", "/operations/9/nothing unknown_field"],
            vec!["/operations/10 wrong_type"],
        ];
        assert_eq!(told, expected);
        let codes: Vec<_> = results(&answer).iter().map(|row| row["problem"]["code"].as_str().unwrap_or("")).collect();
        assert_eq!(codes[2..4], ["not_found", "stale"]);
        assert_eq!(names(&admin).await, ["A", "Good", "Here"]);

        let refused = batch(&admin, "accounts", operations, true).await.expect(422);
        assert_eq!(refused.problem(), "validation_failed");
        let all: Vec<_> = places(&refused.json);
        assert!(all.contains(&"/operations/2/id not_found".to_owned()), "{all:?}");
        assert!(all.contains(&"/operations/3/version stale".to_owned()), "{all:?}");
        assert!(all.contains(&"/operations/6/op invalid_value".to_owned()), "{all:?}");
        assert_eq!(names(&admin).await, ["A", "Good", "Here"], "nothing of it is written");
    });
}

/// `pointer code` of each error, sorted.
fn places(problem: &Json) -> Vec<String> {
    let errors = problem["errors"].as_array().into_iter().flatten();
    let mut places: Vec<_> =
        errors.map(|e| format!("{} {}", e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap())).collect();
    places.sort_unstable();
    places
}

#[test]
fn a_batch_takes_1_to_1000_operations_and_8_mib() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (body, place) in [
            (json!({"operations": []}), "/operations required"),
            (json!({"operations": vec![json!({"op": "delete"}); 1001]}), "/operations out_of_range"),
            (json!({"operations": {}}), "/operations wrong_type"),
            (json!({}), "/operations required"),
            (json!({"operations": [{}], "atomic": 1}), "/atomic wrong_type"),
            (json!({"operations": [{}], "atomc": true}), "/atomc unknown_field"),
        ] {
            let refused = admin.post("/v1/accounts/batch", body).await.expect(422);
            assert_eq!(places(&refused.json), [place]);
        }
        let needs = "n".repeat(2000);
        let create = |i: usize| json!({"op": "create", "data": {"name": format!("{i:04}"), "needs": needs}});
        let made = batch(&admin, "accounts", (0..1000).map(create).collect(), true).await.expect(200);
        assert_eq!(statuses(&made), vec![201; 1000]);
        let page = admin.get("/v1/accounts?sort=-name&limit=1&count=exact").await.expect(200);
        assert_eq!((&page.json["page"]["total"], &page.data()[0]["name"]), (&json!(1000), &json!("0999")));
        let large = json!({"operations": [{"op": "create", "data": {"name": "n".repeat(9 << 20)}}]});
        assert_eq!(admin.post("/v1/accounts/batch", large).await.expect(413).problem(), "body_too_large");
    });
}

#[test]
fn an_upsert_finds_its_record_as_the_databases_uniqueness_does() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let upsert = |data: Json, by: Json| json!({"op": "upsert", "data": data, "by": by});
        let one = |operation: Json| batch(&admin, "users", json!([operation]), false);
        let ann = json!({"email": "ann@acme.example", "name": "Ann"});
        let made = one(upsert(ann.clone(), json!("email"))).await.expect(200);
        assert_eq!(statuses(&made), [201]);
        let again =
            one(upsert(json!({"email": "ann@acme.example", "name": "Anna"}), json!(["email"]))).await.expect(200);
        assert_eq!((statuses(&again), &results(&again)[0]["id"]), (vec![200], &results(&made)[0]["id"]));
        for (operation, place) in [
            (upsert(json!({"name": "Bob"}), json!("email")), "/operations/0/data/email required"),
            (upsert(json!({"email": null, "name": "Bob"}), json!("email")), "/operations/0/data/email required"),
            (upsert(json!({"email": "no", "name": "Bob"}), json!("email")), "/operations/0/data/email invalid_value"),
            (upsert(ann.clone(), json!("name")), "/operations/0/by invalid_value"),
            (upsert(ann.clone(), json!(7)), "/operations/0/by wrong_type"),
            (json!({"op": "upsert", "data": ann}), "/operations/0/data/external_id required"),
            (
                json!({"op": "upsert", "id": results(&made)[0]["id"], "data": ann, "by": "email"}),
                "/operations/0/id unknown_field",
            ),
        ] {
            let refused = one(operation).await.expect(200);
            assert_eq!(places(&results(&refused)[0]["problem"]), [place]);
        }
        let twice = json!([
            upsert(json!({"external_id": "k", "name": "A", "email": "a@acme.example"}), json!("external_id")),
            upsert(json!({"external_id": "k", "name": "B", "email": "b@acme.example"}), json!("external_id"))
        ]);
        let new = batch(&admin, "users", twice.clone(), false).await.expect(200);
        assert_eq!(statuses(&new), [201, 422], "two new ones with one key");
        let old = batch(&admin, "users", twice, false).await.expect(200);
        assert_eq!(statuses(&old), [200, 409], "two changes of one record");
        let gone = format!("/v1/users/{}", results(&new)[0]["id"].as_str().unwrap());
        admin.delete(&gone).await.expect(204);
        let fresh = upsert(json!({"external_id": "k", "name": "C", "email": "c@acme.example"}), json!("external_id"));
        let fresh = one(fresh).await.expect(200);
        assert_eq!(statuses(&fresh), [201], "a deleted record holds nothing");
        assert_eq!(
            admin.post(&format!("{gone}/restore"), Json::Null).await.expect(422).errors(),
            [("/external_id", "duplicate")]
        );
    });
}

#[test]
fn an_upsert_that_loses_a_race_changes_the_winners_record() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        let data = json!({"name": "First", "external_id": "x"}).as_object().unwrap().clone();
        let create = ripen_core::engine::Operation::Create { data, since: ripen_core::engine::Since::default() };
        let accounts = cx.kind("account").unwrap();
        let first = accounts.write(&unit, vec![create]).await.unwrap().remove(0).unwrap();
        let second = tokio::spawn(async move {
            let upsert = json!([{"op": "upsert", "data": {"name": "Second", "external_id": "x"}}]);
            batch(&admin, "accounts", upsert, false).await
        });
        server.waiting(1).await;
        unit.commit().await.unwrap();
        let second = second.await.unwrap().expect(200);
        assert_eq!((statuses(&second), &results(&second)[0]["id"]), (vec![200], &json!(first.id)));
        assert_eq!(results(&second)[0]["version"], 2);
    });
}

#[test]
fn a_batch_needs_the_right_of_each_operation_and_stays_in_its_tenant() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let stranger = server.as_person(Person::Stranger).await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme", "external_id": "a"})).await.expect(201);
        let own = rep.post("/v1/accounts", json!({"name": "Mine"})).await.expect(201);
        let deletes = json!([{"op": "delete", "id": own.id()}]);
        assert_eq!(batch(&rep, "accounts", deletes, false).await.expect(403).problem(), "forbidden");
        let change = json!([{"op": "update", "id": made.id(), "data": {"name": "Stolen"}},
                            {"op": "upsert", "data": {"name": "Theirs", "external_id": "a"}}]);
        let theirs = batch(&stranger, "accounts", change.clone(), false).await.expect(200);
        assert_eq!(statuses(&theirs), [404, 201], "keys are unique in a tenant");
        let unseen = batch(&rep, "accounts", change, false).await.expect(200);
        assert_eq!(statuses(&unseen), [404, 422], "a key is taken by a record one may not see, too");
        assert_eq!(admin.get(&format!("/v1/accounts/{}", made.id())).await.expect(200).bytes, made.bytes);
        assert_eq!(
            batch(&admin, "jobs", json!([{"op": "delete"}]), false).await.expect(405).problem(),
            "method_not_allowed"
        );
    });
}

#[test]
fn a_batch_is_replayed_by_its_key() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let body = json!({"operations": [{"op": "create", "data": {"name": "Acme"}}, {"op": "create", "data": {}}]});
        let send =
            || admin.send(admin.request("POST", "/v1/accounts/batch").header("Idempotency-Key", "k").json(&body));
        let (first, again) = (send().await.expect(200), send().await.expect(200));
        assert_eq!((first.bytes, again.header("idempotent-replayed")), (again.bytes.clone(), "true"));
        assert_eq!(names(&admin).await, ["Acme"]);
    });
}

#[test]
fn what_was_deleted_comes_back_as_it_was() {
    every_kind(|server, maker: &mut Maker, shape| {
        Box::pin(async move {
            if !takes(&shape, Verb::Delete) {
                return;
            }
            let made = maker.make(&shape).await;
            let here = format!("{}/{}", path(&shape), made.id());
            let restore = format!("{here}/restore");
            assert_eq!(maker.admin.post(&restore, Json::Null).await.expect(409).problem(), "invalid_state");
            maker.admin.delete(&here).await.expect(204);
            let stranger = server.as_person(Person::Stranger).await;
            assert_eq!(stranger.post(&restore, Json::Null).await.expect(404).problem(), "not_found");
            let stale = maker.admin.request("POST", &restore).header("If-Match", "\"v1\"");
            assert_eq!(maker.admin.send(stale).await.expect(412).problem(), "stale");
            let back = maker.admin.post(&restore, Json::Null).await.expect(200);
            assert_eq!((&back.json["version"], tagged(&back)), (&json!(3), 3));
            for (name, value) in made.object().iter().filter(|(name, _)| *name != "version") {
                assert_eq!(&back.json[name], value, "{}.{name}", shape.name);
            }
            assert_eq!(maker.admin.get(&here).await.expect(200).bytes, back.bytes);
        })
    });
}

#[test]
fn a_restore_is_refused_where_what_it_refers_to_is_gone() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let child = admin.post("/v1/accounts", json!({"name": "Part", "parent_id": account.id()})).await.expect(201);
        for id in [child.id(), account.id()] {
            admin.delete(&format!("/v1/accounts/{id}")).await.expect(204);
        }
        let restore = |id: &str| format!("/v1/accounts/{id}/restore");
        let refused = admin.post(&restore(child.id()), Json::Null).await.expect(422);
        assert_eq!(refused.errors(), [("/parent_id", "reference_not_found")]);
        admin.post(&restore(account.id()), Json::Null).await.expect(200);
        admin.post(&restore(child.id()), Json::Null).await.expect(200);
        let rep = server.as_person(Person::Rep).await;
        let own = rep.post("/v1/accounts", json!({"name": "Mine"})).await.expect(201);
        admin.delete(&format!("/v1/accounts/{}", own.id())).await.expect(204);
        assert_eq!(rep.post(&restore(own.id()), Json::Null).await.expect(403).problem(), "forbidden");
    });
}

#[test]
fn a_batch_of_the_largest_size_is_written_whatever_fields_are_unique_together() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201).id().to_owned();
        let call = |n: usize| {
            json!({"account_id": account, "channel": "call", "start_at": "2026-01-30T09:00:00Z",
                   "source": "pbx", "source_key": format!("c{n}")})
        };
        let all: Vec<_> = (0..1000).map(|n| json!({"op": "create", "data": call(n)})).collect();
        let made = batch(&admin, "interactions", all.into(), false).await.expect(200);
        assert!(statuses(&made).iter().all(|status| *status == 201), "{}", made.json);
        let again = json!([{"op": "create", "data": call(999)}, {"op": "create", "data": call(1000)}]);
        assert_eq!(statuses(&batch(&admin, "interactions", again, false).await.expect(200)), [422, 201]);
    });
}

#[test]
fn a_row_that_is_refused_keeps_no_unique_value_from_the_rows_behind_it() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let code = json!({"kind": "account", "name": "code", "type": "text", "unique": true});
        admin.post("/v1/custom-fields", code).await.expect(201);
        account(&admin, "Held", json!({"external_id": "held"})).await;
        let nobody = "01939e2b-6c00-7000-8000-0000000000aa";
        let create = |data: Json| json!({"op": "create", "data": data});
        let rows = json!([
            create(json!({"name": "Orphan", "external_id": "x", "parent_id": nobody})),
            create(json!({"name": "Corrected", "external_id": "x"})),
            create(json!({"name": "Third", "external_id": "x"})),
            create(json!({"name": "Taken", "external_id": "held", "custom": {"code": "c"}})),
            create(json!({"name": "Free", "custom": {"code": "c"}})),
            create(json!({"name": "Also", "custom": {"code": "c"}})),
        ]);
        let answer = batch(&admin, "accounts", rows, false).await.expect(200);
        assert_eq!(statuses(&answer), [422, 201, 422, 422, 201, 422], "{}", answer.json);
        let wrong = |n: usize| results(&answer)[n]["problem"]["errors"].to_string();
        assert!(wrong(0).contains("parent_id") && !wrong(0).contains("duplicate"), "{}", wrong(0));
        assert!(wrong(2).contains("in this request") && wrong(5).contains("in this request"), "{}", answer.json);
        assert_eq!(names(&admin).await, ["Corrected", "Free", "Held"]);
    });
}

#[test]
fn the_id_of_a_deleted_record_is_not_taken_again_and_the_answer_says_so() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let id = account(&admin, "Gone", json!({"external_id": "g"})).await;
        admin.delete(&format!("/v1/accounts/{id}")).await.expect(204);
        let data = json!({"id": id, "name": "Back"});
        let upsert = json!([{"op": "upsert", "by": "id", "data": data}, {"op": "create", "data": {"name": "New"}}]);
        let answer = batch(&admin, "accounts", upsert, false).await.expect(200);
        assert_eq!(statuses(&answer), [409, 201]);
        let problem = &results(&answer)[0]["problem"];
        assert_eq!(problem["code"], "invalid_state", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("was deleted: restore it"), "{problem}");
        let alone = admin.post("/v1/accounts", data).await.expect(409);
        assert_eq!(alone.problem(), "invalid_state");
        admin.post(&format!("/v1/accounts/{id}/restore"), Json::Null).await.expect(200);
        assert_eq!(names(&admin).await, ["Gone", "New"]);
    });
}
