//! HEAD is answered as GET is, without the body.

use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody, None as NoBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
};

/// To be wrapped around everything that looks at the method. The connection itself leaves out the body of an answer to
/// HEAD but tells its length; one without a length, a stream, would be read to its end for nothing.
pub(crate) async fn as_get<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.method() != Method::HEAD {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    request.head_mut().method = Method::GET;
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| match body.size() {
        BodySize::Stream => NoBody::new().boxed(),
        _ => body.boxed(),
    }))
}
