//! What handlers take from a request's body.

use std::time::Duration;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::Method};
use futures::StreamExt;
use ripen_core::{
    decisions::LARGEST,
    error::{Code, Error, Violation, enough, nearest},
    values::json::strict,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

use super::{Extracted, app, attempt};
use crate::problem::Problem;

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
        Box::pin(async move { Ok(Self(typed(parsed(&bytes.await?)?)?)) })
    }
}

/// The fields of a record in a JSON body: of a new one, or those a merge patch changes.
pub struct Draft(pub Map<String, Json>);

impl FromRequest for Draft {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = bytes(request, payload, json_types(request.method()), None);
        Box::pin(async move { Ok(Self(object(parsed(&bytes.await?)?)?)) })
    }
}

/// Of an operation that takes no body: there is none, or an empty object or null, which some clients send with every POST.
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
        let given = request.content_type().to_ascii_lowercase();
        let bytes = all(request, payload, None);
        Box::pin(async move {
            let bytes = bytes.await?;
            if !bytes.is_empty() {
                is_of(&given, json_types(&Method::POST))?;
                typed::<Option<Nothing>>(parsed(&bytes)?)?;
            }
            Ok(Self)
        })
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
        Box::pin(async move { Ok(Self(object(parsed(&bytes.await?)?)?)) })
    }
}

/// JSON of a request, read strictly.
pub(crate) fn parsed(bytes: &[u8]) -> Result<Json, Error> {
    strict(bytes).map_err(|(code, detail)| Error::malformed("body", code, detail))
}

fn object(value: Json) -> Result<Map<String, Json>, Error> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err(Error::malformed("body", Code::WrongType, "must be a JSON object")),
    }
}

/// Reads the value, or tells what is wrong with it: what has been told of is taken out, and the rest read again.
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
        if !readable || enough(&broken) {
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
    let given = request.content_type().to_ascii_lowercase();
    let bytes = all(request, payload, upload);
    Box::pin(async move {
        is_of(&given, types)?;
        bytes.await
    })
}

/// # Errors
/// `Malformed`: the media type that was given is none of these.
fn is_of(given: &str, types: &[&str]) -> Result<(), Error> {
    if types.contains(&given) {
        return Ok(());
    }
    let detail = format!("must be {}", types.join(" or "));
    Err(Error::malformed("Content-Type", Code::UnsupportedMediaType, detail))
}

/// The same whatever it is called.
fn all(request: &HttpRequest, payload: &mut Payload, upload: Option<usize>) -> Extracted<Vec<u8>> {
    let limits = app(request).map(|app| app.limits.clone());
    let (mut payload, attempt) = (payload.take(), attempt(request));
    Box::pin(async move {
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
