//! What a component says about itself, read before anything is compiled.

use std::collections::BTreeSet;

use ripen_core::ports::{Manifest, PluginFailure};
use wasmparser::{Parser, Payload, Validator};

use crate::{
    codes,
    contract::API,
    limits::{HostLimits, show_size},
    manifest,
};

/// Names of the custom sections that `ripen plugin pack` writes.
pub const MANIFEST_SECTION: &str = "ripen:manifest";
pub const API_SECTION: &str = "ripen:api";

/// Interfaces of the host a component may import, without their version.
const OFFERED: [&str; 2] = ["ripen:frame/types", "ripen:host/log"];

/// A component as its own sections describe it.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub manifest: Manifest,
    /// Contract version it was made for: major, minor, patch.
    pub api: (u16, u16, u16),
    /// Interfaces it imports and exports, sorted.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// Reads and checks everything that can be known without compiling: size, structure, sections, contract version,
/// manifest, imports, exports.
///
/// # Errors
/// The first of these that is wrong, with the place and the fix.
pub fn inspect(bytes: &[u8], limits: &HostLimits) -> Result<Inspection, PluginFailure> {
    check_size(bytes, limits.large_component, "")?;
    check_structure(bytes)?;
    let sections = Sections::read(bytes)?;
    let api = sections.api()?;
    let manifest = manifest::parse(sections.manifest(limits)?, limits)?;
    check_size(bytes, limits.component_for(&manifest), "; a manifest with `large = true` under [limits] allows more")?;
    check_memory(sections.memory, limits.memory_for(&manifest.limits))?;
    let inspection = Inspection { manifest, api, imports: sorted(sections.imports), exports: sorted(sections.exports) };
    inspection.imports.iter().try_for_each(|import| check_import(import))?;
    manifest::check_exports(&inspection.manifest, &inspection.exports)?;
    Ok(inspection)
}

fn sorted(names: BTreeSet<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn check_size(bytes: &[u8], limit: u64, fix: &str) -> Result<(), PluginFailure> {
    if bytes.len() as u64 > limit {
        let detail = format!("the component has {} bytes, the limit is {}{fix}", bytes.len(), show_size(limit));
        return Err(codes::TOO_LARGE.because(detail));
    }
    Ok(())
}

fn check_memory(bytes: u64, limit: u64) -> Result<(), PluginFailure> {
    if bytes > limit {
        let detail = format!("it starts with {} of memory, the limit is {}", show_size(bytes), show_size(limit));
        return Err(codes::MEMORY_EXCEEDED.because(detail));
    }
    Ok(())
}

/// Parses and validates the whole binary, function bodies included.
fn check_structure(bytes: &[u8]) -> Result<(), PluginFailure> {
    if !bytes.starts_with(b"\0asm") {
        return Err(codes::MALFORMED.because("the bytes are no WebAssembly: they do not begin with \\0asm"));
    }
    if Parser::is_core_wasm(bytes) {
        return Err(codes::NOT_A_COMPONENT
            .because("this is a core module: `ripen plugin pack` makes it a component with the manifest inside"));
    }
    Validator::new().validate_all(bytes).map(drop).map_err(malformed)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn malformed(error: wasmparser::BinaryReaderError) -> PluginFailure {
    codes::MALFORMED.because(format!("{} at byte {}", error.message(), error.offset()))
}

/// The top level of a component; what lies in nested modules and components does not count.
#[derive(Default)]
struct Sections<'a> {
    manifests: Vec<&'a [u8]>,
    apis: Vec<&'a [u8]>,
    imports: BTreeSet<&'a str>,
    exports: BTreeSet<&'a str>,
    /// Bytes of the largest memory that any module within starts with.
    memory: u64,
}

impl<'a> Sections<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, PluginFailure> {
        let (mut found, mut depth) = (Self::default(), 0_usize);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory.map_err(malformed)?;
                        let bytes = memory.initial.saturating_mul(1 << memory.page_size_log2.unwrap_or(16));
                        found.memory = found.memory.max(bytes);
                    }
                }
                _ if depth > 0 => {}
                Payload::CustomSection(section) => match section.name() {
                    MANIFEST_SECTION => found.manifests.push(section.data()),
                    API_SECTION => found.apis.push(section.data()),
                    _ => {}
                },
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        found.imports.insert(import.map_err(malformed)?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        found.exports.insert(export.map_err(malformed)?.name.name);
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn api(&self) -> Result<(u16, u16, u16), PluginFailure> {
        let bytes = one(&self.apis, API_SECTION)?;
        let (numbers, rest) = bytes.as_chunks::<2>();
        let (&[major, minor, patch], []) = (numbers, rest) else {
            let detail = format!("section {API_SECTION} has {} bytes instead of 6", bytes.len());
            return Err(codes::API_VERSION.because(detail));
        };
        let made_for = (u16::from_be_bytes(major), u16::from_be_bytes(minor), u16::from_be_bytes(patch));
        if made_for.0 != API.0 || made_for.1 > API.1 {
            let show = |(major, minor, patch): (u16, u16, u16)| format!("{major}.{minor}.{patch}");
            let detail = format!(
                "the component was made for contract {}, this server speaks {}: build it with the SDK of version {}",
                show(made_for),
                show(API),
                API.0
            );
            return Err(codes::API_VERSION.because(detail));
        }
        Ok(made_for)
    }

    fn manifest(&self, limits: &HostLimits) -> Result<&'a [u8], PluginFailure> {
        let bytes = one(&self.manifests, MANIFEST_SECTION)?;
        if bytes.len() as u64 > limits.manifest {
            let limit = show_size(limits.manifest);
            let detail = format!("section {MANIFEST_SECTION} has {} bytes, the limit is {limit}", bytes.len());
            return Err(codes::MANIFEST_INVALID.because(detail));
        }
        Ok(bytes)
    }
}

fn one<'a>(found: &[&'a [u8]], name: &str) -> Result<&'a [u8], PluginFailure> {
    match found {
        [one] => Ok(one),
        [] => Err(codes::MANIFEST_MISSING
            .because(format!("no section {name} at the top level of the component: `ripen plugin pack` writes it"))),
        more => Err(codes::MANIFEST_REPEATED
            .because(format!("{} sections {name} at the top level of the component: pack it once", more.len()))),
    }
}

fn check_import(name: &str) -> Result<(), PluginFailure> {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    if OFFERED.contains(&interface) && version.split('.').next() == Some("1") {
        return Ok(());
    }
    let fix = if interface.starts_with("wasi:") {
        "plugins have no system access: build Rust for wasm32-unknown-unknown instead of a wasip1 or wasip2 target, \
         Python with --stub-wasi, JavaScript with --backend-qjs-stub-wasi"
    } else {
        "a plugin may import ripen:frame/types@1.0.0 and ripen:host/log@1.0.0 only: remove the import from its world"
    };
    Err(codes::UNKNOWN_IMPORT.because(format!("the component imports {name}; {fix}")))
}
