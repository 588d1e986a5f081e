//! Jobs: what can be done to them beside reading. `GET /v1/jobs` and `/v1/jobs/{id}` are the generic routes.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web,
};
use futures::stream;
use ripen_core::{
    context::Context,
    error::{Error, Result},
    jobs::{self, Print, report},
    mass::undo,
};
use utoipa::OpenApi;
use uuid::Uuid;

use crate::{
    Problem,
    extract::{Caller, Id, NoBody, Parameters},
    resources::record,
};

type Answer = Result<HttpResponse, Problem>;

/// Row errors fetched at once.
const PAGE: u64 = 1000;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/jobs/{id}/cancel", web::post().to(cancel))
        .route("/v1/jobs/{id}/retry", web::post().to(retry))
        .route("/v1/jobs/{id}/errors", web::get().to(errors))
        .route("/v1/jobs/{id}/undo", web::post().to(undo_job));
}

#[derive(OpenApi)]
#[openapi(paths(cancel, errors, retry, undo_job))]
pub(crate) struct Doc;

/// The answer to a request that long work follows.
pub(crate) async fn accepted(cx: &Context, job: Uuid) -> Answer {
    let place = (header::LOCATION, format!("/v1/jobs/{job}"));
    Ok(record(cx, "job", job, HttpResponse::build(StatusCode::ACCEPTED).insert_header(place)).await?)
}

/// Cancel a job
///
/// What its finished pages wrote stays; the page under way is undone. Whoever asked for a job may cancel it; whoever holds
/// `job:cancel`, any that they see. It takes the job's `rights`.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", operation_id = "cancel_job", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")), extensions(("x-right" = json!("job:cancel"))),
    responses((status = 200, description = "The job, cancelled.", body = ref("#/components/schemas/Job")),
        (status = 409, description = "It has ended before.")))]
async fn cancel(caller: Caller, id: Id, parameters: Parameters, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    let job = jobs::cancel(&caller, id.0).await?;
    Ok(record(&caller, "job", job.id, &mut HttpResponse::Ok()).await?)
}

/// Try a job again
///
/// One that failed because the server or its database did: its problem is `internal` or `database_unavailable`. It goes on
/// after its last finished page, with the rights of who asked for it. Such a job is kept for 30 days at least. It takes the
/// job's `rights`.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", operation_id = "retry_job", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")), extensions(("x-right" = json!("job:cancel"))),
    responses((status = 202, description = "The job, waiting.", body = ref("#/components/schemas/Job"),
        headers(("Location" = String, description = "The job."))),
        (status = 409, description = "It did not fail, or for a reason of its own.")))]
async fn retry(caller: Caller, id: Id, parameters: Parameters, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    jobs::retry(&caller, id.0).await?;
    accepted(&caller, id.0).await
}

/// Undo a job
///
/// A job that puts back what an import, a mass update, a mass delete or an undo has written: what it made is deleted, what it
/// changed is as it was, what it deleted is restored. Only what nobody has changed since: the rest is left as it is and named
/// at `/v1/jobs/{id}/errors` of the undo. It takes the job's `rights`, and every step the right of its own.
#[utoipa::path(post, path = "/v1/jobs/{id}/undo", operation_id = "undo_job", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")), extensions(("x-right" = json!("job:cancel"))),
    responses((status = 202, description = "The job that undoes it.", body = ref("#/components/schemas/Job"),
        headers(("Location" = String, description = "The job."))),
        (status = 409, description = "It has not ended, or is of a kind that is not undone.")))]
async fn undo_job(caller: Caller, id: Id, parameters: Parameters, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    accepted(&caller, undo::ask(&caller, id.0).await?).await
}

/// The rows that a job refused or found odd
///
/// By line of an import's file, or by place: `line, severity, column, field, value, code, detail, record_id`. In CSV a cell that a spreadsheet would take for a
/// formula begins with an apostrophe. It takes the job's `rights`.
#[utoipa::path(get, path = "/v1/jobs/{id}/errors", operation_id = "list_job_errors", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job."),
        ("format" = Option<String>, Query, description = "`csv` (default) or `ndjson`.")),
    extensions(("x-right" = json!("job:read"))),
    responses((status = 200, description = "The rows.", content((String = "text/csv"), (String = "application/x-ndjson")))))]
async fn errors(caller: Caller, id: Id, parameters: Parameters) -> Answer {
    let [format] = parameters.take(["format"])?;
    let print = Print::parse(format.as_deref())?;
    let job = jobs::find_with_rights(&caller, id.0).await?.id;
    let first = web::Bytes::from(print.head());
    let rows = stream::try_unfold((caller.0, (0, -1)), move |(cx, after)| async move {
        let (errors, next) = report::page(&cx, job, after, PAGE).await?;
        let text = print.rows(&errors)?;
        Ok::<_, Error>(Some((web::Bytes::from(text), (cx, next))).filter(|_| !errors.is_empty()))
    });
    let body = futures::StreamExt::chain(stream::iter([Ok(first)]), rows);
    let name = format!("attachment; filename=\"errors-{job}\"");
    let body = futures::TryStreamExt::map_err(body, Problem::from);
    Ok(HttpResponse::Ok()
        .content_type(print.media_type())
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(body))
}
