//! `POST /v1/composite`: operations on several kinds, all or none.

use actix_web::{HttpResponse, web};
use ripen_core::engine::batch::Composite;
use serde_json::json;

use super::{Answer, batch::result};
use crate::{
    extract::{Caller, Large, Parameters},
    server::App,
};

pub(super) async fn composite(app: web::Data<App>, caller: Caller, parameters: Parameters, body: Large) -> Answer {
    let [] = parameters.take([])?;
    let written = Composite::parse(&caller, body.0)?.write(&caller).await?;
    let results: Vec<_> = written.into_iter().map(|row| result(&app, &Ok(row))).collect();
    Ok(HttpResponse::Ok().json(json!({"results": results})))
}
