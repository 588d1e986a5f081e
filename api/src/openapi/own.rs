//! A tenant's own description: with the fields and kinds it has made, as far as the caller's role sees them.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use moka::sync::Cache;
use ripen_core::{context::Context, engine::Registry, error::Error};
use uuid::Uuid;

use super::describe;
use crate::{
    Catalogue, JSON, Problem,
    extract::{Caller, Parameters},
    server::App,
};

/// Some hundred kilobytes each.
const DESCRIPTIONS: u64 = 100;

/// The descriptions made last, each with the kinds it was made from, as a role sees them: other kinds, another description.
#[derive(Clone)]
pub(super) struct Own(Cache<(Uuid, String), (Registry, web::Bytes)>);

impl Default for Own {
    fn default() -> Self {
        Self(Cache::new(DESCRIPTIONS))
    }
}

impl Own {
    fn of(&self, cx: &Context, catalogue: &Catalogue) -> web::Bytes {
        let (kinds, key) = (cx.kinds(), (cx.tenant.id, cx.actor.role.to_string()));
        if let Some((made_from, bytes)) = self.0.get(&key)
            && made_from.is(kinds)
        {
            return bytes;
        }
        let bytes = web::Bytes::from(format!("{:#}\n", describe(kinds, catalogue)));
        self.0.insert(key, (kinds.clone(), bytes.clone()));
        bytes
    }
}

/// Get your tenant's description
///
/// OpenAPI 3.1, with the custom fields and custom objects of your tenant, as far as your role sees them.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "get_own_openapi", tag = "server",
    extensions(("x-right" = json!("me:read"))),
    responses((status = 200, description = "The description.", body = Object)))]
pub(super) async fn document(
    caller: Caller,
    parameters: Parameters,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    let app: Arc<App> = app.into_inner();
    let described = web::block(move || app.document.own.of(&caller, &app.catalogue)).await;
    let bytes = described.map_err(|source| Error::internal("a description is made without a panic", source))?;
    Ok(HttpResponse::Ok().content_type(JSON).body(bytes))
}
