//! The shipped plugin, put to work as an admin would.

use ripen_core::{
    context::Context,
    decisions::{self, NewInstallation, NewRun},
    engine::read,
    error::{Error, Result},
    records::installation::State,
};
use serde_json::{Value as Json, json};

use super::{
    console::{follow, thousands},
    data::json as json_of,
};

const RFM: &[u8] = include_bytes!("../../plugins/rfm/rfm.wasm");

/// Scores of the B2B accounts, by what they won.
pub const ACCOUNTS: &str = "rfm-accounts";
pub const ACCOUNT_SEGMENTS: &str = "rfm-account-segments";
/// Scores of the CDNOW customers, by their orders.
pub const CUSTOMERS: &str = "rfm-customers";
pub const CUSTOMER_SEGMENTS: &str = "rfm-customer-segments";

/// The days up to which the two histories are known.
pub const ACCOUNTS_AS_OF: &str = "2018-01-01";
pub const CUSTOMERS_AS_OF: &str = "1998-07-01";

pub async fn put_to_work(admin: &Context) -> Result<()> {
    let upload = decisions::upload(admin, RFM).await?;
    let plugin = follow(admin, "Plugin rfm", upload).await?;
    println!("\nPlugin {}", named(&plugin));
    for (key, kind, r#where, bindings) in [
        (ACCOUNTS, "scorer", "kind = \"company\"", wins()),
        (ACCOUNT_SEGMENTS, "segmenter", "kind = \"company\"", wins()),
        (CUSTOMERS, "scorer", "kind = \"person\"", json!({})),
        (CUSTOMER_SEGMENTS, "segmenter", "kind = \"person\"", json!({})),
    ] {
        install(admin, key, json!({"key": key, "plugin": "rfm", "kind": kind, "where": r#where, "bindings": bindings}))
            .await?;
    }
    for (key, as_of) in [
        (ACCOUNTS, ACCOUNTS_AS_OF),
        (ACCOUNT_SEGMENTS, ACCOUNTS_AS_OF),
        (CUSTOMERS, CUSTOMERS_AS_OF),
        (CUSTOMER_SEGMENTS, CUSTOMERS_AS_OF),
    ] {
        let done = run(admin, json!({"installation": key, "mode": "apply", "as_of": as_of})).await?;
        let number = |name: &str| done.get(name).and_then(Json::as_i64).unwrap_or_default();
        println!(
            "  {key:<22} {:>5} decided as of {as_of}, {} without the facts",
            thousands(number("scored")),
            thousands(number("not_scored"))
        );
    }
    Ok(())
}

/// The plugin speaks of purchases; B2B accounts buy by winning opportunities.
fn wins() -> Json {
    json!({
        "recency_days": {"from": "metric:days_since_last_win"},
        "orders": {"from": "metric:won_count", "window": "P365D"},
        "revenue": {"from": "metric:won_amount", "window": "P365D"},
    })
}

async fn install(admin: &Context, key: &str, new: Json) -> Result<()> {
    let wanted = |source| Error::internal("the demo asks for installations as callers do", source);
    match decisions::find(admin, key).await {
        Ok(_) => {}
        Err(Error::NotFound { .. }) => {
            let new: NewInstallation = serde_json::from_value(new).map_err(wanted)?;
            decisions::install(admin, new).await?;
        }
        Err(error) => return Err(error),
    }
    decisions::switch(admin, key, State::Active).await?;
    Ok(())
}

/// Runs an installation to its end and answers with the plugin run as the API shows it.
pub async fn run(admin: &Context, new: Json) -> Result<Json> {
    let wanted = |source| Error::internal("the demo asks for runs as callers do", source);
    let new: NewRun = serde_json::from_value(new).map_err(wanted)?;
    let title = format!("{} {}", new.installation, json!(new.mode).as_str().unwrap_or_default());
    let run = decisions::request(admin, new).await?;
    follow(admin, &title, run).await?;
    let shape = admin.resolve("plugin-runs")?.shape();
    json_of(&read::get(admin, shape, run, None, None).await?.body)
}

fn named(plugin: &Json) -> String {
    let text = |name: &str| plugin.get(name).and_then(Json::as_str).unwrap_or_default();
    format!("{}@{} uploaded, checked and installed for both populations", text("name"), text("version"))
}
