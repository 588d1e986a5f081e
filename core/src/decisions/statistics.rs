//! What a plugin knows of the population: figures over all subjects of the installation, never over a run's filter.

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{binding::Source, hex, plan::Plan};
use crate::{
    context::{Context, Unit},
    error::Result,
    metrics::{self, Datum, Measured},
};

/// The document a run hands to its plugin, `{"recency_cuts": {"values": [..], "count": n}}`. A run over all subjects
/// makes it anew; one over some of them takes the newest that was kept for the same moment and configuration, so that
/// looking at a few does not move the cuts of all.
///
/// # Errors
/// `MixedCurrency`, the database.
pub async fn document(cx: &Context, plan: &Plan) -> Result<Json> {
    if !plan.whole(cx)
        && let Some(kept) = kept(cx, plan).await?
    {
        return Ok(kept);
    }
    let statistics = &plan.artefact.manifest.statistics;
    let column = |of: &str| plan.sources.iter().position(|source| source.name == of).unwrap_or_default();
    let asked: Vec<_> = statistics.values().map(|one| (column(&one.of), one.quantiles.clone())).collect();
    if asked.is_empty() {
        return Ok(json!({}));
    }
    let columns: Vec<Measured> = plan.sources.iter().map(Source::measured).collect();
    let (shape, as_of) = (plan.subject.shape(), plan.run.as_of);
    let facts = metrics::select(cx, shape, plan.population.clone(), None, &plan.wanted(), as_of)?;
    let found = metrics::quantiles(cx, &facts, &columns, &asked, as_of).await?;
    let entry = |(name, found): (&String, metrics::Quantiles)| {
        let values: Vec<_> = found.values.iter().flatten().map(number).collect();
        (name.clone(), json!({"values": values, "count": found.count}))
    };
    Ok(Json::Object(statistics.keys().zip(found).map(entry).collect()))
}

fn number(datum: &Datum) -> Json {
    match datum {
        Datum::Integer(value) => json!(value),
        Datum::Number(value) => json!(value),
        Datum::Boolean(_) | Datum::Text(_) => Json::Null,
    }
}

async fn kept(cx: &Context, plan: &Plan) -> Result<Option<Json>> {
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let select = Query::select()
        .column(Alias::new("document"))
        .from(Alias::new("statistics"))
        .and_where(col("tenant_id").eq(cx.tenant.id))
        .and_where(col("installation_id").eq(plan.installation.id))
        .and_where(col("config_version").eq(plan.run.config_version))
        .and_where(col("as_of").eq(plan.run.as_of))
        .order_by(Alias::new("id"), sea_orm::Order::Desc)
        .limit(1)
        .take();
    let row = cx.reader().query_one(&select).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Keeps the document of a run over all subjects, for those that follow it.
pub async fn keep(unit: &Unit<'_>, plan: &Plan, document: &Json) -> Result<()> {
    let columns = ["tenant_id", "id", "installation_id", "config_version", "as_of", "digest", "document", "created_at"];
    let mut insert = Query::insert();
    insert.into_table(Alias::new("statistics")).columns(columns.map(Alias::new)).values_panic([
        Expr::val(unit.cx.tenant.id),
        Expr::val(unit.cx.new_id()),
        Expr::val(plan.installation.id),
        Expr::val(plan.run.config_version),
        Expr::val(plan.run.as_of),
        Expr::val(hex(&Sha256::digest(document.to_string()))),
        Expr::val(document.clone()),
        Expr::val(unit.now),
    ]);
    unit.txn.execute(&insert).await?;
    Ok(())
}
