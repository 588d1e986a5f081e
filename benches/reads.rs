//! What a read of the past and a text search cost beside the plain read: `cargo bench --bench reads`.
//!
//! 100,000 accounts of one tenant, a tenth of them changed later, on each database there is. Kinds of read take turns
//! within one run; the figures are medians in microseconds, and ratios to the first line of each group.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]
#![expect(clippy::panic, reason = "the same")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use chrono::TimeDelta;
use ripen_core::{
    context::Context,
    engine::{
        Operation, Shape, Since, known,
        read::{self, ListQuery},
    },
};
use serde_json::json;
use support::{Person, TestServer, on_both};
use uuid::Uuid;

const ROWS: usize = 100_000;
const PAGE: usize = 1000;
const TURNS: usize = 101;
/// A tenth of the records changed after this, and nothing after the second.
const THEN: [&str; 2] = ["2026-01-31T09:31:00Z", "2026-01-31T11:00:00Z"];

async fn write(cx: &Context, operations: Vec<Operation>) -> Vec<Uuid> {
    let unit = cx.begin().await.unwrap();
    let verdicts = cx.world.registry.kind("account").unwrap().write(&unit, operations).await.unwrap();
    let ids = verdicts.into_iter().map(|verdict| verdict.unwrap().id).collect();
    unit.commit().await.unwrap();
    ids
}

async fn fill(server: &TestServer, cx: &Context) -> Vec<Uuid> {
    const CITIES: [&str; 8] = ["北京", "上海", "Berlin", "Paris", "Oslo", "Rome", "Lima", "Cairo"];
    let mut ids = Vec::with_capacity(ROWS);
    for page in 0..ROWS / PAGE {
        let create = |i: usize| {
            let name = format!("Company {} number{i} {}", CITIES[i % 8], i % 997);
            let data = json!({"name": name, "employees": i % 5000, "industry": CITIES[i % 7]});
            Operation::Create { data: data.as_object().unwrap().clone(), since: Since::default() }
        };
        ids.extend(write(cx, (page * PAGE..(page + 1) * PAGE).map(create).collect()).await);
    }
    server.clock.advance(TimeDelta::hours(1));
    for part in ids.iter().step_by(10).collect::<Vec<_>>().chunks(PAGE) {
        let data = json!({"grade": "A"}).as_object().unwrap().clone();
        let update =
            |id: &&Uuid| Operation::Update { id: **id, version: None, data: data.clone(), since: Since::default() };
        write(cx, part.iter().map(update).collect()).await;
    }
    server.clock.advance(TimeDelta::hours(1));
    cx.store().analyze(&["account", "change", "search_document"]).await.unwrap();
    ids
}

enum Read {
    Get(Uuid),
    List(ListQuery),
}

async fn once(cx: &Context, shape: &Shape, read: &Read) -> usize {
    match read {
        Read::Get(id) => read::get(cx, shape, *id, None, None).await.unwrap().body.len(),
        Read::List(query) => read::list(cx, shape, query).await.unwrap().body.len(),
    }
}

/// Medians of the reads, which take turns.
async fn measure(title: &str, cx: &Context, reads: Vec<(&str, Option<&str>, Read)>) {
    let shape = cx.world.registry.kind("account").unwrap().shape();
    let contexts: Vec<_> = reads.iter().map(|(_, at, _)| known(cx, *at).unwrap()).collect();
    let mut times = vec![Vec::with_capacity(TURNS); reads.len()];
    for _ in 0..TURNS {
        for (i, (_, _, read)) in reads.iter().enumerate() {
            let start = Instant::now();
            assert!(once(&contexts[i], shape, read).await > 0);
            times[i].push(start.elapsed());
        }
    }
    println!("{title}");
    let medians: Vec<_> = times.into_iter().map(|mut of| (of.sort(), of[TURNS / 2]).1.as_secs_f64() * 1e6).collect();
    for ((name, ..), median) in reads.iter().zip(&medians) {
        println!("  {name:<40} {median:>10.0} µs  {:>6.2}x", median / medians[0]);
    }
}

fn list(filter: Option<&str>, search: Option<&str>, sort: Option<&str>) -> Read {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Read::List(ListQuery {
        filter: own(filter).map(Into::into),
        search: own(search),
        sort: own(sort),
        ..ListQuery::default()
    })
}

fn main() {
    on_both(|server| async move {
        let cx = server.context(Person::Admin).await;
        let start = Instant::now();
        let ids = fill(&server, &cx).await;
        println!("\n{:?}: {ROWS} accounts and a tenth updated in {:.1} s", server.db, start.elapsed().as_secs_f64());
        let (changed, same) = (ids[50_000], ids[50_001]);
        let [before, after] = THEN.map(Some);
        measure(
            "get",
            &cx,
            vec![
                ("present", None, Read::Get(same)),
                ("past, unchanged since", before, Read::Get(same)),
                ("past, changed since", before, Read::Get(changed)),
            ],
        )
        .await;
        for (title, filter, sort) in [
            ("list of 50, newest first", None, None),
            ("list of 50 by name", Some("name >= \"Company Lima\""), Some("name")),
            ("list of 50, a filter without an index", Some("employees = 4711"), None),
        ] {
            measure(
                title,
                &cx,
                vec![
                    ("present", None, list(filter, None, sort)),
                    ("past, nothing changed since", after, list(filter, None, sort)),
                    ("past, a tenth changed since", before, list(filter, None, sort)),
                ],
            )
            .await;
        }
        for (title, part, search) in [
            ("one of 100,000", "number47114", "number47114"),
            ("ten of 100,000, as a prefix", "number4711", "number4711"),
            ("two characters, an eighth of the rows", "北京", "北京"),
            ("two words, one of them everywhere", "number47114 ", "company number47114"),
        ] {
            let filter = format!("contains(name, \"{part}\")");
            measure(
                &format!("search, {title}"),
                &cx,
                vec![
                    ("contains() without an index", None, list(Some(&filter), None, None)),
                    ("search", None, list(None, Some(search), None)),
                    ("search, by name", None, list(None, Some(search), Some("name"))),
                ],
            )
            .await;
        }
    });
}
