//! A tenant with one admin on a fresh database, and the few verbs the tests speak.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use ripen_core::{
    access::{Actor, Cost, Gate, GateOptions, Role, Secret, Secrets, tenants},
    context::{Context, World},
    engine::{Change, Operation, Since, Verdict, changes, read},
    error::Error,
    ports::{
        Answer, Artefact, Call, Capability, FailureClass, PluginFailure, PluginHost, RunContext, Sandbox, Scores,
        Segments, Verified,
    },
    records,
    store::Store,
};
use ripen_migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database, DbBackend, QueryResult, Statement};
use serde_json::{Map, Value as Json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    outside::{CountedIds, TestClock},
    postgres,
};

pub const NOW: &str = "2026-02-03T10:00:00.000Z";

/// Runs the test on SQLite and, where there is one, on PostgreSQL.
pub fn on_both<F: Future<Output = ()>>(test: impl Fn(Fixture) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite://{}", dir.path().join("ripen.db").display());
        eprintln!("on SQLite");
        test(Fixture::open(&url).await).await;
        if let Some(server) = postgres::url() {
            eprintln!("on PostgreSQL");
            test(Fixture::open(&format!("{server}/{}", fresh(server).await)).await).await;
        }
    });
}

async fn fresh(server: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("ripen_records_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let db = Database::connect(format!("{server}/postgres")).await.unwrap();
    db.execute_unprepared(&format!("create database {name}")).await.unwrap();
    db.close().await.unwrap();
    name
}

pub struct Fixture {
    pub cx: Context,
    pub clock: TestClock,
    pub admin: Uuid,
}

impl Fixture {
    async fn open(url: &str) -> Self {
        let store = Store::open(url, 4).await.unwrap();
        Migrator::up(&store.write, None).await.unwrap();
        let secrets = Secrets::load(&store).await.unwrap();
        let clock = TestClock::at(NOW);
        let world = Arc::new(World {
            gate: Gate::new(&secrets, GateOptions { password_cost: Cost::LEAST, ..GateOptions::default() }).unwrap(),
            store,
            registry: records::all(),
            clock: Arc::new(clock.clone()),
            ids: Arc::new(CountedIds::from(1)),
            secrets,
            plugins: Sandbox::new(Arc::new(NoPlugins)),
            mailer: None,
            committed: tokio::sync::Notify::new(),
        });
        let tenant = tenants::NewTenant {
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            base_currency: "USD".to_owned(),
            time_zone: "UTC".to_owned(),
            admin_email: "admin@example.com".to_owned(),
            admin_name: "Ada Admin".to_owned(),
            admin_password: Secret::new("a long enough sentence"),
        };
        let cx = tenants::create(&world, tenant).await.unwrap();
        let users = all(&cx, "select id from \"user\" where tenant_id = $1").await;
        let admin: Uuid = users[0].try_get("", "id").unwrap();
        let actor = Arc::new(Actor::of(Some(admin), Role::Admin));
        Self { cx: Context { actor, ..cx }, clock, admin }
    }

    /// The same tenant, asked by someone else.
    pub fn as_rep(&self, user: Uuid) -> Context {
        let actor = Arc::new(Actor::of(Some(user), Role::Rep));
        Context { actor, ..self.cx.clone() }
    }

    /// Creates one record, which must be accepted.
    pub async fn create(&self, kind: &str, data: Json) -> Uuid {
        let verdicts = write(&self.cx, kind, vec![create(data)]).await;
        verdicts.into_iter().next().unwrap().unwrap_or_else(|error| panic!("{kind}: {error}")).id
    }

    pub async fn update(&self, kind: &str, id: Uuid, data: Json) -> Verdict {
        write(&self.cx, kind, vec![update(id, data)]).await.into_iter().next().unwrap()
    }

    pub async fn get(&self, kind: &str, id: Uuid) -> Json {
        let shape = self.cx.kind(kind).unwrap().shape();
        serde_json::from_slice(&read::get(&self.cx, shape, id, None, None).await.unwrap().body).unwrap()
    }

    /// Rows of a query about the tenant, `$1`.
    pub async fn all(&self, sql: &str) -> Vec<QueryResult> {
        all(&self.cx, sql).await
    }

    pub fn postgres(&self) -> bool {
        self.cx.backend() == DbBackend::Postgres
    }
}

async fn all(cx: &Context, sql: &str) -> Vec<QueryResult> {
    let statement = Statement::from_sql_and_values(cx.backend(), sql, [cx.tenant.id.into()]);
    cx.store().write.query_all_raw(statement).await.unwrap()
}

/// Writes a slice in a unit of its own and commits what was accepted.
pub async fn write(cx: &Context, kind: &str, operations: Vec<Operation>) -> Vec<Verdict> {
    let unit = cx.begin().await.unwrap();
    let verdicts = cx.kind(kind).unwrap().write(&unit, operations).await.unwrap();
    unit.commit().await.unwrap();
    verdicts
}

/// The same as an import of history does.
pub async fn import(cx: &Context, kind: &str, operations: Vec<Operation>) -> Vec<Verdict> {
    let mut unit = cx.begin().await.unwrap();
    unit.history = true;
    let verdicts = cx.kind(kind).unwrap().write(&unit, operations).await.unwrap();
    unit.commit().await.unwrap();
    verdicts
}

pub fn create(data: Json) -> Operation {
    Operation::Create { data: object(data), since: Since::default() }
}

pub fn update(id: Uuid, data: Json) -> Operation {
    Operation::Update { id, version: None, data: object(data), since: Since::default() }
}

pub fn delete(id: Uuid) -> Operation {
    Operation::Delete { id, version: None }
}

pub fn object(data: Json) -> Map<String, Json> {
    match data {
        Json::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// `code pointer` of each violation, or the error's words.
pub fn refusal(verdict: &Verdict) -> String {
    match verdict {
        Ok(written) => format!("written {written:?}"),
        Err(Error::Invalid(broken)) => {
            broken.iter().map(|v| format!("{} {}", v.code, v.pointer)).collect::<Vec<_>>().join(", ")
        }
        Err(Error::Conflict { code, .. }) => format!("conflict {code}"),
        Err(other) => other.to_string(),
    }
}

/// Records never call plugins.
struct NoPlugins;

impl NoPlugins {
    fn failure<T>() -> Result<T, PluginFailure> {
        Err(PluginFailure { class: FailureClass::Host, code: "plugin_failed", detail: "no plugins here".to_owned() })
    }
}

impl PluginHost for NoPlugins {
    fn verify(&self, _: Arc<[u8]>) -> Result<Verified, PluginFailure> {
        Self::failure()
    }

    fn try_config(&self, _: Capability, _: &Artefact, _: &str, _: &RunContext) -> Result<(), PluginFailure> {
        Self::failure()
    }

    fn score(&self, _: Call) -> Result<Answer<Scores>, PluginFailure> {
        Self::failure()
    }

    fn segment(&self, _: Call) -> Result<Answer<Segments>, PluginFailure> {
        Self::failure()
    }
}

/// Every change of the tenant, once the log shows them all: on PostgreSQL a transaction of another test on the same
/// server holds back what was committed after it began.
pub async fn trail(of: &Fixture) -> Vec<Change> {
    let count = Statement::from_sql_and_values(
        of.cx.backend(),
        "select count(*) from change where tenant_id = $1",
        [of.cx.tenant.id.into()],
    );
    let row = of.cx.store().read.query_one_raw(count).await.unwrap().unwrap();
    let stored: i64 = row.try_get_by_index(0).unwrap();
    for _ in 0..2000 {
        let shown = changes(&of.cx, (0, 0), &[], 1000).await.unwrap();
        if i64::try_from(shown.len()).unwrap() == stored {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the log does not show its {stored} changes");
}
