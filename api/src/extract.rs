//! What handlers take from a request. Each refuses what it cannot read exactly.

mod body;

use std::{
    collections::BTreeMap,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{Method, header},
    web,
};
use ripen_core::{
    access::Verb,
    context::Context,
    engine::Resource,
    error::{Code, Error, VIOLATIONS, Violation, unknown},
    idempotency::Attempt,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    problem::Problem,
    rate::{self, Quota},
    server::App,
};

pub use self::body::{Body, Component, Draft, Large, NoBody};
pub(crate) use self::body::{MANY, UPLOAD_TIME, limit, parsed};

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

pub(crate) fn app(request: &HttpRequest) -> Result<web::Data<App>, Problem> {
    let found = request.app_data::<web::Data<App>>().cloned();
    Ok(found.ok_or_else(|| Error::internal("every request knows the application", "not registered"))?)
}

/// The name under which the request is found in the log.
#[derive(Clone)]
pub struct RequestId(pub Arc<str>);

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.extensions().get::<Self>().cloned();
        let id = id.ok_or_else(|| Error::internal("every request has an id", "none was given").into());
        std::future::ready(id)
    }
}

/// Who asks. A handler that takes it runs for nobody else.
pub struct Caller(pub Context);

impl Deref for Caller {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (app, request_id) = (app(request), RequestId::from_request(request, payload));
        let (request, known, counted) = (request.clone(), Known::of(request), Counted::of(request));
        Box::pin(async move {
            let recognised = known.0.get_or_try_init(|| async move {
                let app = app?;
                let (world, request_id) = (app.world.clone(), request_id.await?.0);
                let (token, attempt) = (bearer(&request)?, attempt(&request));
                let (tenant, actor) = world.gate.actor_of_token(&world, &token).await?;
                let quotas = app.rates.count(tenant.id, &token, world.clock.now());
                let granted = rate::granted(&quotas);
                counted.0.set(quotas).ok();
                granted?;
                let request_id = Some(request_id);
                Ok::<_, Problem>(Context { world, tenant, actor, request_id, known_at: None, attempt })
            });
            Ok(Self(recognised.await?.clone()))
        })
    }
}

/// Who asks is found out once a request, whatever takes part in it.
#[derive(Clone, Default)]
struct Known(Arc<OnceCell<Context>>);

impl Known {
    fn of(request: &HttpRequest) -> Self {
        request.extensions_mut().get_or_insert_with(Self::default).clone()
    }
}

/// What counting the request has left of its caller's quotas, for the answer's head.
#[derive(Clone, Default)]
pub(crate) struct Counted(pub Arc<OnceLock<Vec<Quota>>>);

impl Counted {
    fn of(request: &HttpRequest) -> Self {
        request.extensions_mut().get_or_insert_with(Self::default).clone()
    }
}

/// The request's attempt with a key of the caller's.
fn attempt(request: &HttpRequest) -> Option<Arc<Attempt>> {
    request.extensions().get().cloned()
}

pub(crate) fn bearer(request: &HttpRequest) -> Result<String, Error> {
    let unauthenticated =
        |detail: &str| Error::Unauthenticated { code: Code::Unauthenticated, detail: detail.to_owned() };
    let header = single(request, header::AUTHORIZATION.as_str())?
        .ok_or_else(|| unauthenticated("send `Authorization: Bearer <token>`; POST /v1/auth/login gives one"))?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim().to_owned()),
        _ => Err(unauthenticated("the Authorization header must read `Bearer <token>`")),
    }
}

/// The value of a header that may come once.
pub(crate) fn single(request: &HttpRequest, name: &str) -> Result<Option<String>, Error> {
    let mut values = request.headers().get_all(name);
    let value = values.next().map(|value| value.to_str().map(str::to_owned));
    if values.next().is_some() {
        return Err(Error::malformed(name, Code::InvalidParameter, "the header comes twice"));
    }
    value.transpose().map_err(|_| Error::malformed(name, Code::InvalidParameter, "the header is not plain text"))
}

/// The caller's kind of record that the path names, where it takes part in the method's operation.
pub struct Kind(pub Arc<dyn Resource>);

impl Deref for Kind {
    type Target = dyn Resource;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl FromRequest for Kind {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let verb = match *request.method() {
            Method::POST => Verb::Create,
            Method::PATCH => Verb::Update,
            Method::DELETE => Verb::Delete,
            _ => Verb::Read,
        };
        let (caller, request) = (Caller::from_request(request, payload), request.clone());
        Box::pin(async move { kind(&caller.await?.0, &request, verb) })
    }
}

/// The kind of record that the path names, where it can be read: for questions whose method is POST.
pub struct Readable(pub Arc<dyn Resource>);

impl Deref for Readable {
    type Target = dyn Resource;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl FromRequest for Readable {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (caller, request) = (Caller::from_request(request, payload), request.clone());
        Box::pin(async move { Ok(Self(kind(&caller.await?.0, &request, Verb::Read)?.0)) })
    }
}

/// The kind of record that the path names, where it takes part in the operation.
pub(crate) fn kind(cx: &Context, request: &HttpRequest, verb: Verb) -> Result<Kind, Problem> {
    let app = app(request)?;
    let Ok(resource) = cx.resolve(request.match_info().query("kind")) else {
        return Err(app.document.not_here(request));
    };
    if resource.shape().verbs.contains(&verb) {
        Ok(Kind(resource.clone()))
    } else {
        Err(app.document.not_here(request))
    }
}

/// The record's id in the path.
pub struct Id(pub Uuid);

impl FromRequest for Id {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let name = Name::from_request(request, payload);
        Box::pin(async move {
            let Name(text) = name.await?;
            let id = Uuid::try_parse(&text).ok().filter(|_| text.len() == 36);
            let none = || Error::NotFound { what: format!("id `{text}` is not a UUID; a record with it") }.into();
            id.map(Self).ok_or_else(none)
        })
    }
}

/// The record's id or key in the path: a text that the database is asked for.
pub struct Name(pub String);

impl FromRequest for Name {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (caller, text) = (Caller::from_request(request, payload), request.match_info().query("id").to_owned());
        Box::pin(async move {
            caller.await?; // who asks, and whether there is such a path, comes first, however long that takes
            if text.contains('\0') {
                return Err(Error::NotFound { what: format!("a record with the id or key `{text}`") }.into());
            }
            Ok(Self(text))
        })
    }
}

/// The query parameters. The only way to them is [`Parameters::take`], which refuses the unknown.
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The values of `names`, which are all that the operation knows.
    ///
    /// # Errors
    /// Each parameter that is not among them, with the nearest that is.
    pub fn take<const N: usize>(mut self, names: [&str; N]) -> Result<[Option<String>; N], Error> {
        let taken = names.map(|name| self.0.remove(name));
        if self.0.is_empty() {
            return Ok(taken);
        }
        let refuse =
            |given: &String| Violation::parameter(given, Code::UnknownParameter, unknown("parameter", given, names));
        Err(Error::Malformed(self.0.keys().take(VIOLATIONS).map(refuse).collect()))
    }
}

impl FromRequest for Parameters {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(parameters(request.query_string()).map_err(Problem::from))
    }
}

fn parameters(text: &str) -> Result<Parameters, Error> {
    #[expect(clippy::disallowed_types, reason = "the one place that reads a query string")]
    let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
        .map_err(|error| Error::malformed("query", Code::MalformedRequest, error.to_string()))?;
    let mut parameters = BTreeMap::new();
    for (name, value) in pairs.into_inner() {
        if parameters.contains_key(&name) {
            return Err(Error::malformed(&name, Code::InvalidParameter, "the parameter comes twice"));
        }
        if value.contains('\0') {
            return Err(Error::malformed(&name, Code::InvalidParameter, "must not contain a NUL character"));
        }
        parameters.insert(name, value);
    }
    Ok(Parameters(parameters))
}

/// A whole number in the parameter `name`.
///
/// # Errors
/// It is none.
pub fn number(name: &str, text: Option<String>) -> Result<Option<u64>, Error> {
    let wrong = |_| Error::malformed(name, Code::InvalidParameter, "must be a whole number");
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

/// What one request may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a JSON body.
    pub body: usize,
    /// For a JSON body to arrive; the sender of a file may pause as long.
    pub body_time: Duration,
    /// After which a stream that has nothing to say shows that it lives.
    pub heartbeat: Duration,
}
