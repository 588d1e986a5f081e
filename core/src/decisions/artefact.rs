//! Plugins as stored: found by name, by release, by id, and loaded whole.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::Deserialize;
use uuid::Uuid;

use super::newest;
use crate::{
    context::{Context, Unit},
    error::{Code, Error, Result},
    ports::{Artefact, Manifest},
    records::plugin::{Entity, Model as Plugin},
};

/// The plugin that `text` means: an id, `rfm@1.0.0`, or `rfm` for the release uploaded last.
///
/// # Errors
/// `Invalid` at `field` where there is none.
pub async fn named(cx: &Context, field: &str, text: &str) -> Result<Plugin> {
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let condition = match (text.parse::<Uuid>(), text.split_once('@')) {
        (Ok(id), _) => col("id").eq(id),
        (_, Some((name, release))) => col("name").eq(name).and(col("release").eq(release)),
        _ => col("name").eq(text),
    };
    let found = newest::<Entity>(cx, &cx.reader(), condition).await?;
    found.ok_or_else(|| {
        let detail = format!("there is no plugin `{text}`; give its id, `name@version`, or its name for the newest");
        Error::invalid(field, Code::ReferenceNotFound, detail)
    })
}

pub async fn by_id(cx: &Context, id: Uuid) -> Result<Plugin> {
    let found = newest::<Entity>(cx, &cx.reader(), Expr::col(Alias::new("id")).eq(id)).await?;
    found.ok_or_else(|| Error::not_found("plugin", id))
}

/// The plugin with its bytes, ready for the sandbox.
pub async fn load(cx: &Context, plugin: Plugin) -> Result<Artefact> {
    let select = Query::select()
        .column(Alias::new("bytes"))
        .from(Alias::new("plugin_bytes"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(cx.tenant.id))
        .and_where(Expr::col(Alias::new("plugin_id")).eq(plugin.id))
        .take();
    let row = cx.reader().query_one(&select).await?;
    let row = row.ok_or_else(|| Error::internal("every plugin has its bytes", plugin.id.to_string()))?;
    let bytes: Vec<u8> = row.try_get_by_index(0)?;
    Ok(Artefact { manifest: manifest(&plugin)?, digest: plugin.digest.into(), bytes: bytes.into() })
}

pub fn manifest(plugin: &Plugin) -> Result<Arc<Manifest>> {
    Manifest::deserialize(&plugin.manifest)
        .map(Arc::new)
        .map_err(|source| Error::internal("a stored manifest can be read", source))
}

pub async fn keep(unit: &Unit<'_>, plugin: Uuid, bytes: &[u8]) -> Result<()> {
    let mut insert = Query::insert();
    insert
        .into_table(Alias::new("plugin_bytes"))
        .columns(["tenant_id", "plugin_id", "bytes"].map(Alias::new))
        .values_panic([Expr::val(unit.cx.tenant.id), Expr::val(plugin), Expr::val(bytes.to_vec())]);
    unit.txn.execute(&insert).await?;
    Ok(())
}
