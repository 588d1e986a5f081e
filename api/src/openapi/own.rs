//! A tenant's own description: with the fields and kinds it has made and the plugins it has at work, as far as the caller's
//! role sees them.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use moka::sync::Cache;
use ripen_core::{
    context::Context,
    decisions::{Enabled, enabled},
    engine::Registry,
    error::Error,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{describe, shared::set};
use crate::{
    Catalogue, JSON, Problem,
    extract::{Caller, Parameters},
    server::App,
};

/// Some hundred kilobytes each.
const DESCRIPTIONS: u64 = 100;

/// The descriptions made last, each with what it was made from, as a role sees it: other kinds or plugins, another description.
#[derive(Clone)]
pub(super) struct Own(Cache<(Uuid, String), Made>);

#[derive(Clone)]
struct Made {
    kinds: Registry,
    plugins: Arc<[Enabled]>,
    bytes: web::Bytes,
}

impl Default for Own {
    fn default() -> Self {
        Self(Cache::new(DESCRIPTIONS))
    }
}

impl Own {
    fn of(&self, cx: &Context, plugins: Arc<[Enabled]>, catalogue: &Catalogue) -> web::Bytes {
        let (kinds, key) = (cx.kinds(), (cx.tenant.id, cx.actor.role.to_string()));
        if let Some(made) = self.0.get(&key)
            && made.kinds.is(kinds)
            && made.plugins == plugins
        {
            return made.bytes;
        }
        let mut whole = describe(kinds, catalogue);
        at_work(&mut whole, &plugins);
        let bytes = web::Bytes::from(format!("{whole:#}\n"));
        self.0.insert(key, Made { kinds: kinds.clone(), plugins, bytes: bytes.clone() });
        bytes
    }
}

/// Names the plugins at work, and what a run may be asked of. Any id or key is taken: one that is not at work can be simulated.
fn at_work(whole: &mut Json, plugins: &[Enabled]) {
    if let Some(named) = whole.pointer_mut("/components/schemas/NewRun/properties/installation")
        && !plugins.is_empty()
    {
        let keys: Vec<_> = plugins.iter().map(|plugin| plugin.key.as_str()).collect();
        set(named, "examples", json!(keys));
    }
    set(whole, "x-plugins", json!(plugins));
}

/// Get your tenant's description
///
/// OpenAPI 3.1, with the custom fields and custom objects of your tenant, and in `x-plugins` the installations that are active
/// with the JSON Schema of their configuration, as far as your role sees them.
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
    let plugins = enabled(&caller).await?.into();
    let described = web::block(move || app.document.own.of(&caller, plugins, &app.catalogue)).await;
    let bytes = described.map_err(|source| Error::internal("a description is made without a panic", source))?;
    Ok(HttpResponse::Ok().content_type(JSON).body(bytes))
}
