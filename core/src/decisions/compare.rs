//! What a simulation would change: values and ranks before and after, without a decision being touched.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, QueryResult, Statement,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{answer::Answer, frame::Page, object, plan::Plan};
use crate::{
    context::{Context, Unit},
    error::Result,
    records::{installation::Kind, plugin_run::Mode},
};

/// Movers that a result names, each way.
const MOVERS: u32 = 20;

/// A value or a label, as the kind of plugin has it.
type Said = (Option<f64>, Option<String>);

/// What is decided about the page's subjects now, where a simulation has no second configuration to compare with.
///
/// # Errors
/// The database.
pub async fn stored(cx: &Context, plan: &Plan, page: &Page, answers: &[Vec<Answer>]) -> Result<HashMap<Uuid, Said>> {
    if plan.run.mode != Mode::Simulate || answers.len() > 1 {
        return Ok(HashMap::new());
    }
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let (table, column) = match plan.installation.kind {
        Kind::Scorer => ("score", "value"),
        Kind::Segmenter => ("label", "label"),
    };
    let mut select = Query::select();
    select.columns(["subject_id", column].map(Alias::new)).from(Alias::new(table));
    select.and_where(col("tenant_id").eq(cx.tenant.id)).and_where(col("installation_id").eq(plan.installation.id));
    select.and_where(col("deleted_at").is_null());
    select.and_where(col("subject_id").is_in(page.subjects.iter().map(|(id, _)| *id)));
    if plan.installation.kind == Kind::Segmenter {
        select.and_where(col("position").eq(0));
    }
    let rows = cx.reader().query_all(&select).await?;
    let said = |row: &QueryResult| -> Result<(Uuid, Said)> {
        let said = match plan.installation.kind {
            Kind::Scorer => (Some(row.try_get_by_index(1)?), None),
            Kind::Segmenter => (None, Some(row.try_get_by_index(1)?)),
        };
        Ok((row.try_get_by_index(0)?, said))
    };
    rows.iter().map(said).collect()
}

/// Lays the page's answers aside until all are there: the last answers are "after", the first of several "before".
///
/// # Errors
/// The database.
pub async fn keep(
    unit: &Unit<'_>,
    plan: &Plan,
    page: &Page,
    stored: &HashMap<Uuid, Said>,
    answers: &[Vec<Answer>],
) -> Result<()> {
    let columns = [
        "tenant_id",
        "run_id",
        "subject_id",
        "external_id",
        "value_before",
        "label_before",
        "value_after",
        "label_after",
    ];
    if page.subjects.is_empty() {
        return Ok(());
    }
    let said = |answer: &Answer| -> Said { (answer.value(), answer.label().map(str::to_owned)) };
    let mut insert = Query::insert();
    insert.into_table(Alias::new("run_result")).columns(columns.map(Alias::new));
    for (row, (subject, external_id)) in page.subjects.iter().enumerate() {
        let after = answers.last().and_then(|answers| answers.get(row)).map(said).unwrap_or_default();
        let before = match answers {
            [before, _] => before.get(row).map(said),
            _ => stored.get(subject).cloned(),
        };
        let before = before.unwrap_or_default();
        insert.values_panic([
            Expr::val(unit.cx.tenant.id),
            Expr::val(plan.run.id),
            Expr::val(*subject),
            Expr::val(external_id.clone()),
            Expr::val(before.0),
            Expr::val(before.1),
            Expr::val(after.0),
            Expr::val(after.1),
        ]);
    }
    unit.txn.execute(&insert).await?;
    Ok(())
}

/// # Errors
/// The database.
pub async fn clear(unit: &Unit<'_>, run: Uuid) -> Result<()> {
    let delete = Query::delete()
        .from_table(Alias::new("run_result"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
        .and_where(Expr::col(Alias::new("run_id")).eq(run))
        .take();
    unit.txn.execute(&delete).await?;
    Ok(())
}

/// Of a scorer `{"subjects", "changed_values", "changed_ranks", "up", "down"}`, movers by how far they move, ties by
/// external id; of a segmenter `{"subjects", "changed", "moves": [{"from", "to", "subjects"}]}`.
///
/// # Errors
/// The database.
pub async fn differences(cx: &Context, plan: &Plan) -> Result<Map<String, Json>> {
    match plan.installation.kind {
        Kind::Scorer => ranks(cx, plan.run.id).await,
        Kind::Segmenter => moves(cx, plan.run.id).await,
    }
}

/// Ranks by value, highest first, ties by external id; what has no value comes last. `$1` is the tenant, `$2` the run.
pub const RANKED: &str = "select subject_id, external_id, value_before, value_after, \
    row_number() over (order by case when value_before is null then 1 else 0 end, value_before desc, \
        coalesce(external_id, ''), subject_id) as rank_before, \
    row_number() over (order by case when value_after is null then 1 else 0 end, value_after desc, \
        coalesce(external_id, ''), subject_id) as rank_after \
    from run_result where tenant_id = $1 and run_id = $2";

async fn ranks(cx: &Context, run: Uuid) -> Result<Map<String, Json>> {
    let counts = format!(
        "select count(*), sum(case when value_before is distinct from value_after then 1 else 0 end), \
         sum(case when rank_before <> rank_after then 1 else 0 end) from ({RANKED}) as ranked"
    );
    let counts = query(cx, &counts, run).await?;
    let count = |i: usize| -> Result<i64> {
        Ok(counts.first().map(|row| row.try_get_by_index::<Option<i64>>(i)).transpose()?.flatten().unwrap_or_default())
    };
    let (up, down) =
        (movers(cx, run, "rank_before - rank_after").await?, movers(cx, run, "rank_after - rank_before").await?);
    Ok(object(json!({
        "subjects": count(0)?, "changed_values": count(1)?, "changed_ranks": count(2)?, "up": up, "down": down,
    })))
}

async fn movers(cx: &Context, run: Uuid, rise: &str) -> Result<Json> {
    let sql = format!(
        "select subject_id, external_id, value_before, value_after, rank_before, rank_after from ({RANKED}) as ranked \
         where {rise} > 0 and value_before is not null and value_after is not null \
         order by {rise} desc, coalesce(external_id, ''), subject_id limit {MOVERS}"
    );
    let one = |row: &QueryResult| -> Result<Json> {
        let (id, external): (Uuid, Option<String>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (before, after): (f64, f64) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        let (from, to): (i64, i64) = (row.try_get_by_index(4)?, row.try_get_by_index(5)?);
        let (before, after) = (json!({"value": before, "rank": from}), json!({"value": after, "rank": to}));
        Ok(json!({"subject_id": id, "external_id": external, "before": before, "after": after}))
    };
    query(cx, &sql, run).await?.iter().map(one).collect::<Result<Vec<_>>>().map(Json::Array)
}

async fn moves(cx: &Context, run: Uuid) -> Result<Map<String, Json>> {
    let sql = "select label_before, label_after, count(*) as subjects from run_result \
               where tenant_id = $1 and run_id = $2 group by label_before, label_after \
               order by subjects desc, coalesce(label_before, ''), coalesce(label_after, '')";
    let (mut subjects, mut changed, mut moves) = (0_i64, 0_i64, Vec::new());
    for row in query(cx, sql, run).await? {
        let (from, to): (Option<String>, Option<String>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let count: i64 = row.try_get_by_index(2)?;
        subjects += count;
        if from != to {
            changed += count;
            moves.push(json!({"from": from, "to": to, "subjects": count}));
        }
    }
    Ok(object(json!({"subjects": subjects, "changed": changed, "moves": moves})))
}

/// A question about the answers laid aside for a run.
async fn query(cx: &Context, sql: &str, run: Uuid) -> Result<Vec<QueryResult>> {
    let statement = Statement::from_sql_and_values(cx.backend(), sql, [cx.tenant.id.into(), run.into()]);
    Ok(cx.reader().query_all_raw(statement).await?)
}
