//! Makes the artefact: one component that carries its manifest.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ripen_core::ports::{Manifest, PluginFailure};
use serde_json::Value as Json;
use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::Parser;
use wit_component::ComponentEncoder;

use crate::{
    API, API_SECTION, HostLimits, MANIFEST_SECTION,
    fixture::{Fixture, FixtureError},
    inspect,
};

#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Toml { path: PathBuf, source: toml::de::Error },
    #[error("{}: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("tests.fixtures: {0} is no path of the form dir/*.json, or matches nothing")]
    NoFixtures(String),
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    #[error("the core module makes no component: {0:#}")]
    Encode(Box<dyn std::error::Error + Send + Sync>),
    /// What a server would say to the result.
    #[error(transparent)]
    Refused(#[from] PluginFailure),
}

/// `code`, a core module or a component, as a component with the manifest at `manifest` (TOML) and the contract version
/// inside.
///
/// # Errors
/// A manifest that cannot be read, or bytes that no server would accept.
pub fn pack(code: &[u8], manifest: &Path) -> Result<Vec<u8>, PackError> {
    let manifest = load_manifest(manifest)?;
    let json = serde_json::to_vec(&manifest).map_err(FixtureError::from)?;
    let mut component = if Parser::is_core_wasm(code) { encode(code)? } else { code.to_vec() };
    let version = [API.0, API.1, API.2].map(u16::to_be_bytes).concat();
    for (name, data) in [(MANIFEST_SECTION, &json), (API_SECTION, &version)] {
        CustomSection { name: name.into(), data: data.into() }.append_to_component(&mut component);
    }
    inspect(&component, &HostLimits::default())?;
    Ok(component)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, PackError> {
    let encoder = ComponentEncoder::default().validate(true).module(module);
    encoder.and_then(|mut encoder| encoder.encode()).map_err(|error| PackError::Encode(error.into()))
}

/// The author's manifest with its schema and fixtures put inside.
///
/// # Errors
/// A file that cannot be read or does not fit.
pub fn load_manifest(path: &Path) -> Result<Manifest, PackError> {
    let mut manifest: Manifest =
        toml::from_str(&read(path)?).map_err(|source| PackError::Toml { path: path.into(), source })?;
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    if let Some(Json::String(file)) = &manifest.config.schema {
        manifest.config.schema = Some(read_json(&dir.join(file))?);
    }
    if let Some(Json::String(pattern)) = &manifest.tests.fixtures {
        let files = matching(dir, pattern).ok_or_else(|| PackError::NoFixtures(pattern.clone()))?;
        let fixtures = files.iter().map(|file| read_fixture(file)).collect::<Result<_, _>>()?;
        manifest.tests.fixtures = Some(Json::Array(fixtures));
    }
    Fixture::all(&manifest)?;
    Ok(manifest)
}

/// Files of `dir/*.json`, in the order of their names; `None` where there are none.
fn matching(dir: &Path, pattern: &str) -> Option<Vec<PathBuf>> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let (prefix, suffix) = name.split_once('*')?;
    let files = fs::read_dir(dir.join(folder)).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<_> = files
        .filter(|file| {
            file.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.strip_prefix(prefix).is_some_and(|rest| rest.ends_with(suffix)))
        })
        .collect();
    files.sort();
    (!files.is_empty()).then_some(files)
}

/// A fixture without a name is called as its file.
fn read_fixture(path: &Path) -> Result<Json, PackError> {
    let mut fixture = read_json(path)?;
    if let (Some(fixture), Some(name)) = (fixture.as_object_mut(), path.file_stem()) {
        fixture.entry("name").or_insert_with(|| name.to_string_lossy().into());
    }
    Ok(fixture)
}

fn read(path: &Path) -> Result<String, PackError> {
    fs::read_to_string(path).map_err(|source| PackError::Read { path: path.into(), source })
}

fn read_json(path: &Path) -> Result<Json, PackError> {
    serde_json::from_str(&read(path)?).map_err(|source| PackError::Json { path: path.into(), source })
}
