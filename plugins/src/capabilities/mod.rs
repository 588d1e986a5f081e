//! The kinds of plugin this server runs, one file each. A further kind: its WIT interface, its file, its field in
//! `Kinds`, and the arms for which the compiler then asks.

mod scorer;
mod segmenter;

use ripen_core::ports::{Capability, Manifest, PluginFailure};
use wasmtime::{Result, Store, component::InstancePre};

pub(crate) use self::{scorer::Scorer, segmenter::Segmenter};
use crate::{contract::frame, state::State};

/// A guest's own refusal, a data error, is the inner result; a trap is the outer one.
pub(crate) type Said<T> = Result<std::result::Result<T, String>>;

/// One kind of plugin: its interface, linked and typed. Each call is made in an instance of its own.
pub(crate) trait Kind: Sized {
    const CAPABILITY: Capability;
    /// Exported interface that makes a component one of this kind.
    const EXPORT: &'static str;
    type Instance;
    type Output;

    /// # Errors
    /// The component does not export the interface, or with functions of other types.
    fn link(pre: InstancePre<State>) -> Result<Self>;

    fn of(kinds: &Kinds) -> Option<&Self>;

    fn instantiate(&self, store: &mut Store<State>) -> Result<Self::Instance>;

    fn init(instance: &Self::Instance, store: &mut Store<State>, config: &str, cx: &frame::Context) -> Said<()>;

    fn call(instance: &Self::Instance, store: &mut Store<State>, rows: &frame::Frame) -> Said<Self::Output>;

    /// # Errors
    /// The answer is not what the manifest promises about `rows` rows, or says more than `limit` bytes of them.
    fn check(
        output: &Self::Output,
        rows: usize,
        manifest: &Manifest,
        limit: usize,
    ) -> std::result::Result<(), PluginFailure>;
}

/// What one component offers of all kinds, linked once.
#[derive(Clone)]
pub(crate) struct Kinds {
    scorer: Option<Scorer>,
    segmenter: Option<Segmenter>,
}

impl Kinds {
    /// Links the kinds the manifest declares.
    pub(crate) fn link(pre: &InstancePre<State>, manifest: &Manifest) -> Result<Self> {
        fn linked<K: Kind>(pre: &InstancePre<State>, manifest: &Manifest) -> Result<Option<K>> {
            manifest.plugin.kinds.contains(&K::CAPABILITY).then(|| K::link(pre.clone())).transpose()
        }
        Ok(Self { scorer: linked(pre, manifest)?, segmenter: linked(pre, manifest)? })
    }
}

/// The interface a component exports to be of a kind; `None` where this server does not run the kind.
pub(crate) fn export_of(capability: Capability) -> Option<&'static str> {
    match capability {
        Capability::Scorer => Some(Scorer::EXPORT),
        Capability::Segmenter => Some(Segmenter::EXPORT),
        Capability::Incentive | Capability::Fitter => None,
    }
}
