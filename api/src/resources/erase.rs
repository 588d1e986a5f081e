//! `POST /v1/{kind}/{id}/erase`: a person is forgotten, as a job.

use ripen_core::erasure;

use super::Answer;
use crate::{
    extract::{Caller, Id, Kind, NoBody, Parameters},
    routes::jobs::accepted,
};

pub(super) async fn erase(caller: Caller, kind: Kind, id: Id, parameters: Parameters, _: NoBody) -> Answer {
    let [] = parameters.take([])?;
    accepted(&caller, erasure::ask(&caller, &*kind, id.0).await?).await
}
