//! Licences, bans and sources of everything linked in, as `deny.toml` states them.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value as Json;

use super::root;

#[test]
fn dependencies_keep_the_rules_of_deny_toml() {
    let rules: Json = {
        let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml can be read");
        let table = toml::from_str::<toml::Table>(&text).expect("deny.toml is TOML");
        serde_json::to_value(table).expect("TOML is JSON too")
    };
    let texts = |list: &Json, key: Option<&str>| -> Vec<String> {
        let entries = list.as_array().expect("deny.toml has the list").iter();
        entries.filter_map(|entry| key.map_or(Some(entry), |key| entry.get(key))?.as_str().map(str::to_owned)).collect()
    };
    let allowed = texts(&rules["licenses"]["allow"], None);
    let banned = texts(&rules["bans"]["deny"], Some("crate"));
    let linked = linked();
    assert!(linked.len() > 200, "the list of dependencies is read");
    let mut broken = Vec::new();
    for line in &linked {
        let (package, licence) = line.split_once('|').expect("a package and its licence");
        let mut words = package.split_whitespace();
        let (name, version) =
            (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_start_matches('v'));
        let source = words.collect::<Vec<_>>().join(" ");
        if !permitted(licence, &allowed.iter().map(String::as_str).collect::<Vec<_>>()) {
            broken.push(format!("{name} {version}: licence `{licence}`"));
        }
        if banned.iter().any(|rule| bans(rule, name, version)) {
            broken.push(format!("{name} {version}: banned"));
        }
        // nothing is said of what comes from crates.io; the house's own crates have a path
        if !source.is_empty() && source != "(proc-macro)" && !name.starts_with("ripen") {
            broken.push(format!("{name} {version}: comes from {source}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// `name vVERSION SOURCE|LICENCE` of everything that is linked into the product or runs while it is built.
fn linked() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal,build", "--prefix", "none", "--format", "{p}|{l}"])
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| line.contains('|')).collect()
}

/// An SPDX expression: one alternative of an OR suffices, every part of an AND must hold.
fn permitted(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0_i32;
    let mut parts = vec![(String::new(), "")];
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        depth += i32::from(word == "(") - i32::from(word == ")");
        if depth == 0 && (word == "OR" || word == "AND") {
            parts.push((String::new(), if word == "OR" { "OR" } else { "AND" }));
        } else if let Some((part, _)) = parts.last_mut() {
            part.push_str(word);
            part.push(' ');
        }
    }
    if let [(one, _)] = parts.as_slice() {
        let one = one.trim();
        return match one.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(inner) => permitted(inner, allowed),
            None => allowed.contains(&one),
        };
    }
    // AND binds tighter than OR
    let mut alternatives = vec![true];
    for (part, joint) in &parts {
        if *joint == "OR" {
            alternatives.push(true);
        }
        if let Some(last) = alternatives.last_mut() {
            *last &= permitted(part.trim(), allowed);
        }
    }
    alternatives.contains(&true)
}

/// `ring`, or `h2:<0.4`.
fn bans(rule: &str, name: &str, version: &str) -> bool {
    let (banned, below) = rule.split_once(":<").unwrap_or((rule, ""));
    let number = |text: &str| -> Vec<u64> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    banned == name && (below.is_empty() || number(version) < number(below))
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Apache-2.0"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Apache-2.0", true),
        ("GPL-3.0 OR MIT AND Apache-2.0", true),
        ("MIT/Apache-2.0", true),
        ("", false),
    ] {
        assert_eq!(permitted(expression, &allowed), expected, "{expression}");
    }
    assert!(bans("h2:<0.4", "h2", "0.3.27") && !bans("h2:<0.4", "h2", "0.4.1") && bans("ring", "ring", "0.17.1"));
}
