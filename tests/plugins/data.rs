//! The demo's two data sets, written as an import with the right to history writes them.

use std::{collections::HashMap, path::Path};

use ripen_core::{
    context::Context,
    engine::{Operation, Since},
};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

/// Customers and orders of CDNOW; accounts and won opportunities of the B2B set.
pub async fn load(cx: &Context) {
    let customers = rows("cdnow_customers");
    let people =
        customers.iter().map(|row| json!({"external_id": row["sample_id"], "name": row["name"], "kind": "person"}));
    let ids = write(cx, "account", people.collect()).await;
    let customers: HashMap<_, _> = customers.iter().map(|row| row["sample_id"].clone()).zip(ids).collect();
    let orders = rows("cdnow_orders").into_iter().map(|row| {
        let (year, month, day) = (&row["date"][..4], &row["date"][4..6], &row["date"][6..]);
        json!({
            "external_id": row["order_number"], "account_id": customers[&row["sample_id"]],
            "placed_on": format!("{year}-{month}-{day}"), "amount": usd(&row["dollar_value"]),
        })
    });
    write(cx, "order", orders.collect()).await;
    companies(cx).await;
}

/// Accounts and won opportunities of the B2B set.
pub async fn companies(cx: &Context) {
    let accounts = rows("accounts");
    let companies = accounts.iter().map(|row| json!({"external_id": row["account"], "name": row["account"]}));
    let ids = write(cx, "account", companies.collect()).await;
    let accounts: HashMap<_, _> = accounts.iter().map(|row| row["account"].clone()).zip(ids).collect();
    let pipeline = write(cx, "pipeline", vec![json!({"name": "Sales"})]).await[0];
    let won = write(cx, "stage", vec![json!({"name": "Won", "kind": "won", "pipeline_id": pipeline})]).await[0];
    let deals =
        rows("opportunities").into_iter().filter(|row| row["deal_stage"] == "Won" && !row["account"].is_empty());
    let deals = deals.map(|row| {
        json!({
            "external_id": row["opportunity_id"], "name": row["opportunity_id"], "account_id": accounts[&row["account"]],
            "stage_id": won, "opened_on": row["engage_date"], "closed_at": format!("{}T00:00:00Z", row["close_date"]),
            "amount": usd(&row["close_value"]),
        })
    });
    write(cx, "opportunity", deals.collect()).await;
}

/// Stores records, all of which must be good.
pub async fn write(cx: &Context, kind: &str, rows: Vec<Json>) -> Vec<Uuid> {
    let resource = cx.kind(kind).unwrap();
    let mut ids = Vec::new();
    for part in rows.chunks(1000) {
        let mut unit = cx.begin().await.unwrap();
        unit.history = true;
        let create = |row: &Json| Operation::Create { data: object(row), since: Since::default() };
        let verdicts = resource.write(&unit, part.iter().map(create).collect()).await.unwrap();
        unit.commit().await.unwrap();
        ids.extend(verdicts.into_iter().map(|verdict| verdict.unwrap().id));
    }
    ids
}

fn object(row: &Json) -> Map<String, Json> {
    row.as_object().unwrap().clone()
}

fn usd(amount: &str) -> Json {
    json!({"amount": amount, "currency": "USD"})
}

/// The rows of a file of the demo by column.
fn rows(name: &str) -> Vec<HashMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/demo/data/{name}.csv"));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains('"'), "{name} needs a real CSV reader");
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}
