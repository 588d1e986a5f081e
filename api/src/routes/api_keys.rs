//! Keys by which programs act as a user.

use actix_web::{HttpResponse, http::header, web};
use ripen_core::{
    access::{self, ApiKey, KeyWish, NewApiKey},
    error::{Code, Error},
};
use serde_json::json;
use utoipa::{OpenApi, ToSchema};

use crate::{
    Problem,
    extract::{Body, Caller, Id, NoBody, Parameters},
};

type Answer = Result<HttpResponse, Problem>;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/v1/api-keys", web::get().to(list))
        .route("/v1/api-keys", web::post().to(create))
        .route("/v1/api-keys/{id}", web::delete().to(remove));
}

#[derive(OpenApi)]
#[openapi(
    paths(list, create, remove),
    components(schemas(ApiKey, NewApiKey, KeyWish, ApiKeys)),
    tags((name = "api-keys", description = "Keys by which programs act as you, within scopes."))
)]
pub(crate) struct Doc;

/// Keys, oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer")]
struct ApiKeys {
    data: Vec<ApiKey>,
}

/// List API keys
///
/// Yours; with `of=everybody` those of all users, for which the right `api_key:manage` is needed. The keys themselves are
/// kept nowhere.
#[utoipa::path(get, path = "/v1/api-keys", operation_id = "list_api_keys", tag = "api-keys",
    params(("of" = Option<String>, Query, description = "`me` (default) or `everybody`.")),
    extensions(("x-right" = json!("api_key:read"))),
    responses((status = 200, description = "The keys.", body = ApiKeys)))]
async fn list(caller: Caller, parameters: Parameters) -> Answer {
    let [of] = parameters.take(["of"])?;
    let everybodys = match of.as_deref() {
        None | Some("me") => false,
        Some("everybody") => true,
        Some(_) => return Err(Error::malformed("of", Code::InvalidParameter, "must be `me` or `everybody`").into()),
    };
    Ok(HttpResponse::Ok().json(json!({"data": access::keys(&caller, everybodys).await?})))
}

/// Create an API key
///
/// It acts as you, with those of your rights that its scopes name, as they are at each request. Send it as
/// `Authorization: Bearer ripen_pat_..`. It is shown this once.
#[utoipa::path(post, path = "/v1/api-keys", operation_id = "create_api_key", tag = "api-keys",
    request_body(content = KeyWish, example = json!({"name": "nightly sync", "scopes": ["account:read", "contact:*"]})),
    extensions(("x-right" = json!("api_key:create"))),
    responses((status = 201, description = "The key, shown this once.", body = NewApiKey),
        (status = 409, description = "You came with a key, or have as many as a user may.")))]
async fn create(caller: Caller, parameters: Parameters, body: Body<KeyWish>) -> Answer {
    let [] = parameters.take([])?;
    let made = access::create_key(&caller, &body.0).await?;
    let mut answer = HttpResponse::Created();
    Ok(answer.insert_header((header::CACHE_CONTROL, "no-store")).json(made))
}

/// Remove an API key
///
/// It is refused from then on. Anybody's for those with the right `api_key:manage`.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", operation_id = "delete_api_key", tag = "api-keys",
    params(("id" = uuid::Uuid, Path, description = "The key's id.")), extensions(("x-right" = json!("api_key:delete"))),
    responses((status = 204, description = "Gone.")))]
async fn remove(caller: Caller, id: Id, parameters: Parameters, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    access::remove_key(&caller, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
