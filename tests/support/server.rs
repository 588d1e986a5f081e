//! The product's own server, as `ripen serve` builds it, with time and ids from the test.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use ripen::{Config, Outside, Server};
use ripen_core::{
    access::{
        Cost, Secret, set_password,
        tenants::{self, NewTenant},
    },
    context::{Context, World},
    engine::{Operation, Since},
    store::Fence,
};
use sea_orm::{ConnectionTrait as _, Database, Statement};
use sea_orm_migration::{MigrationTrait as _, SchemaManager};
use serde_json::json;

use super::{Caller, Db, TestClock, database::TestDatabase, outside::CountedIds, sample};

/// When every test begins.
pub const START: &str = "2026-01-31T09:30:00Z";
/// Everybody's.
pub const PASSWORD: &str = "nine green pears";
/// Ids of a test begin here, well above those of the template.
const FIRST_ID: u64 = 1 << 20;

/// Everyone there is. The manager leads the rep; `OtherRep` reports to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Person {
    Admin,
    Manager,
    Rep,
    OtherRep,
    /// Of the second tenant.
    Stranger,
}

impl Person {
    pub fn tenant(self) -> &'static str {
        if self == Self::Stranger { "globex" } else { "acme" }
    }

    pub fn email(self) -> &'static str {
        match self {
            Self::Admin => "admin@acme.example",
            Self::Manager => "manager@acme.example",
            Self::Rep => "rep@acme.example",
            Self::OtherRep => "other@acme.example",
            Self::Stranger => "admin@globex.example",
        }
    }
}

pub struct TestServer {
    pub db: Db,
    pub clock: TestClock,
    pub config: Config,
    server: Option<Server>,
    database: Option<TestDatabase>,
    client: reqwest::Client,
    tokens: Mutex<HashMap<Person, String>>,
}

impl TestServer {
    pub async fn new(db: Db) -> Self {
        Self::with(db, |_| {}).await
    }

    /// With other settings.
    pub async fn with(db: Db, change: impl FnOnce(&mut Config)) -> Self {
        Self::built(db, change, |_| {}).await
    }

    /// With other settings, and something that happens after each statement. Not of the job runner's: it looks for work
    /// after each commit, and no request waits for it.
    pub async fn observed(
        db: Db,
        change: impl FnOnce(&mut Config),
        after: impl Fn(&Statement) + Clone + Send + Sync + 'static,
    ) -> Self {
        let observe = |world: &mut World| {
            for connections in [&mut world.store.read, &mut world.store.write] {
                let after = after.clone();
                connections.set_metric_callback(move |info| {
                    if !info.statement.sql.contains("job_queue") {
                        after(info.statement);
                    }
                });
            }
        };
        Self::built(db, change, observe).await
    }

    /// With one kind more: its line, and its migration after the product's.
    pub async fn with_sample(db: Db) -> Self {
        let database = TestDatabase::new(db).await;
        let connection = Database::connect(&database.url).await.unwrap();
        sample::Migration.up(&SchemaManager::new(&connection)).await.unwrap();
        ripen_migrations::fence(&connection).await.unwrap();
        connection.close().await.unwrap();
        Self::on(database, db, |_| {}, |world| world.registry = world.registry.clone().with(sample::Entity)).await
    }

    async fn built(db: Db, change: impl FnOnce(&mut Config), alter: impl FnOnce(&mut World)) -> Self {
        Self::on(TestDatabase::new(db).await, db, change, alter).await
    }

    async fn on(
        database: TestDatabase,
        db: Db,
        change: impl FnOnce(&mut Config),
        alter: impl FnOnce(&mut World),
    ) -> Self {
        let mut config = config(&database.url, &database.dir());
        change(&mut config);
        let _ = tracing_subscriber::fmt().with_env_filter("warn").with_test_writer().try_init();
        let clock = TestClock::at(START);
        let mut world = ripen::world(&config, outside(&clock, FIRST_ID)).await.unwrap();
        alter(Arc::get_mut(&mut world).unwrap());
        let server = ripen::serve(&config, world).unwrap();
        Self {
            db,
            clock,
            config,
            server: Some(server),
            database: Some(database),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            tokens: Mutex::default(),
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub fn world(&self) -> &Arc<World> {
        &self.server().world
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.server().address())
    }

    /// Nobody: requests without a token.
    pub fn anonymous(&self) -> Caller {
        self.with_token(None)
    }

    pub fn with_token(&self, token: Option<&str>) -> Caller {
        Caller { client: self.client.clone(), base: self.base(), token: token.map(str::to_owned) }
    }

    pub async fn as_admin(&self) -> Caller {
        self.as_person(Person::Admin).await
    }

    /// Logged in through the API, once a server.
    pub async fn as_person(&self, person: Person) -> Caller {
        let known = self.tokens.lock().unwrap().get(&person).cloned();
        if let Some(token) = known {
            return self.with_token(Some(&token));
        }
        let login = json!({"tenant": person.tenant(), "email": person.email(), "password": PASSWORD});
        let answer = self.anonymous().post("/v1/auth/login", login).await.expect(200);
        let token = answer.json["access_token"].as_str().unwrap().to_owned();
        self.tokens.lock().unwrap().insert(person, token.clone());
        self.with_token(Some(&token))
    }

    /// The same after a new login: tokens end while a test's time goes by.
    pub async fn again(&self, person: Person) -> Caller {
        self.tokens.lock().unwrap().remove(&person);
        self.as_person(person).await
    }

    /// The product itself in a person's tenant, for calls below HTTP.
    pub async fn context(&self, person: Person) -> Context {
        let tenant = tenants::find(self.world(), person.tenant()).await.unwrap().unwrap();
        Context {
            world: self.world().clone(),
            tenant: Arc::new(tenant),
            actor: Arc::new(ripen_core::access::Actor::system()),
            request_id: None,
            known_at: None,
            attempt: None,
        }
    }

    /// Stops the server and starts it again on the same database.
    pub async fn restart(&mut self) {
        self.server.take().unwrap().stop().await.unwrap();
        self.tokens.lock().unwrap().clear();
        let ids = FIRST_ID + u64::try_from(self.clock_ms()).unwrap_or_default();
        self.server = Some(ripen::build(&self.config, outside(&self.clock, ids)).await.unwrap());
    }

    /// Another process on the same database: the server that is there, and one more.
    pub async fn beside(&self) -> Server {
        let ids = FIRST_ID * 2 + u64::try_from(self.clock_ms()).unwrap_or_default();
        ripen::build(&self.config, outside(&self.clock, ids)).await.unwrap()
    }

    /// From now on whatever is added to the table fails, or does no longer.
    pub async fn fails(&self, table: &str, fails: bool) {
        let sql = match (self.db, fails) {
            (Db::Sqlite, true) => {
                format!("create trigger away before insert on {table} begin select raise(abort, 'away'); end")
            }
            (Db::Sqlite, false) => "drop trigger away".to_owned(),
            (Db::Postgres, true) => format!(
                "create function away() returns trigger language plpgsql as $$ begin raise 'away'; end $$; \
                 create trigger away before insert on {table} execute function away()"
            ),
            (Db::Postgres, false) => "drop function away cascade".to_owned(),
        };
        self.world().store.write.execute_unprepared(&sql).await.unwrap();
    }

    /// Until `n` statements of the database wait for other transactions. On SQLite they wait for the writer unseen: they get the
    /// time to come so far.
    pub async fn waiting(&self, n: i64) {
        let (store, pause) = (&self.world().store, Duration::from_millis(10));
        if self.db == Db::Sqlite {
            return tokio::time::sleep(20 * pause).await;
        }
        let sql = "select count(*) from pg_locks where not granted and pid in \
                   (select pid from pg_stat_activity where datname = current_database())";
        for _ in 0..1000 {
            let row = store.read.query_one_raw(Statement::from_string(store.backend, sql)).await.unwrap().unwrap();
            if row.try_get_by_index::<i64>(0).unwrap() >= n {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        panic!("fewer than {n} wait");
    }

    fn clock_ms(&self) -> i64 {
        ripen_core::context::Clock::now(&self.clock).timestamp_millis()
    }

    pub async fn end(mut self) {
        self.server.take().unwrap().stop().await.unwrap();
        self.database.take().unwrap().remove().await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn config(url: &str, dir: &Path) -> Config {
    let mut config = Config { dir: dir.to_owned(), passwords: Cost::LEAST.into(), ..Config::default() };
    config.database.url = Some(url.to_owned());
    config.database.connections = 4;
    config.database.row_security = Fence::Reads; // the hardest there is
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.server.workers = 1;
    config.server.stop_s = 5;
    config
}

fn outside(clock: &TestClock, first_id: u64) -> Outside {
    Outside { clock: Arc::new(clock.clone()), ids: Arc::new(CountedIds::from(first_id)) }
}

/// Migrates the empty database and brings everybody in.
pub async fn people(url: &str, dir: &Path) {
    let config = config(url, dir);
    ripen::migrate(&config).await.unwrap();
    let world = ripen::world(&config, outside(&TestClock::at(START), 0)).await.unwrap();
    tenant(&world, Person::Stranger).await;
    let acme = tenant(&world, Person::Admin).await;
    let manager = user(&acme, Person::Manager, json!({"role": "manager"})).await;
    user(&acme, Person::Rep, json!({"manager_id": manager})).await;
    user(&acme, Person::OtherRep, json!({})).await;
    world.store.clone().close().await.unwrap();
}

async fn tenant(world: &Arc<World>, admin: Person) -> Context {
    let new = NewTenant {
        slug: admin.tenant().to_owned(),
        name: admin.tenant().to_owned(),
        base_currency: "USD".to_owned(),
        time_zone: "UTC".to_owned(),
        admin_email: admin.email().to_owned(),
        admin_name: "Ada Adams".to_owned(),
        admin_password: Secret::new(PASSWORD),
    };
    tenants::create(world, new).await.unwrap()
}

async fn user(cx: &Context, person: Person, more: serde_json::Value) -> uuid::Uuid {
    let mut user = json!({"email": person.email(), "name": format!("{person:?}"), "state": "active"});
    user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let data = user.as_object().unwrap().clone();
    let unit = cx.begin().await.unwrap();
    let users = cx.kind("user").unwrap();
    let verdict =
        users.write(&unit, vec![Operation::Create { data, since: Since::default() }]).await.unwrap().remove(0);
    unit.commit().await.unwrap();
    let id = verdict.unwrap().id;
    set_password(cx, id, &Secret::new(PASSWORD)).await.unwrap();
    id
}
