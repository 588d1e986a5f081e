//! The HTTP server of one process.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App as Application, HttpServer,
    dev::ServerHandle,
    middleware::{Compress, from_fn},
    web,
};
use async_trait::async_trait;
use ipnet::IpNet;
use ripen_core::{context::World, engine::lag, error::Result};

use crate::{
    Catalogue, Document, Limits, Metrics, Rates, Slots, docs, head, health, idempotency, log, metrics, openapi,
    problem, resources, routes,
};

/// What every handler may reach.
pub struct App {
    pub world: Arc<World>,
    pub document: Document,
    pub catalogue: Catalogue,
    pub metrics: Metrics,
    pub limits: Limits,
    pub streams: Arc<Slots>,
    pub exports: Arc<Slots>,
    pub rates: Rates,
    /// Whose word on where a request comes from is taken.
    pub proxies: Vec<IpNet>,
    pub readiness: Arc<dyn Readiness>,
    /// Set when the process was told to end: `/readyz` says so while requests are finished.
    pub stopping: AtomicBool,
}

impl App {
    /// Seconds by which readers of the change log are behind it.
    pub(crate) async fn feed_lag(&self) -> Result<f64> {
        Ok(lag(&self.world.store, self.world.clock.now()).await?.as_seconds_f64())
    }
}

/// Whether requests can be served.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// `None` when they can, else the reason in a few words.
    async fn check(&self) -> Result<Option<&'static str>>;
}

/// How the server listens.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub workers: usize,
    /// For the head of a request to arrive.
    pub head_time: Duration,
    /// For open requests to finish once the server is told to stop.
    pub stop_time: Duration,
}

/// A server that runs.
pub struct Http {
    pub address: SocketAddr,
    app: web::Data<App>,
    handle: ServerHandle,
    served: tokio::task::JoinHandle<io::Result<()>>,
}

/// Listens and serves on worker threads of its own.
///
/// # Errors
/// The address cannot be listened on.
pub fn start(app: App, settings: &Settings) -> io::Result<Http> {
    let listener = TcpListener::bind(settings.listen)?;
    let address = listener.local_addr()?;
    let app = web::Data::new(app);
    let shared = app.clone();
    let server = HttpServer::new(move || {
        Application::new()
            .app_data(shared.clone())
            .configure(resources::first)
            .configure(health::routes)
            .configure(metrics::routes)
            .configure(problem::routes)
            .configure(openapi::routes)
            .configure(docs::routes)
            .configure(routes::all)
            .configure(resources::routes)
            .default_service(web::to(openapi::not_here))
            .wrap(from_fn(head::as_get))
            .wrap(from_fn(idempotency::once))
            .wrap(Compress::default())
            .wrap(from_fn(log::observe))
    })
    .workers(settings.workers)
    .client_request_timeout(settings.head_time)
    .shutdown_timeout(settings.stop_time.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    Ok(Http { address, app, handle, served: tokio::spawn(server) })
}

impl Http {
    /// From now on `/readyz` answers that the server is stopping and streams end; requests are still served.
    pub fn drain(&self) {
        self.app.stopping.store(true, Ordering::Relaxed);
        self.app.world.committed.notify_waiters(); // streams, which would not end otherwise
    }

    /// Takes no new connection, finishes open requests and ends.
    ///
    /// # Errors
    /// The server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        self.drain();
        self.handle.stop(true).await;
        self.served.await.map_err(io::Error::other)?
    }

    /// Ends at once, without waiting for anybody.
    pub fn abort(&self) {
        drop(self.handle.stop(false));
    }
}
