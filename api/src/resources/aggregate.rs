//! `POST /v1/{kind}/aggregate`: counts, sums and averages by group.

use actix_web::HttpResponse;
use ripen_core::engine::{
    aggregate::{self, AggregateQuery},
    known,
};

use super::{Answer, search::in_body};
use crate::{
    JSON,
    extract::{Body, Caller, Parameters, Readable},
};

pub(super) async fn aggregate(
    caller: Caller,
    kind: Readable,
    parameters: Parameters,
    query: Body<AggregateQuery>,
) -> Answer {
    let [] = parameters.take([])?;
    let cx = known(&caller, query.0.known_at.as_deref()).map_err(in_body)?;
    let body = aggregate::aggregate(&cx, kind.shape(), &query.0).await.map_err(in_body)?;
    Ok(HttpResponse::Ok().content_type(JSON).body(body))
}
