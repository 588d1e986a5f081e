//! From bytes to something that can be called: compile once, link, keep.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use moka::sync::Cache;
use ripen_core::ports::{Artefact, PluginFailure};
use sha2::{Digest, Sha256};
use wasmtime::{
    Engine,
    component::{Component, HasSelf, Linker},
};

use crate::{
    cache::CodeCache, capabilities::Kinds, codes, compile::Compiler, contract, engine::Engines, limits::HostLimits,
    state::State,
};

/// Plugins held ready at a time; the least used is loaded again when it is wanted.
const KEPT: u64 = 64;

/// A plugin ready to be instantiated.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) kinds: Kinds,
}

pub(crate) struct Loader {
    engines: Engines,
    compiler: Compiler,
    /// One compilation at a time: it takes a processor and much memory.
    compiling: Mutex<()>,
    disk: Option<CodeCache>,
    ready: Cache<Arc<str>, Loaded>,
}

impl Loader {
    pub(crate) fn new(engines: Engines, compiler: Compiler, disk: Option<CodeCache>) -> Self {
        Self { engines, compiler, compiling: Mutex::new(()), disk, ready: Cache::new(KEPT) }
    }

    /// # Errors
    /// The component does not compile or link.
    pub(crate) fn load(&self, artefact: &Artefact, limits: &HostLimits) -> Result<Loaded, PluginFailure> {
        let load = || -> Result<Loaded, PluginFailure> {
            let component = self.component(artefact, limits)?;
            link(&component, artefact)
        };
        self.ready.try_get_with(artefact.digest.clone(), load).map_err(Arc::unwrap_or_clone)
    }

    fn component(&self, artefact: &Artefact, limits: &HostLimits) -> Result<Component, PluginFailure> {
        let engine = if artefact.manifest.limits.large { &self.engines.on_demand } else { &self.engines.pooled };
        if let Some(component) = self.disk.as_ref().and_then(|disk| disk.load(engine, &artefact.digest)) {
            return Ok(component);
        }
        let component = {
            let _one = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
            self.compiler.compile(engine, &artefact.bytes, limits)?
        };
        if let Some(disk) = &self.disk {
            disk.store(&component, &artefact.digest);
        }
        Ok(component)
    }
}

fn link(component: &Component, artefact: &Artefact) -> Result<Loaded, PluginFailure> {
    let engine = component.engine();
    let mut linker = Linker::<State>::new(engine);
    contract::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)
        .and_then(|()| linker.instantiate_pre(component))
        .and_then(|pre| Kinds::link(&pre, &artefact.manifest))
        .map(|kinds| Loaded { engine: engine.clone(), kinds })
        .map_err(|error| codes::WRONG_TYPES.because(format!("{error:#}")))
}

/// SHA-256, lower-case hex.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
