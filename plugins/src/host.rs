//! The sandbox: one per process.

use std::{io, path::PathBuf, sync::Arc};

use ripen_core::ports::{
    Answer, Artefact, Call, Capability, PluginFailure, PluginHost, RunContext, Scores, Segments, Verified,
};

use crate::{
    cache::CodeCache,
    call::Session,
    capabilities::{Kind, Scorer, Segmenter},
    check, codes,
    compile::Compiler,
    contract,
    engine::Engines,
    limits::HostLimits,
    load::{Loaded, Loader, digest},
    sections::{Inspection, inspect},
    trial,
};

/// How a host is set up; the default compiles in this process and keeps compiled code in memory only.
#[derive(Clone, Default)]
pub struct HostSettings {
    pub limits: HostLimits,
    pub compiler: Compiler,
    pub cache: Option<CacheSettings>,
}

/// Where compiled code outlives the process.
#[derive(Clone)]
pub struct CacheSettings {
    pub directory: PathBuf,
    /// Key of the signature on each file; a file signed with another is compiled anew.
    pub secret: Vec<u8>,
}

/// Runs plugins. Every call blocks and burns CPU.
pub struct Host {
    limits: HostLimits,
    loader: Loader,
}

/// A host could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("this machine cannot run compiled WebAssembly")]
    Engine(#[source] wasmtime::Error),
    #[error("the directory of compiled code cannot be used: {path}")]
    Cache { path: PathBuf, source: io::Error },
}

impl Host {
    /// # Errors
    /// The machine cannot run compiled WebAssembly, or the cache directory cannot be made.
    pub fn new(settings: HostSettings) -> Result<Self, HostError> {
        let HostSettings { limits, compiler, cache } = settings;
        let disk = cache
            .map(|CacheSettings { directory, secret }| {
                CodeCache::open(directory.clone(), &secret)
                    .map_err(|source| HostError::Cache { path: directory, source })
            })
            .transpose()?;
        let engines = Engines::new(&limits).map_err(HostError::Engine)?;
        Ok(Self { limits, loader: Loader::new(engines, compiler, disk) })
    }

    pub fn limits(&self) -> &HostLimits {
        &self.limits
    }

    fn run<K: Kind>(&self, call: Call) -> Result<Answer<K::Output>, PluginFailure> {
        let Call { artefact, config, context, frame } = call;
        let (rows, manifest) = (frame.rows, &artefact.manifest);
        if rows > self.limits.rows {
            let detail = format!("the call has {rows} rows, the limit is {}", self.limits.rows);
            return Err(codes::TOO_MANY_ROWS.because(detail));
        }
        check::frame(&frame, manifest)?;
        let loaded = self.loader.load(&artefact, &self.limits)?;
        let (mut session, instance) = self.start::<K>(&loaded, &artefact, &config, &context, rows)?;
        let frame = frame.into();
        let output = session.run(self.limits.time_for(rows), |store| K::call(&instance, store, &frame))?;
        K::check(&output, rows as usize, manifest, self.limits.guest_bytes)?;
        Ok(session.answer(output))
    }

    fn start<K: Kind>(
        &self,
        loaded: &Loaded,
        artefact: &Artefact,
        config: &str,
        context: &RunContext,
        rows: u32,
    ) -> Result<(Session<'_>, K::Instance), PluginFailure> {
        let kind = kind_of::<K>(loaded, artefact)?;
        let mut session = Session::open(&loaded.engine, &self.limits, &artefact.manifest, rows)?;
        let context = contract::context(context);
        let instance = session.instantiate(kind)?;
        session.run(self.limits.init_time, |store| K::init(&instance, store, config, &context))?;
        Ok((session, instance))
    }

    fn try_kind<K: Kind>(&self, artefact: &Artefact, config: &str, context: &RunContext) -> Result<(), PluginFailure> {
        let loaded = self.loader.load(artefact, &self.limits)?;
        self.start::<K>(&loaded, artefact, config, context, 0).map(drop)
    }

    /// Instantiates every kind the manifest declares: wrong types of functions show only here.
    fn instantiate_all(&self, artefact: &Artefact) -> Result<(), PluginFailure> {
        let loaded = self.loader.load(artefact, &self.limits)?;
        for kind in &artefact.manifest.plugin.kinds {
            match kind {
                Capability::Scorer => self.instantiate::<Scorer>(&loaded, artefact)?,
                Capability::Segmenter => self.instantiate::<Segmenter>(&loaded, artefact)?,
                Capability::Incentive | Capability::Fitter => return Err(unsupported(*kind)),
            }
        }
        Ok(())
    }

    fn instantiate<K: Kind>(&self, loaded: &Loaded, artefact: &Artefact) -> Result<(), PluginFailure> {
        let kind = kind_of::<K>(loaded, artefact)?;
        let mut session = Session::open(&loaded.engine, &self.limits, &artefact.manifest, 0)?;
        session.instantiate(kind).map(drop)
    }
}

fn kind_of<'a, K: Kind>(loaded: &'a Loaded, artefact: &Artefact) -> Result<&'a K, PluginFailure> {
    K::of(&loaded.kinds).ok_or_else(|| {
        let info = &artefact.manifest.plugin;
        codes::UNSUPPORTED_KIND.because(format!("{} is no {}", info.name, K::CAPABILITY.as_str()))
    })
}

fn unsupported(kind: Capability) -> PluginFailure {
    codes::UNSUPPORTED_KIND.because(format!("this server does not run a {}", kind.as_str()))
}

impl PluginHost for Host {
    fn verify(&self, bytes: Arc<[u8]>) -> Result<Verified, PluginFailure> {
        let Inspection { manifest, api, imports, .. } = inspect(&bytes, &self.limits)?;
        let artefact = Artefact { digest: digest(&bytes).into(), manifest: Arc::new(manifest), bytes };
        self.instantiate_all(&artefact)?;
        let trials = trial::run(self, &artefact)?;
        let (fixtures, fuel_per_row) = (trials.len(), trial::fuel_per_row(&trials));
        trials.into_iter().try_for_each(|trial| trial.outcome.map(drop))?;
        Ok(Verified { artefact, api, imports, fixtures, fuel_per_row })
    }

    fn try_config(
        &self,
        capability: Capability,
        artefact: &Artefact,
        config: &str,
        context: &RunContext,
    ) -> Result<(), PluginFailure> {
        match capability {
            Capability::Scorer => self.try_kind::<Scorer>(artefact, config, context),
            Capability::Segmenter => self.try_kind::<Segmenter>(artefact, config, context),
            Capability::Incentive | Capability::Fitter => Err(unsupported(capability)),
        }
    }

    fn score(&self, call: Call) -> Result<Answer<Scores>, PluginFailure> {
        self.run::<Scorer>(call)
    }

    fn segment(&self, call: Call) -> Result<Answer<Segments>, PluginFailure> {
        self.run::<Segmenter>(call)
    }
}
