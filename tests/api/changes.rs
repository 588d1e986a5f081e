//! The change log over HTTP: every committed change once, in an order one may rely on, to those who may see it.

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use ripen_core::{
    context::{Context, Unit},
    engine::{Operation, Since},
};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::support::{Caller, Db, Person, TestServer, block_on, databases, on, on_both, prepare};

/// Every change after `after` once `count` of them are shown: on PostgreSQL a transaction of another test on the same
/// server holds back what was committed after it began.
async fn changes(caller: &Caller, after: Option<&str>, count: usize) -> Vec<Json> {
    for _ in 0..2000 {
        let shown = all(caller, after).await;
        if shown.len() >= count {
            assert_eq!(shown.len(), count, "{shown:#?}");
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the log does not show {count} changes");
}

async fn all(caller: &Caller, after: Option<&str>) -> Vec<Json> {
    let mut shown = Vec::new();
    let mut after = after.map(str::to_owned);
    loop {
        let mut parameters = vec![("kind", "account"), ("limit", "7")];
        parameters.extend(after.as_deref().map(|after| ("after", after)));
        let page = caller.list("/v1/changes", &parameters).await.expect(200);
        shown.extend(page.data().iter().cloned());
        after = Some(page.json["page"]["next"].as_str().unwrap().to_owned());
        if page.json["page"]["has_more"] == false {
            return shown;
        }
    }
}

/// `(id, version)` of each change.
fn versions(changes: &[Json]) -> Vec<(String, i64)> {
    changes.iter().map(|c| (c["id"].as_str().unwrap().to_owned(), c["version"].as_i64().unwrap())).collect()
}

async fn write(unit: &Unit<'_>, operation: Operation) -> Uuid {
    let accounts = unit.cx.world.registry.kind("account").unwrap();
    accounts.write(unit, vec![operation]).await.unwrap().remove(0).unwrap().id
}

fn create(name: &str) -> Operation {
    Operation::Create { data: json!({"name": name}).as_object().unwrap().clone(), since: Since::default() }
}

fn rename(id: &str, name: &str) -> Operation {
    let data = json!({"name": name}).as_object().unwrap().clone();
    Operation::Update { id: id.parse().unwrap(), version: None, data, since: Since::default() }
}

#[test]
fn what_was_deleted_and_came_back_is_told_with_every_field() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme", "source": "fair"})).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        admin.delete(&here).await.expect(204);
        admin.post(&format!("{here}/restore"), Json::Null).await.expect(200);
        let log = changes(&admin, None, 3).await;
        let ops: Vec<_> = log.iter().map(|change| change["op"].as_str().unwrap()).collect();
        assert_eq!(ops, ["create", "delete", "restore"]);
        let back = |name: &str| log[2]["changed"][name].clone();
        assert_eq!(back("name"), json!({"before": null, "after": "Acme"}));
        assert_eq!(back("source"), json!({"before": null, "after": "fair"}));
    });
}

#[test]
fn a_change_tells_in_fields_what_was_and_what_became() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let me = admin.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let money = |amount: &str| json!({"amount": amount, "currency": "USD"});
        let body = json!({"name": "Acme", "annual_revenue": money("12.50"), "billing_address": {"city": "Oslo"}});
        let made = admin.request("POST", "/v1/accounts").header("X-Request-Id", "first").json(&body);
        let made = admin.send(made).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        server.clock.advance(TimeDelta::milliseconds(1500));
        let patch = json!({"annual_revenue": {"amount": "13"}, "billing_address": {"country": "NO"}});
        admin.patch(&here, patch).await.expect(200);
        admin.patch(&here, json!({"name": "Acme & Co"})).await.expect(200);
        admin.delete(&here).await.expect(204);
        let log = changes(&admin, None, 4).await;
        let told = |n: usize| (log[n]["op"].as_str().unwrap(), log[n]["version"].as_i64().unwrap(), &log[n]["changed"]);
        let created = &log[0]["changed"];
        assert_eq!(log[0]["kind"], "account");
        assert_eq!(
            (&log[0]["id"], &log[0]["actor_id"], &log[0]["request_id"]),
            (&made.json["id"], &me, &json!("first"))
        );
        assert_eq!(
            (&log[0]["at"], &log[1]["at"]),
            (&json!("2026-01-31T09:30:00.000Z"), &json!("2026-01-31T09:30:01.500Z"))
        );
        for (name, value) in
            made.object().iter().filter(|(name, _)| !["version", "updated_at"].contains(&name.as_str()))
        {
            let expected = if value.is_null() { Json::Null } else { json!({"before": null, "after": value}) };
            assert_eq!(created.get(name).cloned().unwrap_or_default(), expected, "{name}");
        }
        let revenue = json!({"before": money("12.50"), "after": money("13.00")});
        let address = json!({"before": {"city": "Oslo"}, "after": {"city": "Oslo", "country": "NO"}});
        assert_eq!(told(1), ("update", 2, &json!({"annual_revenue": revenue, "billing_address": address})));
        assert_eq!(told(2), ("update", 3, &json!({"name": {"before": "Acme", "after": "Acme & Co"}})));
        assert_eq!((told(3).0, told(3).1), ("delete", 4));
        assert_eq!(log[3]["changed"]["annual_revenue"], json!({"before": money("13.00"), "after": null}));
        assert!(log[3]["changed"].get("parent_id").is_none(), "what was null both times is not named");
        let second = log[1]["cursor"].as_str().unwrap();
        assert_eq!(changes(&admin, Some(second), 2).await, log[2..], "a page begins anywhere");
    });
}

/// A unit of the product's own in the admin's tenant.
async fn unit_of(cx: &Context) -> Unit<'_> {
    cx.begin().await.unwrap()
}

#[test]
fn a_change_that_is_committed_late_comes_late_and_none_is_skipped() {
    if !databases().contains(&Db::Postgres) {
        return;
    }
    on(Db::Postgres, |server| async move {
        let admin = server.as_admin().await;
        let cx = server.context(Person::Admin).await;
        let early = unit_of(&cx).await;
        let first = write(&early, create("First to write, last to commit")).await.to_string();
        let second = admin.post("/v1/accounts", json!({"name": "Second"})).await.expect(201).id().to_owned();
        assert!(all(&admin, None).await.is_empty(), "what overtook an open transaction waits for it");
        let page = admin.get("/v1/changes?limit=1").await.expect(200);
        let next = page.json["page"]["next"].as_str().unwrap().to_owned();
        server.clock.advance(TimeDelta::seconds(90));
        let ready = server.anonymous().get("/readyz").await.expect(200);
        assert_eq!(ready.json["feed_lag_s"], 90.0);
        let figures = server.anonymous().get("/metrics").await.expect(200);
        assert!(String::from_utf8_lossy(&figures.bytes).contains("ripen_feed_lag_seconds 90"));
        early.commit().await.unwrap();
        assert_eq!(versions(&changes(&admin, Some(&next), 2).await), [(first, 1), (second, 1)]);
    });
}

#[test]
fn versions_of_a_record_rise_although_transactions_overlap() {
    if !databases().contains(&Db::Postgres) {
        return;
    }
    on(Db::Postgres, |server| async move {
        let admin = server.as_admin().await;
        let cx = server.context(Person::Admin).await;
        let made = admin.post("/v1/accounts", json!({"name": "Contended"})).await.expect(201).id().to_owned();
        let older = unit_of(&cx).await;
        let other = write(&older, create("Makes the transaction the older one")).await.to_string();
        admin.patch(&format!("/v1/accounts/{made}"), json!({"name": "By the younger"})).await.expect(200);
        write(&older, rename(&made, "By the older")).await;
        older.commit().await.unwrap();
        let log = changes(&admin, None, 4).await;
        assert_eq!(versions(&log), [(made.clone(), 1), (other, 1), (made.clone(), 2), (made, 3)]);
        let names: Vec<_> = log.iter().map(|change| &change["changed"]["name"]["after"]).collect();
        assert_eq!(names[2..], ["By the younger", "By the older"]);
    });
}

/// Writers that hold their transactions open for different times, with a reader in between.
#[test]
fn a_reader_among_many_writers_meets_each_change_once_and_each_record_in_order() {
    const WRITERS: usize = 6;
    const ROUNDS: usize = 12;
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let shared = admin.post("/v1/accounts", json!({"name": "Shared"})).await.expect(201).id().to_owned();
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (server, shared) = (server.clone(), shared.clone());
                tokio::spawn(async move {
                    let cx = server.context(Person::Admin).await;
                    for round in 0..ROUNDS {
                        let unit = unit_of(&cx).await;
                        write(&unit, create(&format!("{n} {round}"))).await;
                        if round % 3 == n % 3 {
                            tokio::time::sleep(Duration::from_millis(3 * n as u64)).await;
                        }
                        if round % 2 == 0 {
                            write(&unit, rename(&shared, &format!("{n} {round}"))).await;
                        }
                        unit.commit().await.unwrap();
                    }
                })
            })
            .collect();
        let wanted = 1 + WRITERS * ROUNDS + WRITERS * ROUNDS / 2;
        let mut met: Vec<Json> = Vec::new();
        let mut after = None;
        for _ in 0..10_000 {
            let mut parameters = vec![("kind", "account"), ("limit", "5")];
            parameters.extend(after.as_deref().map(|after| ("after", after)));
            let page = admin.list("/v1/changes", &parameters).await.expect(200);
            met.extend(page.data().iter().cloned());
            after = Some(page.json["page"]["next"].as_str().unwrap().to_owned());
            if met.len() >= wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(all(&admin, after.as_deref()).await, Vec::<Json>::new());
        assert_eq!(met.len(), wanted);
        let mut last: BTreeMap<String, Json> = BTreeMap::new();
        for change in &met {
            let id = change["id"].as_str().unwrap().to_owned();
            let before = last.insert(id, change.clone());
            assert_eq!(
                change["version"].as_i64().unwrap(),
                before.as_ref().map_or(1, |b| b["version"].as_i64().unwrap() + 1)
            );
            if let Some(before) = before {
                assert_eq!(change["changed"]["name"]["before"], before["changed"]["name"]["after"]);
            }
        }
        let now = admin.get(&format!("/v1/accounts/{shared}")).await.expect(200);
        assert_eq!(last[&shared]["changed"]["name"]["after"], now.json["name"]);
    });
}

#[test]
fn a_reader_sees_the_changes_of_records_they_may_see() {
    on_both(|server| async move {
        let (admin, manager) = (server.as_admin().await, server.as_person(Person::Manager).await);
        let (rep, other) = (server.as_person(Person::Rep).await, server.as_person(Person::OtherRep).await);
        let stranger = server.as_person(Person::Stranger).await;
        let mine = rep.post("/v1/accounts", json!({"name": "Mine"})).await.expect(201).id().to_owned();
        let theirs = other.post("/v1/accounts", json!({"name": "Theirs"})).await.expect(201).id().to_owned();
        let ids = |log: Vec<Json>| log.iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(changes(&admin, None, 2).await), [mine.clone(), theirs.clone()]);
        assert_eq!(ids(all(&rep, None).await), std::slice::from_ref(&mine));
        assert_eq!(ids(all(&manager, None).await), std::slice::from_ref(&mine), "the manager leads the rep");
        assert_eq!(ids(all(&other, None).await), std::slice::from_ref(&theirs));
        assert!(all(&stranger, None).await.is_empty());
        admin.delete(&format!("/v1/accounts/{mine}")).await.expect(204);
        assert_eq!(changes(&rep, None, 2).await[1]["op"], "delete", "what was theirs and is gone");
        let everything = rep.get("/v1/changes?limit=1000").await.expect(200);
        assert!(everything.data().iter().all(|change| change["kind"] != "job"));
        for restricted in server.world().registry.shapes().filter(|shape| shape.restricted) {
            let refused = rep.get(&format!("/v1/changes?kind=account,{}", restricted.name)).await.expect(403);
            assert_eq!(refused.problem(), "forbidden");
        }
        let unknown = rep.get("/v1/changes?kind=acount,contact").await.expect(400);
        assert_eq!(unknown.errors(), [("kind", "invalid_parameter")]);
        assert!(unknown.json["detail"].as_str().unwrap().contains("did you mean `account`?"));
        for limit in ["0", "1001"] {
            assert_eq!(rep.get(&format!("/v1/changes?limit={limit}")).await.expect(400).errors()[0].0, "limit");
        }
        server.anonymous().get("/v1/changes").await.expect(401);
    });
}

#[test]
fn a_cursor_is_worth_nothing_cut_forged_elsewhere_or_after_the_log_was_put_back() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for n in 0..3 {
            admin.post("/v1/accounts", json!({"name": format!("Account {n}")})).await.expect(201);
        }
        let log = changes(&admin, None, 3).await;
        let cursor = log[1]["cursor"].as_str().unwrap().to_owned();
        let forged = cursor.replacen(&cursor[20..21], if &cursor[20..21] == "A" { "B" } else { "A" }, 1);
        let list = admin.get("/v1/accounts?limit=1").await.expect(200);
        let of_a_list = list.json["page"]["next"].as_str().unwrap();
        for wrong in ["", "x", &cursor[1..], &cursor[..cursor.len() - 1], &forged, of_a_list, "LATEST"] {
            let refused = admin.list("/v1/changes", &[("after", wrong)]).await.expect(400);
            assert_eq!(refused.errors(), [("after", "invalid_cursor")], "{wrong}");
        }
        let stranger = server.as_person(Person::Stranger).await;
        let refused = stranger.list("/v1/changes", &[("after", &cursor)]).await.expect(400);
        assert_eq!(refused.problem(), "invalid_cursor");
        let latest = admin.get("/v1/changes?after=latest").await.expect(200);
        assert_eq!((latest.data().len(), &latest.json["page"]["has_more"]), (0, &json!(false)));
        let next = latest.json["page"]["next"].as_str().unwrap();
        admin.post("/v1/accounts", json!({"name": "Later"})).await.expect(201);
        assert_eq!(changes(&admin, Some(next), 1).await[0]["changed"]["name"]["after"], "Later");
        // the state of a backup that was made after the first change
        let losing = "delete from change where seq > (select min(seq) from change where kind = 'account')";
        server.world().store.write.execute_unprepared(losing).await.unwrap();
        let refused = admin.list("/v1/changes", &[("after", &cursor)]).await.expect(400);
        assert_eq!(refused.problem(), "cursor_expired");
        let first = log[0]["cursor"].as_str().unwrap();
        assert!(all(&admin, Some(first)).await.is_empty(), "one from before is as good as it was");
    });
}

#[test]
fn a_log_from_another_cluster_is_readable_though_its_transactions_are_in_the_future() {
    if !databases().contains(&Db::Postgres) {
        return;
    }
    prepare(Db::Postgres);
    block_on(async {
        let mut server = TestServer::new(Db::Postgres).await;
        let admin = server.as_admin().await;
        let old = admin.post("/v1/accounts", json!({"name": "Old"})).await.expect(201).id().to_owned();
        let ahead = "update change set xid = '9000000000000000'::xid8";
        server.world().store.write.execute_unprepared(ahead).await.unwrap();
        server.restart().await;
        let admin = server.as_admin().await;
        let new = admin.post("/v1/accounts", json!({"name": "New"})).await.expect(201).id().to_owned();
        assert_eq!(versions(&changes(&admin, None, 2).await), [(old, 1), (new, 1)]);
        server.end().await;
    });
}

/// A stream of changes, read event by event.
struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(caller: &Caller, path: &str, last: Option<&str>) -> Self {
        let mut request = caller.request("GET", path);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// Id and data of the next event; `None` where the stream has ended well.
    async fn next(&mut self) -> Option<(String, Json)> {
        self.next_after_signs().await.1
    }

    /// The same with the ids that signs of life had before it.
    async fn next_after_signs(&mut self) -> (Vec<String>, Option<(String, Json)>) {
        let mut signs = Vec::new();
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let Some(data) = line("data: ") {
                    assert_eq!(line("event: ").as_deref(), Some("change"));
                    return (signs, Some((line("id: ").unwrap(), serde_json::from_str(&data).unwrap())));
                }
                signs.extend(line("id: "));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(30), self.response.chunk()).await;
            let chunk = chunk.expect("a sign of life").expect("the stream ends well");
            let Some(chunk) = chunk else { return (signs, None) };
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[test]
fn a_stream_that_is_taken_up_again_loses_nothing_and_doubles_nothing() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let make = |n: usize| {
            let admin = admin.clone();
            async move { admin.post("/v1/accounts", json!({"name": format!("Account {n}")})).await.expect(201) }
        };
        for n in 0..5 {
            make(n).await;
        }
        let mut heard = Vec::new();
        let mut last: Option<String> = None;
        for (reconnect, until) in [2, 5, 8, 12].into_iter().enumerate() {
            if reconnect == 2 {
                for n in 5..9 {
                    make(n).await;
                }
            }
            let mut events = Events::open(&admin, "/v1/changes/stream?kind=account", last.as_deref()).await;
            if reconnect == 3 {
                for n in 9..12 {
                    make(n).await; // while somebody listens
                }
            }
            while heard.len() < until {
                let (id, change) = events.next().await.expect("the stream goes on");
                assert_eq!(change["cursor"], id.as_str());
                heard.push(change);
                last = Some(id);
            }
        }
        assert_eq!(heard, changes(&admin, None, 12).await);
        let stranger = server.as_person(Person::Stranger).await;
        let theirs = stranger.request("GET", "/v1/changes/stream").header("Last-Event-ID", last.unwrap());
        assert_eq!(stranger.send(theirs).await.expect(400).errors(), [("Last-Event-ID", "invalid_cursor")]);
        let mut foreign = Events::open(&stranger, "/v1/changes/stream?kind=account", None).await;
        let own = stranger.post("/v1/accounts", json!({"name": "Theirs"})).await.expect(201);
        assert_eq!(foreign.next().await.unwrap().1["id"], own.id(), "another tenant's stream begins with its own");
    });
}

#[test]
fn a_stream_tells_how_far_it_has_come_among_changes_that_its_reader_may_not_see() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let operations: Vec<_> = (0..250).map(|n| json!({"op": "create", "data": {"name": format!("A{n}")}})).collect();
        admin.post("/v1/accounts/batch", json!({"operations": operations})).await.expect(200);
        let mine = rep.post("/v1/accounts", json!({"name": "Mine"})).await.expect(201);
        let mut events = Events::open(&rep, "/v1/changes/stream?kind=account", None).await;
        let (signs, first) = events.next_after_signs().await;
        assert!(signs.len() >= 2, "{signs:?}");
        let first = first.expect("the one that they may see");
        assert_eq!(first.1["id"], mine.id());
        // who is cut off meanwhile goes on from there
        let mut again = Events::open(&rep, "/v1/changes/stream?kind=account", Some(&signs[1])).await;
        assert_eq!(again.next().await, Some(first));
    });
}

#[test]
fn a_stream_ends_when_its_token_does() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut events = Events::open(&admin, "/v1/changes/stream?after=latest&kind=account", None).await;
        let made = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        assert_eq!(events.next().await.unwrap().1["id"], made.id());
        server.clock.advance(TimeDelta::minutes(11));
        assert_eq!(events.next().await, None);
    });
}

#[test]
fn streams_end_when_the_server_does() {
    for db in databases() {
        prepare(db);
        block_on(async move {
            let mut server = TestServer::new(db).await;
            let admin = server.as_admin().await;
            let mut events = Events::open(&admin, "/v1/changes/stream", None).await;
            let begun = std::time::Instant::now();
            let (ended, ()) = tokio::join!(async { while events.next().await.is_some() {} }, server.restart());
            let () = ended;
            assert!(begun.elapsed() < Duration::from_secs(4), "nobody waited for the end of patience");
            server.end().await;
        });
    }
}

#[test]
fn a_tenant_has_so_many_streams_and_no_more() {
    prepare(Db::Sqlite);
    block_on(async {
        let server = TestServer::with(Db::Sqlite, |config| {
            config.limits.streams = 2;
            config.limits.heartbeat_s = 1;
        })
        .await;
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let first = Events::open(&admin, "/v1/changes/stream", None).await;
        let _second = Events::open(&rep, "/v1/changes/stream", None).await;
        let refused = admin.get("/v1/changes/stream").await.expect(429);
        assert_eq!((refused.problem(), refused.header("retry-after")), ("too_many_at_once", "5"));
        let _other = Events::open(&server.as_person(Person::Stranger).await, "/v1/changes/stream", None).await;
        drop(first);
        for _ in 0..500 {
            let again = admin.request("GET", "/v1/changes/stream").send().await.unwrap();
            if again.status() == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await; // until the next sign of life finds nobody there
        }
        panic!("the place of a reader who left stays taken");
    });
}
