use serde_json::{Value as Json, json};

use crate::error::{Code, Error};

/// What a caller may read of an error, in the words of RFC 9457: `{code, title, detail, errors}`. Causes on our side
/// are logged here, once, and not told.
pub fn problem(error: &Error) -> Json {
    let none = Vec::new();
    let (code, detail, errors) = match error {
        Error::NotFound { .. } => (Code::NotFound, error.to_string(), &none),
        Error::Malformed(violations) => (Code::MalformedRequest, error.to_string(), violations),
        Error::Invalid(violations) => (Code::ValidationFailed, error.to_string(), violations),
        Error::Conflict { code, detail, errors } => (*code, detail.clone(), errors),
        Error::Stale { .. } => (Code::Stale, error.to_string(), &none),
        Error::Unauthenticated { code, detail } | Error::Limit { code, detail, .. } => (*code, detail.clone(), &none),
        Error::Forbidden { .. } => (Code::Forbidden, error.to_string(), &none),
        Error::Plugin(failure) => {
            let title = Code::PluginFailed.title();
            return json!({"code": failure.code, "title": title, "detail": failure.detail, "errors": []});
        }
        Error::Database(source) => {
            tracing::error!(error = source as &dyn std::error::Error, "database error");
            (Code::DatabaseUnavailable, Code::DatabaseUnavailable.title().to_owned(), &none)
        }
        // jobs have no caller whose key they could carry
        Error::Replayed(_) => (Code::Internal, error.to_string(), &none),
        Error::Internal { context, source } => {
            tracing::error!(context, error = source.as_ref() as &dyn std::error::Error, "internal error");
            (Code::Internal, Code::Internal.title().to_owned(), &none)
        }
    };
    json!({"code": code, "title": code.title(), "detail": detail, "errors": errors})
}
