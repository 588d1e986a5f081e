//! `POST /v1/{kind}/batch`: up to a thousand operations in one request.

use actix_web::{HttpResponse, http::StatusCode, web};
use ripen_core::engine::batch::{Batch, Effect, Row};
use serde_json::{Value as Json, json};

use super::Answer;
use crate::{
    extract::{Caller, Kind, Large, Parameters},
    problem,
    server::App,
};

pub(super) async fn batch(
    app: web::Data<App>,
    caller: Caller,
    kind: Kind,
    parameters: Parameters,
    body: Large,
) -> Answer {
    let [] = parameters.take([])?;
    let rows = Batch::parse(kind.shape(), body.0)?.write(&caller, &*kind).await?;
    let results: Vec<_> = rows.iter().map(|row| result(&app, row)).collect();
    Ok(HttpResponse::Ok().json(json!({"results": results})))
}

pub(super) fn result(app: &App, row: &Row) -> Json {
    match row {
        Ok((effect, written)) => {
            json!({"status": status(*effect).as_u16(), "id": written.id, "version": written.version})
        }
        Err(error) => {
            let problem = problem::embedded(app, error);
            json!({"status": problem.get("status"), "id": null, "version": null, "problem": problem})
        }
    }
}

fn status(effect: Effect) -> StatusCode {
    match effect {
        Effect::Created => StatusCode::CREATED,
        Effect::Updated => StatusCode::OK,
        Effect::Deleted => StatusCode::NO_CONTENT,
    }
}
