//! What makes it worth a second look. Every figure is an answer of the product.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ripen_core::{
    context::Context,
    decisions::in_words,
    engine::read::{self, ListQuery},
    error::{Error, Result},
    metrics::forgotten,
    ports::{Manifest, Outputs},
};
use serde_json::{Value as Json, json};

use super::{
    console::thousands,
    data::json,
    plugins::{ACCOUNT_SEGMENTS, ACCOUNTS, ACCOUNTS_AS_OF, CUSTOMERS, run},
};

const BACKTEST_AS_OF: &str = "1997-10-01";
const BEST: usize = 10;
const MOVERS: usize = 5;

pub async fn print(admin: &Context) -> Result<()> {
    backtest(admin).await?;
    neglected(admin).await?;
    best(admin).await?;
    what_if(admin).await
}

async fn backtest(admin: &Context) -> Result<()> {
    let outcome = json!({"fact": "order_revenue", "window": "P9M"});
    let asked = json!({"installation": CUSTOMERS, "mode": "backtest", "as_of": BACKTEST_AS_OF, "outcome": outcome});
    let done = run(admin, asked).await?;
    println!("\nBacktest: ranked on what was known on {BACKTEST_AS_OF}, checked against the nine months after");
    let fifths = done.pointer("/result/fifths").and_then(Json::as_array).cloned().unwrap_or_default();
    for (name, fifth) in [("best fifth", fifths.first()), ("last fifth", fifths.last())] {
        let share = |key: &str| 100.0 * fifth.and_then(|f| f.get(key)).and_then(Json::as_f64).unwrap_or_default();
        println!(
            "  {name}  {:>5.1} % of later revenue  {:>5.1} % bought again",
            share("share"),
            share("with_outcome_share")
        );
    }
    Ok(())
}

async fn neglected(admin: &Context) -> Result<()> {
    let as_of: DateTime<Utc> = ripen_core::metrics::start_of(
        ripen_core::engine::date(ACCOUNTS_AS_OF).map_err(|wrong| Error::internal("the demo's day is a day", wrong))?,
        admin.tenant.time_zone,
    );
    let found = forgotten(admin, as_of).await?;
    let most: Vec<_> = found.owners.iter().take(3).map(|(_, name, n)| format!("{name} ({n})")).collect();
    println!(
        "\nForgotten: no deal here ever closed after {} days; {} of {} engaged deals are older (list value {}); most with {}, ..",
        found.longest_days,
        thousands(found.forgotten),
        thousands(found.open),
        thousands(found.list_value_minor / 100),
        most.join(", ")
    );
    Ok(())
}

async fn best(admin: &Context) -> Result<()> {
    let outputs = outputs(admin).await?;
    let labels = rows(admin, "labels", ACCOUNT_SEGMENTS, "").await?;
    let text = |row: &Json, place: &str| row.pointer(place).and_then(Json::as_str).unwrap_or_default().to_owned();
    let labels: HashMap<String, String> =
        labels.iter().map(|row| (text(row, "/subject_id"), text(row, "/label"))).collect();
    let mut scores = rows(admin, "scores", ACCOUNTS, "subject").await?;
    let value = |row: &Json| row.get("value").and_then(Json::as_f64).unwrap_or_default();
    scores.sort_by(|a, b| {
        let named = |row| text(row, "/subject/external_id");
        value(b).total_cmp(&value(a)).then_with(|| named(a).cmp(&named(b)))
    });
    println!("\nTen best B2B accounts as of {ACCOUNTS_AS_OF}, of {} scored", scores.len());
    for row in scores.iter().take(BEST) {
        let label = labels.get(&text(row, "/subject_id")).cloned().unwrap_or_default();
        println!("  {:>6.2}  {label:<10} {:<14} {}", value(row), text(row, "/subject/name"), why(row, &outputs));
        println!("          = {}", terms(row));
    }
    Ok(())
}

/// The reasons of a decision, in words.
fn why(row: &Json, outputs: &Outputs) -> String {
    let reasons = row.get("reasons").and_then(Json::as_array).cloned().unwrap_or_default();
    let words = reasons.iter().map(|reason| {
        let code = reason.get("code").and_then(Json::as_str).unwrap_or_default();
        let args = reason.get("args").and_then(Json::as_array).cloned().unwrap_or_default();
        in_words(outputs, code, &args, "en", "USD")
    });
    words.collect::<Vec<_>>().join("; ")
}

/// The terms that add up to the value.
fn terms(row: &Json) -> String {
    let terms = row.get("contributions").and_then(Json::as_array).cloned().unwrap_or_default();
    let term = |term: &Json| {
        let value = term.get("value").and_then(Json::as_f64).unwrap_or_default();
        format!("{value:.2} {}", term.get("code").and_then(Json::as_str).unwrap_or_default())
    };
    terms.iter().map(term).collect::<Vec<_>>().join(" + ")
}

async fn what_if(admin: &Context) -> Result<()> {
    let asked = json!({
        "installation": ACCOUNTS, "mode": "simulate", "as_of": ACCOUNTS_AS_OF, "config": {"weights": [1, 1, 2]},
    });
    let done = run(admin, asked).await?;
    println!("\nWhat if: money weighs double (simulated, nothing written)");
    for (way, key) in [("up  ", "up"), ("down", "down")] {
        let movers = done.pointer(&format!("/result/{key}")).and_then(Json::as_array).cloned().unwrap_or_default();
        let shown = movers.iter().take(MOVERS).map(|mover| {
            let rank = |when: &str| mover.pointer(&format!("/{when}/rank")).and_then(Json::as_i64).unwrap_or_default();
            let name = mover.get("external_id").and_then(Json::as_str).unwrap_or_default();
            format!("{name} {} -> {}", rank("before"), rank("after"))
        });
        println!("  {way}  {}", shown.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// All decisions of an installation, as the API lists them.
async fn rows(admin: &Context, kind: &str, installation: &str, expand: &str) -> Result<Vec<Json>> {
    let shape = admin.resolve(kind)?.shape();
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let query = ListQuery {
            filter: Some(format!("installation.key = \"{installation}\"").into()),
            expand: Some(expand.to_owned()).filter(|expand| !expand.is_empty()),
            limit: Some(200),
            cursor: cursor.take(),
            ..ListQuery::default()
        };
        let page = read::list(admin, shape, &query).await?;
        let body = json(&page.body)?;
        rows.extend(body.get("data").and_then(Json::as_array).cloned().unwrap_or_default());
        cursor = page.next;
        if cursor.is_none() {
            return Ok(rows);
        }
    }
}

/// What the installed plugin declares about its answers.
async fn outputs(admin: &Context) -> Result<Outputs> {
    let shape = admin.resolve("plugins")?.shape();
    let query = ListQuery { filter: Some("name = \"rfm\"".to_owned().into()), limit: Some(1), ..ListQuery::default() };
    let body = json(&read::list(admin, shape, &query).await?.body)?;
    let manifest = body.pointer("/data/0/manifest").cloned().unwrap_or_default();
    let manifest: Manifest =
        serde_json::from_value(manifest).map_err(|source| Error::internal("a stored manifest is one", source))?;
    Ok(manifest.outputs)
}
