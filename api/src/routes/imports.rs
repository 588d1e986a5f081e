//! Imports: a file and what to make of it, streamed into a job.

use std::{collections::BTreeMap, io, time::Duration};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, error::PayloadError, web};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use ripen_core::{
    context::Context,
    error::{Code, Error, Result},
    import::Upload,
};
use serde_json::Value as Json;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::jobs::accepted;
use crate::{
    Problem,
    extract::{Caller, Parameters, limit, parsed},
    server::App,
};

/// Bytes of a spec.
pub(super) const SPEC: usize = 1 << 20;
/// Bytes of a refused request that are still read, so that its sender gets to the answer.
const DRAIN: usize = 16 << 20;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/imports", web::post().to(create));
}

#[derive(OpenApi)]
#[openapi(paths(create), components(schemas(ImportForm, ImportSpec, ImportSource, ImportLookup, ImportBounds)))]
pub(crate) struct Doc;

/// The parts of an import, in this order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the request, which is read as a stream")]
struct ImportForm {
    spec: ImportSpec,
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// What the rows of the file become.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the request; `core` reads it")]
struct ImportSpec {
    /// Name of an import mapping that is kept; what else stands here overrides it.
    saved: Option<String>,
    /// Kind of record.
    #[schema(example = "account")]
    kind: Option<String>,
    /// `csv` (default; RFC 4180 with a header), `ndjson` (one object a line, its keys are the columns) or `xlsx` (a workbook of
    /// up to 64 MiB whose first row with cells is the header; a cell with a date reads as `2026-01-31`).
    format: Option<String>,
    /// Of a workbook; without it the first visible one.
    sheet: Option<String>,
    /// `utf-8` (default), `gb18030` or `windows-1252`.
    encoding: Option<String>,
    /// `insert` (default), `update` or `upsert`.
    mode: Option<String>,
    /// Field by which rows find their record, `id` or any that no two records share, the tenant's own among them
    /// (`custom.code`); several with commas where they are unique together. With update and upsert.
    #[schema(rename = "match", example = "external_id")]
    r#match: Option<String>,
    /// Field -> what it is made of. Parts of a field are dotted (`amount.currency`); a bare amount is in the tenant's base
    /// currency. An empty cell is null. `owner_since`, `stage_since` and `grade_since` say when the first interval began.
    mapping: Option<BTreeMap<String, ImportSource>>,
    /// Field -> how its column is written: a strftime pattern for dates and instants (a day without a time is the
    /// tenant's midnight), `{"thousands": ".", "decimal": ","}` for numbers and money.
    formats: Option<BTreeMap<String, Json>>,
    /// Column -> text -> what it should read; before lookups. Counted in the job's result.
    replace: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Column -> bounds outside of which an accepted row is reported.
    warn: Option<BTreeMap<String, ImportBounds>>,
    /// Takes off the apostrophes that an export as CSV puts before what a spreadsheet would take for a formula.
    formula_guard: Option<bool>,
    /// Try everything, 1,000 rows at a time, and keep nothing: a unique value that comes again further away, or a row for a
    /// record that such a one would have made, may end otherwise when it is written.
    dry_run: Option<bool>,
}

/// `{column}`, `{constant}`, or `{column, lookup}`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the request; `core` reads it")]
struct ImportSource {
    column: Option<String>,
    constant: Option<Json>,
    lookup: Option<ImportLookup>,
}

/// The record of `kind` whose field `by` has the column's text; rows of the same file are found whatever their order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the request; `core` reads it")]
struct ImportLookup {
    kind: Option<String>,
    by: String,
    /// `error` (default), `null`, or `create` a record with just that field.
    missing: Option<String>,
}

/// ISO dates, or numbers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the request; `core` reads it")]
struct ImportBounds {
    min: Option<Json>,
    max: Option<Json>,
}

/// Import a file
///
/// Streams the file into a job that writes its rows with your rights, by the same rules as every other write. A spec or
/// a header that does not fit is refused here and leaves nothing behind; rows that do not fit are listed at
/// `/v1/jobs/{id}/errors`. Times and people of the past (`created_at`, `closed_at`, ..) need the right `import:history`.
#[utoipa::path(post, path = "/v1/imports", operation_id = "create_import", tag = "jobs",
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    extensions(("x-right" = json!("import:create"))),
    responses((status = 202, description = "The job.", body = ref("#/components/schemas/Job"),
        headers(("Location" = String, description = "The job.")))))]
async fn create(
    app: web::Data<App>,
    caller: Caller,
    parameters: Parameters,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    let given = request.mime_type().ok().flatten();
    if !given.is_some_and(|it| it.essence_str() == "multipart/form-data" && it.get_param("boundary").is_some()) {
        let detail = "must be multipart/form-data with a boundary, and the parts `spec` and `file`";
        return Err(Error::malformed("Content-Type", Code::UnsupportedMediaType, detail).into());
    }
    let mut form = Multipart::new(request.headers(), unless_it_pauses(payload, app.limits.body_time));
    match received(&caller, &mut form).await {
        Ok(job) => accepted(&caller, job).await,
        Err(error) => {
            drain(form).await;
            Err(error.into())
        }
    }
}

/// The body, until its sender pauses for so long: a file may take any time to arrive, as long as it arrives.
fn unless_it_pauses(body: web::Payload, most: Duration) -> impl Stream<Item = Result<web::Bytes, PayloadError>> {
    stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(most, body.next()).await {
            Ok(next) => Some((next?, Some(body))),
            Err(late) => Some((Err(PayloadError::Io(late.into())), None)),
        }
    })
    .fuse()
}

async fn received(cx: &Context, form: &mut Multipart) -> Result<Uuid> {
    let mut spec = part(form, "spec").await?;
    let too_long = |_| Error::malformed("spec", Code::BodyTooLarge, "has at most 1 MiB");
    let text = spec.bytes(SPEC).await.map_err(too_long)?.map_err(|error| broken(&error))?;
    drop(spec);
    read(cx, &text);
    let mut upload = Upload::begin(cx, parsed(&text)?).await?;
    match sent(cx, form, &mut upload).await {
        Ok(()) => upload.finish().await,
        Err(error) => {
            upload.abandon().await;
            Err(error)
        }
    }
}

async fn sent(cx: &Context, form: &mut Multipart, upload: &mut Upload<'_>) -> Result<()> {
    let mut file = part(form, "file").await?;
    while let Some(bytes) = file.try_next().await.map_err(|error| broken(&error))? {
        read(cx, &bytes);
        upload.write(&bytes).await?;
    }
    drop(file);
    match form.try_next().await.map_err(|error| broken(&error))? {
        None => Ok(()),
        Some(more) => Err(unexpected(more.name(), "no part after `file`")),
    }
}

/// What counts for a key of the caller's: the parts, not the boundary between them, which differs each time.
fn read(cx: &Context, bytes: &[u8]) {
    cx.attempt.iter().for_each(|attempt| attempt.read(bytes));
}

async fn part(form: &mut Multipart, name: &'static str) -> Result<Field> {
    match form.try_next().await.map_err(|error| broken(&error))? {
        Some(part) if part.name() == Some(name) => Ok(part),
        Some(other) => Err(unexpected(other.name(), &format!("the part `{name}`, and `spec` before `file`"))),
        None => Err(Error::malformed(name, Code::Required, format!("the form needs a part `{name}`"))),
    }
}

fn unexpected(found: Option<&str>, wanted: &str) -> Error {
    let found = found.unwrap_or("without a name");
    Error::malformed(found, Code::UnknownParameter, format!("here the form has {wanted}"))
}

fn broken(error: &MultipartError) -> Error {
    if let MultipartError::Payload(PayloadError::Io(late)) = error
        && late.kind() == io::ErrorKind::TimedOut
    {
        return limit(Code::BodyTooSlow, "the sender paused for too long in the middle of the body".to_owned());
    }
    Error::malformed("body", Code::MalformedRequest, error.to_string())
}

async fn drain(mut form: Multipart) {
    let mut left = DRAIN;
    while let Some(Ok(mut part)) = form.next().await {
        while let Some(Ok(bytes)) = part.next().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    }
}
