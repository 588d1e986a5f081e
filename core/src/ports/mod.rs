//! What the core asks of a plugin host, and of whatever carries letters.
//!
//! The core knows no wasm: it hands facts over as columns and books what comes back. Every call here blocks and burns
//! CPU, so callers run it off the async workers.

mod frame;
mod mail;
mod manifest;
mod sandbox;

use std::sync::Arc;

pub use frame::{Column, Figure, Frame, FrameField, Reason, RunContext, Scores, Segments, Series, Texts, Words};
pub use mail::{Mail, Mailer};
pub use manifest::{
    Capability, Config, Contributions, Input, InputType, Labels, Limits, Manifest, Outputs, PluginInfo, Statistic,
    Tests,
};
pub use sandbox::Sandbox;

/// A plugin as stored: the component's bytes with what they declare about themselves.
#[derive(Clone, Debug)]
pub struct Artefact {
    /// SHA-256 of `bytes`, lower-case hex. Everything cached about a plugin is keyed by it.
    pub digest: Arc<str>,
    pub manifest: Arc<Manifest>,
    pub bytes: Arc<[u8]>,
}

/// What a component turned out to be after every check an upload makes.
#[derive(Clone, Debug)]
pub struct Verified {
    pub artefact: Artefact,
    /// Contract version from the `ripen:api` section: major, minor, patch.
    pub api: (u16, u16, u16),
    /// Interfaces the component imports, sorted.
    pub imports: Vec<String>,
    /// Fixtures run in the sandbox, all of which passed.
    pub fixtures: usize,
    /// Fuel a row over the fixtures; 0 when there are none.
    pub fuel_per_row: u64,
}

/// One call of one capability of one plugin over one frame, in an instance of its own.
#[derive(Clone, Debug)]
pub struct Call {
    pub artefact: Artefact,
    /// The installation's configuration, JSON text.
    pub config: Arc<str>,
    pub context: Arc<RunContext>,
    pub frame: Frame,
}

/// What a plugin answered, checked against its manifest, and what it cost.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    pub output: T,
    /// Fuel used by `init` and the call together; the same on every machine.
    pub fuel: u64,
    /// Most linear memory the instance held, bytes.
    pub peak_memory: u64,
    /// Lines the guest logged, as `level message`; at most 100, and a line that counts the rest.
    pub log: Vec<String>,
}

/// Why a plugin gave no usable answer. `code` is a stable problem code, `detail` is for people and names the place
/// and the figure; neither carries host internals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct PluginFailure {
    pub class: FailureClass,
    /// `plugin_fuel_exhausted`, `plugin_wrong_row_count`, `plugin_unknown_import`, ..
    pub code: &'static str,
    pub detail: String,
}

/// What a failure says about the plugin, for the failure policy and the circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The bytes are no plugin that this server accepts.
    Artefact,
    /// The guest answered `Err(text)`: a data or configuration error, not a crash.
    Refused,
    /// The guest trapped or panicked.
    Trap,
    /// A limit stopped the guest.
    Limit,
    /// The guest answered, but not what its manifest promises.
    Output,
    /// The host itself could not do its work.
    Host,
}

/// The sandbox. One per process.
pub trait PluginHost: Send + Sync {
    /// Every check of an upload: size, sections, contract version, imports, compile, instantiate each kind, fixtures.
    ///
    /// # Errors
    /// The first check that fails, with the place and the fix.
    fn verify(&self, bytes: Arc<[u8]>) -> Result<Verified, PluginFailure>;

    /// Runs `init` of `capability` once in the sandbox, as an installation does before it is accepted.
    ///
    /// # Errors
    /// `FailureClass::Refused` with the plugin's own text where it dislikes the configuration.
    fn try_config(
        &self,
        capability: Capability,
        artefact: &Artefact,
        config: &str,
        context: &RunContext,
    ) -> Result<(), PluginFailure>;

    /// # Errors
    /// A trap, a limit, or an answer that is not what the manifest promises.
    fn score(&self, call: Call) -> Result<Answer<Scores>, PluginFailure>;

    /// # Errors
    /// As [`PluginHost::score`].
    fn segment(&self, call: Call) -> Result<Answer<Segments>, PluginFailure>;
}
