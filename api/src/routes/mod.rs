//! Actions: what is not one of the generic operations on a kind. One file a family, each with its `routes` and the
//! `Doc` that describes them.

mod access;
mod api_keys;
mod auth;
mod changes;
mod custom;
mod imports;
pub(crate) mod jobs;
mod limits;
mod merges;
mod plugins;
mod tenant;

use actix_web::web;
use utoipa::OpenApi;

/// Registers every action. Routes here come before the generic resource: for a method they do not take, the generic
/// one is asked next.
pub(crate) fn all(cfg: &mut web::ServiceConfig) {
    cfg.configure(access::routes)
        .configure(api_keys::routes)
        .configure(auth::routes)
        .configure(changes::routes)
        .configure(custom::routes)
        .configure(imports::routes)
        .configure(jobs::routes)
        .configure(limits::routes)
        .configure(merges::routes)
        .configure(plugins::routes)
        .configure(tenant::routes);
}

/// The descriptions of the same.
pub(crate) fn docs() -> Vec<utoipa::openapi::OpenApi> {
    vec![
        access::Doc::openapi(),
        api_keys::Doc::openapi(),
        auth::Doc::openapi(),
        changes::Doc::openapi(),
        custom::Doc::openapi(),
        imports::Doc::openapi(),
        jobs::Doc::openapi(),
        limits::Doc::openapi(),
        merges::Doc::openapi(),
        plugins::Doc::openapi(),
        tenant::Doc::openapi(),
        crate::health::Doc::openapi(),
        crate::metrics::Doc::openapi(),
        crate::openapi::Doc::openapi(),
        crate::problem::Doc::openapi(),
    ]
}
