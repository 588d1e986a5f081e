//! `POST /v1/{kind}/mass-update` and `../mass-delete`: every record that a filter keeps, as a job.

use actix_web::HttpRequest;
use ripen_core::{access::Verb, mass};

use super::Answer;
use crate::{
    extract::{Caller, Draft, Parameters, kind},
    routes::jobs::accepted,
};

pub(super) async fn update(caller: Caller, request: HttpRequest, parameters: Parameters, body: Draft) -> Answer {
    ask(caller, &request, parameters, body, Verb::Update).await
}

pub(super) async fn delete(caller: Caller, request: HttpRequest, parameters: Parameters, body: Draft) -> Answer {
    ask(caller, &request, parameters, body, Verb::Delete).await
}

async fn ask(caller: Caller, request: &HttpRequest, parameters: Parameters, body: Draft, verb: Verb) -> Answer {
    let [] = parameters.take([])?;
    let kind = kind(&caller, request, verb)?;
    accepted(&caller, mass::ask(&caller, &*kind, verb, body.0).await?).await
}
