//! What requests cost in SQL statements, whatever the number of rows, beside `begin` and `commit`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::{context::Clock as _, store::Fence};
use sea_orm::Statement;
use serde_json::{Value as Json, json};

use crate::support::{Answer, Caller, Db, TestServer, block_on, databases, prepare};

/// Every statement since it was last asked.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Statement>>>);

impl Recorder {
    /// A server with the settings of `ripen serve` whose statements are recorded.
    pub async fn server(&self, db: Db) -> TestServer {
        let recorder = self.clone();
        let record = move |statement: &Statement| recorder.0.lock().unwrap().push(statement.clone());
        TestServer::observed(db, |config| config.database.row_security = Fence::Writes, record).await
    }

    pub fn take(&self) -> Vec<Statement> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Makes `n` accounts below one parent, each but the second with a contact, and answers their ids.
async fn fill(admin: &Caller, n: usize) -> Vec<String> {
    let parent = admin.post("/v1/accounts", json!({"name": "Parent"})).await.expect(201);
    let create = |data: Json| json!({"op": "create", "data": data});
    let account = |i| create(json!({"name": format!("Acme {i}"), "parent_id": parent.id()}));
    let made = batch(admin, "accounts", (0..n).map(account).collect()).await;
    let ids: Vec<_> = made.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let contact = |id: &String| create(json!({"last_name": "Jones", "account_id": id}));
    let but_second = ids.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, id)| contact(id));
    batch(admin, "contacts", but_second.collect()).await;
    ids
}

async fn batch(admin: &Caller, kind: &str, operations: Vec<Json>) -> Vec<Json> {
    let answer = admin.post(&format!("/v1/{kind}/batch"), json!({"operations": operations})).await.expect(200);
    answer.json["results"].as_array().unwrap().clone()
}

/// Each request with its cost on SQLite and on PostgreSQL, where the fence takes one statement a unit. Inserts that go to the
/// database together count once.
fn requests(ids: &[String], known_at: &str) -> Vec<(&'static str, String, Json, [usize; 2])> {
    let all = |what: &str| format!("/v1/accounts{what}");
    let one = |what: &str| all(&format!("/{}{what}", ids[0]));
    let each = |op: &dyn Fn(usize, &String) -> Json| json!({"operations": ids.iter().enumerate().map(|(i, id)| op(i, id)).collect::<Vec<_>>()});
    let create =
        |i: usize, _: &String| json!({"op": "create", "data": {"name": format!("New {i}"), "parent_id": ids[0]}});
    let rename = |i: usize, id: &String| json!({"op": "update", "id": id, "data": {"name": format!("Renamed {i}")}});
    let external = |i: usize, _: &String| json!({"op": "upsert", "data": {"name": "Upserted", "external_id": format!("of {} number {i}", ids.len())}});
    let groups = json!({"group_by": ["kind"], "measures": [{"fn": "count"}, {"fn": "sum", "field": "employees"}]});
    vec![
        ("GET", one(""), Json::Null, [1, 1]),
        ("HEAD", one(""), Json::Null, [1, 1]),
        ("GET", one("?fields=name,owner.name,parent.name"), Json::Null, [3, 3]),
        ("GET", one("?expand=owner,parent.owner"), Json::Null, [4, 4]),
        ("GET", one(&format!("?known_at={known_at}")), Json::Null, [1, 1]),
        ("GET", all("?limit=200"), Json::Null, [1, 1]),
        ("GET", all("?limit=200&expand=owner,parent.owner"), Json::Null, [4, 4]),
        ("GET", all("?limit=200&filter=parent.name=%22Parent%22"), Json::Null, [1, 1]),
        ("GET", all("?limit=200&filter=any(contacts,last_name=%22Jones%22)"), Json::Null, [1, 1]),
        ("GET", all("?limit=200&search=acme"), Json::Null, [1, 1]),
        ("GET", all("?limit=200&count=exact"), Json::Null, [2, 2]),
        ("GET", all(&format!("?limit=200&known_at={known_at}")), Json::Null, [1, 1]),
        ("POST", all("/search"), json!({"expand": ["owner"], "limit": 200}), [2, 2]),
        ("POST", all("/aggregate"), groups, [1, 1]),
        ("GET", "/v1/changes?limit=200&kind=account".to_owned(), Json::Null, [4, 4]),
        ("POST", all(""), json!({"name": "New", "parent_id": ids[0]}), [3, 4]),
        ("PATCH", one(""), json!({"grade": "B"}), [5, 6]),
        ("PATCH", one(""), json!({"grade": "B"}), [2, 3]),
        ("POST", all("/batch"), each(&create), [4, 5]),
        ("POST", all("/batch"), each(&rename), [3, 4]),
        ("POST", all("/batch"), each(&external), [4, 5]),
        ("POST", all("/batch"), each(&external), [2, 3]),
        ("DELETE", format!("/v1/accounts/{}", ids[1]), Json::Null, [6, 6]),
        ("POST", format!("/v1/accounts/{}/restore", ids[1]), Json::Null, [4, 5]),
    ]
}

/// The answer to a request whose statements alone are recorded. The log shows changes once no transaction of another test on
/// the same server holds them back.
async fn asked(recorder: &Recorder, admin: &Caller, method: &str, path: &str, body: &Json) -> Answer {
    loop {
        recorder.take();
        let request = admin.request(method, path);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = admin.send(request).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.json);
        if !path.starts_with("/v1/changes") || !answer.data().is_empty() {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn requests_cost_the_same_few_statements_for_two_rows_and_for_two_hundred() {
    for db in databases() {
        prepare(db);
        block_on(async {
            let recorder = Recorder::default();
            let server = recorder.server(db).await;
            let admin = server.as_admin().await;
            let mut wrong = Vec::new();
            for rows in [2, 200] {
                let ids = fill(&admin, rows).await;
                let known_at = server.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
                server.clock.advance(TimeDelta::seconds(1)); // what is read as known has passed
                admin.get("/v1/accounts").await.expect(200); // the tenant is read again, once in a while
                for (method, path, body, cost) in requests(&ids, &known_at) {
                    let answer = asked(&recorder, &admin, method, &path, &body).await;
                    let failed =
                        answer.json["results"].as_array().into_iter().flatten().find(|row| row["problem"].is_object());
                    assert_eq!(failed, None, "{method} {path}");
                    let statements = recorder.take();
                    let cost = cost[usize::from(db == Db::Postgres)];
                    // of the log no more than that: it looks for what it needs to tell of these changes
                    let less = path.starts_with("/v1/changes") && statements.len() < cost;
                    if statements.len() != cost && !less {
                        let told: Vec<_> = statements.iter().map(|one| &one.sql[..one.sql.len().min(100)]).collect();
                        wrong.push(format!(
                            "{rows} {method} {path}: {} statements, not {cost}: {told:#?}",
                            statements.len()
                        ));
                    }
                }
            }
            assert!(wrong.is_empty(), "{db:?}\n{}", wrong.join("\n"));
            server.end().await;
        });
    }
}
