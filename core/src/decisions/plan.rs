//! Everything a run holds from its start to its end, whatever is changed meanwhile.

use std::sync::Arc;

use sea_orm::{
    Condition, ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    artefact,
    binding::{self, Source},
    newest,
};
use crate::{
    context::Context,
    engine::{Resource, Shape, filter, within},
    error::{Code, Error, Result, Violation},
    metrics::Wanted,
    ports::Artefact,
    records::{installation, plugin_run},
};

pub struct Plan {
    pub run: plugin_run::Model,
    pub installation: installation::Model,
    pub artefact: Artefact,
    pub subject: Arc<dyn Resource>,
    pub sources: Vec<Source>,
    /// What the plugin is configured with: first what decides, then, in a simulation of another one, that.
    pub configs: Vec<Json>,
    /// Every subject of the installation, whoever asks: the population behind statistics.
    pub population: Condition,
    /// Those of the run: within the asker's reach and the run's own filter.
    pub scope: Condition,
}

impl Plan {
    /// # Errors
    /// The run, its plugin or what it refers to is gone, or no longer fits together.
    pub async fn load(cx: &Context, run: Uuid) -> Result<Self> {
        let by_id = |id: Uuid| Expr::col(Alias::new("id")).eq(id);
        let read = &cx.reader();
        let run = newest::<plugin_run::Entity>(cx, read, by_id(run))
            .await?
            .ok_or_else(|| Error::not_found("plugin_run", run))?;
        let installation = newest::<installation::Entity>(cx, read, by_id(run.installation_id)).await?;
        let installation = installation.ok_or_else(|| Error::not_found("installation", run.installation_id))?;
        let pinned = pinned(cx, &run).await?;
        let artefact = artefact::load(cx, artefact::by_id(cx, pinned.plugin_id).await?).await?;
        let subject = super::resource(cx, &installation.subject)?.clone();
        let bindings = super::object(pinned.bindings);
        let sources = binding::sources(&artefact.manifest, subject.shape(), &bindings).map_err(Error::Invalid)?;
        let configs = [Some(pinned.config), run.config.clone()].into_iter().flatten().collect();
        let alias = subject.shape().table();
        let all = cx.everywhere(); // what an installation decides must not depend on who asks
        let population = within(&all, subject.shape(), alias.clone()).add(narrowed(
            &all,
            subject.shape(),
            pinned.r#where.as_deref(),
        )?);
        let scope = population.clone().add(within(cx, subject.shape(), alias)).add(narrowed(
            cx,
            subject.shape(),
            run.r#where.as_deref(),
        )?);
        Ok(Self { run, installation, artefact, subject, sources, configs, population, scope })
    }

    pub fn wanted(&self) -> Vec<Wanted> {
        self.sources.iter().map(|source| source.wanted.clone()).collect()
    }

    /// Whether the run covers all subjects of the installation.
    pub fn whole(&self, cx: &Context) -> bool {
        self.run.r#where.is_none() && cx.actor.sees_all()
    }
}

struct Pinned {
    plugin_id: Uuid,
    r#where: Option<String>,
    config: Json,
    bindings: Json,
}

/// The installation's configuration as it was when the run was asked for.
async fn pinned(cx: &Context, run: &plugin_run::Model) -> Result<Pinned> {
    let select = Query::select()
        .columns(["plugin_id", "where", "config", "bindings"].map(Alias::new))
        .from(Alias::new("installation_config"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(cx.tenant.id))
        .and_where(Expr::col(Alias::new("installation_id")).eq(run.installation_id))
        .and_where(Expr::col(Alias::new("config_version")).eq(run.config_version))
        .take();
    let row = cx.reader().query_one(&select).await?;
    let row =
        row.ok_or_else(|| Error::internal("every configuration of an installation is kept", run.id.to_string()))?;
    Ok(Pinned {
        plugin_id: row.try_get("", "plugin_id")?,
        r#where: row.try_get("", "where")?,
        config: row.try_get("", "config")?,
        bindings: row.try_get("", "bindings")?,
    })
}

/// A filter over the subjects as a condition on the table of their kind; none narrows nothing.
///
/// # Errors
/// `Invalid` at `/where`.
pub fn narrowed(cx: &Context, subject: &Shape, text: Option<&str>) -> Result<Condition> {
    let Some(text) = text else { return Ok(Condition::all()) };
    let compiled = filter::parse(text).and_then(|parsed| {
        if parsed.calls(|_| true) {
            let detail = "me(), my_team(), now() and today() differ by who asks and when; a run can be repeated, so name \
                users, dates and instants";
            return Err(Error::malformed("filter", Code::InvalidValue, detail));
        }
        filter::compile(cx, subject, &parsed, subject.table().into())
    });
    compiled.map_err(|error| match error {
        Error::Malformed(violations) => {
            Error::Invalid(violations.into_iter().map(|v| Violation { pointer: "/where".to_owned(), ..v }).collect())
        }
        other => other,
    })
}

/// The stored seed as plugins take it.
pub fn seed(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}
