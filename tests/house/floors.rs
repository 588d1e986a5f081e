//! A crate uses only lower floors; `api`, `plugins` and `migrations` do not know each other.

use std::collections::BTreeSet;

use super::metadata;

/// Crate, and the crates of the house it may use. Development dependencies are free.
const FLOORS: &[(&str, &[&str])] = &[
    ("ripen-server", &["ripen-core", "ripen-api", "ripen-plugins", "ripen-migrations"]),
    ("ripen-api", &["ripen-core"]),
    ("ripen-plugins", &["ripen-core"]),
    ("ripen-migrations", &[]),
    ("ripen-core", &[]),
    ("ripen-plugin", &["ripen-plugin-derive"]),
    ("ripen-plugin-derive", &[]),
    ("ripen-limit", &[]),
];

#[test]
fn every_crate_uses_only_lower_floors() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let house: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let known: BTreeSet<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    assert_eq!(house, known, "a new crate needs a floor in this table and in ARCHITECTURE.md");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = FLOORS.iter().find(|(crate_name, _)| *crate_name == name).unwrap().1;
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            let for_tests = dependency["kind"] == "dev";
            assert!(!house.contains(used) || for_tests || allowed.contains(&used), "{name} must not use {used}");
        }
    }
}

/// The core knows no HTTP and no wasm; migrations know sea-orm-migration only.
#[test]
fn the_lower_floors_do_not_know_the_world_above() {
    let metadata = metadata();
    for (name, banned) in [
        ("ripen-core", ["actix-web", "wasmtime", "reqwest", "clap"].as_slice()),
        ("ripen-api", &["wasmtime", "sea-orm", "sqlx"]),
        ("ripen-plugins", &["actix-web", "sea-orm", "sqlx"]),
        ("ripen-migrations", &["sea-orm", "sqlx", "actix-web"]),
    ] {
        let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            assert!(dependency["kind"] == "dev" || !banned.contains(&used), "{name} must not know {used}");
        }
    }
}
