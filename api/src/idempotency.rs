//! `Idempotency-Key`: around every request that may write. What a key means is decided in the core; here it is taken from
//! the request, and the answer is given to it.

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpResponse, HttpResponseBuilder,
    body::{BoxBody, MessageBody, to_bytes},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use ripen_core::{
    error::{Code, Error, Result},
    idempotency::{Answer, Attempt, Done},
};

use crate::{
    extract::{app, single},
    problem::Problem,
    server::App,
};

const KEY: &str = "Idempotency-Key";
/// Where requests are answered that are nobody's yet: to log in, and to stay so.
const NOBODYS: &str = "/v1/auth/";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Headers that belong to the answer itself; the others are made anew for each response.
const KEPT: [HeaderName; 5] =
    [header::CONTENT_TYPE, header::LOCATION, header::ETAG, header::CACHE_CONTROL, header::CONTENT_DISPOSITION];

pub async fn once(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let attempt = match attempt(&request) {
        Ok(None) => return Ok(next.call(request).await?.map_into_boxed_body()),
        Ok(Some(attempt)) => Arc::new(attempt),
        Err(error) => return Ok(request.error_response(Problem::from(error))),
    };
    request.extensions_mut().insert(attempt.clone());
    let response = next.call(request).await?.map_into_boxed_body();
    if let Some(Problem::Core(Error::Replayed(answer))) = response.response().error().and_then(|e| e.as_error()) {
        let answer = replay(answer);
        return Ok(response.into_response(answer));
    }
    match attempt.finish().filter(|_| response.status().is_success()) {
        Some(done) => kept(done, response).await,
        None => Ok(response),
    }
}

/// The key of a request that may write, if it has one.
fn attempt(request: &ServiceRequest) -> Result<Option<Attempt>> {
    if request.method().is_safe() {
        return Ok(None);
    }
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let key = single(request.request(), KEY)?;
    if key.is_some() && path.starts_with(NOBODYS) {
        let detail = "a key is its sender's, and here nobody is known yet: send the request without one";
        return Err(Error::malformed(KEY, Code::InvalidParameter, detail));
    }
    key.map(|key| Attempt::new(&key, request.method().as_str(), path)).transpose()
}

/// The response, once it is stored with what was written.
async fn kept(done: Done, response: ServiceResponse) -> Result<ServiceResponse, actix_web::Error> {
    let app = app(response.request())?;
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let body = to_bytes(body)
        .await
        .map_err(|source| Problem::from(Error::internal("an answer can be read", source.to_string())))?;
    let text = |name: &HeaderName| Some((name.to_string(), head.headers().get(name)?.to_str().ok()?.to_owned()));
    let headers = KEPT.iter().filter_map(text).collect();
    let answer = Answer { status: head.status().as_u16(), headers, body: body.to_vec() };
    let stored = store(&app, done, &answer).await;
    let answer = stored.map_or_else(HttpResponse::from_error, |()| head.set_body(BoxBody::new(body)));
    Ok(ServiceResponse::new(request, answer))
}

async fn store(app: &App, done: Done, answer: &Answer) -> Result<(), Problem> {
    Ok(done.answered(&app.world, answer).await?)
}

fn replay(answer: &Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponseBuilder::new(status);
    for (name, value) in &answer.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    response.insert_header((REPLAYED, HeaderValue::from_static("true"))).body(answer.body.clone())
}
