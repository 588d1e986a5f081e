//! What is written at the same time ends as if one had been written after the other.

use ripen_core::{
    context::{Context, Unit},
    engine::{Operation, Since, only},
};
use serde_json::{Value as Json, json};
use tokio::{spawn, task::JoinSet};
use uuid::Uuid;

use crate::{
    imports::{ended, job, left, post},
    support::{Answer, Caller, Db, Person, TestServer, block_on, databases, on, on_both, prepare},
};

async fn made(admin: &Caller, plural: &str, data: Json) -> String {
    admin.post(&format!("/v1/{plural}"), data).await.expect(201).id().to_owned()
}

/// Writes in a unit that the test holds open: everybody else's is still to come, or waits for it.
async fn write(unit: &Unit<'_>, kind: &str, operation: Operation) {
    let verdicts = unit.cx.kind(kind).unwrap().write(unit, vec![operation]).await.unwrap();
    only(verdicts).unwrap();
}

fn create(data: &Json) -> Operation {
    Operation::Create { data: data.as_object().unwrap().clone(), since: Since::default() }
}

fn update(id: &str, data: &Json) -> Operation {
    let data = data.as_object().unwrap().clone();
    Operation::Update { id: id.parse().unwrap(), version: None, data, since: Since::default() }
}

/// A kind to be referred to, what a record of it has, and how others refer to it: kind, draft with the id, place of the id.
type Reference = (&'static str, Json, (&'static str, &'static str), fn(&str) -> Json, &'static str);

async fn references(admin: &Caller) -> Vec<Reference> {
    let supplier = json!({"kind": "account", "name": "supplier", "type": "reference", "refers_to": "account"});
    made(admin, "custom-fields", supplier).await;
    let account = || json!({"name": "Acme"});
    vec![
        (
            "account",
            account(),
            ("contact", "contacts"),
            |id| json!({"last_name": "Jones", "account_id": id}),
            "/account_id",
        ),
        (
            "account",
            account(),
            ("account", "accounts"),
            |id| json!({"name": "Globex", "custom": {"supplier": id}}),
            "/custom/supplier",
        ),
        (
            "product",
            json!({"sku": "p", "name": "Pen"}),
            ("order", "orders"),
            |id| json!({"number": "1", "lines": [{"product_id": id, "quantity": 1, "unit_price": {"amount": "1.00", "currency": "USD"}}]}),
            "/lines/0/product_id",
        ),
    ]
}

#[test]
fn a_record_that_was_deleted_meanwhile_is_referred_to_by_nobody() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (kind, data, (_, plural), refers, place) in references(&admin).await {
            let id = made(&admin, &format!("{kind}s"), data).await;
            let body = refers(&id);
            let body = if kind == "product" { with_account(&admin, body).await } else { body };
            let cx = server.context(Person::Admin).await;
            let unit = cx.begin().await.unwrap();
            write(&unit, kind, Operation::Delete { id: id.parse().unwrap(), version: None }).await;
            let admin = admin.clone();
            let late = spawn(async move { admin.post(&format!("/v1/{plural}"), body).await });
            server.waiting(1).await;
            unit.commit().await.unwrap();
            assert_eq!(late.await.unwrap().expect(422).errors(), [(place, "reference_not_found")]);
        }
    });
}

async fn with_account(admin: &Caller, mut order: Json) -> Json {
    order["account_id"] = made(admin, "accounts", json!({"name": "Buyer"})).await.into();
    order
}

#[test]
fn a_record_that_is_referred_to_meanwhile_is_not_deleted() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (kind, data, (referring, _), refers, _) in references(&admin).await {
            let id = made(&admin, &format!("{kind}s"), data).await;
            let body = refers(&id);
            let body = if kind == "product" { with_account(&admin, body).await } else { body };
            let cx = server.context(Person::Admin).await;
            let unit = cx.begin().await.unwrap();
            write(&unit, referring, create(&body)).await;
            let admin = admin.clone();
            let late = spawn(async move { admin.delete(&format!("/v1/{kind}s/{id}")).await });
            server.waiting(1).await;
            unit.commit().await.unwrap();
            assert_eq!(late.await.unwrap().expect(409).problem(), "still_referenced");
        }
    });
}

#[test]
fn what_refers_to_a_record_that_is_being_merged_follows_it_or_is_refused() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let stays = made(&admin, "accounts", json!({"name": "Acme"})).await;
        let goes = made(&admin, "accounts", json!({"name": "ACME Ltd"})).await;
        let contact = |name: &str| json!({"last_name": name, "account_id": goes});
        let first = made(&admin, "contacts", contact("Jones")).await;
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        write(&unit, "contact", update(&first, &json!({"last_name": "James"}))).await;
        let (merger, writer, second) = (admin.clone(), admin.clone(), contact("Smith"));
        let (path, from) = (format!("/v1/accounts/{stays}/merge"), json!({"from": goes}));
        let merge = spawn(async move { merger.post(&path, from).await });
        server.waiting(1).await;
        let second = spawn(async move { writer.post("/v1/contacts", second).await });
        server.waiting(2).await;
        unit.commit().await.unwrap();
        let merge = merge.await.unwrap();
        assert!(merge.status < 300, "{}", merge.json);
        let second = second.await.unwrap();
        let here = format!("/v1/contacts/{first}");
        let mut there = vec![admin.get(&here).await.expect(200).json["account_id"].clone()];
        if server.db == Db::Sqlite && second.status == 201 {
            let here = format!("/v1/contacts/{}", second.id()); // it was the first to write
            there.push(admin.get(&here).await.expect(200).json["account_id"].clone());
        } else {
            assert_eq!(second.expect(422).errors(), [("/account_id", "reference_not_found")]);
        }
        assert!(there.iter().all(|account| *account == stays), "{there:?}");
    });
}

#[test]
fn interactions_with_one_customer_at_once_all_count() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = made(&admin, "accounts", json!({"name": "Acme"})).await;
        let contact = made(&admin, "contacts", json!({"last_name": "Jones", "account_id": account})).await;
        let mut writers = JoinSet::new();
        for minute in 10..22 {
            let admin = admin.clone();
            let start = format!("2026-01-12T09:{minute}:00.000Z");
            let interaction = json!({"account_id": account, "contact_id": contact, "channel": "call",
                                     "direction": "outbound", "start_at": start});
            writers.spawn(async move { admin.post("/v1/interactions", interaction).await });
        }
        for answer in writers.join_all().await {
            answer.expect(201);
        }
        for path in [format!("/v1/accounts/{account}"), format!("/v1/contacts/{contact}")] {
            let last = admin.get(&path).await.expect(200).json["last_contact_at"].clone();
            assert_eq!(last, "2026-01-12T09:21:00.000Z", "{path}");
        }
    });
}

/// A field of accounts, which one account has with the value `x`, and the field's id.
async fn coded(admin: &Caller) -> String {
    let field = made(admin, "custom-fields", json!({"kind": "account", "name": "code", "type": "text"})).await;
    made(admin, "accounts", json!({"name": "First", "custom": {"code": "x"}})).await;
    field
}

/// A unit that is about to change the field's definition.
async fn redefines<'c>(cx: &'c Context, field: &str, change: &Json) -> Unit<'c> {
    let definitions = cx.kind("custom_field").unwrap();
    let unit = cx.begin_for([definitions.shape()]).await.unwrap();
    write(&unit, "custom_field", update(field, change)).await;
    unit
}

/// Of an account that was written by an older definition than there is.
fn outdated(answer: &Answer) {
    assert_eq!((answer.status, answer.problem(), answer.header("retry-after")), (409, "conflict", "1"));
}

#[test]
fn a_record_that_waited_for_a_definition_is_checked_against_it() {
    let cases = [
        (json!({"unique": true}), json!({"code": "x"}), "duplicate"),
        (json!({"required": true}), json!({}), "required"),
        (json!({"validation": {"max_length": 1}}), json!({"code": "xy"}), "too_long"),
        (json!({"state": "retired"}), json!({"code": "y"}), "unknown_field"),
    ];
    for (change, custom, code) in &cases {
        on_both(|server| async move {
            let admin = server.as_admin().await;
            let field = coded(&admin).await;
            let cx = server.context(Person::Admin).await;
            let unit = redefines(&cx, &field, change).await;
            let account = json!({"name": "Second", "custom": custom});
            let (writer, body) = (admin.clone(), account.clone());
            let late = spawn(async move { writer.post("/v1/accounts", body).await });
            server.waiting(1).await;
            unit.commit().await.unwrap();
            let late = late.await.unwrap();
            if server.db == Db::Postgres || late.status != 422 {
                outdated(&late);
            }
            let again = admin.post("/v1/accounts", account).await.expect(422);
            assert_eq!(again.errors(), [("/custom/code", *code)]);
            assert_eq!(admin.get("/v1/accounts").await.expect(200).data().len(), 1);
        });
    }
}

#[test]
fn a_definition_counts_the_records_that_were_being_written() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let field = coded(&admin).await;
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        write(&unit, "account", create(&json!({"name": "Second", "custom": {"code": "x"}}))).await;
        let late = spawn(async move {
            let path = format!("/v1/custom-fields/{field}");
            admin.patch(&path, json!({"unique": true})).await
        });
        server.waiting(1).await;
        unit.commit().await.unwrap();
        assert_eq!(late.await.unwrap().expect(422).errors(), [("/unique", "existing_values")]);
    });
}

#[test]
fn a_definition_that_is_given_up_stands_in_nobodys_way() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let field = coded(&admin).await;
        let cx = server.context(Person::Admin).await;
        redefines(&cx, &field, &json!({"unique": true})).await.undo().await.unwrap();
        made(&admin, "accounts", json!({"name": "Second", "custom": {"code": "x"}})).await;
        let refused = json!({"operations": [{"op": "update", "id": field, "data": {"label": {"en": "Code"}}},
                                            {"op": "create", "data": {"kind": "nothing"}}], "atomic": true});
        admin.post("/v1/custom-fields/batch", refused).await.expect(422);
        made(&admin, "accounts", json!({"name": "Third", "custom": {"code": "x"}})).await;
    });
}

#[test]
fn definitions_that_are_made_at_once_wait_for_each_other() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut writers = JoinSet::new();
        for n in 0..6 {
            let admin = admin.clone();
            let field = json!({"kind": "account", "name": format!("field_{n}"), "type": "text"});
            writers.spawn(async move { admin.post("/v1/custom-fields", field).await });
        }
        for answer in writers.join_all().await {
            answer.expect(201);
        }
        let all: serde_json::Map<_, _> = (0..6).map(|n| (format!("field_{n}"), json!("x"))).collect();
        made(&admin, "accounts", json!({"name": "Acme", "custom": all})).await;
    });
}

#[test]
fn another_process_writes_nothing_by_an_older_definition() {
    if !databases().contains(&Db::Postgres) {
        return;
    }
    on(Db::Postgres, |server| async move {
        let admin = server.as_admin().await;
        let other = server.beside().await;
        let there = Caller { base: format!("http://{}", other.address()), ..admin.clone() };
        let field = coded(&admin).await;
        there.get("/v1/accounts").await.expect(200);
        admin.patch(&format!("/v1/custom-fields/{field}"), json!({"unique": true})).await.expect(200);
        let account = json!({"name": "Second", "custom": {"code": "x"}});
        outdated(&there.post("/v1/accounts", account.clone()).await);
        let again = there.post("/v1/accounts", account).await.expect(422);
        assert_eq!(again.errors(), [("/custom/code", "duplicate")]);
        other.stop().await.unwrap();
    });
}

#[test]
fn a_job_goes_on_by_the_definitions_that_were_changed_meanwhile() {
    if !databases().contains(&Db::Postgres) {
        return;
    }
    prepare(Db::Postgres);
    block_on(async {
        let server = TestServer::new(Db::Postgres).await;
        let admin = server.as_admin().await;
        let field = coded(&admin).await;
        let rows: Vec<_> = (0..600).map(|n| json!({"op": "create", "data": {"name": format!("Acme {n}")}})).collect();
        let rows = admin.post("/v1/accounts/batch", json!({"operations": rows})).await.expect(200);
        let newest = rows.json["results"][599]["id"].as_str().unwrap().parse::<Uuid>().unwrap();
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        write(&unit, "account", update(&newest.to_string(), &json!({"name": "Held"}))).await;
        let wish = json!({"where": "id IS NOT NULL", "data": {"custom": {"code": "y"}}});
        let accepted = admin.post("/v1/accounts/mass-update", wish).await.expect(202);
        server.waiting(1).await; // its first page, for the newest account
        let definer = admin.clone();
        let late = spawn(async move {
            let path = format!("/v1/custom-fields/{field}");
            definer.patch(&path, json!({"validation": {"max_length": 1}})).await
        });
        server.waiting(2).await;
        unit.commit().await.unwrap();
        late.await.unwrap().expect(200);
        let done = job(&admin, accepted.header("location"), ended).await;
        assert_eq!((&done["state"], &done["result"]["changed"]), (&json!("succeeded"), &json!(601)), "{done:#}");
        server.end().await;
    });
}

#[test]
fn a_custom_value_that_another_has_just_stored_costs_its_own_row_or_is_found() {
    on(Db::Postgres, |server| async move {
        let admin = server.as_admin().await;
        let field = json!({"kind": "account", "name": "code", "type": "text", "unique": true});
        made(&admin, "custom-fields", field).await;
        for (op, status) in [("create", 422), ("upsert", 200)] {
            let data = json!({"name": "First", "custom": {"code": op}});
            let cx = server.context(Person::Admin).await;
            let unit = cx.begin().await.unwrap();
            write(&unit, "account", create(&data)).await;
            let mut same = json!({"op": op, "data": data});
            if op == "upsert" {
                same["by"] = "custom.code".into();
            }
            let rows = json!({"operations": [same, {"op": "create", "data": {"name": "Other"}}]});
            let writer = admin.clone();
            let late = spawn(async move { writer.post("/v1/accounts/batch", rows).await });
            server.waiting(1).await;
            unit.commit().await.unwrap();
            let late = late.await.unwrap().expect(200);
            let statuses: Vec<_> = (0..2).map(|n| late.json["results"][n]["status"].clone()).collect();
            assert_eq!(statuses, [status, 201], "{}", late.json);
        }
    });
}

#[test]
fn an_import_goes_on_where_another_has_just_stored_the_custom_value_of_a_row() {
    on(Db::Postgres, |server| async move {
        let admin = server.as_admin().await;
        let field = json!({"kind": "account", "name": "code", "type": "text", "unique": true});
        made(&admin, "custom-fields", field).await;
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        write(&unit, "account", create(&json!({"name": "First", "custom": {"code": "x"}}))).await;
        let mapping = json!({"name": {"column": "name"}, "custom.code": {"column": "code"}});
        let spec = json!({"kind": "account", "mode": "upsert", "match": "custom.code", "mapping": mapping});
        let place =
            post(&admin, &spec, "name,code\nSecond,x\nThird,y\n").await.expect(202).header("location").to_owned();
        server.waiting(1).await;
        unit.commit().await.unwrap();
        while left(&server, "job_queue where attempts > 0 and worker is null").await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await; // it is tried again once time goes by
        }
        server.clock.advance(chrono::TimeDelta::seconds(10));
        let done = job(&admin, &place, ended).await;
        assert_eq!((&done["result"]["updated"], &done["result"]["created"]), (&json!(1), &json!(1)), "{done}");
    });
}
