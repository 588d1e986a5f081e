//! Plugins: uploaded, put to work, switched on and off, run.

use actix_web::{HttpResponse, http::header, web};
use ripen_core::{
    context::Context,
    decisions::{self, Changes, NewInstallation, NewRun},
    records::installation::State,
};
use utoipa::OpenApi;

use super::jobs::accepted;
use crate::{
    Problem,
    extract::{Body, Caller, Component, Name, NoBody, Parameters},
    precondition::IfMatch,
    resources::record,
};

type Answer = Result<HttpResponse, Problem>;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/plugins", web::post().to(upload))
        .route("/v1/installations", web::post().to(install))
        .route("/v1/installations/{id}", web::patch().to(configure))
        .route("/v1/installations/{id}/activate", web::post().to(activate))
        .route("/v1/installations/{id}/pause", web::post().to(pause))
        .route("/v1/plugin-runs", web::post().to(run));
}

#[derive(OpenApi)]
#[openapi(
    paths(upload, install, configure, activate, pause, run),
    components(schemas(NewInstallation, Changes, NewRun, decisions::Outcome))
)]
pub(crate) struct Doc;

/// Upload a plugin
///
/// The bytes of a WebAssembly component with its manifest inside, at most 24 MiB. The job checks and stores it; its
/// result names the plugin, its problem the first check that failed. The same bytes again change nothing; other bytes
/// under the same name and version are refused.
#[utoipa::path(post, path = "/v1/plugins", operation_id = "create_plugin", tag = "plugins",
    request_body(content = Vec<u8>, content_type = "application/wasm"), extensions(("x-right" = json!("plugin:create"))),
    responses((status = 202, description = "The job that checks it.", body = ref("#/components/schemas/Job"),
        headers(("Location" = String, description = "The job.")))))]
async fn upload(caller: Caller, parameters: Parameters, component: Component) -> Answer {
    let [] = parameters.take([])?;
    let job = decisions::upload(&caller, &component.0).await?;
    accepted(&caller, job).await
}

/// Put a plugin to work
///
/// Checked as a whole, down to the plugin's own word on its configuration. It is a draft until it is activated.
#[utoipa::path(post, path = "/v1/installations", operation_id = "create_installation", tag = "installations",
    request_body(content = NewInstallation, example = json!({"key": "rfm-customers", "plugin": "rfm", "kind": "scorer"})),
    extensions(("x-right" = json!("installation:create"))),
    responses((status = 201, description = "Installed.", body = ref("#/components/schemas/Installation"),
        headers(("Location" = String, description = "The installation.")))))]
async fn install(caller: Caller, parameters: Parameters, body: Body<NewInstallation>) -> Answer {
    let [] = parameters.take([])?;
    let id = decisions::install(&caller, body.0).await?;
    let place = (header::LOCATION, format!("/v1/installations/{id}"));
    Ok(record(&caller, "installation", id, HttpResponse::Created().insert_header(place)).await?)
}

/// Change an installation
///
/// From its next run on; a run under way holds what it started with. By id or key.
#[utoipa::path(patch, path = "/v1/installations/{id}", operation_id = "update_installation",
    tag = "installations", params(("id" = String, Path, description = "Id or key."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` as you read it.")),
    request_body(content((Changes = "application/merge-patch+json"), (Changes = "application/json"))),
    extensions(("x-right" = json!("installation:update"))),
    responses((status = 200, description = "Changed.", body = ref("#/components/schemas/Installation")),
        (status = 412, description = "It has changed since you read it."),
        (status = 428, description = "The tenant requires `If-Match`.")))]
async fn configure(
    caller: Caller,
    installation: Name,
    parameters: Parameters,
    seen: IfMatch,
    body: Body<Changes>,
) -> Answer {
    let [] = parameters.take([])?;
    let id = decisions::configure(&caller, &installation.0, seen.version(&caller)?, body.0).await?;
    Ok(record(&caller, "installation", id, &mut HttpResponse::Ok()).await?)
}

/// Activate an installation
///
/// From now on its runs may change decisions. By id or key.
#[utoipa::path(post, path = "/v1/installations/{id}/activate", operation_id = "activate_installation",
    tag = "installations", params(("id" = String, Path, description = "Id or key.")),
    extensions(("x-right" = json!("installation:update"))),
    responses((status = 200, description = "Active.", body = ref("#/components/schemas/Installation"))))]
async fn activate(caller: Caller, installation: Name, parameters: Parameters, _: NoBody) -> Answer {
    switch(&caller, &installation.0, parameters, State::Active).await
}

/// Pause an installation
///
/// Its decisions stay; no run may change them until it is activated again. By id or key.
#[utoipa::path(post, path = "/v1/installations/{id}/pause", operation_id = "pause_installation",
    tag = "installations", params(("id" = String, Path, description = "Id or key.")),
    extensions(("x-right" = json!("installation:update"))),
    responses((status = 200, description = "Paused.", body = ref("#/components/schemas/Installation"))))]
async fn pause(caller: Caller, installation: Name, parameters: Parameters, _: NoBody) -> Answer {
    switch(&caller, &installation.0, parameters, State::Paused).await
}

async fn switch(cx: &Context, installation: &str, parameters: Parameters, state: State) -> Answer {
    let [] = parameters.take([])?;
    let id = decisions::switch(cx, installation, state).await?;
    Ok(record(cx, "installation", id, &mut HttpResponse::Ok()).await?)
}

/// Run an installation
///
/// The job and the plugin run have the same id. `apply` (right `plugin_run:create`) books decisions, page by page;
/// `simulate` and `backtest` (right `plugin_run:simulate`) answer in the run's `result` and book nothing.
#[utoipa::path(post, path = "/v1/plugin-runs", operation_id = "create_plugin_run", tag = "plugin-runs",
    request_body(content = NewRun, example = json!({"installation": "rfm-customers", "mode": "simulate", "as_of": "2018-01-01"})),
    extensions(("x-right" = json!("plugin_run:simulate"))),
    responses((status = 202, description = "The job that does it.", body = ref("#/components/schemas/Job"),
        headers(("Location" = String, description = "The job."))),
        (status = 404, description = "There is no such installation.")))]
async fn run(caller: Caller, parameters: Parameters, body: Body<NewRun>) -> Answer {
    let [] = parameters.take([])?;
    let job = decisions::request(&caller, body.0).await?;
    accepted(&caller, job).await
}
