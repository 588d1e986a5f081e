//! Entity tags, RFC 9110: `"v7"` is version 7 of a record; what follows a dot tells how it was shown.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use ripen_core::{
    context::Context,
    error::{Code, Error},
};

use crate::{extract::single, problem::Problem};

/// `If-Match`: the version the caller has seen.
pub enum IfMatch {
    Absent,
    /// `*`: whatever version it is.
    Any,
    Version(i64),
}

impl IfMatch {
    /// The version to write from; `None` for any.
    ///
    /// # Errors
    /// `precondition_required` where the tenant wants one and none was sent.
    pub fn version(&self, cx: &Context) -> Result<Option<i64>, Error> {
        match self {
            Self::Absent if cx.tenant.require_preconditions => {
                let detail = "send `If-Match` with the `ETag` of the record as you read it, or `*`";
                Err(Error::conflict(Code::PreconditionRequired, detail))
            }
            Self::Absent | Self::Any => Ok(None),
            Self::Version(version) => Ok(Some(*version)),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = single(request, header::IF_MATCH.as_str());
        std::future::ready(header.and_then(if_match).map_err(Problem::from))
    }
}

/// A version no record has, for tags that are not ours and so match nothing.
const NEVER: i64 = 0;

fn if_match(header: Option<String>) -> Result<IfMatch, Error> {
    let Some(header) = header else { return Ok(IfMatch::Absent) };
    if header.trim() == "*" {
        return Ok(IfMatch::Any);
    }
    if header.contains(',') {
        return Err(Error::malformed("If-Match", Code::InvalidParameter, "takes one entity tag"));
    }
    Ok(IfMatch::Version(version(header.trim()).unwrap_or(NEVER)))
}

/// The version in a strong tag of ours.
fn version(tag: &str) -> Option<i64> {
    let inner = tag.strip_prefix("\"v")?.strip_suffix('"')?;
    inner.split_once('.').map_or(inner, |(version, _)| version).parse().ok()
}

/// `If-None-Match`: the tags of what the caller has already.
pub struct IfNoneMatch(String);

impl IfNoneMatch {
    /// Whether one of the tags is this one (weak comparison).
    pub fn has(&self, etag: &str) -> bool {
        let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        self.0.trim() == "*" || self.0.split(',').any(|tag| bare(tag) == bare(etag))
    }
}

impl FromRequest for IfNoneMatch {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let tags = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
        std::future::ready(Ok(Self(tags.collect::<Vec<_>>().join(","))))
    }
}

#[cfg(test)]
mod tests {
    use super::{IfMatch, IfNoneMatch, NEVER, if_match};

    #[test]
    fn if_match_reads_the_version_before_the_dot_and_nothing_weak() {
        let read = |text: &str| match if_match(Some(text.to_owned())).unwrap() {
            IfMatch::Version(version) => Some(version),
            IfMatch::Absent | IfMatch::Any => None,
        };
        assert_eq!(read("\"v7\""), Some(7));
        assert_eq!(read(" \"v7.9f3a\" "), Some(7));
        assert_eq!(read("*"), None);
        for foreign in ["W/\"v7\"", "v7", "\"7\"", "\"v\"", "\"v7", ""] {
            assert_eq!(read(foreign), Some(NEVER), "{foreign}");
        }
        assert!(if_match(Some("\"v1\", \"v2\"".to_owned())).is_err());
    }

    #[test]
    fn if_none_match_compares_weakly_over_a_list() {
        let tags = |text: &str| IfNoneMatch(text.to_owned());
        assert!(tags("\"v1\", W/\"v2\"").has("\"v2\""));
        assert!(tags("*").has("\"v2\""));
        assert!(!tags("\"v1\"").has("\"v2\""));
        assert!(!tags("").has("\"v2\""));
    }
}
