//! The one writer of decisions: a page of answers in a few statements, and nothing written where nothing has changed.

use std::collections::BTreeMap;

use sea_orm::{
    Condition, ConnectionTrait, Value,
    sea_query::{Alias, Expr, ExprTrait, OnConflict, Query, SimpleExpr},
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{answer::Answer, frame::Page, plan::Plan};
use crate::{
    context::{Context, Unit},
    error::Result,
};

/// A table of decisions: at most one row for an installation, a subject and what else is in `key`.
struct Decisions {
    table: &'static str,
    key: &'static [&'static str],
    /// What was decided: a row is written anew when any of these differs.
    own: &'static [&'static str],
}

const SCORES: Decisions = Decisions {
    table: "score",
    key: &["tenant_id", "installation_id", "subject_id"],
    own: &["value", "contributions", "figures", "reasons", "as_of", "digest", "config_version", "stale"],
};
const LABELS: Decisions = Decisions {
    table: "label",
    key: &["tenant_id", "installation_id", "subject_id", "position"],
    own: &["position", "label", "weight", "reasons", "as_of", "digest", "config_version", "stale"],
};
const NOT_SCORED: Decisions = Decisions {
    table: "not_scored",
    key: &["tenant_id", "installation_id", "subject_id"],
    own: &["code", "args", "as_of"],
};
/// Columns of a type that cannot be compared everywhere.
const JSON: [&str; 4] = ["contributions", "figures", "reasons", "args"];
const COMMON: [&str; 9] = [
    "tenant_id",
    "id",
    "version",
    "created_at",
    "updated_at",
    "installation_id",
    "plugin_run_id",
    "subject_kind",
    "subject_id",
];
/// A statement takes 32,766 variables (`SQLite`).
const ROWS_PER_STATEMENT: usize = 1000;

/// Why a subject was not asked about: an input it needs has no value.
pub const MISSING_FACT: &str = "missing_fact";

type Rows = Vec<(Uuid, Vec<Value>)>;

/// Books a page: row i of its frame was answered by `answers[i]`.
///
/// # Errors
/// The database.
pub async fn page(unit: &Unit<'_>, plan: &Plan, page: &Page, answers: &[Answer]) -> Result<()> {
    let run = &plan.run;
    let said = || -> Vec<Value> {
        vec![run.as_of.into(), plan.artefact.digest.as_ref().into(), run.config_version.into(), false.into()]
    };
    let not = |code: &str, args: &Json| vec![code.into(), args.clone().into(), run.as_of.into()];
    let (mut scores, mut labels, mut silent): (Rows, Rows, Rows) = Default::default();
    let mut counts: BTreeMap<usize, Vec<Uuid>> = BTreeMap::new();
    for ((subject, _), answer) in page.subjects.iter().zip(answers) {
        match answer {
            Answer::Score { value, contributions, figures, reasons } => {
                let row =
                    vec![(*value).into(), contributions.clone().into(), figures.clone().into(), reasons.clone().into()];
                scores.push((*subject, [row, said()].concat()));
            }
            Answer::Labels { labels: given, reasons } => {
                counts.entry(given.len()).or_default().push(*subject);
                for (position, (label, weight)) in (0_i64..).zip(given) {
                    let row = vec![position.into(), label.as_str().into(), (*weight).into(), reasons.clone().into()];
                    labels.push((*subject, [row, said()].concat()));
                }
            }
            Answer::Declined { code, args } => silent.push((*subject, not(code, args))),
        }
    }
    silent.extend(page.missing.iter().map(|(subject, input)| (*subject, not(MISSING_FACT, &json!([input])))));
    let answered: Vec<_> = scores.iter().chain(&labels).map(|(subject, _)| *subject).collect();
    let unanswered: Vec<_> = silent.iter().map(|(subject, _)| *subject).collect();
    for (of, rows) in [(&SCORES, scores), (&LABELS, labels), (&NOT_SCORED, silent)] {
        put(unit, plan, of, rows).await?;
    }
    // also where the plugin gives one label only: its former release may have given several
    for (count, subjects) in counts {
        let beyond = col("position").gte(i64::try_from(count).unwrap_or(i64::MAX));
        withdraw(unit, plan, &LABELS, col("subject_id").is_in(subjects).and(beyond)).await?;
    }
    withdraw(unit, plan, &NOT_SCORED, col("subject_id").is_in(answered)).await?;
    for of in [&SCORES, &LABELS] {
        withdraw(unit, plan, of, col("subject_id").is_in(unanswered.clone())).await?;
    }
    Ok(())
}

/// Takes back what was decided about subjects that the installation no longer covers.
///
/// # Errors
/// The database.
pub async fn outside(unit: &Unit<'_>, plan: &Plan) -> Result<()> {
    let table = plan.subject.shape().table();
    let covered = Query::select()
        .column((table.clone(), Alias::new("id")))
        .from(table)
        .cond_where(plan.population.clone())
        .take();
    for of in [&SCORES, &LABELS, &NOT_SCORED] {
        withdraw(unit, plan, of, col("subject_id").not_in_subquery(covered.clone())).await?;
    }
    Ok(())
}

/// Marks what a failed run has not reached: it is the last that is known. Pages go by subject id.
///
/// # Errors
/// The database.
pub async fn unreached(unit: &Unit<'_>, plan: &Plan, last: Option<Uuid>) -> Result<()> {
    let table = plan.subject.shape().table();
    let scope =
        Query::select().column((table.clone(), Alias::new("id"))).from(table).cond_where(plan.scope.clone()).take();
    let reached = last.map(|last| col("subject_id").gt(last));
    let these = Condition::all().add(col("subject_id").in_subquery(scope)).add_option(reached);
    stale(unit, plan.installation.id, Some(these)).await
}

/// Marks what an installation decided, or of that what is about `these`.
///
/// # Errors
/// The database.
pub async fn stale(unit: &Unit<'_>, installation: Uuid, these: Option<Condition>) -> Result<()> {
    for of in [&SCORES, &LABELS] {
        let mut update = Query::update();
        update.table(Alias::new(of.table)).value(Alias::new("stale"), true).value(Alias::new("updated_at"), unit.now);
        update.value(Alias::new("version"), col("version").add(1)).cond_where(current(unit.cx, installation));
        update.and_where(col("stale").eq(false)).cond_where(these.clone().unwrap_or_else(Condition::all));
        unit.txn.execute(&update).await?;
    }
    Ok(())
}

/// The run's subjects with the highest scores, ties by external id: `[{"subject_id", "external_id", "value"}]`.
///
/// # Errors
/// The database.
pub async fn best(cx: &Context, plan: &Plan, limit: u64) -> Result<Json> {
    let (score, subject) = (Alias::new("score"), plan.subject.shape().table());
    let of = |table: &Alias, column: &'static str| Expr::col((table.clone(), Alias::new(column)));
    let mut select = Query::select();
    select
        .expr(of(&score, "subject_id"))
        .expr(of(&subject, "external_id"))
        .expr(of(&score, "value"))
        .from(score.clone())
        .inner_join(
            subject.clone(),
            of(&subject, "tenant_id").eq(of(&score, "tenant_id")).and(of(&subject, "id").eq(of(&score, "subject_id"))),
        )
        .and_where(of(&score, "tenant_id").eq(cx.tenant.id))
        .and_where(of(&score, "installation_id").eq(plan.installation.id))
        .and_where(of(&score, "deleted_at").is_null())
        .cond_where(plan.scope.clone())
        .order_by_expr(of(&score, "value"), sea_orm::Order::Desc)
        .order_by_expr(of(&subject, "external_id").if_null(""), sea_orm::Order::Asc)
        .order_by_expr(of(&score, "subject_id"), sea_orm::Order::Asc)
        .limit(limit);
    let rows = cx.reader().query_all(&select).await?;
    let one = |row: &sea_orm::QueryResult| -> Result<Json> {
        let (id, external): (Uuid, Option<String>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        Ok(json!({"subject_id": id, "external_id": external, "value": row.try_get_by_index::<f64>(2)?}))
    };
    rows.iter().map(one).collect::<Result<Vec<_>>>().map(Json::Array)
}

async fn put(unit: &Unit<'_>, plan: &Plan, of: &Decisions, rows: Rows) -> Result<()> {
    let (cx, name) = (unit.cx, |name: &&str| Alias::new(*name));
    for part in rows.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        insert.into_table(name(&of.table)).columns(COMMON.iter().chain(of.own).map(name));
        for (subject, own) in part {
            let common: [Value; 9] = [
                cx.tenant.id.into(),
                cx.new_id().into(),
                1_i64.into(),
                unit.now.into(),
                unit.now.into(),
                plan.installation.id.into(),
                plan.run.id.into(),
                (*plan.subject.shape().name).into(),
                (*subject).into(),
            ];
            insert.values_panic(common.into_iter().chain(own.iter().cloned()).map(Expr::val));
        }
        let settable = ["plugin_run_id", "updated_at"].iter().chain(of.own.iter().filter(|own| !of.key.contains(own)));
        let mut conflict = OnConflict::columns(of.key.iter().map(name));
        conflict
            .update_columns(settable.map(name))
            .value(Alias::new("deleted_at"), Option::<chrono::DateTime<chrono::Utc>>::None)
            .value(Alias::new("version"), Expr::col((name(&of.table), Alias::new("version"))).add(1))
            .action_and_where(differs(of));
        unit.txn.execute(insert.on_conflict(conflict)).await?;
    }
    Ok(())
}

/// The row says something else than the one that would replace it, or was taken back.
fn differs(of: &Decisions) -> SimpleExpr {
    let cell = |table: &'static str, column: &'static str| {
        let cell = Expr::col((Alias::new(table), Alias::new(column)));
        if JSON.contains(&column) { cell.cast_as(Alias::new("text")) } else { cell }
    };
    let taken_back = Expr::col((Alias::new(of.table), Alias::new("deleted_at"))).is_not_null();
    of.own.iter().fold(taken_back, |any, column| any.or(cell(of.table, column).ne(cell("excluded", column))))
}

async fn withdraw(unit: &Unit<'_>, plan: &Plan, of: &Decisions, rows: SimpleExpr) -> Result<()> {
    let update = Query::update()
        .table(Alias::new(of.table))
        .value(Alias::new("deleted_at"), unit.now)
        .value(Alias::new("updated_at"), unit.now)
        .value(Alias::new("version"), col("version").add(1))
        .cond_where(current(unit.cx, plan.installation.id))
        .and_where(rows)
        .take();
    unit.txn.execute(&update).await?;
    Ok(())
}

/// The installation's decisions that hold.
fn current(cx: &Context, installation: Uuid) -> Condition {
    Condition::all()
        .add(col("tenant_id").eq(cx.tenant.id))
        .add(col("installation_id").eq(installation))
        .add(col("deleted_at").is_null())
}

fn col(name: &'static str) -> Expr {
    Expr::col(Alias::new(name))
}
