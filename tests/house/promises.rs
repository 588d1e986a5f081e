//! The tests that `tests/README.md` names are there.

use std::{collections::BTreeSet, fs};

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
