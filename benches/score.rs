//! What scoring costs: `cargo bench --bench score`. Ratios within one run are the figures; times differ by machine.
//!
//! `row/*`: nanoseconds a row of the RFM rule, hand-written in Rust and through the shipped component at several batch
//! sizes, each call in a fresh instance with every check. `facts/*`: a page of 1,000 subjects out of the database. `run/*`:
//! a whole run over 100,000 subjects as the product does it (job, statistics, pages, sandbox, decisions with reasons)
//! against a hand-written scan, score and upsert into a narrow table of the same database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a bench stops at the first surprise")]
#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small made-up numbers")]

use std::{
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ripen::{Config, Outside};
use ripen_core::{
    access::{
        Secret,
        tenants::{self, NewTenant},
    },
    context::Context,
    decisions::{self, NewInstallation, NewRun},
    engine::{Operation, Since, within},
    jobs::{self, spawn_runner},
    metrics::{self, Fact, Wanted, Window},
    ports::{Artefact, Call, Column, Frame, FrameField, PluginHost, RunContext},
    records::{installation::State, job},
};
use ripen_migrations::{Migrator, MigratorTrait};
use ripen_plugins::{Host, HostLimits, HostSettings, digest, inspect};
use sea_orm::{ConnectionTrait, QueryResult, Statement, TransactionTrait, Value, sea_query::Alias};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

const RFM: &[u8] = include_bytes!("../plugins/rfm/rfm.wasm");
const SUBJECTS: usize = 100_000;
const CUTS: [[f64; 4]; 3] = [[20.0, 60.0, 120.0, 240.0], [1.0, 2.0, 4.0, 8.0], [1e3, 5e3, 2e4, 9e4]];

fn spread(i: usize, below: u64) -> u64 {
    (i as u64).wrapping_mul(2_654_435_761) % 1_000_003 % below
}

fn rows(n: usize) -> Vec<[f64; 3]> {
    (0..n).map(|i| [spread(i, 400), spread(i + 7, 12), spread(i + 13, 100_000)].map(|n| n as f64)).collect()
}

/// The rule of `plugins/rfm`, value and terms, by hand.
fn by_hand(row: [f64; 3], cuts: &[[f64; 4]; 3]) -> [f64; 4] {
    let digit = |value: f64, cuts: &[f64; 4]| 1.0 + cuts.iter().filter(|cut| **cut < value).count() as f64;
    let digits = [6.0 - digit(row[0], &cuts[0]), digit(row[1], &cuts[1]), digit(row[2], &cuts[2])];
    let [a, b, c] = digits.map(|digit| 25.0 * (digit - 1.0) / 3.0);
    [25.0 * (digits.iter().sum::<f64>() - 3.0) / 3.0, a, b, c]
}

fn frame(rows: &[[f64; 3]]) -> Frame {
    let field = |name: &str, unit: Option<&str>, column| FrameField {
        name: name.to_owned(),
        unit: unit.map(str::to_owned),
        column,
        present: None,
    };
    let numbers = |k: usize| Column::Numbers(rows.iter().map(|row| row[k]).collect());
    let money = Column::Integers(rows.iter().map(|row| row[2] as i64).collect());
    Frame {
        rows: u32::try_from(rows.len()).unwrap(),
        fields: vec![
            field("orders", None, numbers(1)),
            field("recency_days", Some("days"), numbers(0)),
            field("revenue", Some("USD"), money),
        ],
    }
}

fn context() -> RunContext {
    let cuts = |k: usize| json!({"values": CUTS[k], "count": 1000});
    RunContext {
        as_of_ms: 1_514_764_800_000,
        timezone: "UTC".to_owned(),
        currency: "USD".to_owned(),
        currency_digits: 2,
        seed: 1,
        statistics: json!({"recency_cuts": cuts(0), "orders_cuts": cuts(1), "revenue_cuts": cuts(2)}).to_string(),
        model: None,
    }
}

fn row(c: &mut Criterion) {
    let host = Host::new(HostSettings::default()).unwrap();
    let manifest = inspect(RFM, &HostLimits::default()).unwrap().manifest;
    let artefact = Artefact { digest: digest(RFM).into(), manifest: Arc::new(manifest), bytes: RFM.into() };
    let context = Arc::new(context());
    let mut group = c.benchmark_group("row");
    let all = rows(1000);
    group.throughput(Throughput::Elements(1000));
    group.bench_function("by hand", |b| {
        b.iter(|| all.iter().map(|row| by_hand(black_box(*row), &CUTS)).collect::<Vec<_>>());
    });
    group.bench_function("frame of 1,000", |b| b.iter(|| frame(black_box(&all))));
    for n in [1, 100, 1000] {
        group.throughput(Throughput::Elements(n as u64));
        let frame = frame(&rows(n));
        let call =
            || Call { artefact: artefact.clone(), config: "{}".into(), context: context.clone(), frame: frame.clone() };
        group.bench_with_input(BenchmarkId::new("wasm", n), &n, |b, _| {
            b.iter_batched(call, |call| host.score(call).unwrap().output.values.len(), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn create(data: Json) -> Operation {
    Operation::Create { data: object(data), since: Since::default() }
}

/// A database with a tenant, and its administrator.
async fn tenant(dir: &Path) -> Context {
    let config = Config { dir: dir.to_owned(), ..Config::default() };
    let store = ripen::store(&config).await.unwrap();
    Migrator::up(&store.write, None).await.unwrap();
    store.close().await.unwrap();
    let world = ripen::world(&config, Outside::real()).await.unwrap();
    let new = NewTenant {
        slug: "bench".to_owned(),
        name: "Bench".to_owned(),
        base_currency: "USD".to_owned(),
        time_zone: "UTC".to_owned(),
        admin_email: "admin@bench.example".to_owned(),
        admin_name: "Admin".to_owned(),
        admin_password: Secret::new("a passphrase for measuring"),
    };
    let system = tenants::create(&world, new).await.unwrap();
    let user = Statement::from_string(system.backend(), "select id from \"user\"");
    let user = world.store.read.query_one_raw(user).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    let actor = ripen_core::access::actor_of_user(&world.store, &system.tenant, user, system.now()).await;
    Context { actor: Arc::new(actor.unwrap().unwrap()), ..system }
}

/// Customers and their orders, written through the engine.
async fn fill(admin: &Context) {
    let first = NaiveDate::from_ymd_opt(2017, 1, 1).unwrap();
    let registry = &admin.world.registry;
    for page in 0..SUBJECTS / 1000 {
        let unit = admin.begin().await.unwrap();
        let people = (0..1000).map(|i| create(json!({"name": format!("C{}", page * 1000 + i), "kind": "person"})));
        let people = registry.kind("account").unwrap().write(&unit, people.collect()).await.unwrap();
        let orders = people.into_iter().enumerate().flat_map(|(i, person)| {
            let (i, id) = (page * 1000 + i, person.unwrap().id);
            (0..3).map(move |k| {
                let day = first + TimeDelta::days(i64::try_from(spread(i * 3 + k, 360)).unwrap());
                let amount = json!({"amount": spread(i * 3 + k, 900).to_string(), "currency": "USD"});
                create(json!({"account_id": id, "placed_on": day, "amount": amount}))
            })
        });
        for verdict in registry.kind("order").unwrap().write(&unit, orders.collect()).await.unwrap() {
            verdict.unwrap();
        }
        unit.commit().await.unwrap();
    }
}

async fn finished(cx: &Context, job: Uuid) {
    let done = jobs::wait(cx, job).await.unwrap();
    assert_eq!(done.state, job::State::Succeeded, "{:?}", done.problem);
}

async fn install(cx: &Context) {
    finished(cx, decisions::upload(cx, RFM).await.unwrap()).await;
    let new = json!({"key": "rfm", "plugin": "rfm", "kind": "scorer"});
    let new: NewInstallation = serde_json::from_value(new).unwrap();
    decisions::install(cx, new).await.unwrap();
    decisions::switch(cx, "rfm", State::Active).await.unwrap();
}

/// A day later at each call, so that every run has every decision to write.
fn next_day() -> DateTime<Utc> {
    static DAYS: AtomicI64 = AtomicI64::new(0);
    let first = NaiveDate::from_ymd_opt(2018, 1, 1).unwrap().and_time(chrono::NaiveTime::MIN).and_utc();
    first + TimeDelta::days(DAYS.fetch_add(1, Ordering::Relaxed))
}

async fn product(cx: &Context) {
    let asked = json!({"installation": "rfm", "mode": "apply", "as_of": next_day().to_rfc3339()});
    let run: NewRun = serde_json::from_value(asked).unwrap();
    finished(cx, decisions::request(cx, run).await.unwrap()).await;
}

/// Scan, score, upsert: what one would write for this one purpose.
async fn hand_written(cx: &Context) {
    let as_of = next_day();
    let scan = "select a.id, julianday($1) - julianday(max(o.placed_on)), \
        count(case when o.placed_on >= date($1, '-365 days') then 1 end), \
        coalesce(sum(case when o.placed_on >= date($1, '-365 days') then o.amount_minor end), 0) \
        from account a join \"order\" o on o.tenant_id = a.tenant_id and o.account_id = a.id \
        where a.tenant_id = $2 and o.state in ('placed', 'fulfilled') and o.placed_on < $1 group by a.id";
    let values = [Value::from(as_of.date_naive().to_string()), cx.tenant.id.into()];
    let found =
        cx.store().read.query_all_raw(Statement::from_sql_and_values(cx.backend(), scan, values)).await.unwrap();
    assert_eq!(found.len(), SUBJECTS);
    let txn = cx.store().write.begin().await.unwrap();
    for part in found.chunks(1000) {
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 6);
        for row in part {
            let id: Uuid = row.try_get_by_index(0).unwrap();
            let recency: f64 = row.try_get_by_index(1).unwrap();
            let (orders, revenue): (i64, i64) = (row.try_get_by_index(2).unwrap(), row.try_get_by_index(3).unwrap());
            values.extend([id.into(), as_of.into()]);
            values.extend(by_hand([recency, orders as f64, revenue as f64], &CUTS).map(Value::from));
        }
        let rows = vec!["(?, ?, ?, ?, ?, ?)"; part.len()].join(", ");
        let sql = format!(
            "insert into hand_score values {rows} on conflict (subject_id) do update set as_of = excluded.as_of, \
             value = excluded.value, a = excluded.a, b = excluded.b, c = excluded.c"
        );
        txn.execute_raw(Statement::from_sql_and_values(cx.backend(), sql, values)).await.unwrap();
    }
    txn.commit().await.unwrap();
}

/// The facts of the first thousand subjects.
async fn page(cx: &Context, wanted: &[Wanted]) -> usize {
    let shape = cx.kind("account").unwrap().shape();
    let ids = Statement::from_string(cx.backend(), "select id from account order by id limit 1000");
    let ids = cx.store().read.query_all_raw(ids).await.unwrap();
    let id = |row: &QueryResult| row.try_get_by_index::<Uuid>(0).unwrap();
    let keys = Some((id(&ids[0]), id(&ids[ids.len() - 1])));
    let as_of = next_day();
    let scope = within(cx, shape, Alias::new("account"));
    let select = metrics::select(cx, shape, scope, keys, wanted, as_of).unwrap();
    let rows = cx.store().read.query_all(&select).await.unwrap();
    rows.iter().map(|row| metrics::read(cx, row, wanted, as_of).unwrap().2.len()).sum()
}

fn run(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cx = runtime.block_on(tenant(dir.path()));
    runtime.block_on(fill(&cx));
    let runner = runtime.block_on(async { spawn_runner(cx.world.clone(), decisions::works()) });
    runtime.block_on(install(&cx));
    let table = "create table hand_score (subject_id blob primary key, as_of text, value real, a real, b real, c real)";
    runtime.block_on(cx.store().write.execute_unprepared(table)).unwrap();

    let wanted = [Fact::DaysSinceLastOrder, Fact::OrderCount, Fact::OrderRevenue]
        .map(|fact| Wanted::Fact { fact, window: Window::All });
    c.bench_function("facts/page of 1,000", |b| b.iter(|| runtime.block_on(page(&cx, &wanted))));

    let mut group = c.benchmark_group("run");
    group.sample_size(10).measurement_time(Duration::from_secs(30)).throughput(Throughput::Elements(SUBJECTS as u64));
    group.bench_function("hand-written scan, score, upsert", |b| b.iter(|| runtime.block_on(hand_written(&cx))));
    group.bench_function("product", |b| b.iter(|| runtime.block_on(product(&cx))));
    group.finish();
    runtime.block_on(runner.stop());
}

criterion_group!(benches, row, run);
criterion_main!(benches);
