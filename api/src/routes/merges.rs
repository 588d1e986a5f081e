//! Merges: what can be done to them beside reading.

use actix_web::{HttpResponse, web};
use ripen_core::engine::merge;
use utoipa::OpenApi;

use crate::{
    Problem,
    extract::{Caller, Id, NoBody, Parameters},
    resources::record,
};

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/merges/{id}/undo", web::post().to(undo));
}

#[derive(OpenApi)]
#[openapi(paths(undo))]
pub(crate) struct Doc;

/// Undo a merge
///
/// Both records are there again as they were, and what had referred to the one that went refers to it again. Refused where
/// any of it has been changed since; the problem names what. Needs the rights to update and to delete the kind.
#[utoipa::path(post, path = "/v1/merges/{id}/undo", operation_id = "undo_merge", tag = "merges",
    params(("id" = uuid::Uuid, Path, description = "The merge.")), extensions(("x-right" = json!("merge:read"))),
    responses((status = 200, description = "The merge, undone.", body = ref("#/components/schemas/Merge")),
        (status = 409, description = "It was undone before, or what it did has been changed since.")))]
async fn undo(caller: Caller, id: Id, parameters: Parameters, _: NoBody) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    merge::undo(&caller, id.0).await?;
    Ok(record(&caller, "merge", id.0, &mut HttpResponse::Ok()).await?)
}
