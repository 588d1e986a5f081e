//! How the databases find the rows of a list, with one tenant and with a thousand.

use ripen_core::store::Store;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

use crate::{
    statements::Recorder,
    support::{Db, Person, TestServer, block_on, databases, prepare},
};

/// Accounts of all tenants together.
pub(crate) const ACCOUNTS: usize = 20_000;

/// Copies the first account of the first tenant until there are so many tenants, each with its share of all accounts.
pub(crate) async fn fill(server: &TestServer, tenants: usize) {
    let store = &server.world().store;
    let columns = if store.backend == DbBackend::Postgres {
        "select column_name::text as name from information_schema.columns where table_name = '{}' order by ordinal_position"
    } else {
        "select name from pragma_table_info('{}')"
    };
    let id = |n: &str, kind: u8| {
        if store.backend == DbBackend::Postgres {
            format!("('019c1363-49c0-7000-8{kind:03}-' || lpad(to_hex({n}), 12, '0'))::uuid")
        } else {
            format!("unhex('019c136349c070008{kind:03}' || printf('%012x', {n}))")
        }
    };
    let copy = async |table: &str, set: &[(&str, String)], times: usize, from: &str| {
        let sql = columns.replace("{}", table);
        let rows = store.read.query_all_raw(Statement::from_string(store.backend, sql)).await.unwrap();
        let names: Vec<String> = rows.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        let value =
            |name: &String| set.iter().find(|(n, _)| n == name).map_or(format!("o.\"{name}\""), |(_, v)| v.clone());
        let list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let values = names.iter().map(value).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "insert into \"{table}\" ({list}) with recursive n(i) as (select 1 union all select i + 1 from n where i < {times}) \
             select {values} from {from}"
        );
        store.write.execute_unprepared(&sql).await.unwrap();
    };
    if tenants > 1 {
        let set = [("id", id("n.i", 1)), ("slug", "'tenant-' || n.i".to_owned())];
        copy("tenant", &set, tenants - 1, "n, tenant as o where o.slug = 'acme'").await;
    }
    let set = [
        ("id", id("n.i", 2)),
        ("tenant_id", "t.id".to_owned()),
        ("name", "'Company ' || (n.i * 7919 % 1000)".to_owned()),
        ("created_by", "null".to_owned()),
        ("owner_id", "case when t.slug = 'acme' and n.i % 4 > 0 then o.owner_id end".to_owned()),
        ("parent_id", "case when t.slug = 'acme' and n.i % 3 = 0 then o.id end".to_owned()),
    ];
    let from = "n, tenant as t, (select * from account order by id limit 1) as o where t.slug not in ('globex')";
    copy("account", &set, ACCOUNTS / tenants, from).await;
    store.analyze(&["account", "tenant"]).await.unwrap();
}

/// The plan of a statement that was carried out, a line a step.
async fn plan(store: &Store, statement: &Statement) -> Vec<String> {
    let (explain, column) = match store.backend {
        DbBackend::Postgres => ("explain (costs off) ", "QUERY PLAN"),
        _ => ("explain query plan ", "detail"),
    };
    let explained = Statement { sql: format!("{explain}{}", statement.sql), ..statement.clone() };
    let rows = store.read.query_all_raw(explained).await.unwrap();
    rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
}

/// Reads every table it names through an index that begins with the tenant.
fn within_the_tenant(plan: &[String]) -> bool {
    plan.iter().enumerate().all(|(i, step)| {
        let whole = step.contains("Seq Scan") || step.starts_with("SCAN ");
        let index = step.contains("Index Scan") || step.contains("Index Only Scan");
        let bounded = !index
            || plan.get(i + 1).is_some_and(|cond| {
                cond.contains("Index Cond: ((tenant_id = ") || cond.contains("Index Cond: (tenant_id = ")
            });
        !whole && bounded && (!step.starts_with("SEARCH ") || step.contains("(tenant_id=?"))
    })
}

/// Reads rows in the list's order, from where the page begins, and stops when it is full.
fn walks(plan: &[String]) -> bool {
    !plan.iter().any(|step| ["Sort", "TEMP B-TREE", "Seq Scan"].iter().any(|costly| step.contains(costly)))
}

#[test]
fn lists_read_their_tenant_alone_and_walk_the_index_that_serves_them() {
    for db in databases() {
        prepare(db);
        for tenants in [1, 1000] {
            block_on(explained(db, tenants));
        }
    }
}

async fn explained(db: Db, tenants: usize) {
    let recorder = Recorder::default();
    let server = recorder.server(db).await;
    let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
    let first = rep.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
    let children = format!("parent_id = \"{}\"", first.id());
    admin.get("/v1/accounts").await.expect(200);
    fill(&server, tenants).await;
    // An index that serves filter and order at once; where none does, the planner has the choice.
    let (walked, chosen) = (true, false);
    for (who, query, must) in [
        (&admin, vec![], walked),
        (&rep, vec![], walked),
        (&admin, vec![("sort", "name")], walked),
        (&rep, vec![("sort", "name")], walked),
        (&admin, vec![("sort", "-created_at")], walked),
        (&admin, vec![("filter", "name = \"Company 7\"")], walked),
        (&admin, vec![("filter", "name > \"Company 2\""), ("sort", "name")], walked),
        (&admin, vec![("filter", children.as_str())], walked),
        (&admin, vec![("filter", "contains(name, \"77\")")], walked),
        (&admin, vec![("expand", "parent.owner")], walked),
        (&admin, vec![("filter", "external_id = \"x\"")], chosen),
        (&admin, vec![("filter", "parent.name = \"Acme\"")], chosen),
        (&admin, vec![("filter", "any(accounts_by_parent, name = \"Company 7\")")], chosen),
        (&admin, vec![("count", "exact")], chosen),
    ] {
        let page = [&query[..], &[("limit", "2")]].concat();
        recorder.take();
        let answer = who.list("/v1/accounts", &page).await.expect(200);
        let mut statements = recorder.take();
        if let Some(next) = answer.json["page"]["next"].as_str() {
            who.list("/v1/accounts", &[&page[..], &[("cursor", next)]].concat()).await.expect(200);
            statements.extend(recorder.take());
        }
        for statement in statements {
            let plan = plan(&server.world().store, &statement).await;
            let told = || format!("{db:?} with {tenants} tenants, {query:?}:\n{}\n{}", statement.sql, plan.join("\n"));
            assert!(tenants == 1 || within_the_tenant(&plan), "{}", told());
            assert!(tenants > 1 || !must || walks(&plan), "{}", told());
        }
    }
    server.end().await;
}
