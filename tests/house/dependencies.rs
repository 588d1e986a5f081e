//! Licences, bans and sources of everything linked in, as `deny.toml` states them.

use std::{collections::BTreeMap, fs};

use serde_json::Value as Json;

use super::{metadata, root};

#[test]
fn dependencies_keep_the_rules_of_deny_toml() {
    let rules: Json = {
        let text = fs::read_to_string(root().join("deny.toml")).unwrap();
        serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap()
    };
    let allowed: Vec<&str> =
        rules["licenses"]["allow"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let banned: Vec<&str> =
        rules["bans"]["deny"].as_array().unwrap().iter().map(|b| b["crate"].as_str().unwrap()).collect();
    let metadata = metadata(true);
    let packages: BTreeMap<&str, &Json> =
        metadata["packages"].as_array().unwrap().iter().map(|p| (p["id"].as_str().unwrap(), p)).collect();
    let mut broken = Vec::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let package = packages[node["id"].as_str().unwrap()];
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let licence = package["license"].as_str().unwrap_or_default();
        if !permitted(licence, &allowed) {
            broken.push(format!("{name} {version}: licence `{licence}`"));
        }
        if banned.iter().any(|rule| bans(rule, name, version)) {
            broken.push(format!("{name} {version}: banned"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| source != "registry+https://github.com/rust-lang/crates.io-index") {
            broken.push(format!("{name} {version}: comes from {source:?}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
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
