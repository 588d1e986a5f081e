//! The description of the API, OpenAPI 3.1: made from the same registry as the routes, and from the actions' own.

mod kinds;
mod own;
mod shared;

use actix_web::{HttpRequest, HttpResponse, web};
use ripen_core::{
    engine::Registry,
    error::{Error, nearest},
};
use serde_json::{Map, Value as Json, json};
use utoipa::OpenApi;

use crate::{Catalogue, JSON, Problem, extract::Parameters, routes, server::App};

/// The whole document, and its paths for telling what a path would take.
pub struct Document {
    bytes: web::Bytes,
    paths: Vec<Path>,
    own: own::Own,
}

struct Path {
    template: String,
    /// Upper case, sorted.
    methods: Vec<String>,
}

impl Document {
    pub fn new(registry: &Registry, catalogue: &Catalogue) -> Self {
        let whole = describe(registry, catalogue);
        let paths = whole.get("paths").and_then(Json::as_object).into_iter().flatten();
        let paths = paths.map(|(template, item)| Path { template: template.clone(), methods: methods(item) }).collect();
        Self { bytes: format!("{whole:#}\n").into(), paths, own: own::Own::default() }
    }

    /// The document's text.
    pub fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// Why the request finds nothing: a method the path does not take, or a path there is not.
    pub(crate) fn not_here(&self, request: &HttpRequest) -> Problem {
        let path = request.path();
        let own = |p: &&Path| p.template == path;
        let exact = self.paths.iter().any(|p| own(&p)); // `/v1/accounts/search` is no record
        let here = self.paths.iter().filter(|p| if exact { own(p) } else { p.matches(path) });
        let mut allow: Vec<_> = here.flat_map(|p| &p.methods).map(String::as_str).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.sort_unstable();
        allow.dedup();
        if !allow.is_empty() {
            return Problem::MethodNotAllowed { allow: allow.join(", ") };
        }
        let trimmed = path.trim_end_matches('/');
        let near = if self.paths.iter().any(|p| p.matches(trimmed)) {
            Some(trimmed)
        } else {
            nearest(trimmed, self.paths.iter().map(|p| p.template.as_str()))
        };
        let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        Error::NotFound { what: format!("path `{path}`{hint}") }.into()
    }
}

impl Path {
    fn matches(&self, path: &str) -> bool {
        let (mut own, mut given) = (self.template.split('/'), path.split('/'));
        loop {
            match (own.next(), given.next()) {
                (None, None) => return true,
                (Some(own), Some(given)) if own == given || (own.starts_with('{') && !given.is_empty()) => {}
                _ => return false,
            }
        }
    }
}

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/openapi.json", web::get().to(own::document)).route("/openapi.json", web::get().to(document));
}

#[derive(OpenApi)]
#[openapi(paths(document, own::document))]
pub(crate) struct Doc;

/// Get this description
///
/// OpenAPI 3.1. A reader of it is at `/docs`.
#[utoipa::path(get, path = "/openapi.json", operation_id = "get_openapi", tag = "server",
    extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "The description.", body = Object)))]
async fn document(app: web::Data<App>, parameters: Parameters) -> Result<HttpResponse, Problem> {
    let [] = parameters.take([])?;
    Ok(HttpResponse::Ok().content_type(JSON).body(app.document.bytes.clone()))
}

/// What answers when nothing else does.
pub(crate) async fn not_here(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(app.document.not_here(&request))
}

fn methods(item: &Json) -> Vec<String> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    METHODS.iter().filter(|m| item.get(**m).is_some()).map(|m| m.to_ascii_uppercase()).collect()
}

fn describe(registry: &Registry, catalogue: &Catalogue) -> Json {
    let (mut paths, mut schemas, mut tags) = (Map::new(), Map::new(), Map::new());
    for shape in registry.shapes() {
        tags.insert(shape.plural.to_string(), shape.description.clone().into());
    }
    tags.insert("composite".to_owned(), "Records of several kinds in one transaction.".into());
    kinds::describe(registry, &mut paths, &mut schemas);
    for action in routes::docs() {
        merge(&serde_json::to_value(action).unwrap_or_default(), &mut paths, &mut schemas, &mut tags);
    }
    paths.values_mut().for_each(shared::once);
    schemas.insert("Problem".to_owned(), shared::problem(catalogue));
    schemas.insert("RowProblem".to_owned(), shared::row_problem(catalogue));
    let tags: Vec<_> = tags.into_iter().map(|(name, text)| json!({"name": name, "description": text})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ripen",
            "version": env!("CARGO_PKG_VERSION"),
            "description": shared::DESCRIPTION,
            "contact": {"name": "Ripen", "url": env!("CARGO_PKG_REPOSITORY")},
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "security": [{"bearer": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": shared::parameters(),
            "responses": shared::responses(),
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "An access token from `POST /v1/auth/login`.",
            }},
        },
    })
}

/// Adds an action family's paths, with the failures that every operation shares.
fn merge(action: &Json, paths: &mut Map<String, Json>, schemas: &mut Map<String, Json>, tags: &mut Map<String, Json>) {
    for tag in action.get("tags").and_then(Json::as_array).into_iter().flatten() {
        if let (Some(name), Some(text)) = (tag.get("name").and_then(Json::as_str), tag.get("description")) {
            tags.insert(name.to_owned(), text.clone());
        }
    }
    if let Some(Json::Object(parts)) = action.pointer("/components/schemas") {
        schemas.extend(parts.clone());
    }
    for (path, item) in action.get("paths").and_then(Json::as_object).into_iter().flatten() {
        let target = paths.entry(path.clone()).or_insert_with(|| json!({}));
        for (method, operation) in item.as_object().into_iter().flatten() {
            shared::set(target, method, shared::complete(path, operation.clone()));
        }
    }
}
