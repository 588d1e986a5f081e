//! Figures for Prometheus, at `/metrics`.

use actix_web::{HttpResponse, web};
use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder, core::Collector};
use ripen_core::error::Error;
use utoipa::OpenApi;

use crate::{extract::Parameters, problem::Problem, server::App};

/// The figures of one server. Others join with [`Metrics::register`].
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    feed_lag: Gauge,
}

const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Two figures have one name.
pub type MetricsError = prometheus::Error;

impl Metrics {
    /// # Errors
    /// Two figures have one name.
    pub fn new() -> prometheus::Result<Self> {
        let requests = Opts::new("ripen_http_requests_total", "Requests answered");
        let seconds = HistogramOpts::new("ripen_http_request_seconds", "Time until a response began, in seconds");
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["route", "method", "status"])?,
            seconds: HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["route", "method"])?,
            feed_lag: Gauge::new(
                "ripen_feed_lag_seconds",
                "Age of the oldest change that an open transaction keeps from readers of the change log",
            )?,
        };
        metrics.register(metrics.requests.clone())?;
        metrics.register(metrics.seconds.clone())?;
        metrics.register(metrics.feed_lag.clone())?;
        Ok(metrics)
    }

    /// # Errors
    /// The name is taken.
    pub fn register(&self, figure: impl Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(figure))
    }

    /// `route` is the pattern, never the path: the number of series stays bounded.
    pub(crate) fn request(&self, route: &str, method: &str, status: u16, seconds: f64) {
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.seconds.with_label_values(&[route, method]).observe(seconds);
    }
}

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/metrics", web::get().to(metrics));
}

#[derive(OpenApi)]
#[openapi(paths(metrics))]
pub(crate) struct Doc;

/// Figures for Prometheus
///
/// In the text format, without any tenant's data.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "server", extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "The figures.", content_type = "text/plain", body = String)))]
async fn metrics(app: web::Data<App>, parameters: Parameters) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    if let Ok(lag) = app.feed_lag().await {
        app.metrics.feed_lag.set(lag); // else the last one known: the database's own figures tell of its outage
    }
    let text = TextEncoder::new()
        .encode_to_string(&app.metrics.registry.gather())
        .map_err(|source| Error::internal("metrics can be printed", source))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
