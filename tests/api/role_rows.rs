//! The filter of a role and the filter of a caller over the same relations: neither changes what the other one means.

use chrono::{SecondsFormat, TimeDelta};
use ripen_core::context::Clock as _;
use serde_json::json;

use crate::{
    imports::{ended, job},
    roles::someone,
    support::{Caller, Person, TestServer, on_both},
};

/// Filters of a role on accounts, each with the accounts that it keeps.
fn filters() -> [(&'static str, String, Vec<&'static str>); 5] {
    [
        ("not_below", "NOT parent.name = \"Hidden\"".to_owned(), vec!["Hidden", "Open", "Root"]),
        ("below", "parent.name = \"Root\"".to_owned(), vec!["Open"]),
        ("owned", format!("owner.email = \"{}\"", Person::Admin.email()), vec!["Hidden", "Open", "Root", "Secret"]),
        ("met", "any(contacts, last_name = \"Friend\" AND account.employees < 100)".to_owned(), vec!["Open"]),
        ("backed", "custom.backer.name = \"Root\"".to_owned(), vec!["Open"]),
    ]
}

/// `Secret` below `Hidden` and `Open` below `Root`, each of them with a contact, an order and a share.
async fn fill(admin: &Caller) {
    let backer =
        json!({"kind": "account", "name": "backer", "type": "reference", "refers_to": "account", "filterable": true});
    admin.post("/v1/custom-fields", backer).await.expect(201);
    let manager =
        admin.list("/v1/users", &[("filter", "role = \"manager\"")]).await.expect(200).data()[0]["id"].clone();
    for (above, below, employees, name) in [("Hidden", "Secret", 700, "Spy"), ("Root", "Open", 10, "Friend")] {
        let above = admin.post("/v1/accounts", json!({"name": above})).await.expect(201).id().to_owned();
        let below = json!({"name": below, "employees": employees, "parent_id": above, "custom": {"backer": above}});
        let below = admin.post("/v1/accounts", below).await.expect(201).id().to_owned();
        admin.post("/v1/contacts", json!({"last_name": name, "account_id": below})).await.expect(201);
        let order = json!({"number": name, "account_id": below, "lines": [{"quantity": 1}]});
        admin.post("/v1/orders", order).await.expect(201);
        let share = json!({"subject_kind": "account", "subject_id": below, "user_id": manager, "access": "read"});
        admin.post("/v1/shares", share).await.expect(201);
    }
}

async fn told(caller: &Caller, plural: &str, name: &str, parameters: &[(&str, &str)]) -> Vec<String> {
    let rows = caller.list(&format!("/v1/{plural}"), parameters).await.expect(200);
    let mut told: Vec<_> = rows.data().iter().map(|row| row[name].as_str().unwrap().to_owned()).collect();
    told.sort_unstable();
    told
}

/// Those of the names whose account is among `seen`.
fn of<'n>(seen: &[&str], names: &[(&str, &'n str)]) -> Vec<&'n str> {
    names.iter().filter(|(account, _)| seen.contains(account)).map(|(_, name)| *name).collect()
}

/// What lists, aggregates, expansions and mass writes reach over the relations that the role's filter goes over too.
async fn asked(caller: &Caller, seen: &[&str], known_at: &str) {
    let contacts = of(seen, &[("Open", "Friend"), ("Secret", "Spy")]);
    let large = "account.employees > 1";
    assert_eq!(told(caller, "contacts", "last_name", &[("filter", large)]).await, contacts);
    assert_eq!(told(caller, "contacts", "last_name", &[("filter", large), ("known_at", known_at)]).await, contacts);
    let none = told(caller, "contacts", "last_name", &[("filter", "NOT account.employees > 1")]).await;
    assert_eq!(none.len(), 2 - contacts.len(), "what is not seen is not there");
    let above = "account.parent.name IN [\"Root\", \"Hidden\"] AND account.custom.backer.name IS NOT NULL";
    let both = of(seen, &[("Root", "Friend"), ("Hidden", "Spy")]);
    let both: Vec<_> = contacts.iter().copied().filter(|name| both.contains(name)).collect();
    assert_eq!(told(caller, "contacts", "last_name", &[("filter", above)]).await, both);
    let within = "any(contacts, account.employees > 1)";
    let here = of(seen, &[("Open", "Open"), ("Secret", "Secret")]);
    assert_eq!(told(caller, "accounts", "name", &[("filter", within)]).await, here);
    let parents = of(seen, &[("Hidden", "Secret"), ("Root", "Open")]);
    let parents = parents.iter().filter(|child| seen.contains(child)).count();
    for children in ["any(accounts_by_parent, employees > 1)", "any(accounts_by_backer, employees > 1)"] {
        let found = told(caller, "accounts", "name", &[("filter", children)]).await;
        assert_eq!(found.len(), parents, "{children}: {found:?}");
    }
    let tree = json!({"field": "account.employees", "op": "gt", "value": 1});
    let question = json!({"where": tree, "group_by": ["account.name"], "measures": [{"fn": "count"}]});
    let groups = caller.post("/v1/contacts/aggregate", question).await.expect(200);
    let groups: Vec<_> = groups.data().iter().map(|row| row["group"]["account.name"].as_str().unwrap()).collect();
    assert_eq!(groups, here);
    let rows = caller.list("/v1/contacts", &[("expand", "account.parent")]).await.expect(200);
    let expanded = rows.data().iter().filter(|row| row["account"].is_object()).count();
    assert_eq!(expanded, here.len());
    let tried =
        caller.post("/v1/contacts/mass-update", json!({"where": large, "data": {"first_name": "x"}, "dry_run": true}));
    let tried = tried.await.expect(202);
    let tried = job(caller, tried.header("location"), ended).await;
    assert_eq!(tried["result"]["matched"], json!(here.len()), "{tried}");
}

/// The same of what is about accounts, and of parts of what is about them.
async fn about(caller: &Caller, seen: &[&str]) {
    let here = of(seen, &[("Open", "Open"), ("Secret", "Secret")]).len();
    let shares = caller.list("/v1/shares", &[("filter", "subject.employees > 1")]).await.expect(200);
    assert_eq!(shares.data().len(), here);
    assert_eq!(caller.get("/v1/shares").await.expect(200).data().len(), here);
    let open = usize::from(seen.contains(&"Open"));
    let lines = caller.list("/v1/order-lines", &[("filter", "order.account.employees > 1")]).await.expect(200);
    assert_eq!(lines.data().len(), open, "the role keeps the orders of one account");
    let orders = caller.list("/v1/orders", &[("filter", "any(order_lines, order.number IS NOT NULL)")]).await;
    assert_eq!(orders.expect(200).data().len(), 1);
}

async fn every_filter(server: &TestServer) {
    let admin = server.as_admin().await;
    fill(&admin).await;
    server.clock.advance(TimeDelta::seconds(1));
    let known_at = server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    server.clock.advance(TimeDelta::seconds(1));
    let rights = json!(["account:*", "contact:*", "order:read", "order_line:read", "share:read", "user:read", "job:*"]);
    for (key, filter, seen) in filters() {
        let kinds = json!({"account": {"where": filter}, "order": {"where": "account.name = \"Open\""}});
        let role = json!({"rights": rights, "rows": {"default": "all", "kinds": kinds}});
        let caller = someone(server, key, role).await;
        assert_eq!(told(&caller, "accounts", "name", &[]).await, seen, "{filter}");
        asked(&caller, &seen, &known_at).await;
        about(&caller, &seen).await;
    }
}

#[test]
fn the_relations_of_a_roles_filter_and_of_a_callers_do_not_meet() {
    on_both(|server| async move { every_filter(&server).await });
}
