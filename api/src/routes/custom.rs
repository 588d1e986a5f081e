//! Custom fields: what a change of a definition would mean.

use actix_web::{HttpResponse, web};
use ripen_core::custom::{self, Failure, Preview};
use utoipa::OpenApi;

use crate::{
    Problem,
    extract::{Caller, Draft, Id, Parameters},
};

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/custom-fields/{id}/preview", web::post().to(preview));
}

#[derive(OpenApi)]
#[openapi(paths(preview), components(schemas(Preview, Failure)))]
pub(crate) struct Doc;

/// Preview a change of a custom field
///
/// Takes the patch that would change the definition and says which records would no longer validate. Nothing is written.
#[utoipa::path(post, path = "/v1/custom-fields/{id}/preview", operation_id = "preview_custom_field",
    tag = "custom-fields", extensions(("x-right" = json!("custom_field:update"))),
    params(("id" = uuid::Uuid, Path, description = "The custom field's id.")),
    request_body(content = ref("#/components/schemas/CustomFieldPatch"), description = "The fields to change."),
    responses((status = 200, description = "What it would mean.", body = Preview)))]
async fn preview(caller: Caller, id: Id, parameters: Parameters, patch: Draft) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    Ok(HttpResponse::Ok().json(custom::preview(&caller, id.0, patch.0).await?))
}
