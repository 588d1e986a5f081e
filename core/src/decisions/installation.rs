//! A plugin put to work in a tenant: checked as a whole before it is stored, switched without a restart.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{artefact, binding, config, create, newest, object, one, plan, resource, update};
use crate::{
    access::{self, Verb},
    context::{Context, Unit},
    engine::{Operation, Record, Scope, Shape, Since, merge_patch as merge},
    error::{Code, Error, Result, Violation, unknown},
    ports::Manifest,
    records::{
        installation::{Entity, Kind, Model as Installation, State},
        plugin::Model as Plugin,
    },
};

/// What an admin says to put a plugin to work.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInstallation {
    /// The name by which people and programs will call it; unique in the tenant.
    #[schema(max_length = 100, example = "rfm-customers")]
    pub key: String,
    /// `name@version`, an id, or a name for the release uploaded last.
    #[schema(example = "rfm@1.0.0")]
    pub plugin: String,
    pub kind: Kind,
    /// Kind of the records it decides about; without it, the one the plugin was written for.
    pub subject: Option<String>,
    /// Filter over the subjects.
    #[schema(example = "kind = \"person\"")]
    pub r#where: Option<String>,
    /// Checked against the plugin's schema.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub config: Map<String, Json>,
    /// By input: `{"from": "metric:won_count", "window": "P365D"}`; the others come from where the manifest says.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub bindings: Map<String, Json>,
}

/// What changes of an installation; absent stays. `config` and `bindings` are merge patches (RFC 7396).
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// `name@version`, an id, or a name for the release uploaded last.
    pub plugin: Option<String>,
    /// An empty text takes the filter away.
    pub r#where: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub config: Option<Json>,
    #[schema(value_type = Option<Object>)]
    pub bindings: Option<Json>,
}

/// What an installation does, apart from its name and state: everything that is checked as a whole.
struct Setup {
    plugin: Plugin,
    manifest: Arc<Manifest>,
    kind: Kind,
    subject: String,
    r#where: Option<String>,
    config: Json,
    bindings: Json,
    seed: i64,
}

/// Puts a plugin to work, as a draft: it decides nothing until it is switched on.
///
/// # Errors
/// `Forbidden`; `Invalid` with everything that does not fit; `Plugin` where the sandbox stops the plugin.
pub async fn install(cx: &Context, new: NewInstallation) -> Result<Uuid> {
    access::may_act(&cx.actor, "installation:create")?;
    let plugin = artefact::named(cx, "plugin", &new.plugin).await?;
    let manifest = artefact::manifest(&plugin)?;
    let setup = Setup {
        kind: new.kind,
        subject: new.subject.unwrap_or_else(|| manifest.plugin.subject.clone()),
        r#where: new.r#where,
        config: Json::Object(new.config),
        bindings: Json::Object(new.bindings),
        seed: seed(&new.key),
        plugin,
        manifest,
    };
    callable(&new.key)?;
    check(cx, &setup).await?;
    let unit = cx.begin().await?;
    let data = json!({
        "key": new.key, "plugin_id": setup.plugin.id, "kind": setup.kind, "subject": setup.subject, "where": setup.r#where,
        "config": setup.config, "bindings": setup.bindings, "state": State::Draft, "seed": setup.seed, "config_version": 1,
    });
    let written = create::<Entity>(&unit, object(data)).await?;
    remember(&unit, written.id, 1, &setup).await?;
    unit.commit().await?;
    Ok(written.id)
}

/// Changes what an installation does, from its next run on, and from `version` where one is given.
///
/// # Errors
/// As [`install`]; `NotFound`; `Stale` where somebody else has just changed it.
pub async fn configure(cx: &Context, id_or_key: &str, version: Option<i64>, changes: Changes) -> Result<Uuid> {
    access::may_act(&cx.actor, "installation:update")?;
    let before = find(cx, id_or_key).await?;
    if version.is_some_and(|version| version != before.version) {
        return Err(Error::Stale { actual: before.version });
    }
    let plugin = match &changes.plugin {
        Some(text) => artefact::named(cx, "plugin", text).await?,
        None => artefact::by_id(cx, before.plugin_id).await?,
    };
    let merged =
        |old: &Json, patch: Option<Json>| patch.map_or_else(|| old.clone(), |patch| merge(old.clone(), &patch));
    let (patched_config, patched_bindings) = (changes.config.clone(), changes.bindings.clone());
    let setup = Setup {
        manifest: artefact::manifest(&plugin)?,
        kind: before.kind,
        subject: before.subject.clone(),
        r#where: changes.r#where.or_else(|| before.r#where.clone()).filter(|text| !text.is_empty()),
        config: merged(&before.config, changes.config),
        bindings: merged(&before.bindings, changes.bindings),
        seed: before.seed,
        plugin,
    };
    check(cx, &setup).await?;
    let unit = cx.begin().await?;
    let version = before.config_version + 1;
    let mut data = object(json!({
        "plugin_id": setup.plugin.id, "where": setup.r#where, "config_version": version,
    }));
    data.extend(patched_config.map(|patch| ("config".to_owned(), patch)));
    data.extend(patched_bindings.map(|patch| ("bindings".to_owned(), patch)));
    let operation = Operation::Update { id: before.id, version: Some(before.version), data, since: Since::default() };
    one(&unit, Entity::NAME, operation).await?;
    remember(&unit, before.id, version, &setup).await?;
    unit.commit().await?;
    Ok(before.id)
}

/// Switches an installation on or off: the next run that is asked for finds it so.
///
/// # Errors
/// `Forbidden`, `NotFound`, the database.
pub async fn switch(cx: &Context, id_or_key: &str, state: State) -> Result<Uuid> {
    access::may_act(&cx.actor, "installation:update")?;
    let id = find(cx, id_or_key).await?.id;
    let unit = cx.begin().await?;
    update::<Entity>(&unit, id, object(json!({ "state": state }))).await?;
    unit.commit().await?;
    Ok(id)
}

/// # Errors
/// `NotFound`, `Forbidden`, the database.
pub async fn find(cx: &Context, id_or_key: &str) -> Result<Installation> {
    access::may(&cx.actor, Verb::Read, resource(cx, Entity::NAME)?.shape())?;
    let condition = match id_or_key.parse::<Uuid>() {
        Ok(id) => Expr::col(Alias::new("id")).eq(id),
        Err(_) => Expr::col(Alias::new("key")).eq(id_or_key),
    };
    let found = newest::<Entity>(cx, &cx.reader(), condition).await?;
    found.ok_or_else(|| Error::not_found("installation", id_or_key))
}

/// A key stands in paths beside ids.
fn callable(key: &str) -> Result<()> {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain && !key.is_empty() && key.parse::<Uuid>().is_err() {
        return Ok(());
    }
    let detail = "must be of letters, digits, `-`, `_` and `.`, and no UUID";
    Err(Error::invalid("key", Code::InvalidValue, detail))
}

/// The same for every installation of that name on every machine.
fn seed(key: &str) -> i64 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(key));
    i64::from(u32::from_le_bytes([a, b, c, d]))
}

async fn check(cx: &Context, setup: &Setup) -> Result<()> {
    let mut broken = Vec::new();
    if !setup.manifest.plugin.kinds.contains(&setup.kind.into()) {
        let kinds: Vec<_> = setup.manifest.plugin.kinds.iter().map(|kind| kind.as_str()).collect();
        let detail = format!("{} is only: {}", setup.plugin.name, kinds.join(", "));
        broken.push(Violation::field("kind", Code::InvalidValue, detail));
    }
    // what is decided about a record is told with its key in other systems
    let decidable = |shape: &Shape| shape.scope != Scope::Subject && shape.column("external_id").is_some();
    let subject = cx.kind(&setup.subject).filter(|resource| decidable(resource.shape()));
    if let Some(subject) = subject {
        let bindings = setup.bindings.as_object().cloned().unwrap_or_default();
        broken.extend(binding::sources(&setup.manifest, subject.shape(), &bindings).err().into_iter().flatten());
        match plan::narrowed(cx, subject.shape(), setup.r#where.as_deref()) {
            Err(Error::Invalid(violations)) => broken.extend(violations),
            other => drop(other?),
        }
    } else {
        let detail =
            unknown("kind", &setup.subject, cx.shapes().filter(|shape| decidable(shape)).map(|shape| &*shape.name));
        broken.push(Violation::field("subject", Code::InvalidValue, detail));
    }
    broken.extend(config::fits(&setup.manifest, &setup.config).err().into_iter().flatten());
    if !broken.is_empty() {
        return Err(Error::Invalid(broken));
    }
    let artefact = artefact::load(cx, setup.plugin.clone()).await?;
    config::tried(cx, setup.kind.into(), &artefact, &setup.config, plan::seed(setup.seed)).await
}

/// Runs hold the version they started with, so that every one of them is kept.
async fn remember(unit: &Unit<'_>, installation: Uuid, version: i64, setup: &Setup) -> Result<()> {
    let columns = [
        "tenant_id",
        "installation_id",
        "config_version",
        "plugin_id",
        "where",
        "config",
        "bindings",
        "created_at",
        "created_by",
    ];
    let mut insert = Query::insert();
    insert.into_table(Alias::new("installation_config")).columns(columns.map(Alias::new)).values_panic([
        Expr::val(unit.cx.tenant.id),
        Expr::val(installation),
        Expr::val(version),
        Expr::val(setup.plugin.id),
        Expr::val(setup.r#where.clone()),
        Expr::val(setup.config.clone()),
        Expr::val(setup.bindings.clone()),
        Expr::val(unit.now),
        Expr::val(unit.cx.actor.user),
    ]);
    unit.txn.execute(&insert).await?;
    Ok(())
}
