//! Logging in and out, and who one is.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use ripen_core::access::{self, Me, OneTimeToken, Purpose, Secret, Tokens};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use crate::{
    Problem,
    address::client,
    extract::{Body, Caller, Id, NoBody, Parameters},
    server::App,
};

type Answer = Result<HttpResponse, Problem>;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/.well-known/jwks.json", web::get().to(keys))
        .route("/v1/auth/login", web::post().to(login))
        .route("/v1/auth/refresh", web::post().to(refresh))
        .route("/v1/auth/logout", web::post().to(logout))
        .route("/v1/auth/password", web::post().to(redeem))
        .route("/v1/me", web::get().to(me))
        .route("/v1/me/password", web::put().to(change_password))
        .route("/v1/users/{id}/password", web::put().to(set_password))
        .route("/v1/users/{id}/invite", web::post().to(invite))
        .route("/v1/users/{id}/reset-password", web::post().to(reset_password));
}

#[derive(OpenApi)]
#[openapi(
    paths(keys, login, refresh, logout, me, change_password, set_password, redeem, invite, reset_password),
    components(schemas(Login, Refresh, NewPassword, ChangedPassword, RedeemedToken, OneTimeToken, Tokens, Me)),
    tags((name = "auth", description = "Who asks. A login gives an access token for the `Authorization` header and a \
        refresh token that buys the next pair, once."))
)]
pub(crate) struct Doc;

/// Name and password of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The tenant's slug.
    #[schema(example = "demo")]
    tenant: String,
    #[schema(example = "admin@demo.example")]
    email: String,
    password: Secret,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh_token: Secret,
}

/// A password to be: 10 characters or more, not a common one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: Secret,
}

/// A one-time token, and the password it sets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedeemedToken {
    token: Secret,
    password: Secret,
}

/// One's own new password, with the present one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangedPassword {
    current_password: Secret,
    password: Secret,
}

/// The keys that check access tokens
///
/// A JSON Web Key Set (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "get_keys", tag = "auth",
    extensions(("x-right" = json!("public"))), responses((status = 200, description = "The public keys.")))]
async fn keys(app: web::Data<App>, parameters: Parameters) -> Answer {
    let [] = parameters.take([])?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(app.world.gate.keys()))
}

/// Log in
///
/// The same answer whichever of the three is wrong. After five failures the waits between attempts double.
#[utoipa::path(post, path = "/v1/auth/login", operation_id = "login", tag = "auth",
    request_body(content = Login, example = json!({"tenant": "demo", "email": "admin@demo.example", "password": "nine green pears"})),
    extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "Logged in.", body = Tokens), (status = 401, description = "Something is wrong.")))]
async fn login(app: web::Data<App>, request: HttpRequest, parameters: Parameters, body: Body<Login>) -> Answer {
    let [] = parameters.take([])?;
    let Login { tenant, email, password } = body.0;
    let tokens = access::login(&app.world, &tenant, &email, &password, client(&request)).await?;
    Ok(secret(&tokens))
}

/// Get the next pair of tokens
///
/// A refresh token works once. One that was used before ends the session: it must have been copied.
#[utoipa::path(post, path = "/v1/auth/refresh", operation_id = "refresh", tag = "auth",
    request_body(content = Refresh, example = json!({"refresh_token": "ripen_rt_example"})),
    extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "The next pair.", body = Tokens), (status = 401, description = "Log in again.")))]
async fn refresh(app: web::Data<App>, parameters: Parameters, body: Body<Refresh>) -> Answer {
    let [] = parameters.take([])?;
    Ok(secret(&access::refresh(&app.world, &body.0.refresh_token).await?))
}

/// Log out
///
/// Ends the session of the refresh token; its access tokens stop at once. A token that is not known is no failure.
#[utoipa::path(post, path = "/v1/auth/logout", operation_id = "logout", tag = "auth",
    request_body(content = Refresh, example = json!({"refresh_token": "ripen_rt_example"})),
    extensions(("x-right" = json!("public"))), responses((status = 204, description = "The session has ended.")))]
async fn logout(app: web::Data<App>, parameters: Parameters, body: Body<Refresh>) -> Answer {
    let [] = parameters.take([])?;
    access::logout(&app.world, &body.0.refresh_token).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who I am
///
/// The user, the tenant, the role, and every right it has.
#[utoipa::path(get, path = "/v1/me", operation_id = "get_me", tag = "auth", extensions(("x-right" = json!("me:read"))),
    responses((status = 200, description = "You.", body = Me)))]
async fn me(caller: Caller, parameters: Parameters) -> Answer {
    let [] = parameters.take([])?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(access::me(&caller).await?))
}

/// Change my password
///
/// Ends all my sessions.
#[utoipa::path(put, path = "/v1/me/password", operation_id = "change_my_password", tag = "auth",
    request_body(content = ChangedPassword, example = json!({"current_password": "nine green pears", "password": "ten blue plums"})),
    extensions(("x-right" = json!("me:update"))),
    responses((status = 204, description = "Changed; log in again.")))]
async fn change_password(
    caller: Caller,
    request: HttpRequest,
    parameters: Parameters,
    body: Body<ChangedPassword>,
) -> Answer {
    let [] = parameters.take([])?;
    let ChangedPassword { current_password, password } = body.0;
    access::change_password(&caller, &current_password, &password, client(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set a user's password
///
/// Ends all their sessions.
#[utoipa::path(put, path = "/v1/users/{id}/password", operation_id = "set_user_password", tag = "auth",
    params(("id" = uuid::Uuid, Path, description = "The user.")), 
    request_body(content = NewPassword, example = json!({"password": "ten blue plums"})),
    extensions(("x-right" = json!("user:set_password"))), responses((status = 204, description = "Set.")))]
async fn set_password(caller: Caller, id: Id, parameters: Parameters, body: Body<NewPassword>) -> Answer {
    let [] = parameters.take([])?;
    access::set_password(&caller, id.0, &body.0.password).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Invite a user
///
/// For a user whose `state` is `invited`: a token that lets them choose a password within seven days, at
/// `POST /v1/auth/password`. It is mailed to them where the server sends mail, else hand it to them. It replaces the one before.
#[utoipa::path(post, path = "/v1/users/{id}/invite", operation_id = "invite_user", tag = "auth",
    params(("id" = uuid::Uuid, Path, description = "The user.")), extensions(("x-right" = json!("user:invite"))),
    responses((status = 200, description = "The token, shown this once, or where it was mailed to.", body = OneTimeToken),
        (status = 409, description = "The user is not invited.")))]
async fn invite(caller: Caller, id: Id, parameters: Parameters, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    Ok(secret(&access::one_time_token(&caller, id.0, Purpose::Invite).await?))
}

/// Let a user choose another password
///
/// For an active user: a token that sets their password within the hour, at `POST /v1/auth/password`. It is mailed to them where
/// the server sends mail, else hand it to them. It replaces the one before; the present password works until then.
#[utoipa::path(post, path = "/v1/users/{id}/reset-password", operation_id = "reset_user_password", tag = "auth",
    params(("id" = uuid::Uuid, Path, description = "The user.")), extensions(("x-right" = json!("user:set_password"))),
    responses((status = 200, description = "The token, shown this once, or where it was mailed to.", body = OneTimeToken),
        (status = 409, description = "The user is not active.")))]
async fn reset_password(caller: Caller, id: Id, parameters: Parameters, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    Ok(secret(&access::one_time_token(&caller, id.0, Purpose::Reset).await?))
}

/// Set a password by a one-time token
///
/// Makes an invited user active and ends the user's sessions. The token works once; a password that is refused leaves it
/// as it is.
#[utoipa::path(post, path = "/v1/auth/password", operation_id = "redeem_token", tag = "auth",
    request_body(content = RedeemedToken, example = json!({"token": "ripen_ott_example", "password": "ten blue plums"})),
    extensions(("x-right" = json!("public"))),
    responses((status = 204, description = "Set; log in."), (status = 401, description = "The token does not work.")))]
async fn redeem(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: Parameters,
    body: Body<RedeemedToken>,
) -> Answer {
    let [] = parameters.take([])?;
    access::redeem(&app.world, &body.0.token, &body.0.password, client(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An answer that nobody on the way may keep.
fn secret(answer: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer)
}
