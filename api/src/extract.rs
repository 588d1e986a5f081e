//! What handlers take from a request. Each refuses what it cannot read exactly.

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
use futures::StreamExt;
use ripen_core::{
    access::Verb,
    context::Context,
    decisions::LARGEST,
    engine::Resource,
    error::{Code, Error, Violation, nearest, unknown},
    idempotency::Attempt,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    json,
    problem::Problem,
    rate::{self, Quota},
    server::App,
};

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
        let (token, known, attempt) = (bearer(request), Known::of(request), attempt(request));
        let counted = Counted::of(request);
        Box::pin(async move {
            let recognised = known.0.get_or_try_init(|| async move {
                let app = app?;
                let (world, request_id) = (app.world.clone(), request_id.await?.0);
                let token = token?;
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
        let (caller, text) = (Caller::from_request(request, payload), request.match_info().query("id").to_owned());
        Box::pin(async move {
            caller.await?; // who asks, and whether there is such a path, comes first, however long that takes
            let id = Uuid::try_parse(&text).ok().filter(|_| text.len() == 36);
            let none = || Error::NotFound { what: format!("id `{text}` is not a UUID; a record with it") }.into();
            id.map(Self).ok_or_else(none)
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
        Err(Error::Malformed(self.0.keys().map(refuse).collect()))
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

/// What a body of JSON is called: a merge patch may say what it is.
fn json_types(method: &Method) -> &'static [&'static str] {
    match *method {
        Method::PATCH => &["application/merge-patch+json", "application/json"],
        _ => &["application/json"],
    }
}

/// A JSON body, read strictly into `T` (which denies unknown fields itself).
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = bytes(request, payload, json_types(request.method()), None);
        Box::pin(async move { Ok(Self(typed(json::parse(&bytes.await?)?)?)) })
    }
}

/// The fields of a record in a JSON body: of a new one, or those a merge patch changes.
pub struct Draft(pub Map<String, Json>);

impl FromRequest for Draft {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = bytes(request, payload, json_types(request.method()), None);
        Box::pin(async move { Ok(Self(object(json::parse(&bytes.await?)?)?)) })
    }
}

/// Of an operation that takes no body: there is none, or an empty object, which some clients send with every POST.
pub struct NoBody;

/// All that such an object may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if matches!(payload, Payload::None) {
            return Box::pin(async { Ok(Self) });
        }
        let body = Body::<Nothing>::from_request(request, payload);
        Box::pin(async move { body.await.map(|Body(Nothing {})| Self) })
    }
}

/// A JSON object in a body of up to 8 MiB: many operations at once.
pub struct Large(pub Map<String, Json>);

/// Bytes of such a body.
pub(crate) const MANY: usize = 8 << 20;

impl FromRequest for Large {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = bytes(request, payload, &["application/json"], Some(MANY));
        Box::pin(async move { Ok(Self(object(json::parse(&bytes.await?)?)?)) })
    }
}

fn object(value: Json) -> Result<Map<String, Json>, Error> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err(Error::malformed("body", Code::WrongType, "must be a JSON object")),
    }
}

/// Violations that are told of one body: each costs another reading of it.
const VIOLATIONS: usize = 20;

/// Reads the value, or tells everything that is wrong with it: what has been told of is taken out, and the rest read again.
fn typed<T: DeserializeOwned>(mut value: Json) -> Result<T, Error> {
    let mut broken: Vec<Violation> = Vec::new();
    loop {
        let violation = match serde_path_to_error::deserialize(&value) {
            Ok(read) if broken.is_empty() => return Ok(read),
            Ok(_) => return Err(Error::Invalid(broken)),
            Err(error) => violation(&error),
        };
        let readable = take_out(&mut value, &violation.pointer);
        // what is missing now may be what was taken out
        let only_unknown = broken.iter().all(|violation| violation.code == Code::UnknownField);
        if only_unknown || violation.code != Code::Required {
            broken.push(violation);
        }
        if !readable || broken.len() == VIOLATIONS {
            return Err(Error::Invalid(broken));
        }
    }
}

fn violation(error: &serde_path_to_error::Error<serde_json::Error>) -> Violation {
    let pointer = error.path().to_string().replace(['.', '['], "/").replace(']', "");
    let pointer = if pointer == "/" || pointer.is_empty() { String::new() } else { format!("/{pointer}") };
    let detail = error.inner().to_string();
    let code = match detail.split('`').next().map(str::trim) {
        Some("unknown field") => Code::UnknownField,
        Some("missing field") => Code::Required,
        Some("unknown variant") => Code::InvalidValue,
        _ => Code::WrongType,
    };
    Violation { pointer, code, detail: with_nearest(detail) }
}

/// Removes the member of an object that the pointer leads to; `false` where there is none.
fn take_out(value: &mut Json, pointer: &str) -> bool {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    let parent = value.pointer_mut(parent).and_then(Json::as_object_mut);
    parent.is_some_and(|members| members.remove(name).is_some())
}

/// Adds the nearest known name to what serde says of an unknown name: that name and those it expected.
fn with_nearest(detail: String) -> String {
    let mut names = detail.split('`').skip(1).step_by(2);
    let near = names.next().filter(|_| detail.starts_with("unknown")).and_then(|given| nearest(given, names));
    near.map(|name| format!("{detail}; did you mean `{name}`?")).unwrap_or(detail)
}

/// The bytes of a WebAssembly component.
pub struct Component(pub Vec<u8>);

impl FromRequest for Component {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = bytes(request, payload, &["application/wasm"], Some(LARGEST));
        Box::pin(async move { Ok(Self(bytes.await?)) })
    }
}

/// For a large body to arrive.
pub(crate) const UPLOAD_TIME: Duration = Duration::from_mins(5);

/// The whole body within the limits of size and time, if it has one of `types`; an upload may have `upload` bytes.
pub(crate) fn bytes(
    request: &HttpRequest,
    payload: &mut Payload,
    types: &'static [&'static str],
    upload: Option<usize>,
) -> Extracted<Vec<u8>> {
    let (limits, given) = (app(request).map(|app| app.limits.clone()), request.content_type().to_ascii_lowercase());
    let (mut payload, attempt) = (payload.take(), attempt(request));
    Box::pin(async move {
        if !types.contains(&given.as_str()) {
            let detail = format!("must be {}", types.join(" or "));
            return Err(Error::malformed("Content-Type", Code::UnsupportedMediaType, detail).into());
        }
        let limits = limits?;
        let (most, time) = upload.map_or((limits.body, limits.body_time), |most| (most, UPLOAD_TIME));
        let read = async {
            let mut body = Vec::new();
            while let Some(chunk) = payload.next().await {
                let chunk =
                    chunk.map_err(|error| Error::malformed("body", Code::MalformedRequest, error.to_string()))?;
                if body.len() + chunk.len() > most {
                    return Err(limit(Code::BodyTooLarge, format!("a body has at most {most} bytes here")));
                }
                body.extend_from_slice(&chunk);
            }
            attempt.inspect(|attempt| attempt.read(&body));
            Ok(body)
        };
        let late = |_| limit(Code::BodyTooSlow, format!("a body must arrive within {} s", time.as_secs()));
        Ok(tokio::time::timeout(time, read).await.map_err(late)??)
    })
}

pub(crate) fn limit(code: Code, detail: String) -> Error {
    Error::Limit { code, detail, retry_after: None }
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
