//! The description's reader at `/docs`: everything it needs comes from this process.

use actix_web::{
    HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::{Next, from_fn},
    web,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub fn routes(cfg: &mut web::ServiceConfig) {
    let reader = SwaggerUi::new("/{_:.*}")
        .config(Config::new(["/openapi.json"]).display_operation_id(true).persist_authorization(false));
    cfg.route("/docs", web::get().to(to_reader)).service(web::scope("/docs").wrap(from_fn(scripts)).service(reader));
}

async fn to_reader() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// The one place that is a page: it may run its own scripts and styles.
async fn scripts(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
    );
    let mut response = next.call(request).await?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}
