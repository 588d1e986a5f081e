//! Whether the process lives, and whether it can serve.

use std::{sync::atomic::Ordering, time::Duration};

use actix_web::{HttpResponse, http::header, web};
use serde::Serialize;
use serde_json::json;
use utoipa::{OpenApi, ToSchema};

use crate::{
    extract::Parameters,
    problem::{Problem, chain},
    server::App,
};

const PATIENCE: Duration = Duration::from_secs(5);

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/livez", web::get().to(livez)).route("/readyz", web::get().to(readyz));
}

#[derive(OpenApi)]
#[openapi(paths(livez, readyz), components(schemas(Health)), tags((name = "server", description = "The server itself.")))]
pub(crate) struct Doc;

/// Whether requests can be served.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`, or what keeps them from being served.
    status: &'static str,
    /// Seconds; null where they cannot be served.
    feed_lag_s: Option<f64>,
}

/// Whether the process lives
///
/// Answers as long as the process can answer at all.
#[utoipa::path(get, path = "/livez", operation_id = "get_liveness", tag = "server", extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "It lives.")))]
async fn livez(parameters: Parameters) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({"status": "ok"})))
}

/// Whether requests can be served
///
/// Asks the database, and whether its tables are those of this release. `feed_lag_s` is the age in seconds of the oldest
/// change that an open transaction keeps from readers of the change log.
#[utoipa::path(get, path = "/readyz", operation_id = "get_readiness", tag = "server", extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "Requests can be served.", body = Health),
        (status = 503, description = "They cannot, for this reason.", body = Health)))]
async fn readyz(app: web::Data<App>, parameters: Parameters) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    let (ready, status) = if app.stopping.load(Ordering::Relaxed) {
        (false, "stopping")
    } else {
        match tokio::time::timeout(PATIENCE, app.readiness.check()).await {
            Ok(Ok(None)) => (true, "ok"),
            Ok(Ok(Some(reason))) => (false, reason),
            Ok(Err(error)) => {
                tracing::warn!(cause = chain(&error), "not ready");
                (false, "the database does not answer")
            }
            Err(_) => (false, "the database does not answer in time"),
        }
    };
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let lag = if ready { tokio::time::timeout(PATIENCE, app.feed_lag()).await.ok().and_then(Result::ok) } else { None };
    Ok(answer.insert_header((header::CACHE_CONTROL, "no-store")).json(Health { status, feed_lag_s: lag }))
}
