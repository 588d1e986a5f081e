//! The tenant of whoever asks, and what it may choose.

use actix_web::{HttpResponse, http::header, web};
use ripen_core::access::{Settings, change_settings, settings};
use utoipa::{OpenApi, ToSchema};

use crate::{
    Problem,
    extract::{Caller, Draft, Parameters},
    precondition::{IfMatch, IfNoneMatch},
};

type Answer = Result<HttpResponse, Problem>;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/tenant", web::get().to(get)).route("/v1/tenant", web::patch().to(change));
}

#[derive(OpenApi)]
#[openapi(
    paths(get, change),
    components(schemas(Settings, TenantPatch)),
    tags((name = "tenant", description = "Your tenant and its settings."))
)]
pub(crate) struct Doc;

/// The settings to change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the request; `core` reads it")]
struct TenantPatch {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// IANA name, `Europe/Berlin`.
    time_zone: Option<String>,
    require_preconditions: Option<bool>,
}

/// Your tenant
///
/// What it is called, where its days begin, and what it requires of writers.
#[utoipa::path(get, path = "/v1/tenant", operation_id = "get_tenant", tag = "tenant",
    extensions(("x-right" = json!("tenant:read"))),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of what you have: 304 where it is the same.")),
    responses((status = 200, description = "The tenant.", body = Settings,
        headers(("ETag" = String, description = "The version, for `If-Match`."))),
        (status = 304, description = "You have it already.")))]
async fn get(caller: Caller, parameters: Parameters, seen: IfNoneMatch) -> Answer {
    let [] = parameters.take([])?;
    let settings = settings(&caller)?;
    if seen.has(&etag(&settings)) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag(&settings))).finish());
    }
    Ok(answer(&settings))
}

/// Change settings of your tenant
///
/// Every server of the installation goes by them within a second.
#[utoipa::path(patch, path = "/v1/tenant", operation_id = "update_tenant", tag = "tenant",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` as you read it.")),
    request_body(content((TenantPatch = "application/merge-patch+json"), (TenantPatch = "application/json"))),
    extensions(("x-right" = json!("tenant:update"))),
    responses((status = 200, description = "The tenant as it is now.", body = Settings,
        headers(("ETag" = String, description = "The version, for `If-Match`."))),
        (status = 412, description = "They have changed since you read them."),
        (status = 428, description = "The tenant requires `If-Match`.")))]
async fn change(caller: Caller, parameters: Parameters, seen: IfMatch, patch: Draft) -> Answer {
    let [] = parameters.take([])?;
    Ok(answer(&change_settings(&caller, seen.version(&caller)?, &patch.0).await?))
}

fn answer(settings: &Settings) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::ETAG, etag(settings))).json(settings)
}

fn etag(settings: &Settings) -> String {
    format!("\"v{}\"", settings.version)
}
