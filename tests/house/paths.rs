//! The documents name only what is there.

use std::fs;

use super::root;

#[test]
fn every_path_the_documents_name_exists() {
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let mut named = 0;
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.split(['#', ':']).next().unwrap_or(quoted);
            let looks_like_a_path = path.contains('/')
                && !path.contains(|c: char| c.is_whitespace() || "{}<>*$|=\"".contains(c))
                && !path.starts_with(['/', '.'])
                && !path.contains("//")
                && !path.contains("application/");
            if looks_like_a_path {
                named += 1;
                if !root().join(path).exists() {
                    missing.push(format!("{document}: {path}"));
                }
            }
        }
        assert!(named > 0 || document != "ARCHITECTURE.md", "{document} names no path: is the test still reading it?");
    }
    assert!(missing.is_empty(), "documents name paths that do not exist:\n{}", missing.join("\n"));
}
