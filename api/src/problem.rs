//! Errors as they look over HTTP, RFC 9457: the only place that knows status codes.

use std::fmt::Write as _;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
    web,
};
use ripen_core::{
    error::{Code, Error, Violation},
    ports::{FailureClass, PluginFailure},
};
use serde::Serialize;
use serde_json::json;
use utoipa::{OpenApi, ToSchema};

use crate::{extract::Parameters, server::App};

const PROBLEM_JSON: &str = "application/problem+json";

/// What a handler fails with.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error(transparent)]
    Core(#[from] Error),
    /// The path is known, the method is not; `allow` lists those that are.
    #[error("this path takes {allow}")]
    MethodNotAllowed { allow: String },
}

/// The status alone; the body is written by `answer`, which knows the request.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Core(error) => status(error),
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::Malformed(violations) => match common(violations) {
            Some(Code::UnsupportedMediaType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        },
        Error::Conflict { code: Code::IdempotencyKeyReused, .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Conflict { code: Code::PreconditionRequired, .. } => StatusCode::PRECONDITION_REQUIRED,
        Error::Conflict { code: Code::OutsideYourReach, .. } | Error::Forbidden { .. } => StatusCode::FORBIDDEN,
        Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::Stale { .. } => StatusCode::PRECONDITION_FAILED,
        Error::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
        Error::Limit { code, .. } => match code {
            Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::RequestInFlight | Code::Conflict => StatusCode::CONFLICT,
            Code::MailUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Code::JsonTooDeep | Code::QueryTooExpensive => StatusCode::BAD_REQUEST,
            _ => StatusCode::TOO_MANY_REQUESTS,
        },
        Error::Plugin(PluginFailure { class: FailureClass::Host, .. }) | Error::Internal { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Error::Replayed(answer) => StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
        Error::Invalid(_) | Error::Plugin(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Database(_) if error.is_outage() => StatusCode::SERVICE_UNAVAILABLE,
        Error::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The stable name of the failure.
fn code(error: &Error) -> String {
    match error {
        Error::NotFound { .. } => Code::NotFound.name(),
        Error::Malformed(violations) => common(violations).unwrap_or(Code::MalformedRequest).name(),
        Error::Invalid(_) => Code::ValidationFailed.name(),
        Error::Conflict { code, .. } | Error::Unauthenticated { code, .. } | Error::Limit { code, .. } => code.name(),
        Error::Stale { .. } => Code::Stale.name(),
        Error::Forbidden { .. } => Code::Forbidden.name(),
        Error::Plugin(failure) => failure.code.to_owned(),
        Error::Database(_) if error.is_outage() => Code::DatabaseUnavailable.name(),
        // what was replayed is no failure, and never gets here
        Error::Database(_) | Error::Internal { .. } | Error::Replayed(_) => Code::Internal.name(),
    }
}

/// The one code of all violations, if they agree.
fn common(violations: &[Violation]) -> Option<Code> {
    let first = violations.first()?.code;
    violations.iter().all(|violation| violation.code == first).then_some(first)
}

/// The problem document for a response that failed: with ours as its error, or one of the HTTP library's own.
pub fn answer(
    request: &HttpRequest,
    request_id: &str,
    status: StatusCode,
    error: Option<&actix_web::Error>,
) -> HttpResponse {
    let problem = error.and_then(|error| error.as_error::<Problem>());
    let mut response = HttpResponse::build(status);
    let (code, detail, errors) = match problem {
        Some(Problem::Core(error)) => {
            headers(&mut response, error);
            (code(error), error.to_string(), violations(error))
        }
        Some(Problem::MethodNotAllowed { allow }) => {
            response.insert_header((header::ALLOW, allow.as_str()));
            (Code::MethodNotAllowed.name(), format!("{} takes {allow}", request.path()), [].as_slice())
        }
        None => (foreign(status).name(), foreign(status).title().to_owned(), [].as_slice()),
    };
    let opaque = status.is_server_error();
    if opaque {
        let cause = error.map(|error| problem.map_or_else(|| error.to_string(), |problem| chain(problem)));
        tracing::error!(request_id, code, cause, "request failed");
    }
    let title = request.app_data::<web::Data<App>>().and_then(|app| app.catalogue.title(&code).map(str::to_owned));
    response.content_type(PROBLEM_JSON).json(json!({
        "type": format!("/problems/{code}"),
        "title": title,
        "status": status.as_u16(),
        "detail": if opaque { "The cause is in the server's log under this request id.".to_owned() } else { detail },
        "code": code,
        "errors": errors,
        "request_id": request_id,
    }))
}

fn violations(error: &Error) -> &[Violation] {
    match error {
        Error::Malformed(v) | Error::Invalid(v) | Error::Conflict { errors: v, .. } => v.as_slice(),
        _ => &[],
    }
}

/// The problem of one part of a request whose other parts went well. Only for what is the caller's to mend.
pub(crate) fn embedded(app: &App, error: &Error) -> serde_json::Value {
    let code = code(error);
    json!({
        "type": format!("/problems/{code}"),
        "title": app.catalogue.title(&code),
        "status": status(error).as_u16(),
        "detail": error.to_string(),
        "code": code,
        "errors": violations(error),
    })
}

fn headers(response: &mut HttpResponseBuilder, error: &Error) {
    match error {
        Error::Limit { retry_after: Some(seconds), .. } => {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        Error::Database(_) if error.is_outage() => {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        Error::Unauthenticated { code, .. } => {
            let challenge = match code {
                Code::TokenExpired | Code::InvalidToken => r#"Bearer realm="ripen", error="invalid_token""#,
                _ => r#"Bearer realm="ripen""#,
            };
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        _ => {}
    }
}

/// The code for a status the HTTP library chose by itself.
fn foreign(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::NOT_ACCEPTABLE => Code::NotAcceptable,
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
        StatusCode::REQUEST_TIMEOUT => Code::BodyTooSlow,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        status if status.is_client_error() => Code::MalformedRequest,
        _ => Code::Internal,
    }
}

/// An error with its causes, outermost first.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Every problem code the instance can answer with, and what it means.
#[derive(Clone, Debug)]
pub struct Catalogue(Vec<(String, &'static str)>);

impl Catalogue {
    /// The core's own codes and those of `others` (code, title).
    pub fn new(others: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        let own = Code::all().map(|code| (code.name(), code.title()));
        Self(own.chain(others.into_iter().map(|(code, title)| (code.to_owned(), title))).collect())
    }

    fn title(&self, code: &str) -> Option<&'static str> {
        self.0.iter().find(|(known, _)| known == code).map(|(_, title)| *title)
    }

    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(code, _)| code.as_str())
    }
}

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/problems", web::get().to(all)).route("/problems/{code}", web::get().to(one));
}

#[derive(OpenApi)]
#[openapi(paths(all, one), components(schemas(Entry, Entries)))]
pub(crate) struct Doc;

/// A problem code and what it means.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemCode)]
struct Entry {
    /// The `type` of its problem documents.
    r#type: String,
    code: String,
    title: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProblemCodes)]
struct Entries {
    data: Vec<Entry>,
}

/// List problem codes
///
/// Every `code` a problem document of this server can have.
#[utoipa::path(get, path = "/problems", operation_id = "list_problem_codes", tag = "server", extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "All of them.", body = Entries)))]
async fn all(app: web::Data<App>, parameters: Parameters) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    let data = app.catalogue.0.iter().map(|(code, title)| entry(code, title)).collect();
    Ok(HttpResponse::Ok().json(Entries { data }))
}

/// Get one problem code
///
/// What the `type` of a problem document leads to.
#[utoipa::path(get, path = "/problems/{code}", operation_id = "get_problem_code", tag = "server", extensions(("x-right" = json!("public"))),
    params(("code" = String, Path, description = "The code, such as `not_found`.")),
    responses((status = 200, description = "What it means.", body = Entry)))]
async fn one(app: web::Data<App>, code: web::Path<String>, parameters: Parameters) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    match app.catalogue.title(&code) {
        Some(title) => Ok(HttpResponse::Ok().json(entry(&code, title))),
        None => Err(Error::NotFound { what: format!("problem code `{code}`") }.into()),
    }
}

fn entry(code: &str, title: &'static str) -> Entry {
    Entry { r#type: format!("/problems/{code}"), code: code.to_owned(), title }
}
