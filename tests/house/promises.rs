//! The tests that `tests/README.md` names are there, and the routes are described.

use std::{collections::BTreeSet, fs};

use serde_json::Value as Json;

use super::{files, root};

/// `module::name` of every test below `tests`.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in files(&[".rs"]).into_iter().filter(|path| path.starts_with("tests")) {
        let text = fs::read_to_string(root().join(&path)).expect("the file is readable");
        let module = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let mut attributed = false;
        for line in text.lines().map(str::trim) {
            if attributed && let Some(rest) = line.strip_prefix("fn ") {
                found.insert(format!("{module}::{}", rest.split('(').next().unwrap_or(rest)));
            }
            attributed = line == "#[test]" || (attributed && (line.starts_with("#[") || line.starts_with("///")));
        }
    }
    found
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let text = fs::read_to_string(root().join("tests/README.md")).expect("the promises are written down");
    let tests = tests();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let mut missing = Vec::new();
    let mut count = 0;
    for row in rows.filter(|row| !row.ends_with("| tests |")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        count += names.len();
        missing.extend(names.iter().filter(|name| !tests.contains(**name)).map(|name| (*name).to_owned()));
        if names.is_empty() {
            missing.push(format!("a test for: {row}"));
        }
    }
    assert!(count > 50, "only {count} tests are named: is the table still read?");
    assert!(missing.is_empty(), "tests/README.md names what is not there:\n{}", missing.join("\n"));
}

/// `method path` of every action that the server takes. `/docs` is a page for people.
fn routes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in files(&[".rs"]).into_iter().filter(|path| path.starts_with("api/src")) {
        let text = fs::read_to_string(root().join(&path)).expect("the file is readable");
        for route in text.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once('"').expect("a path ends");
            let method =
                rest.split_once("web::").and_then(|(_, rest)| rest.split_once("()")).expect("a route has a method");
            found.insert(format!("{} {path}", method.0));
        }
    }
    found.remove("get /docs");
    found
}

#[test]
fn every_action_is_described() {
    let text = fs::read_to_string(root().join("tests/api/snapshots/openapi.json")).expect("the description is locked");
    let document: Json = serde_json::from_str(&text).expect("the description is JSON");
    let routes = routes();
    assert!(routes.len() > 30, "only {} routes are found: are they still written so?", routes.len());
    let described = |route: &&String| {
        let (method, path) = route.split_once(' ').expect("a method and a path");
        document["paths"][path].get(method).is_some()
    };
    let silent: Vec<_> = routes.iter().filter(|route| !described(route)).collect();
    assert!(silent.is_empty(), "served, and described nowhere: {silent:?}");
}
