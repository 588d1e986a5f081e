//! Does the house stand as its documents say?

#![expect(clippy::expect_used, reason = "a test that meets what it did not expect fails")]

mod budget;
mod dependencies;
mod floors;
mod paths;
mod promises;

use std::{path::PathBuf, process::Command};

use serde_json::Value as Json;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `cargo metadata` of the workspace's own crates.
fn metadata() -> Json {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked", "--offline", "--no-deps"]).current_dir(root());
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Files of the repository with one of these endings, build output apart.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files"]).current_dir(root()).output().expect("git runs");
    String::from_utf8(output.stdout)
        .expect("paths are UTF-8")
        .lines()
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)))
        .map(PathBuf::from)
        .filter(|path| root().join(path).exists())
        .collect()
}
