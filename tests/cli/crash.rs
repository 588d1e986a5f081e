//! The server is killed (SIGKILL) in the middle of writes and an import, started again on the same database, and loses
//! nothing it has answered for. `RIPEN_CRASH_ROUNDS=200 cargo test --test cli killed` is the long form.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use reqwest::multipart::{Form, Part};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    ripen,
    support::{Caller, Db, PASSWORD, Person, TestDatabase, block_on, databases, prepare},
};

const CLIENTS: u64 = 4;
/// Three pages of an import.
const ROWS: usize = 1500;
/// Until the jobs that were interrupted are done.
const PATIENCE: Duration = Duration::from_mins(2);

/// An account as its client knows it.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    version: i64,
    name: String,
    deleted: bool,
}

struct Running {
    program: Child,
    admin: Caller,
}

impl Running {
    async fn start(database: &TestDatabase) -> Self {
        let mut program = ripen(&database.dir())
            .args(["--database", &database.url, "--listen", "127.0.0.1:0", "serve"])
            .envs([("RIPEN__LOG__LEVEL", "warn,ripen::cli=info"), ("RIPEN__DATABASE__CONNECTIONS", "6")])
            .envs([("RIPEN__PASSWORDS__MEMORY_KIB", "8"), ("RIPEN__PASSWORDS__PASSES", "1")])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            eprintln!("{line}");
            let line: Json = serde_json::from_str(&line).unwrap_or_default();
            line["address"].as_str().map(str::to_owned)
        });
        thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("http://{}", address.expect("the server says where it serves"));
        let mut admin = Caller { client, base, token: None };
        let login = json!({"tenant": "acme", "email": Person::Admin.email(), "password": PASSWORD});
        let answer = admin.post("/v1/auth/login", login).await.expect(200);
        admin.token = answer.json["access_token"].as_str().map(str::to_owned);
        Self { program, admin }
    }

    /// With SIGKILL, at whatever it is doing.
    fn kill(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Writes accounts of its own, one after the other, each on the version that it was told last.
struct Client {
    known: HashMap<Uuid, Known>,
    /// What was asked for when the server died: it may have happened or not.
    doubt: Option<(Uuid, Known)>,
    random: Random,
}

/// The same choices in every run.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

impl Client {
    async fn work(mut self, api: Caller) -> Self {
        loop {
            let (request, id, after) = self.next(&api);
            let Ok(answer) = request.send().await else {
                self.doubt = Some((id, after));
                return self;
            };
            let status = answer.status();
            assert!(status.is_success(), "{id} {after:?}: {status} {:?}", answer.text().await);
            self.known.insert(id, after);
        }
    }

    fn next(&mut self, api: &Caller) -> (reqwest::RequestBuilder, Uuid, Known) {
        let mut living: Vec<_> = self.known.iter().filter(|(_, known)| !known.deleted).collect();
        living.sort_by_key(|(id, _)| **id);
        let (choice, name) = (self.random.below(8), format!("Account {}", self.random.below(1 << 30)));
        let chosen = living.get(usize::try_from(self.random.below(1 << 30)).unwrap() % living.len().max(1));
        let Some((id, before)) = chosen.filter(|_| choice > 3) else {
            #[expect(clippy::disallowed_methods, reason = "a client outside the product")]
            let id = Uuid::now_v7();
            let body = json!({"id": id, "name": name, "kind": "company"});
            let after = Known { version: 1, name, deleted: false };
            return (api.request("POST", "/v1/accounts").json(&body), id, after);
        };
        let (path, seen) = (format!("/v1/accounts/{id}"), format!("\"v{}\"", before.version));
        let version = before.version + 1;
        let (request, after) = if choice == 7 {
            (api.request("DELETE", &path), Known { version, deleted: true, ..(*before).clone() })
        } else {
            let request = api.request("PATCH", &path).json(&json!({"name": name}));
            (request, Known { version, name, deleted: false })
        };
        (request.header("if-match", seen), **id, after)
    }

    /// Compares what the client was told with what is stored, and learns what became of its last request.
    fn settle(&mut self, stored: &mut HashMap<Uuid, Known>) {
        if let Some((id, after)) = self.doubt.take().filter(|(id, after)| stored.get(id) == Some(after)) {
            self.known.insert(id, after);
        }
        for (id, known) in &self.known {
            assert_eq!(stored.remove(id).as_ref(), Some(known), "{id}: acknowledged, and not what is stored");
        }
    }
}

/// Imports one file after the other, each known by the prefix of its rows' keys, until the server dies.
async fn import(api: Caller, round: usize) {
    for file in 0.. {
        let rows: Vec<_> = (0..ROWS).map(|row| format!("{round}.{file}-{row},Imported {row},company")).collect();
        let csv = format!("external_id,name,kind\n{}\n", rows.join("\n"));
        let column = |name: &str| json!({"column": name});
        let mapping = json!({"external_id": column("external_id"), "name": column("name"), "kind": column("kind")});
        let spec = json!({"kind": "account", "mapping": mapping}).to_string();
        let form = Form::new().text("spec", spec).part("file", Part::bytes(csv.into_bytes()).file_name("f.csv"));
        let Ok(answer) = api.request("POST", "/v1/imports").multipart(form).send().await else { return };
        let (status, text) = (answer.status(), answer.text().await);
        assert_eq!(status, 202, "{text:?}");
        let Ok(job) = text.map(|text| serde_json::from_str::<Json>(&text).unwrap()) else { return };
        let place = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        while let Ok(answer) = api.request("GET", &place).send().await {
            let Ok(job) = answer.json::<Json>().await else { return };
            if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn one_connection(url: &str) -> ConnectOptions {
    ConnectOptions::new(url).max_connections(1).to_owned()
}

/// The database while no server uses it.
struct Outside(DatabaseConnection);

impl Outside {
    async fn open(database: &TestDatabase) -> Self {
        let outside = Self(Database::connect(one_connection(&database.url)).await.unwrap());
        if database.url.starts_with("postgres") {
            // what the dead process had sent may still be under way
            let others =
                "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
            while !outside.rows(others).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        outside
    }

    async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        self.0.query_all_raw(Statement::from_string(self.0.get_database_backend(), sql)).await.unwrap()
    }

    /// The clients' accounts, and how many rows of each import are there.
    async fn accounts(&self) -> (HashMap<Uuid, Known>, BTreeMap<String, usize>) {
        let (mut accounts, mut imported) = (HashMap::new(), BTreeMap::new());
        for row in self.rows("select id, version, name, deleted_at is not null as gone, external_id from account").await
        {
            let known = Known {
                version: row.try_get("", "version").unwrap(),
                name: row.try_get("", "name").unwrap(),
                deleted: row.try_get("", "gone").unwrap(),
            };
            match row.try_get::<Option<String>>("", "external_id").unwrap() {
                Some(key) => *imported.entry(key.split('-').next().unwrap().to_owned()).or_default() += 1,
                None => assert!(accounts.insert(row.try_get("", "id").unwrap(), known).is_none()),
            }
        }
        (accounts, imported)
    }

    /// Every account is in the log, once for each of its versions, and nothing else is.
    async fn log_is_whole(&self) {
        let mut logged: HashMap<Uuid, Vec<i64>> = HashMap::new();
        for row in self.rows("select record_id, version from change where kind = 'account' order by version").await {
            let versions = logged.entry(row.try_get("", "record_id").unwrap()).or_default();
            versions.push(row.try_get("", "version").unwrap());
        }
        for row in self.rows("select id, version from account").await {
            let (id, version): (Uuid, i64) = (row.try_get("", "id").unwrap(), row.try_get("", "version").unwrap());
            let expected: Vec<i64> = (1..=version).collect();
            assert_eq!(logged.remove(&id), Some(expected), "changes of {id}");
        }
        assert!(logged.is_empty(), "changes of accounts that are not there: {logged:?}");
    }

    /// Rows that each job says it has imported, with its state.
    async fn jobs(&self) -> Vec<(String, usize)> {
        let jobs = self.rows("select state, progress from job where kind = 'import'").await;
        let ok = |row: &QueryResult| row.try_get::<Json>("", "progress").unwrap()["ok"].as_u64().unwrap();
        jobs.iter().map(|job| (job.try_get("", "state").unwrap(), usize::try_from(ok(job)).unwrap())).collect()
    }

    /// As if the dead process had not been heard of for as long as a lease lasts.
    async fn let_leases_end(&self) {
        self.0.execute_unprepared("update job_queue set lease_until = null").await.unwrap();
    }
}

async fn round(database: &TestDatabase, clients: Vec<Client>, n: usize) -> Vec<Client> {
    let mut server = Running::start(database).await;
    let importing = tokio::spawn(import(server.admin.clone(), n));
    let mut random = Random(n as u64);
    let working: Vec<_> = clients.into_iter().map(|client| tokio::spawn(client.work(server.admin.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(200 + random.below(1200))).await;
    server.kill();
    let mut clients = Vec::new();
    for client in working {
        clients.push(client.await.unwrap());
    }
    importing.await.unwrap();
    let outside = Outside::open(database).await;
    let (mut accounts, imported) = outside.accounts().await;
    for client in &mut clients {
        client.settle(&mut accounts);
    }
    assert!(accounts.is_empty(), "nobody asked for these, or they are half-written: {accounts:?}");
    outside.log_is_whole().await;
    let told: usize = outside.jobs().await.iter().map(|(_, ok)| ok).sum();
    assert_eq!(imported.values().sum::<usize>(), told, "a page of an import is there without its checkpoint, or half");
    outside.let_leases_end().await;
    outside.0.close().await.unwrap();
    clients
}

/// What the kills interrupted is done to its end, once.
async fn jobs_end(database: &TestDatabase) {
    let server = Running::start(database).await;
    let began = Instant::now();
    let open = [("filter", "state IN [\"queued\", \"running\"]")];
    while !server.admin.list("/v1/jobs", &open).await.expect(200).data().is_empty() {
        assert!(began.elapsed() < PATIENCE, "jobs that were interrupted do not go on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(server);
    let outside = Outside::open(database).await;
    let (_, imported) = outside.accounts().await;
    assert!(!imported.is_empty() && imported.values().all(|rows| *rows == ROWS), "{imported:?}");
    let jobs = outside.jobs().await;
    assert!(jobs.iter().all(|job| *job == ("succeeded".to_owned(), ROWS)), "{jobs:?}");
    assert_eq!(jobs.len(), imported.len());
    outside.log_is_whole().await;
    assert!(outside.rows("select 1 from job_queue").await.is_empty(), "jobs have ended and are still in the queue");
    outside.0.close().await.unwrap();
}

async fn killed(db: Db, rounds: usize) {
    let database = TestDatabase::new(db).await;
    let client = |n| Client { known: HashMap::new(), doubt: None, random: Random(n) };
    let mut clients: Vec<_> = (0..CLIENTS).map(client).collect();
    for n in 0..rounds {
        clients = round(&database, clients, n).await;
    }
    jobs_end(&database).await;
    let written: usize = clients.iter().map(|client| client.known.len()).sum();
    assert!(written > rounds, "{written} accounts in {rounds} rounds: there was no load");
    eprintln!("{db:?}: {written} accounts and what came of them outlived {rounds} kills");
    database.remove().await;
}

#[test]
fn a_server_killed_at_any_moment_keeps_every_acknowledged_write_once_and_finishes_its_jobs() {
    let rounds = std::env::var("RIPEN_CRASH_ROUNDS").map_or(3, |rounds| rounds.parse().expect("a number of rounds"));
    for db in databases() {
        prepare(db);
        block_on(killed(db, rounds));
    }
}
