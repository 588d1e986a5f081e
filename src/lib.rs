//! Ripen: a headless CRM core with explainable plugins. `build` makes the whole server from its settings.

pub mod cli;
pub mod config;
pub mod demo;
pub mod mail;
mod outside;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use ripen_api::{App, Catalogue, Document, Http, Metrics, Rates, Readiness, Slots};
use ripen_core::{
    access::{Gate, Secrets},
    context::World,
    decisions,
    engine::{self, Registry, adopt},
    erasure::Erase,
    error::{Error, Result},
    import::Import,
    jobs::{RunnerHandle, spawn_runner},
    mass,
    ports::{Mailer, Sandbox},
    records,
    store::{Fence, Store},
};
use ripen_migrations::{Migrator, MigratorTrait, fence, unfenced};
use ripen_plugins::{CacheSettings, Compiler, Host, HostError, HostSettings};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

pub use self::{config::Config, outside::Outside};

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the directory {path} cannot be made")]
    Directory { path: String, source: io::Error },
    #[error("the database cannot be used")]
    Database(#[source] Error),
    #[error("the database lacks {0} migration(s) of this release: run `ripen migrate`")]
    Behind(usize),
    #[error(
        "the database does not keep tenants apart ({0}): run `ripen migrate` as a user who may make the role `ripen_app`, \
         or set database.row_security = \"off\""
    )]
    Unfenced(String),
    #[error("the settings of `passwords` cannot be used")]
    Passwords(#[source] Error),
    #[error(transparent)]
    Mail(#[from] mail::MailError),
    #[error(transparent)]
    Plugins(#[from] HostError),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Metrics(#[from] ripen_api::MetricsError),
}

/// A server that runs: HTTP and everything behind it.
pub struct Server {
    pub world: Arc<World>,
    http: Http,
    runner: RunnerHandle,
    drain: Duration,
    /// For jobs to put themselves back.
    patience: Duration,
}

/// Builds the world and serves it: what `ripen serve` and the tests start.
///
/// # Errors
/// What keeps it from starting.
pub async fn build(config: &Config, outside: Outside) -> Result<Server, StartError> {
    serve(config, world(config, outside).await?)
}

/// Serves a world that was built before.
///
/// # Errors
/// What keeps it from starting.
pub fn serve(config: &Config, world: Arc<World>) -> Result<Server, StartError> {
    let catalogue = catalogue();
    let app = App {
        document: Document::new(&world.registry, &catalogue),
        catalogue,
        metrics: Metrics::new()?,
        limits: config.limits(),
        streams: Slots::new("streams of changes", config.limits.streams),
        exports: Slots::new("exports", config.limits.exports),
        rates: Rates::new(config.quotas()),
        proxies: config.server.trusted_proxies.clone(),
        readiness: Arc::new(AtHead(world.store.clone())),
        stopping: false.into(),
        world: world.clone(),
    };
    let http = ripen_api::start(app, &config.http())
        .map_err(|source| StartError::Listen { address: config.server.listen, source })?;
    let mut works = decisions::works();
    works.push(Arc::new(Import));
    works.extend(mass::works());
    works.push(Arc::new(Erase));
    let runner = spawn_runner(world.clone(), works);
    let [drain, patience] = [config.server.drain_s, config.server.stop_s].map(Duration::from_secs);
    Ok(Server { world, http, runner, drain, patience })
}

/// Everything one process shares, over a database whose tables are those of this release.
///
/// # Errors
/// What keeps it from being built.
pub async fn world(config: &Config, outside: Outside) -> Result<Arc<World>, StartError> {
    let store = store(config).await?;
    match pending(&store).await.map_err(StartError::Database)? {
        0 => {}
        behind => return Err(StartError::Behind(behind)),
    }
    let store = fenced(store, config).await?;
    adopt(&store).await.map_err(StartError::Database)?;
    let secrets = Secrets::load(&store).await.map_err(StartError::Database)?;
    let host = Host::new(HostSettings {
        compiler: compiler(),
        cache: Some(CacheSettings { directory: config.dir.join("plugins"), secret: secrets.plugin_cache.to_vec() }),
        ..HostSettings::default()
    })?;
    Ok(Arc::new(World {
        store,
        registry: registry(),
        clock: outside.clock,
        ids: outside.ids,
        gate: Gate::new(&secrets, config.gate()).map_err(StartError::Passwords)?,
        secrets,
        plugins: Sandbox::new(Arc::new(host)),
        mailer: mail::Smtp::new(&config.mail)?.map(|smtp| Arc::new(smtp) as Arc<dyn Mailer>),
        committed: tokio::sync::Notify::new(),
    }))
}

/// Every kind of record.
pub fn registry() -> Registry {
    records::all()
}

/// Every problem code: the core's and the plugin host's.
pub fn catalogue() -> Catalogue {
    Catalogue::new(ripen_plugins::CODES.iter().map(|code| (code.code, code.title)))
}

/// Opens the database, whatever its tables are.
///
/// # Errors
/// It cannot be opened.
pub async fn store(config: &Config) -> Result<Store, StartError> {
    std::fs::create_dir_all(&config.dir)
        .map_err(|source| StartError::Directory { path: config.dir.display().to_string(), source })?;
    Store::open(&config.database_url(), config.database.connections).await.map_err(StartError::Database)
}

/// Brings the database to this release, the words of its records too, and answers how many migrations that took.
///
/// # Errors
/// The database cannot be opened, or a migration fails.
pub async fn migrate(config: &Config) -> Result<usize, StartError> {
    let store = store(config).await?;
    let applied = async {
        let applied = pending(&store).await?;
        Migrator::up(&store.write, None).await?;
        engine::search::fill(&store, &registry()).await?;
        if config.database.row_security > Fence::Off {
            fence(&store.write).await?;
        }
        Ok(applied)
    };
    let applied = applied.await.map_err(StartError::Database)?;
    store.close().await.map_err(StartError::Database)?;
    Ok(applied)
}

/// The store, its units behind the database's own fence between tenants where there is one and it is wanted.
async fn fenced(mut store: Store, config: &Config) -> Result<Store, StartError> {
    if store.backend == DbBackend::Postgres && config.database.row_security > Fence::Off {
        let trouble = fence_trouble(&store).await.map_err(|source| StartError::Database(source.into()))?;
        if let Some(trouble) = trouble {
            return Err(StartError::Unfenced(trouble));
        }
        store.fence = config.database.row_security;
    }
    Ok(store)
}

/// What is wrong with the fence between tenants in a PostgreSQL database, if anything is.
pub(crate) async fn fence_trouble(store: &Store) -> Result<Option<String>, DbErr> {
    if let Some((table, _)) = unfenced(&store.read).await?.first() {
        return Ok(Some(format!("table {table} has no policy")));
    }
    let role = "select 1 from pg_roles where rolname = 'ripen_app' and pg_has_role(current_user, oid, 'member')";
    let role = store.read.query_one_raw(Statement::from_string(store.backend, role)).await?;
    Ok(role.is_none().then(|| "the server's user is no member of `ripen_app`".to_owned()))
}

/// Migrations of this release that the database has not seen.
///
/// # Errors
/// The database.
pub async fn pending(store: &Store) -> Result<usize> {
    Ok(Migrator::get_pending_migrations_read_only(&store.read).await?.len())
}

/// This program compiles plugins in a process of its own; where it does not know its own file, in this one.
fn compiler() -> Compiler {
    match std::env::current_exe() {
        Ok(program) if program.file_stem().is_some_and(|name| name == "ripen") => {
            Compiler::Child { program, args: cli::COMPILE.map(str::to_owned).to_vec() }
        }
        _ => Compiler::Here,
    }
}

struct AtHead(Store);

#[async_trait::async_trait]
impl Readiness for AtHead {
    async fn check(&self) -> Result<Option<&'static str>> {
        match pending(&self.0).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some("the database lacks migrations of this release")),
            // what it says of migrations that were applied and that it does not know
            Err(Error::Database(DbErr::Custom(_))) => Ok(Some("the database is of a later release")),
            Err(error) => Err(error),
        }
    }
}

impl Server {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.http.address
    }

    /// Announces the end, waits as long as the settings say, finishes what is open and ends.
    ///
    /// # Errors
    /// The server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        self.http.drain();
        tokio::time::sleep(self.drain).await;
        // Jobs first: a connection that a worker of the HTTP server opened dies with the worker, and a job that has it then
        // could not put itself back.
        if tokio::time::timeout(self.patience, self.runner.stop()).await.is_err() {
            tracing::warn!("a job is in the middle of something; it is taken up again once its lease runs out");
        }
        self.http.stop().await
    }

    /// Ends at once, without waiting for anybody.
    pub fn abort(&self) {
        self.http.abort();
    }
}
