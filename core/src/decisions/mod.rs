//! What was decided, and why: plugins, their installations, their runs, and what they say of each subject.
//!
//! A run reads facts page by page, asks the plugin in the sandbox, and books the answers: at most one score (or one set
//! of labels) for an installation and a subject. Each page is one transaction with the run's checkpoint, so that a crash
//! loses at most a page, and a reader meanwhile sees decisions of the former run beside those of this one, told apart by
//! `plugin_run_id`. A failed run leaves the pages it has booked, marks what it did not reach as stale, and says why.

mod answer;
mod artefact;
mod backtest;
mod binding;
mod book;
mod compare;
mod config;
mod enabled;
mod frame;
mod installation;
mod plan;
mod request;
mod run;
mod statistics;
mod upload;
mod words;

use std::{fmt::Write as _, sync::Arc};

use sea_orm::{
    ConnectionTrait, FromQueryResult,
    sea_query::{Alias, SimpleExpr},
};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

pub use self::{
    enabled::{Enabled, enabled},
    installation::{Changes, NewInstallation, configure, find, install, switch},
    request::{NewRun, Outcome, request},
    run::ended,
    upload::{LARGEST, upload},
    words::in_words,
};
use crate::{
    context::{Context, Unit},
    engine::{Operation, Record, Resource, Since, Written, only, visible},
    error::{Error, Result},
    jobs::Work,
};

/// The long work of this floor, for the job runner.
pub fn works() -> Vec<Arc<dyn Work>> {
    vec![Arc::new(upload::Upload), Arc::new(run::PluginRun)]
}

fn resource<'a>(cx: &'a Context, kind: &str) -> Result<&'a Arc<dyn Resource>> {
    let found = cx.kind(kind);
    found.ok_or_else(|| Error::internal("the kinds of decisions are in the registry", kind.to_owned()))
}

/// The first record the actor may see for which `condition` holds, newest first.
async fn newest<R: Record>(cx: &Context, db: &impl ConnectionTrait, condition: SimpleExpr) -> Result<Option<R::Model>> {
    let shape = resource(cx, R::NAME)?.shape();
    let select = visible(cx, shape)
        .columns(shape.columns.iter().map(|c| Alias::new(c.name.as_str())))
        .and_where(condition)
        .order_by(Alias::new("id"), sea_orm::Order::Desc)
        .limit(1)
        .take();
    Ok(db.query_one(&select).await?.map(|row| R::Model::from_query_result(&row, "")).transpose()?)
}

async fn create<R: Record>(unit: &Unit<'_>, data: Map<String, Json>) -> Result<Written> {
    one(unit, R::NAME, Operation::Create { data, since: Since::default() }).await
}

async fn update<R: Record>(unit: &Unit<'_>, id: Uuid, data: Map<String, Json>) -> Result<Written> {
    one(unit, R::NAME, Operation::Update { id, version: None, data, since: Since::default() }).await
}

async fn one(unit: &Unit<'_>, kind: &str, operation: Operation) -> Result<Written> {
    only(resource(unit.cx, kind)?.write(unit, vec![operation]).await?)
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The entries of a JSON object written in place.
fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}
