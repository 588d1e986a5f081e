//! Which of a tenant's plugins are at work: what its own description says of them.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, FromQueryResult,
    sea_query::{Alias, Expr, ExprTrait, Order},
};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::{artefact, resource};
use crate::{
    access::{self, Verb},
    context::Context,
    engine::visible,
    error::Result,
    records::{
        installation::{self, State},
        plugin,
    },
};

/// An installation that is switched on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Enabled {
    /// What a run names it by.
    pub key: String,
    /// `rfm@1.0.0`
    pub plugin: String,
    pub description: Option<String>,
    /// `scorer` or `segmenter`.
    pub kind: installation::Kind,
    /// The kind of record it decides about.
    pub subject: String,
    /// JSON Schema of its configuration, where it takes one.
    pub config: Option<Json>,
}

/// Those that the actor may read of, by key. Two statements.
///
/// # Errors
/// The database.
pub async fn enabled(cx: &Context) -> Result<Vec<Enabled>> {
    let at_work = resource(cx, "installation")?.shape();
    let releases = resource(cx, "plugin")?.shape();
    let told = ["key", "kind", "subject", "state", "plugin_id"].iter().all(|name| at_work.field(name).is_some())
        && ["name", "release"].iter().all(|name| releases.field(name).is_some());
    if !told || [at_work, releases].iter().any(|shape| access::may(&cx.actor, Verb::Read, shape).is_err()) {
        return Ok(Vec::new());
    }
    let shown = |name: &str| releases.field(name).is_some();
    let columns =
        |shape: &crate::engine::Shape| shape.columns.iter().map(|c| Alias::new(c.name.as_str())).collect::<Vec<_>>();
    let select = visible(cx, at_work)
        .columns(columns(at_work))
        .and_where(Expr::col(Alias::new("state")).eq(State::Active))
        .order_by(Alias::new("key"), Order::Asc)
        .take();
    let db = cx.reader();
    let rows = db.query_all(&select).await?;
    let rows = rows.iter().map(|row| installation::Model::from_query_result(row, ""));
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    let ids = rows.iter().map(|row| row.plugin_id);
    let select =
        visible(cx, releases).columns(columns(releases)).and_where(Expr::col(Alias::new("id")).is_in(ids)).take();
    let mut plugins: HashMap<Uuid, plugin::Model> = HashMap::new();
    for row in db.query_all(&select).await? {
        let plugin = plugin::Model::from_query_result(&row, "")?;
        plugins.insert(plugin.id, plugin);
    }
    let mut enabled = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(plugin) = plugins.get(&row.plugin_id) else { continue };
        enabled.push(Enabled {
            key: row.key,
            plugin: format!("{}@{}", plugin.name, plugin.release),
            description: Some(plugin.description.clone()).filter(|_| shown("description")),
            kind: row.kind,
            subject: row.subject,
            config: if shown("manifest") { artefact::manifest(plugin)?.config.schema.clone() } else { None },
        });
    }
    Ok(enabled)
}
