//! Files stay readable in one go.

use std::fs;

use super::{files, root};

/// Lines of a source file at which it must be divided, tests apart.
const STOP: usize = 500;

/// Where one thing is truly longer, with the reason.
const LONGER: &[(&str, &str)] = &[];

#[test]
fn no_source_file_is_longer_than_the_stop() {
    let mut over = Vec::new();
    for path in files(&[".rs"]) {
        let name = path.to_string_lossy().into_owned();
        let tests = name.starts_with("tests/") || name.contains("/tests/") || name.starts_with("benches/");
        if tests || LONGER.iter().any(|(longer, _)| *longer == name) {
            continue;
        }
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let source = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        let lines = source.lines().count();
        if lines > STOP {
            over.push(format!("{name}: {lines} lines"));
        }
    }
    assert!(over.is_empty(), "divide these files:\n{}", over.join("\n"));
}
