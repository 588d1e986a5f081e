//! A crash between any two statements of a write leaves the state before it or the state after it, nothing between.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value as Json, json};

use crate::support::{Caller, TestServer, block_on, databases, prepare};

/// Statements left until the process dies; below zero it lives.
#[derive(Clone)]
struct Fuse(Arc<AtomicI64>);

impl Fuse {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(-1)))
    }

    /// A statement has been carried out.
    fn burn(&self) {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some((left - 1).max(-1)));
        if left == Ok(1) {
            std::panic::resume_unwind(Box::new("the process dies here"));
        }
    }
}

/// Every row of every table, in an order of its own.
pub(crate) async fn everything(server: &TestServer) -> Vec<String> {
    let store = &server.world().store;
    let all = async |sql: String| {
        let rows = store.read.query_all_raw(Statement::from_string(store.backend, sql)).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect::<Vec<_>>()
    };
    let postgres = store.backend == DbBackend::Postgres;
    let tables = if postgres {
        "select table_name::text from information_schema.tables where table_schema = current_schema()"
    } else {
        "select name from sqlite_master where type = 'table' and sql not like 'create virtual%'"
    };
    let mut rows = Vec::new();
    for table in all(tables.to_owned()).await {
        let row = if postgres {
            "row_to_json(t)::text".to_owned()
        } else {
            let columns = all(format!("select name from pragma_table_info('{table}')")).await;
            columns.iter().map(|column| format!("quote(\"{column}\")")).collect::<Vec<_>>().join(" || ',' || ")
        };
        rows.extend(all(format!("select '{table}: ' || {row} from \"{table}\" as t")).await);
    }
    rows.sort_unstable();
    rows
}

/// Lets the request die after its first statement, its second, and so on, until it lives.
async fn dies_everywhere(server: &TestServer, fuse: &Fuse, admin: &Caller, (method, path, body): (&str, &str, Json)) {
    let before = everything(server).await;
    for n in 1..200 {
        fuse.0.store(n, Ordering::SeqCst);
        let request = admin.request(method, path).header("Idempotency-Key", format!("{method}-{path}")).json(&body);
        let answer = request.send().await;
        fuse.0.store(-1, Ordering::SeqCst);
        if let Ok(answer) = answer {
            assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
            assert_ne!(everything(server).await, before, "{method} {path}");
            assert!(n > 3, "{method} {path} has only {} statements", n - 1);
            return;
        }
        assert_eq!(everything(server).await, before, "{method} {path} died after statement {n}");
    }
    panic!("{method} {path} never ends");
}

#[test]
fn a_crash_between_any_two_statements_leaves_the_state_before_or_after() {
    for db in databases() {
        prepare(db);
        eprintln!("on {db:?}");
        block_on(async {
            let fuse = Fuse::new();
            let burning = fuse.clone();
            let server = TestServer::observed(db, |_| {}, move |_| burning.burn()).await;
            let admin = server.as_admin().await;
            let id = |n: u8| format!("019c1363-49c0-7000-8000-0000000000{n:02}");
            let (one, many) = (format!("/v1/accounts/{}", id(1)), "/v1/accounts/batch");
            for request in [
                ("POST", "/v1/accounts", json!({"id": id(1), "name": "Acme", "grade": "A"})),
                ("PATCH", one.as_str(), json!({"name": "Acme & Co", "grade": "B", "owner_id": null})),
                (
                    "POST",
                    many,
                    json!({"atomic": true, "operations": [
                        {"op": "create", "data": {"id": id(2), "name": "Two", "parent_id": id(1)}},
                        {"op": "upsert", "data": {"name": "Three", "external_id": "three"}},
                        {"op": "update", "id": id(1), "data": {"name": "One"}},
                    ]}),
                ),
                (
                    "POST",
                    "/v1/composite",
                    json!({"operations": [
                        {"op": "create", "kind": "contact", "data": {"last_name": "Four", "account_id": {"$ref": "a.id"}}},
                        {"ref": "a", "op": "upsert", "kind": "account", "data": {"name": "Five", "external_id": "five"}},
                    ]}),
                ),
                ("DELETE", &format!("/v1/accounts/{}", id(2)), Json::Null),
                ("POST", &format!("/v1/accounts/{}/restore", id(2)), Json::Null),
            ] {
                dies_everywhere(&server, &fuse, &admin, request).await;
            }
            server.end().await;
        });
    }
}

/// What makes the database refuse to commit a transaction that has written an account named `Full`, as a full disk would.
fn refuse_commits(backend: DbBackend) -> &'static [&'static str] {
    match backend {
        DbBackend::Postgres => &[
            "create function refuse() returns trigger language plpgsql as 'begin raise exception ''disk full''; end'",
            "create constraint trigger refuse after insert or update on account deferrable initially deferred \
             for each row when (new.name = 'Full') execute function refuse()",
        ],
        _ => &[
            "create table refuse (never integer references refuse_no (id) deferrable initially deferred)",
            "create table refuse_no (id integer primary key)",
            "create trigger refuse_insert after insert on account when new.name = 'Full' \
             begin insert into refuse values (1); end",
            "create trigger refuse_update after update on account when new.name = 'Full' \
             begin insert into refuse values (1); end",
        ],
    }
}

#[test]
fn a_commit_that_fails_leaves_the_state_before() {
    crate::support::on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let store = &server.world().store;
        for sql in refuse_commits(store.backend) {
            store.write.execute_unprepared(sql).await.unwrap();
        }
        let here = format!("/v1/accounts/{}", made.id());
        let full = json!({"name": "Full"});
        let several =
            json!({"operations": [{"op": "create", "data": {"name": "Two"}}, {"op": "create", "data": full}]});
        for (method, path, body) in
            [("POST", "/v1/accounts", &full), ("PATCH", &here, &full), ("POST", "/v1/accounts/batch", &several)]
        {
            let before = everything(&server).await;
            let key = format!("{method}-{path}");
            for key in [None, Some(&key)] {
                let request = admin.request(method, path).json(body);
                let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
                let refused = admin.send(request).await.expect(500);
                let told = refused.json.to_string();
                assert!(!told.contains("disk") && !told.contains("FOREIGN"), "causes do not leak: {told}");
                assert_eq!(everything(&server).await, before, "{method} {path} with key {key:?}");
            }
            let again = admin.request(method, path).header("Idempotency-Key", &key);
            let good = if path.ends_with("batch") {
                json!({"operations": [{"op": "create", "data": {"name": "Three"}}]})
            } else {
                json!({"name": "Half"})
            };
            let answer = admin.send(again.json(&good)).await;
            assert!([200, 201].contains(&answer.status), "the key is free and the writer goes on: {}", answer.json);
        }
    });
}

#[test]
fn of_two_writers_with_one_etag_exactly_one_wins() {
    crate::support::on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (admin, here) = (admin.clone(), here.clone());
            writers.spawn(async move {
                let patch = admin.request("PATCH", &here).header("If-Match", "\"v1\"");
                admin.send(patch.json(&json!({"name": format!("Writer {n}")}))).await
            });
        }
        let answers = writers.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|answer| answer.status == 412 && answer.problem() == "stale"));
        let now = admin.get(&here).await.expect(200);
        assert_eq!((&now.json["version"], &now.bytes), (&json!(2), &won[0].bytes));
    });
}
