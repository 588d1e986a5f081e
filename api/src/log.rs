//! Around every request: its id, its problem document if it failed, its figures, one line in the log.

use std::{sync::Arc, time::Instant};

use actix_web::{
    HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderName, HeaderValue},
    middleware::Next,
};
use uuid::Uuid;

use crate::{
    extract::{Counted, RequestId, app},
    problem, rate,
    server::App,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sent with every answer: nothing here is ever a page that another site may frame, script or sniff.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let id = request_id(&request, &*app(request.request())?);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = explained(next.call(request).await?.map_into_boxed_body(), &id);
    for (name, value) in HEADERS {
        if !response.headers().contains_key(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    let counted = response.request().extensions().get::<Counted>().cloned();
    if let Some(quotas) = counted.as_ref().and_then(|counted| counted.0.get()).filter(|quotas| !quotas.is_empty()) {
        rate::tell(quotas, response.headers_mut());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    note(&response, &id, started.elapsed().as_secs_f64())?;
    Ok(response)
}

/// The caller's own id if it is safe to print, else a fresh one. UUIDs of version 7 are the server's to give: in the change
/// log they name jobs and single requests, which no caller may pass for.
fn request_id(request: &ServiceRequest, app: &App) -> Arc<str> {
    let safe = |id: &&str| {
        let ours = Uuid::try_parse(id).is_ok_and(|id| id.get_version_num() == 7);
        !ours && (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let given = request.headers().get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(safe);
    given.map_or_else(|| app.world.ids.next(app.world.clock.now()).to_string().into(), Into::into)
}

/// A failed response with its problem document as body.
fn explained(response: ServiceResponse, id: &str) -> ServiceResponse {
    let status = response.status();
    let written = response.headers().contains_key(header::CONTENT_TYPE) && response.response().error().is_none();
    if !(status.is_client_error() || status.is_server_error()) || written {
        return response;
    }
    let answer = problem::answer(response.request(), id, status, response.response().error());
    response.into_response(answer)
}

fn note(response: &ServiceResponse, id: &str, seconds: f64) -> Result<(), actix_web::Error> {
    let request = response.request();
    let (method, status) = (request.method().as_str(), response.status().as_u16());
    let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
    app(request)?.metrics.request(&route, method, status, seconds);
    let names = request.query_string().split('&').filter_map(|pair| pair.split('=').next());
    let parameters = names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(",");
    tracing::info!(request_id = id, method, path = request.path(), route, parameters, status, seconds, "request");
    Ok(())
}
