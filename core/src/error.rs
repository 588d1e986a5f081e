//! What can go wrong, as callers must tell it apart. How it looks over HTTP is decided in `api/src/problem.rs` alone.

use std::fmt::Write as _;

use sea_orm::{DbErr, RuntimeErr, SqlErr};

pub use self::code::Code;
use crate::{idempotency::Answer, ports::PluginFailure};

mod code;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Violations that are told of one request, or of one operation of many: whoever mends these is told of the others then. A
/// body has room for half a million, which are not even looked for.
pub const VIOLATIONS: usize = 20;
/// Bytes of a name that a near one is looked for: those of ours are shorter by far, and the search takes their product.
const LONGEST_NAME: usize = 200;

/// Whether no more is told than what is known to be wrong already.
pub fn enough(broken: &[Violation]) -> bool {
    broken.len() >= VIOLATIONS
}

/// One thing wrong with one place of a request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// JSON pointer into the body (`/amount/currency`), or the name of a parameter.
    pub pointer: String,
    pub code: Code,
    /// For people: what is wrong and how to mend it.
    pub detail: String,
}

impl Violation {
    /// A violation of the body's field `field` (dots become slashes).
    pub fn field(field: &str, code: Code, detail: impl Into<String>) -> Self {
        Self { pointer: format!("/{}", field.replace('.', "/")), code, detail: detail.into() }
    }

    /// A violation of the query parameter or header `name`.
    pub fn parameter(name: &str, code: Code, detail: impl Into<String>) -> Self {
        Self { pointer: name.to_owned(), code, detail: detail.into() }
    }
}

/// The closed set of failures. A new variant only where a caller would act differently.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or the actor may not know that it does.
    #[error("{what} does not exist")]
    NotFound { what: String },
    /// The request cannot be read: query language, cursor, parameters, malformed JSON.
    #[error("the request cannot be read: {}", list(.0))]
    Malformed(Vec<Violation>),
    /// The request was read and breaks rules of its content.
    #[error("the request breaks {} rule(s): {}", .0.len(), list(.0))]
    Invalid(Vec<Violation>),
    /// It contradicts what is stored.
    #[error("{detail}")]
    Conflict { code: Code, detail: String, errors: Vec<Violation> },
    /// The record has moved on since the caller read it.
    #[error("the record is at version {actual}")]
    Stale { actual: i64 },
    #[error("{detail}")]
    Unauthenticated { code: Code, detail: String },
    /// Allowed to see, not allowed to do.
    #[error("needs the right {right}")]
    Forbidden { right: String },
    /// A stated limit was reached; `retry_after` in seconds where waiting helps.
    #[error("{detail}")]
    Limit { code: Code, detail: String, retry_after: Option<u64> },
    /// The same request with the same key was carried out before: no failure, but nothing is left to do.
    #[error("the request was carried out before")]
    Replayed(Answer),
    #[error(transparent)]
    Plugin(#[from] PluginFailure),
    #[error("database error")]
    Database(#[from] DbErr),
    /// A stored value or an internal promise is broken: a defect, never the caller's fault.
    #[error("internal error: {context}")]
    Internal { context: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Error {
    pub fn not_found(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { what: format!("{kind} {id}") }
    }

    pub fn invalid(field: &str, code: Code, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::field(field, code, detail)])
    }

    pub fn malformed(parameter: &str, code: Code, detail: impl Into<String>) -> Self {
        Self::Malformed(vec![Violation::parameter(parameter, code, detail)])
    }

    pub fn conflict(code: Code, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into(), errors: Vec::new() }
    }

    pub fn internal(context: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal { context, source: source.into() }
    }

    /// The database did not answer at all, or hung up: asking again may help.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Database(DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) => true,
            Self::Database(
                DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source)),
            ) => hung_up(source),
            _ => false,
        }
    }

    /// What the caller goes by has been changed: what the tenant has defined is to be read anew, and the request made again.
    pub(crate) fn outdated() -> Self {
        let detail = "the tenant's own fields or kinds have just been changed; send the request again".to_owned();
        Self::Limit { code: Code::Conflict, detail, retry_after: Some(1) }
    }

    pub(crate) fn is_outdated(&self) -> bool {
        matches!(self, Self::Limit { code: Code::Conflict, .. })
    }

    /// Another writer has just stored the same unique value: who looks again finds it.
    pub(crate) fn is_race(&self) -> bool {
        matches!(self, Self::Conflict { code: Code::Duplicate, .. })
    }

    /// A write the database refused: a lost race for a unique value or a reference is the caller's conflict.
    pub fn from_write(source: DbErr) -> Self {
        match source.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => {
                Self::conflict(Code::Duplicate, "another request has just stored the same unique value")
            }
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => {
                Self::conflict(Code::ReferenceNotFound, "a referenced record has just been removed")
            }
            _ => Self::Database(source),
        }
    }
}

fn list(violations: &[Violation]) -> String {
    let mut text = String::new();
    for (i, v) in violations.iter().enumerate() {
        let _ = write!(text, "{}{}: {}", if i > 0 { "; " } else { "" }, v.pointer, v.detail);
    }
    text
}

/// The nearest of `names` to `given`, if any is near: "did you mean ..?"
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .filter(|_| given.len() <= LONGEST_NAME)
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| y.cmp(x)))
        .map(|(_, name)| name)
}

/// `detail` of an unknown name, with the nearest valid one where there is one.
pub fn unknown<'a>(what: &str, given: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(given, names) {
        Some(near) => format!("there is no {what} `{given}`; did you mean `{near}`?"),
        None => format!("there is no {what} `{given}`"),
    }
}

/// Whether the database has ended what was under way, or the connection: a pooled one is not tried before it is used.
fn hung_up(source: &sqlx::Error) -> bool {
    // admin_shutdown, crash_shutdown, cannot_connect_now; of those that waited for each other, deadlock_detected and
    // lock_not_available
    const ENDS: [&str; 5] = ["57P01", "57P02", "57P03", "40P01", "55P03"];
    match source {
        sqlx::Error::Database(told) => told.code().is_some_and(|code| ENDS.contains(&&*code)),
        other => matches!(
            other,
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed
        ),
    }
}
