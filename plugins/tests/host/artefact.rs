//! What an upload is checked for, in the order of the checks.

use ripen_core::ports::PluginHost;
use ripen_plugins::HostLimits;
use wasm_encoder::{
    CodeSection, CustomSection, EntityType, ExportKind, ExportSection, FunctionSection, ImportSection, Instruction,
    Module, TypeSection, ValType,
};
use wit_parser::Resolve;

use crate::{
    guest::{Guest, add_section, add_sections, contract, encode, function, manifest, world},
    support::{code_of, host, with_limits},
};

fn refused(bytes: Vec<u8>) -> (&'static str, String) {
    let host = host();
    code_of(&host, host.verify(bytes.into()))
}

fn refused_manifest(text: &str) -> String {
    let (code, detail) = refused(Guest { manifest: text.into(), ..Guest::default() }.bytes());
    assert_eq!(code, "plugin_manifest_invalid", "{detail}");
    detail
}

#[test]
fn a_good_component_is_verified() {
    let bytes = Guest::default().bytes();
    let verified = host().verify(bytes.clone().into()).expect("verified");
    assert_eq!(verified.artefact.manifest.plugin.name, "guest");
    assert_eq!(*verified.artefact.digest, *ripen_plugins::digest(&bytes));
    assert_eq!(verified.artefact.digest.len(), 64);
    assert_eq!(verified.api, (1, 0, 0));
    assert_eq!(verified.imports, ["ripen:frame/types@1.0.0", "ripen:host/log@1.0.0"]);
}

#[test]
fn an_oversized_component_is_refused_before_it_is_parsed() {
    let (code, detail) = refused(vec![0; (24 << 20) + 1]);
    assert_eq!((code, detail.as_str()), ("plugin_too_large", "the component has 25165825 bytes, the limit is 24 MiB"));
    let host = with_limits(HostLimits { component: 5000, ..HostLimits::default() });
    let mut large = Guest::default().component();
    add_section(&mut large, "padding", &[0; 5000]);
    add_sections(&mut large, &manifest(""));
    let (code, detail) = code_of(&host, host.verify(large.into()));
    assert_eq!(code, "plugin_too_large");
    assert!(detail.contains("large = true"), "{detail}");
}

#[test]
fn a_large_component_runs_beside_the_others() {
    let host = with_limits(HostLimits { component: 5000, ..HostLimits::default() });
    let mut large = Guest::default().component();
    add_section(&mut large, "padding", &[0; 5000]);
    add_sections(&mut large, &manifest(r#", "limits": {"large": true}"#));
    let verified = host.verify(large.into()).expect("verified");
    assert_eq!(host.score(crate::support::call(&verified.artefact, 1)).expect("scored").output.values, [0.0]);
}

#[test]
fn truncated_bytes_are_refused_wherever_they_end() {
    let (host, bytes) = (host(), Guest::default().component());
    for end in [0, 3, 7, 8, 9, bytes.len() / 2, bytes.len() - 1] {
        let failure = host.verify(bytes[..end].into()).expect_err("truncated");
        // An empty component is valid, it only lacks everything.
        let expected = if end == 8 { "plugin_manifest_missing" } else { "plugin_malformed" };
        assert_eq!(failure.code, expected, "{end}: {}", failure.detail);
    }
}

#[test]
fn random_bytes_are_refused() {
    let mut state = 1_u64;
    let mut random = |length: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    };
    let host = host();
    for length in [1, 8, 100, 10_000] {
        assert_eq!(host.verify(random(length).into()).expect_err("random").code, "plugin_malformed");
        let behind_a_header = [b"\0asm\x0d\0\x01\0".as_slice(), &random(length)].concat();
        assert_eq!(host.verify(behind_a_header.into()).expect_err("random").code, "plugin_malformed");
    }
}

#[test]
fn flipped_bytes_are_refused_or_run_within_the_sandbox() {
    let (host, bytes) = (host(), Guest::default().bytes());
    for position in (8..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 0x55;
        if let Ok(verified) = host.verify(flipped.into()) {
            let _ = host.score(crate::support::call(&verified.artefact, 1));
        }
    }
    assert!(crate::support::score(&host, &Guest::default()).is_ok());
}

#[test]
fn a_core_module_is_refused_with_the_fix() {
    let (code, detail) = refused(Guest::default().module());
    assert_eq!(code, "plugin_not_a_component");
    assert!(detail.contains("ripen plugin pack"), "{detail}");
}

#[test]
fn sections_are_wanted_once_and_at_the_top_level() {
    let (code, detail) = refused(Guest::default().component());
    assert_eq!(code, "plugin_manifest_missing");
    assert!(detail.contains("ripen:api"), "{detail}");

    let mut only_api = Guest::default().component();
    add_section(&mut only_api, "ripen:api", &[0, 1, 0, 0, 0, 0]);
    let (code, detail) = refused(only_api);
    assert_eq!(code, "plugin_manifest_missing");
    assert!(detail.contains("ripen:manifest"), "{detail}");

    for (name, data) in [("ripen:manifest", b"{}".as_slice()), ("ripen:api", &[0, 1, 0, 0, 0, 0])] {
        let mut twice = Guest::default().bytes();
        add_section(&mut twice, name, data);
        let (code, detail) = refused(twice);
        assert_eq!(code, "plugin_manifest_repeated");
        assert!(detail.contains(name), "{detail}");
    }

    let mut module = Guest::default().module();
    for (name, data) in [("ripen:manifest", manifest("").into_bytes()), ("ripen:api", vec![0, 1, 0, 0, 0, 0])] {
        let section = CustomSection { name: name.into(), data: data.into() };
        wasm_encoder::Section::append_to(&section, &mut module);
    }
    let mut resolve = contract();
    let scorer = world(&mut resolve, "include ripen:plugin/scorer@1.0.0;");
    assert_eq!(refused(encode(&module, &resolve, scorer)).0, "plugin_manifest_missing");
}

#[test]
fn another_contract_version_is_refused_with_both_versions() {
    for (api, shown) in [([0, 2, 0, 0, 0, 0], "2.0.0"), ([0, 1, 0, 7, 0, 3], "1.7.3"), ([0, 0, 0, 9, 0, 0], "0.9.0")] {
        let mut bytes = Guest::default().component();
        add_section(&mut bytes, "ripen:manifest", manifest("").as_bytes());
        add_section(&mut bytes, "ripen:api", &api);
        let (code, detail) = refused(bytes);
        assert_eq!(code, "plugin_api_version");
        assert!(detail.contains(shown) && detail.contains("1.0.0"), "{detail}");
    }
    let mut short = Guest::default().component();
    add_section(&mut short, "ripen:manifest", manifest("").as_bytes());
    add_section(&mut short, "ripen:api", &[1]);
    assert_eq!(refused(short).0, "plugin_api_version");
}

#[test]
fn a_manifest_that_does_not_parse_is_refused_with_the_place() {
    let detail = refused_manifest(&manifest("").replace(r#""number""#, r#""nmuber""#));
    assert!(detail.contains("inputs.orders.type") && detail.contains("nmuber"), "{detail}");
    let detail = refused_manifest(&manifest(r#", "colour": 1"#));
    assert!(detail.contains("colour"), "{detail}");
    refused_manifest("not JSON");
    refused_manifest(&format!("{}{}", manifest(""), " ".repeat(300 << 10)));
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused_with_every_place() {
    let bad = r#"{"plugin": {"name": "A", "version": "1", "api": "2", "kinds": ["segmenter", "segmenter"], "subject": "Account"},
        "inputs": {"a b": {"type": "number", "from": "orders", "window": "P0D"},
                   "days": {"type": "integer", "from": "field:days", "window": "P1D", "required": true, "default": "x"},
                   "note": {"type": "text", "from": "field:note"}},
        "statistics": {"cuts": {"of": "none", "quantiles": [0.5, 1.5]}, "texts": {"of": "note"}},
        "outputs": {"range": [5, 1], "reasons": {"late": {}}},
        "config": {"schema": "config.schema.json"},
        "limits": {"memory": "64 MiB", "fuel": 99000000}}"#;
    let detail = refused_manifest(bad);
    for place in [
        "plugin.name",
        "plugin.version",
        "plugin.api",
        "plugin.kinds",
        "plugin.subject",
        "inputs.a b must be named",
        "inputs.a b.from",
        "inputs.a b.window",
        "inputs.days.window is for metrics",
        "inputs.days.default contradicts",
        "inputs.days.default is not of the type",
        "statistics.cuts.of",
        "statistics.cuts.quantiles",
        "statistics.texts.of",
        "outputs.range",
        "outputs.labels is empty",
        "outputs.reasons.late",
        "config.schema",
        "limits.memory is above the server's 32 MiB",
        "limits.fuel",
    ] {
        assert!(detail.contains(place), "{place} is missing in: {detail}");
    }
}

#[test]
fn a_declared_kind_must_be_exported_and_one_the_server_runs() {
    let both = manifest(r#", "limits": {}"#)
        .replace(r#"["scorer"]"#, r#"["scorer", "segmenter"]"#)
        .replace(r#""contributions""#, r#""labels": ["a"], "contributions""#);
    let (code, detail) = refused(Guest { manifest: both, ..Guest::default() }.bytes());
    assert_eq!(code, "plugin_missing_export");
    assert!(detail.contains("ripen:segment/segmenter@1.0.0"), "{detail}");

    let incentive = manifest("").replace(r#"["scorer"]"#, r#"["incentive"]"#);
    assert_eq!(refused(Guest { manifest: incentive, ..Guest::default() }.bytes()).0, "plugin_unsupported_kind");
}

/// A component that imports one function `call` of `interface` and exports nothing.
fn importing(package: &str, interface: &str) -> Vec<u8> {
    let mut resolve = contract();
    let (name, version) = package.split_once('@').expect("a version");
    resolve
        .push_str("import.wit", &format!("package {package}; interface {interface} {{ call: func(); }}"))
        .expect("WIT");
    let import = format!("{name}/{interface}@{version}");
    let world = world(&mut resolve, &format!("import {import};"));
    let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
    types.ty().function([], []);
    imports.import(&import, "call", EntityType::Function(0));
    let mut module = Module::new();
    module.section(&types).section(&imports);
    let mut component = encode(&module.finish(), &resolve, world);
    add_sections(&mut component, &manifest(""));
    component
}

#[test]
fn an_unknown_import_is_refused_by_name_with_the_fix() {
    let (code, detail) = refused(importing("wasi:clocks@0.2.6", "wall-clock"));
    assert_eq!(code, "plugin_unknown_import");
    assert!(detail.contains("wasi:clocks/wall-clock@0.2.6"), "{detail}");
    assert!(detail.contains("wasm32-unknown-unknown"), "{detail}");

    for (package, interface) in [("acme:net@1.0.0", "http"), ("ripen:host@2.0.0", "log")] {
        let (code, detail) = refused(importing(package, interface));
        assert_eq!(code, "plugin_unknown_import");
        assert!(detail.contains("ripen:host/log@1.0.0 only"), "{detail}");
    }
}

#[test]
fn functions_of_other_types_than_the_contract_are_refused() {
    let mut resolve = Resolve::default();
    let text = "package ripen:score@1.0.0; interface scorer { init: func() -> u32; score: func() -> u32; }
                world guest { export scorer; }";
    let package = resolve.push_str("score.wit", text).expect("WIT");
    let world = resolve.select_world(&[package], Some("guest")).expect("world");
    let (mut types, mut functions, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    types.ty().function([], [ValType::I32]);
    for (index, name) in (0..).zip(["init", "score"]) {
        functions.function(0);
        exports.export(&format!("ripen:score/scorer@1.0.0#{name}"), ExportKind::Func, index);
        code.function(&function([Instruction::I32Const(0)]));
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&exports).section(&code);
    let mut component = encode(&module.finish(), &resolve, world);
    add_sections(&mut component, &manifest(""));
    assert_eq!(refused(component).0, "plugin_wrong_types");
}
