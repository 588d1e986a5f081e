//! The description of the API: locked, whole, and true.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::{
    matrix::body,
    support::{Caller, Person, on_both},
};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/snapshots/openapi.json");

pub(crate) fn document() -> Json {
    let document = ripen_api::Document::new(&ripen::registry(), &ripen::catalogue());
    serde_json::from_slice(document.text()).unwrap()
}

/// Path, method, operation.
pub(crate) fn operations(document: &Json) -> Vec<(String, String, Json)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(|(method, op)| (path.clone(), method.clone(), op.clone()))
        })
        .collect()
}

/// A change of the API is a change of this file, seen in review. `UPDATE_SNAPSHOTS=1` writes it anew.
#[test]
fn the_description_is_the_one_that_was_agreed() {
    let now = document();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(SNAPSHOT, format!("{now:#}\n")).unwrap();
    }
    let agreed: Json = serde_json::from_slice(&std::fs::read(SNAPSHOT).unwrap_or_default()).unwrap_or_default();
    let places = differences(&agreed, &now, String::new());
    assert!(places.is_empty(), "accept with UPDATE_SNAPSHOTS=1:\n{}", places.join("\n"));
}

fn differences(agreed: &Json, now: &Json, place: String) -> Vec<String> {
    match (agreed, now) {
        (Json::Object(a), Json::Object(b)) => {
            let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let one = |name: &&String| {
                let part = |whole: &serde_json::Map<String, Json>| whole.get(*name).cloned().unwrap_or_default();
                differences(&part(a), &part(b), format!("{place}/{}", name.replace('/', "~1")))
            };
            names.iter().flat_map(one).collect()
        }
        _ if agreed == now => Vec::new(),
        _ => vec![place],
    }
}

#[test]
fn every_operation_states_its_right_its_id_and_its_words() {
    let document = document();
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let right = operation["x-right"].as_str().unwrap_or_else(|| panic!("{at} declares no right"));
        assert!(right.contains(':') || right == "public", "{at}: {right}");
        assert_eq!(right == "public", operation["security"] == json!([]), "{at}: public is what needs no token");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}: its id is taken");
        assert!(operation["description"].as_str().is_some_and(|text| text.len() > 10), "{at} is not described");
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() < 80), "{at} has no summary");
        let tagged = operation["tags"].as_array().unwrap();
        assert!(tagged.len() == 1 && tags.contains(tagged[0].as_str().unwrap()), "{at}: {tagged:?}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with(['2', '3'])), "{at} never succeeds");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    let mut there = BTreeSet::new();
    for family in ["schemas", "parameters", "responses"] {
        for name in document["components"][family].as_object().unwrap().keys() {
            there.insert(format!("#/components/{family}/{name}"));
        }
    }
    assert_eq!(used, there);
}

fn references(value: &Json, found: &mut BTreeSet<String>) {
    match value {
        Json::Object(object) => {
            found.extend(object.get("$ref").and_then(Json::as_str).map(str::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Json::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_server_serves_it_with_a_reader_that_loads_nothing_from_elsewhere() {
    on_both(|server| async move {
        let anyone = server.anonymous();
        assert_eq!(anyone.get("/openapi.json").await.expect(200).json, document());
        let page = anyone.get("/docs").await.expect(200);
        let text = String::from_utf8_lossy(&page.bytes);
        assert!(text.contains("swagger-ui") && !text.contains("https://"), "{text}");
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
        let start = anyone.get("/docs/swagger-initializer.js").await.expect(200);
        assert!(String::from_utf8_lossy(&start.bytes).contains("/openapi.json"));
    });
}

#[test]
fn the_filters_that_are_shown_are_filters() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let document = document();
        let text = document["components"]["parameters"]["filter"]["description"].as_str().unwrap();
        let shown: Vec<_> = text.split('`').filter(|part| part.contains('"')).collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        for (kind, filter) in ["opportunities", "accounts"].into_iter().zip(shown) {
            admin.list(&format!("/v1/{kind}"), &[("filter", filter)]).await.expect(200);
        }
    });
}

/// Every operation of the document, with ids of the first tenant's records, as the second tenant's admin: nothing is
/// found, nothing is changed.
#[test]
fn another_tenant_finds_nothing_by_any_operation() {
    on_both(|server| async move {
        let (admin, stranger) = (server.as_admin().await, server.as_person(Person::Stranger).await);
        let ours = ids_by_kind(&admin).await;
        let before = everything(&admin).await;
        for (path, method, operation) in operations(&document()) {
            let right = operation["x-right"].as_str().unwrap();
            if right == "public" || path.starts_with("/v1/me") {
                continue; // about the caller alone
            }
            if operation["responses"]["200"]["content"].get("text/event-stream").is_some() {
                continue; // does not end by itself; has a test of its own
            }
            let kind = path.split('/').nth(2).unwrap_or_default();
            let id = ours.get(kind).map_or("01939e2b-6c00-7000-8000-000000000001", String::as_str);
            let request = stranger.request(&method.to_ascii_uppercase(), &path.replace("{id}", id));
            let request =
                if operation.get("requestBody").is_some() { request.json(&example(&operation)) } else { request };
            let answer = stranger.send(request).await;
            let at = format!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.bytes));
            assert!(answer.status < 500, "{at}");
            if path.contains('{') {
                assert!([404, 405, 415, 422].contains(&answer.status), "{at}");
            }
            for id in ours.values() {
                let echoed = String::from_utf8_lossy(&answer.bytes).contains(id.as_str()) && answer.status < 400;
                assert!(!echoed, "{at}");
            }
        }
        assert_eq!(everything(&admin).await, before);
    });
}

/// The body that the document itself gives as example.
pub(crate) fn example(operation: &Json) -> Json {
    let content = operation["requestBody"]["content"].as_object().unwrap();
    content.values().find_map(|media| media.get("example")).cloned().unwrap_or_else(|| json!({}))
}

/// One record of each kind that the first tenant has, by path segment.
async fn ids_by_kind(admin: &Caller) -> BTreeMap<String, String> {
    admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
    let mut ids = BTreeMap::new();
    for (segment, rows) in everything(admin).await {
        ids.extend(rows.first().map(|row| (segment, row["id"].as_str().unwrap().to_owned())));
    }
    ids
}

async fn everything(admin: &Caller) -> BTreeMap<String, Vec<Json>> {
    let mut all = BTreeMap::new();
    for shape in ripen::registry().shapes() {
        let rows = admin.get(&format!("/v1/{}?sort=id", shape.plural)).await.expect(200).data().clone();
        all.insert(shape.plural.to_string(), rows);
    }
    all
}

/// Any operation asked with a parameter it does not have refuses it, or the caller before that.
#[test]
fn no_operation_ignores_a_parameter() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut unread = Vec::new();
        for (path, method, operation) in operations(&document()) {
            let content = operation["requestBody"]["content"].as_object();
            let files = content.is_some_and(|content| !content.contains_key("application/json"));
            if files || operation["x-right"] == "public" && content.is_none() {
                continue; // bytes come first; pages and probes are asked for one by one
            }
            let place = path.replace("{id}", "01939e2b-6c00-7000-8000-000000000001");
            let request = admin.request(&method.to_ascii_uppercase(), &format!("{place}?sord=name"));
            let body = content.map(|_| body(&path, &operation));
            let answer = admin.send(body.iter().fold(request, reqwest::RequestBuilder::json)).await;
            if answer.status == 422 {
                unread.push(format!("{method} {path}"));
                continue;
            }
            assert_eq!(answer.status, 400, "{method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
            assert_eq!((answer.problem(), answer.errors()[0].0), ("unknown_parameter", "sord"));
        }
        assert_eq!(unread, Vec::<String>::new(), "the example in the description cannot be read");
    });
}
