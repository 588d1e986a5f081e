//! `POST /v1/{kind}/{id}/restore`: a deleted record is there again.

use actix_web::HttpResponse;
use ripen_core::engine::Operation;

use super::{Answer, whole, write};
use crate::{
    extract::{Caller, Id, Kind, NoBody, Parameters},
    precondition::IfMatch,
};

pub(super) async fn restore(
    caller: Caller,
    kind: Kind,
    id: Id,
    parameters: Parameters,
    seen: IfMatch,
    _: NoBody,
) -> Answer {
    let [] = parameters.take([])?;
    let version = seen.version(&caller)?;
    let (_, found) = write(&caller, &kind, Operation::Restore { id: id.0, version }).await?;
    Ok(whole(HttpResponse::Ok(), found))
}
