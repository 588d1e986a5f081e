//! The two histories, brought in through imports.

use ripen_core::{
    context::Context,
    engine::{
        Operation, Since,
        read::{self, ListQuery},
    },
    error::{Error, Result},
    import::Upload,
    jobs::report,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::console::{follow, thousands};

/// Refused and reported rows of a file that are printed; the job's report has them all.
const ROWS_SHOWN: u64 = 10;

/// One file with its specification, and how to see that it is in.
struct File {
    title: &'static str,
    csv: &'static [u8],
    spec: &'static str,
    /// Path segment of the kind, and the filter over what the file brings.
    brings: (&'static str, &'static str),
    rows: i64,
}

macro_rules! file {
    ($title:literal, $name:literal, $kind:literal, $filter:literal, $rows:literal) => {
        File {
            title: $title,
            csv: include_bytes!(concat!("data/", $name, ".csv")),
            spec: include_str!(concat!("data/", $name, ".import.json")),
            brings: ($kind, $filter),
            rows: $rows,
        }
    };
}

const BEFORE_DEALS: [File; 5] = [
    file!("Users", "users", "users", "role != \"admin\"", 43),
    file!("Teams", "teams", "teams", "name IS NOT NULL", 10),
    file!("Memberships", "memberships", "memberships", "external_id IS NOT NULL", 43),
    file!("B2B accounts", "accounts", "accounts", "kind = \"company\"", 85),
    file!("Products", "products", "products", "name IS NOT NULL", 7),
];
const DEALS_AND_ORDERS: [File; 3] = [
    file!("Opportunities", "opportunities", "opportunities", "name IS NOT NULL", 8800),
    file!("CDNOW customers", "cdnow_customers", "accounts", "kind = \"person\"", 2357),
    file!("CDNOW orders", "cdnow_orders", "orders", "external_id IS NOT NULL", 6919),
];

pub async fn bring_in(admin: &Context) -> Result<()> {
    for file in &BEFORE_DEALS {
        file.bring_in(admin).await?;
    }
    stages(admin).await?;
    for file in &DEALS_AND_ORDERS {
        file.bring_in(admin).await?;
    }
    let without = count(admin, "opportunities", "account_id IS NULL").await?;
    println!("  {} opportunities have no account; they stay, open to be assigned", thousands(without));
    Ok(())
}

impl File {
    async fn bring_in(&self, admin: &Context) -> Result<()> {
        let (kind, filter) = self.brings;
        if count(admin, kind, filter).await? >= self.rows {
            println!("{:<16} {:>6} here already", self.title, thousands(self.rows));
            return Ok(());
        }
        let mut upload = Upload::begin(admin, json(self.spec.as_bytes())?).await?;
        upload.write(self.csv).await?;
        let job = upload.finish().await?;
        let result = follow(admin, self.title, job).await?;
        self.print(admin, job, &result).await
    }

    /// What became of the rows, and of each kind of dirt in them.
    async fn print(&self, admin: &Context, job: Uuid, result: &Json) -> Result<()> {
        let number = |name: &str| result.get(name).and_then(Json::as_i64).unwrap_or_default();
        let imported = number("created") + number("updated") + number("unchanged");
        println!("{:<16} {:>6} imported, {} refused", self.title, thousands(imported), number("failed"));
        for repair in result.get("replaced").and_then(Json::as_array).into_iter().flatten() {
            let text = |name: &str| repair.get(name).and_then(Json::as_str).unwrap_or_default();
            // every country is replaced by its code; only the misspelled one is dirt
            if text("column") != "office_location" || text("from") == "Philipines" {
                let rows = repair.get("rows").and_then(Json::as_i64).unwrap_or_default();
                println!(
                    "  repaired  {}: `{}` is `{}` ({} rows)",
                    text("column"),
                    text("from"),
                    text("to"),
                    thousands(rows)
                );
            }
        }
        for found in report::page(admin, job, (0, 0), ROWS_SHOWN).await?.0 {
            let what = if found.severity == "warning" { "reported" } else { "refused" };
            let place = found.column.as_deref().unwrap_or("row");
            let value = found.value.as_deref().unwrap_or_default();
            println!("  {what:<9} line {}, {place} `{value}`: {}", found.line, found.detail);
        }
        Ok(())
    }
}

/// How many records of a kind the filter keeps.
async fn count(admin: &Context, kind: &str, filter: &str) -> Result<i64> {
    let shape = admin.resolve(kind)?.shape();
    let query = ListQuery {
        filter: Some(filter.to_owned().into()),
        fields: Some("id".to_owned()),
        limit: Some(1),
        count: true,
        ..ListQuery::default()
    };
    let page = json(&read::list(admin, shape, &query).await?.body)?;
    Ok(page.pointer("/page/total").and_then(Json::as_i64).unwrap_or_default())
}

/// The pipeline of the B2B data, with its four stages.
async fn stages(admin: &Context) -> Result<()> {
    if count(admin, "pipelines", "name = \"Sales\"").await? > 0 {
        return Ok(());
    }
    let unit = admin.begin().await?;
    let pipeline = create(&unit, "pipelines", json!({"name": "Sales"})).await?;
    for (position, (name, kind, probability)) in
        [("Prospecting", "open", 10), ("Engaging", "open", 40), ("Won", "won", 100), ("Lost", "lost", 0)]
            .into_iter()
            .enumerate()
    {
        let stage = json!({
            "pipeline_id": pipeline, "name": name, "position": position + 1, "kind": kind, "probability": probability,
        });
        create(&unit, "stages", stage).await?;
    }
    unit.commit().await
}

async fn create(unit: &ripen_core::context::Unit<'_>, kind: &str, data: Json) -> Result<Uuid> {
    let Json::Object(data) = data else { return Err(Error::internal("a draft is an object", "it is not")) };
    let resource = unit.cx.resolve(kind)?;
    let verdict = resource.write(unit, vec![Operation::Create { data, since: Since::default() }]).await?.pop();
    Ok(verdict.ok_or_else(|| Error::internal("every operation gets a verdict", "none was given"))??.id)
}

/// What the product has written is JSON.
pub fn json(bytes: &[u8]) -> Result<Json> {
    serde_json::from_slice(bytes).map_err(|source| Error::internal("an answer of the product is JSON", source))
}
