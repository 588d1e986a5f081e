//! Every problem code of the product's own. Plugin failures bring theirs (`ports::PluginFailure::code`).

use sea_orm::{EnumIter, Iterable};

/// Stable names that programs may match on. Each is served at `/problems/{code}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    // the request as a whole
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    MalformedJson,
    MalformedRequest,
    UnsupportedMediaType,
    BodyTooLarge,
    MailUnavailable,
    BodyTooSlow,
    JsonTooDeep,
    UnknownParameter,
    InvalidParameter,
    InvalidCursor,
    CursorExpired,
    FilterSyntax,
    QueryTooExpensive,
    ValidationFailed,
    // fields
    Required,
    UnknownField,
    ReadOnly,
    WrongType,
    InvalidValue,
    TooLong,
    OutOfRange,
    Duplicate,
    ReferenceNotFound,
    AmbiguousReference,
    CircularReference,
    OutsideYourReach,
    ReservedName,
    ExistingValues,
    NotFilterable,
    // state
    Conflict,
    IdempotencyKeyReused,
    RequestInFlight,
    AnswerErased,
    StillReferenced,
    Stale,
    PreconditionRequired,
    InvalidState,
    // who
    Unauthenticated,
    TokenExpired,
    InvalidToken,
    InvalidCredentials,
    RefreshTokenReused,
    Forbidden,
    TooManyAttempts,
    TooManyRequests,
    TooManyAtOnce,
    // imports
    UnknownColumn,
    UnreadableRow,
    UnreadableFile,
    // plugins and runs
    UnknownFact,
    WrongUnit,
    MixedCurrency,
    ConfigInvalid,
    PluginFailed,
    // the server
    DatabaseUnavailable,
    Internal,
}

impl Code {
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// The stable name, `query_too_expensive`.
    pub fn name(self) -> String {
        let camel = format!("{self:?}");
        let mut name = String::with_capacity(camel.len() + 4);
        for (i, c) in camel.char_indices() {
            if c.is_ascii_uppercase() && i > 0 {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    }

    /// One line for people, the same for every occurrence.
    #[expect(clippy::too_many_lines, reason = "a line a code")]
    pub fn title(self) -> &'static str {
        match self {
            Self::NotFound => "There is no such thing, or you may not see it",
            Self::MethodNotAllowed => "This path does not take that method",
            Self::NotAcceptable => "There is no answer in a form that you accept",
            Self::MalformedJson => "The body is not JSON",
            Self::MalformedRequest => "The request cannot be read",
            Self::UnsupportedMediaType => "The body has a media type this path does not take",
            Self::MailUnavailable => "The mail server does not take letters",
            Self::BodyTooLarge => "The body is larger than this path takes",
            Self::BodyTooSlow => "The body did not arrive in time",
            Self::JsonTooDeep => "The body is nested too deeply",
            Self::UnknownParameter => "The path does not take this parameter",
            Self::InvalidParameter => "A parameter has a value it cannot have",
            Self::InvalidCursor => "The cursor is not one of ours, or belongs to another query",
            Self::CursorExpired => "The place in the change log that the cursor stands for is gone",
            Self::FilterSyntax => "The filter cannot be read",
            Self::QueryTooExpensive => "The query is larger than its budget",
            Self::ValidationFailed => "The request breaks rules of its content",
            Self::Required => "A required field is missing",
            Self::UnknownField => "There is no such field",
            Self::ReadOnly => "The server sets this field",
            Self::WrongType => "The value has the wrong type",
            Self::InvalidValue => "The value is not one this field can have",
            Self::TooLong => "The text is too long",
            Self::OutOfRange => "The number is out of range",
            Self::Duplicate => "Another record has this value, which must be unique",
            Self::ReferenceNotFound => "The record referred to does not exist",
            Self::CircularReference => "Operations refer to each other in a circle",
            Self::AmbiguousReference => "Several records match the reference",
            Self::OutsideYourReach => "The record would belong to someone outside your reach",
            Self::ReservedName => "The name means something else here",
            Self::ExistingValues => "Values that exist stand in the way",
            Self::NotFilterable => "Filters cannot ask for this field",
            Self::Conflict => "The request contradicts what is stored",
            Self::IdempotencyKeyReused => "The Idempotency-Key was used for another request",
            Self::RequestInFlight => "A request with this Idempotency-Key is under way",
            Self::AnswerErased => "The answer kept for this Idempotency-Key was erased with a person",
            Self::StillReferenced => "Other records still refer to this one",
            Self::Stale => "The record has changed since you read it",
            Self::PreconditionRequired => "The tenant requires writers to say which version they change",
            Self::InvalidState => "The state does not allow this step",
            Self::Unauthenticated => "Who asks is not known",
            Self::TokenExpired => "The token has expired",
            Self::InvalidToken => "The token is not one of ours",
            Self::InvalidCredentials => "Tenant, e-mail address or password is wrong",
            Self::RefreshTokenReused => "The refresh token was used before; its whole family is revoked",
            Self::Forbidden => "You may not do this",
            Self::TooManyAttempts => "Too many failed attempts",
            Self::TooManyRequests => "Too many requests",
            Self::TooManyAtOnce => "The tenant has as many of these under way as it may",
            Self::UnknownColumn => "The file has no such column",
            Self::UnreadableRow => "A row of the file cannot be read",
            Self::UnreadableFile => "The file cannot be read",
            Self::UnknownFact => "There is no such fact",
            Self::WrongUnit => "Type or unit of the fact does not fit the input",
            Self::MixedCurrency => "Amounts in several currencies cannot be added",
            Self::ConfigInvalid => "The configuration does not fit the plugin's schema",
            Self::PluginFailed => "The plugin gave no usable answer",
            Self::DatabaseUnavailable => "The database does not answer",
            Self::Internal => "Something is wrong on our side",
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}
