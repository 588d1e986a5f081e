//! Who may do what, and why.

use actix_web::{HttpResponse, web};
use ripen_core::access::{Explanation, ExplanationStep, Question, explain};
use utoipa::OpenApi;

use crate::{
    Problem,
    extract::{Body, Caller, Parameters},
};

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/access/explain", web::post().to(why));
}

#[derive(OpenApi)]
#[openapi(
    paths(why),
    components(schemas(Question, Explanation, ExplanationStep)),
    tags((name = "access", description = "Who may do what, and why."))
)]
pub(crate) struct Doc;

/// Explain somebody's access
///
/// Whether a user may do something with a kind, a record or a field, and what decides it: the right, the rows of their role,
/// the record, the field. Answered by the code that decides requests.
#[utoipa::path(post, path = "/v1/access/explain", operation_id = "explain_access", tag = "access",
    request_body = Question, extensions(("x-right" = json!("access:explain"))),
    responses((status = 200, description = "Why.", body = Explanation),
        (status = 404, description = "You do not see the user or the record.")))]
async fn why(caller: Caller, parameters: Parameters, body: Body<Question>) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    Ok(HttpResponse::Ok().json(explain(&caller, &body.0).await?))
}
