//! `POST /v1/{kind}/{id}/merge`: another record becomes one with this.

use actix_web::{HttpResponse, http::header};
use ripen_core::engine::{
    merge::{self, Wish},
    read,
};

use super::{Answer, whole};
use crate::{
    extract::{Caller, Draft, Id, Kind, Parameters},
    precondition::IfMatch,
};

pub(super) async fn merge(
    caller: Caller,
    kind: Kind,
    id: Id,
    parameters: Parameters,
    seen: IfMatch,
    body: Draft,
) -> Answer {
    let [] = parameters.take([])?;
    let wish = Wish::parse(kind.shape(), &body.0, seen.version(&caller)?)?;
    let made = merge::merge(&caller, &*kind, id.0, &wish).await?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::LOCATION, format!("/v1/merges/{made}")));
    Ok(whole(answer, read::get(&caller, kind.shape(), id.0, None, None).await?))
}
