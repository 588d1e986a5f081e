//! `search`: the same records by the same words on both databases.

use std::collections::HashMap;

use ripen_core::{
    access::Verb,
    context::Context,
    engine::{
        FieldType, Operation, Since,
        read::{self, ListQuery},
        search,
    },
    records,
};
use sea_orm::{
    ConnectionTrait, DbBackend, Statement,
    sea_query::{PostgresQueryBuilder, SqliteQueryBuilder},
};
use serde_json::{Value as Json, json};

use crate::{
    roles::someone,
    support::{Caller, Db, Person, TestServer, on_both, on_both_with_the_sample},
};

async fn names(caller: &Caller, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = caller.list("/v1/accounts", parameters).await.expect(200);
    answer.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

async fn account(admin: &Caller, body: Json) -> String {
    format!("/v1/accounts/{}", admin.post("/v1/accounts", body).await.expect(201).id())
}

#[test]
fn words_find_records_in_any_order_width_and_case() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for name in ["ACME Ltd", "Acme Incorporated", "北京科技公司", "上海北站", "Ｗｉｄｅ Söhne", "O'Brien & Co"]
        {
            account(&admin, json!({"name": name})).await;
        }
        let phone = json!({"name": "Phone", "phone": "+8613800138000", "website": "https://shop.example.com/a"});
        account(&admin, phone).await;
        for (text, wanted) in [
            ("acme", vec!["ACME Ltd", "Acme Incorporated"]),
            ("ＡＣＭＥ l", vec!["ACME Ltd"]),
            ("inc acm", vec![]),
            ("acme inc", vec!["Acme Incorporated"]),
            ("incorporated ac", vec!["Acme Incorporated"]),
            ("北京", vec!["北京科技公司"]),
            ("北", vec!["北京科技公司", "上海北站"]),
            ("科技公司", vec!["北京科技公司"]),
            ("京站", vec![]),
            ("WIDE söh", vec!["Ｗｉｄｅ Söhne"]),
            ("brien", vec!["O'Brien & Co"]),
            ("138-0013-8000", vec!["Phone"]),
            ("8000", vec!["Phone"]),
            ("shop.example", vec!["Phone"]),
            ("nothing of the kind", vec![]),
        ] {
            assert_eq!(names(&admin, &[("search", text), ("sort", "id")]).await, wanted, "{text}");
        }
        let stranger = server.as_person(Person::Stranger).await;
        assert!(names(&stranger, &[("search", "acme")]).await.is_empty());
        let rep = server.as_person(Person::Rep).await;
        assert!(names(&rep, &[("search", "acme")]).await.is_empty(), "not theirs");
    });
}

#[test]
fn what_is_found_follows_every_write() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let here = account(&admin, json!({"name": "First name", "external_id": "k1"})).await;
        assert_eq!(names(&admin, &[("search", "first")]).await, ["First name"]);
        admin.patch(&here, json!({"name": "Second name"})).await.expect(200);
        assert!(names(&admin, &[("search", "first")]).await.is_empty());
        assert_eq!(names(&admin, &[("search", "second")]).await, ["Second name"]);
        admin.patch(&here, json!({"grade": "A"})).await.expect(200);
        assert_eq!(names(&admin, &[("search", "second k1")]).await, ["Second name"]);
        admin.delete(&here).await.expect(204);
        assert!(names(&admin, &[("search", "second")]).await.is_empty());
        let made = admin.post("/v1/contacts", json!({"last_name": "王", "first_name": "小明"})).await.expect(201);
        for text in ["王小明", "王 小明", "小明", "王"] {
            let found = admin.list("/v1/contacts", &[("search", text)]).await.expect(200);
            assert_eq!(found.data()[0]["id"], made.id(), "{text}");
        }
        assert_eq!(documents(&server, "account").await, 0, "a deleted record leaves nothing behind");
    });
}

#[test]
fn a_search_is_a_list_like_any_other() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (i, grade) in ["A", "B", "A", "C", "A", "B", "A"].iter().enumerate() {
            account(&admin, json!({"name": format!("Acme {i}"), "grade": grade})).await;
            account(&admin, json!({"name": format!("Other {i}"), "grade": grade})).await;
        }
        let own =
            [("search", "acme"), ("filter", "grade = \"A\""), ("sort", "-name"), ("limit", "3"), ("count", "exact")];
        let first = admin.list("/v1/accounts", &own).await.expect(200);
        assert_eq!(first.json["page"]["total"], 4);
        assert_eq!(names(&admin, &own).await, ["Acme 6", "Acme 4", "Acme 2"]);
        let cursor = first.json["page"]["next"].as_str().unwrap();
        assert_eq!(names(&admin, &[&own[..], &[("cursor", cursor)]].concat()).await, ["Acme 0"]);
        for search in ["acm", "other"] {
            let foreign = [&[("search", search)], &own[1..], &[("cursor", cursor)]].concat();
            let refused = admin.list("/v1/accounts", &foreign).await.expect(400);
            assert_eq!(refused.errors(), [("cursor", "invalid_cursor")]);
        }
        let expanded = admin.list("/v1/accounts", &[("search", "acme 3"), ("expand", "owner")]).await.expect(200);
        assert_eq!(expanded.data()[0]["owner"]["email"], "admin@acme.example");
        let also = [("search", "!"), ("filter", "nmae = 1"), ("limit", "0")];
        let refused = admin.list("/v1/accounts", &also).await.expect(400);
        let mut errors: Vec<_> = refused.errors().into_iter().map(|(pointer, _)| pointer).collect();
        errors.sort_unstable();
        assert_eq!(errors, ["filter", "limit", "search"], "everything wrong at once");
    });
}

#[test]
fn hostile_texts_are_words_or_refused() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        account(&admin, json!({"name": "Plain and near OR not"})).await;
        for text in ["plain\tand", "plain\" OR \"x", "plain' | 'and", "plain:*", "pla*", "\"plain", "-plain", "^plain"]
        {
            let found = names(&admin, &[("search", text)]).await;
            assert_eq!(found.len(), usize::from(text != "plain\" OR \"x"), "{text}");
        }
        for text in
            ["plain & !and", "NEAR(plain and)", "plain AND near", "name:plain", "{plain and}", "<-> plain", "\\plain"]
        {
            assert!(names(&admin, &[("search", text)]).await.len() <= 1, "{text}");
        }
        let long = "plain ".repeat(2000);
        for (text, code) in [
            ("", "invalid_parameter"),
            ("   ", "invalid_parameter"),
            ("*\"'()&|!:<->^~-+{}[]\\/", "invalid_parameter"),
            ("\0", "invalid_parameter"),
            ("plain\0and", "invalid_parameter"),
            ("、。\u{301}", "invalid_parameter"),
            (long.as_str(), "too_long"),
        ] {
            let refused = admin.list("/v1/accounts", &[("search", text)]).await.expect(400);
            assert_eq!(refused.errors(), [("search", code)], "{text}");
        }
        let past = [("search", "plain"), ("known_at", "2026-01-30T00:00:00Z")];
        assert_eq!(admin.list("/v1/accounts", &past).await.expect(400).errors(), [("search", "invalid_parameter")]);
    });
}

#[test]
fn who_may_not_read_every_searched_field_finds_by_the_others_as_if_there_were_no_more() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for (name, phone) in
            [("Acme 5550100", None), ("Zeta", Some("+14155550100")), ("5550199 Ltd", Some("+14155550100"))]
        {
            account(&admin, json!({"name": name, "phone": phone, "country": "DE"})).await;
        }
        let role =
            |fields| json!({"rights": ["account:read"], "rows": {"default": "all"}, "fields": {"account": fields}});
        let clerk = someone(&server, "clerk", role(json!({"phone": "none", "website": "none"}))).await;
        for (text, mine) in [
            ("5550100", vec!["Acme 5550100"]),
            ("0100", vec!["Acme 5550100"]),
            ("zet", vec!["Zeta"]),
            ("zeta 5550100", vec![]),
            ("5550199", vec!["5550199 Ltd"]),
            ("ltd 5550", vec!["5550199 Ltd"]),
        ] {
            let asked = [("search", text), ("sort", "name"), ("count", "exact")];
            assert_eq!(names(&clerk, &asked).await, mine, "{text}");
            let found = clerk.list("/v1/accounts", &asked).await.expect(200);
            assert_eq!(found.json["page"]["total"], mine.len(), "{text}");
            let export = clerk.list("/v1/accounts/export", &[("search", text), ("format", "ndjson")]).await.expect(200);
            assert_eq!(String::from_utf8(export.bytes).unwrap().lines().count(), mine.len(), "{text}");
        }
        assert_eq!(names(&admin, &[("search", "5550100")]).await.len(), 3);
        let blind: HashMap<_, _> =
            search::fields(ripen::registry().kind("account").unwrap().shape()).map(|name| (name, "none")).collect();
        let blind = someone(&server, "blind", role(json!(blind))).await;
        let refused = blind.list("/v1/accounts", &[("search", "acme")]).await.expect(400);
        assert_eq!(refused.errors(), [("search", "unknown_parameter")], "as where there is nothing to search");
        let create = |n| json!({"op": "create", "data": {"name": format!("Many {n}"), "phone": "+14155550100"}});
        for page in [0..1000, 1000..1001] {
            let operations: Vec<_> = page.map(create).collect();
            admin.post("/v1/accounts/batch", json!({"operations": operations})).await.expect(200);
        }
        let refused = clerk.list("/v1/accounts", &[("search", "many")]).await.expect(400);
        assert_eq!(refused.errors(), [("search", "query_too_expensive")]);
        let narrowed = [("search", "many"), ("filter", "name < \"Many 2\"")];
        assert_eq!(names(&clerk, &narrowed).await.len(), 50, "a filter narrows what is looked at");
    });
}

#[test]
fn every_kind_is_searched_in_the_fields_it_declares_or_says_that_it_has_none() {
    on_both_with_the_sample(|server| async move {
        let admin = server.as_admin().await;
        let document: Json = admin.get("/openapi.json").await.expect(200).json;
        for shape in server.world().registry.shapes().filter(|shape| shape.verbs.contains(&Verb::Read)) {
            let path = format!("/v1/{}", shape.plural);
            for name in search::fields(shape) {
                let kind = &shape.field(name).unwrap_or_else(|| panic!("{}.{name}", shape.name)).kind;
                assert!(
                    matches!(
                        kind,
                        FieldType::Text | FieldType::Email | FieldType::Phone | FieldType::Url | FieldType::Json
                    ),
                    "{}.{name}",
                    shape.name
                );
            }
            let answer = admin.list(&path, &[("search", "anything")]).await;
            let parameters = document["paths"][&path]["get"]["parameters"].as_array().unwrap();
            let described = parameters.iter().find(|parameter| parameter["name"] == "search");
            if shape.search.is_empty() {
                assert_eq!(answer.expect(400).errors(), [("search", "unknown_parameter")]);
                assert!(described.is_none());
            } else {
                answer.expect(200);
                let text = described.unwrap()["description"].as_str().unwrap().to_owned();
                assert!(search::fields(shape).all(|name| text.contains(&format!("`{name}`"))), "{text}");
            }
        }
    });
}

async fn execute(server: &TestServer, sql: &str) {
    server.world().store.write.execute_unprepared(sql).await.unwrap();
}

async fn documents(server: &TestServer, kind: &str) -> i64 {
    let sql = format!("select count(*) from search_document where kind = '{kind}'");
    let store = &server.world().store;
    let row = store.read.query_one_raw(Statement::from_string(store.backend, sql)).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[test]
fn records_from_before_the_search_get_their_words_once() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for i in 0..30 {
            account(&admin, json!({"name": format!("Acme {i}")})).await;
        }
        let (store, kinds) = (&server.world().store, records::all());
        assert_eq!(search::fill(store, &kinds).await.unwrap(), 0, "each write has brought its own");
        execute(&server, "update search_document set rule = 'older' where kind = 'account'").await;
        assert_eq!(search::fill(store, &kinds).await.unwrap(), 30, "another rule makes them anew");
        if server.db == Db::Sqlite {
            execute(&server, "delete from search_token").await;
        }
        execute(&server, "delete from search_document").await;
        assert!(names(&admin, &[("search", "acme")]).await.is_empty());
        let people = search::fill(store, &kinds).await.unwrap() - 30;
        assert!(people >= 5, "users of both tenants, {people}");
        assert_eq!(search::fill(store, &kinds).await.unwrap(), 0);
        assert_eq!(names(&admin, &[("search", "acme"), ("limit", "200")]).await.len(), 30);
        assert_eq!(admin.list("/v1/users", &[("search", "admin@acme")]).await.expect(200).data().len(), 1);
    });
}

#[test]
fn a_search_reads_the_index_of_words() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        let unit = cx.begin().await.unwrap();
        let accounts = cx.world.registry.kind("account").unwrap();
        let create = |i: usize| {
            let data = json!({"name": format!("Company number{i} of {}", i % 50)}).as_object().unwrap().clone();
            Operation::Create { data, since: Since::default() }
        };
        let verdicts = accounts.write(&unit, (0..5000).map(create).collect()).await.unwrap();
        assert!(verdicts.iter().all(Result::is_ok));
        unit.commit().await.unwrap();
        cx.store().analyze(&["account", "search_document"]).await.unwrap();
        for text in ["number4711", "number47", "company number4711"] {
            let query = ListQuery { search: Some(text.to_owned()), ..ListQuery::default() };
            let plan = plan(&cx, &query).await;
            let wanted = if server.db == Db::Sqlite {
                "search_document USING INTEGER PRIMARY KEY (rowid=?); LIST SUBQUERY"
            } else {
                "search_document_tokens_idx"
            };
            assert!(plan.contains(wanted), "{text}: {plan}");
        }
    });
}

async fn plan(cx: &Context, query: &ListQuery) -> String {
    let shape = cx.world.registry.kind("account").unwrap().shape();
    let statement = read::statements(cx, shape, query).unwrap().remove(0).limit(51).take();
    let (sql, column) = match cx.backend() {
        DbBackend::Postgres => (format!("explain {}", statement.to_string(PostgresQueryBuilder)), "QUERY PLAN"),
        _ => (format!("explain query plan {}", statement.to_string(SqliteQueryBuilder)), "detail"),
    };
    let txn = cx.store().begin().await.unwrap();
    if cx.backend() == DbBackend::Postgres {
        // a table as small as that of a test is sooner read whole
        txn.execute_unprepared("set local enable_seqscan = off").await.unwrap();
    }
    let rows = txn.query_all_raw(Statement::from_string(cx.backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get::<String>("", column).unwrap()).collect::<Vec<_>>().join("; ")
}

#[test]
fn both_databases_find_the_same_in_the_same_order() {
    let mut answers: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    let seen = std::sync::Mutex::new(&mut answers);
    on_both(|server| {
        let seen = &seen;
        async move {
            let admin = server.as_admin().await;
            let words = [
                "acme",
                "Söhne",
                "北京",
                "京公司",
                "ａｂｃ",
                "x",
                "12345678",
                "1234",
                "Straße",
                "ÅÄ",
                "カタカナ",
                "ไทย",
                "İ",
            ];
            for i in 0..60 {
                let pick = |n: usize| words[(i * 7 + n * 5 + i / 13) % words.len()];
                account(&admin, json!({"name": format!("{} {}{} {}", pick(0), pick(1), pick(2), i)})).await;
            }
            for a in words {
                for b in ["", "acm", "京", "5678", "k", "strasse", "å", "カ"] {
                    let text = format!("{a} {b}");
                    let found = names(&admin, &[("search", &text), ("sort", "-name"), ("limit", "200")]).await;
                    assert!(!b.is_empty() || !found.is_empty(), "{text}");
                    seen.lock().unwrap().entry(text).or_default().push(found);
                }
            }
        }
    });
    for (text, found) in answers {
        assert!(found.iter().all(|one| *one == found[0]), "{text}: {found:?}");
    }
}
