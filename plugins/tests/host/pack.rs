//! From a core module or component and a manifest in TOML to the artefact, and what is said where that fails.

use std::{fs, path::Path};

use ripen_core::ports::{Capability, PluginHost};
use ripen_plugins::{
    API_SECTION, HostLimits, MANIFEST_SECTION, digest, inspect,
    pack::{PackError, pack},
};
use tempfile::TempDir;
use wasmparser::{Parser, Payload};
use wit_component::{StringEncoding, embed_component_metadata};

use crate::{
    guest::{Guest, contract, world},
    support::host,
};

const MANIFEST: &str = r#"
    [plugin]
    name = "packed"
    version = "1.0.0"
    api = "1"
    kinds = ["scorer"]
    subject = "account"

    [inputs]
    orders = { type = "number", from = "metric:order_count", default = 0 }

    [outputs]
    range = [0, 100]
"#;

/// A core module as the toolchain leaves it, with the world it was built for inside.
fn core_module() -> Vec<u8> {
    let (mut module, mut resolve) = (Guest::default().module(), contract());
    let world = world(&mut resolve, "include ripen:plugin/scorer@1.0.0;");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    module
}

/// A folder with the manifest and further files.
fn author(manifest: &str, files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("tests")).expect("a folder");
    for (name, text) in files.iter().chain([&("plugin.toml", manifest)]) {
        fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

fn packed(more: &str, files: &[(&str, &str)]) -> Result<Vec<u8>, PackError> {
    let dir = author(&format!("{MANIFEST}{more}"), files);
    pack(&core_module(), &dir.path().join("plugin.toml"))
}

#[test]
fn a_core_module_becomes_an_artefact_that_the_host_accepts() {
    let schema = r#"{"type": "object", "additionalProperties": false}"#;
    let fixture = r#"{"kind": "scorer", "inputs": {"orders": [3]}, "expect": {"values": [0]}}"#;
    let more = "[config]\nschema = \"config.json\"\n[tests]\nfixtures = \"tests/*.json\"";
    let files = [("config.json", schema), ("tests/b.json", fixture), ("tests/a.json", fixture), ("tests/c.txt", "no")];
    let verified = host().verify(packed(more, &files).expect("packed").into()).expect("verified");
    let manifest = &verified.artefact.manifest;
    assert_eq!((verified.api, verified.fixtures), ((1, 0, 0), 2));
    assert_eq!(manifest.plugin.kinds, [Capability::Scorer]);
    assert_eq!(manifest.config.schema, serde_json::from_str(schema).ok());
    let fixtures = manifest.tests.fixtures.as_ref().and_then(|fixtures| fixtures.as_array()).expect("fixtures");
    assert_eq!(fixtures.iter().map(|fixture| &fixture["name"]).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_component_is_packed_as_it_is() {
    let dir = author(MANIFEST, &[]);
    let component = Guest::default().component();
    let packed = pack(&component, &dir.path().join("plugin.toml")).expect("packed");
    assert_eq!(packed[..component.len()], component);
}

#[test]
fn what_is_wrong_is_named_with_its_file() {
    let said = |more: &str, files: &[(&str, &str)]| packed(more, files).expect_err("refused").to_string();
    let ends = |text: String, end: &str| assert!(text.ends_with(end), "{text}");
    assert!(said("[inputz]", &[]).contains("unknown field `inputz`"));
    ends(
        said("[config]\nschema = \"none.json\"", &[]),
        "none.json cannot be read: No such file or directory (os error 2)",
    );
    ends(
        said("[config]\nschema = \"bad.json\"", &[("bad.json", "{")]),
        "bad.json: EOF while parsing an object at line 1 column 1",
    );
    let tests = "[tests]\nfixtures = \"tests/*.json\"";
    assert_eq!(said(tests, &[]), "tests.fixtures: tests/*.json is no path of the form dir/*.json, or matches nothing");
    let bad = |fixture| said(tests, &[("tests/one.json", fixture)]);
    assert!(bad("{}").starts_with("tests.fixtures: missing field"));
    let without = bad(r#"{"kind": "scorer", "inputs": {}, "expect": {}}"#);
    assert!(without.starts_with("fixture `one`, expect: a scorer's has values"), "{without}");
    assert!(said("[limits]\nmemory = \"1 TiB\"", &[]).starts_with("plugin_manifest_invalid: limits.memory"));
}

#[test]
fn an_artefact_is_not_packed_twice() {
    let dir = author(MANIFEST, &[]);
    let failure = pack(&Guest::default().bytes(), &dir.path().join("plugin.toml")).expect_err("refused");
    assert!(failure.to_string().starts_with("plugin_manifest_repeated"), "{failure}");
}

#[test]
fn bytes_that_are_no_plugin_are_refused() {
    let dir = author(MANIFEST, &[]);
    let said = |bytes: &[u8]| pack(bytes, &dir.path().join("plugin.toml")).expect_err("refused").to_string();
    assert!(said(&Guest::default().module()).starts_with("the core module makes no component"));
    assert!(said(b"\0asm\x01\0\0\0\xff").starts_with("the core module makes no component"));
    assert!(said(b"no wasm at all").starts_with("plugin_malformed"));
}

/// Without the sections that packing added.
fn unpacked(component: &[u8]) -> Vec<u8> {
    let mut end = component.len();
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::CustomSection(section) = payload.expect("a component")
            && [MANIFEST_SECTION, API_SECTION].contains(&section.name())
        {
            // The section's name and length come before its contents: id, size, length of the name, name.
            let header = 1 + leb_length(section.range().len());
            end = end.min(section.range().start - header);
        }
    }
    component.iter().copied().take(end).collect()
}

fn leb_length(mut value: usize) -> usize {
    let mut bytes = 1;
    while value >= 0x80 {
        value >>= 7;
        bytes += 1;
    }
    bytes
}

#[test]
fn the_committed_components_carry_the_manifests_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (guest, kinds) in [("plugins/rfm", 2), ("tests/plugins/hostile", 2)] {
        let dir = root.join(guest);
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        let committed = fs::read(dir.join(format!("{name}.wasm"))).expect("the component");
        assert_eq!(inspect(&committed, &HostLimits::default()).expect("sound").manifest.plugin.kinds.len(), kinds);
        let again = pack(&unpacked(&committed), &dir.join("plugin.toml")).expect("packed");
        assert!(again == committed, "{guest}: run `cargo run -p ripen-plugins --example build_guests`");
        let noted = fs::read_to_string(dir.join(format!("{name}.wasm.sha256"))).expect("the digest");
        assert_eq!(noted, format!("{}  {name}.wasm\n", digest(&committed)));
    }
}

#[test]
fn the_shipped_plugin_passes_its_own_fixtures() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rfm/rfm.wasm");
    let verified = host().verify(fs::read(path).expect("the component").into()).expect("verified");
    assert_eq!(verified.fixtures, 4);
    assert_eq!(verified.imports, ["ripen:frame/types@1.0.0", "ripen:host/log@1.0.0"]);
}
