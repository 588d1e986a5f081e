//! Which tier, which needs: one label a row, or several with weights.

use ripen_core::ports::{Capability, Manifest, PluginFailure, Segments};
use wasmtime::{Result, Store, component::InstancePre};

use super::{Kind, Kinds, Said};
use crate::{check, contract::frame, state::State};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../sdk/wit/1",
        world: "ripen:plugin/segmenter",
        imports: { default: trappable },
        with: {
            "ripen:frame/types@1.0.0": crate::contract::frame,
            "ripen:host/log@1.0.0": crate::contract::log,
        },
    });
}

use bindings::exports::ripen::segment::segmenter as wit;

#[derive(Clone)]
pub(crate) struct Segmenter(bindings::SegmenterPre<State>);

impl Kind for Segmenter {
    const CAPABILITY: Capability = Capability::Segmenter;
    const EXPORT: &'static str = "ripen:segment/segmenter@1.0.0";
    type Instance = bindings::Segmenter;
    type Output = Segments;

    fn link(pre: InstancePre<State>) -> Result<Self> {
        bindings::SegmenterPre::new(pre).map(Self)
    }

    fn of(kinds: &Kinds) -> Option<&Self> {
        kinds.segmenter.as_ref()
    }

    fn instantiate(&self, store: &mut Store<State>) -> Result<Self::Instance> {
        self.0.instantiate(store)
    }

    fn init(instance: &Self::Instance, store: &mut Store<State>, config: &str, cx: &frame::Context) -> Said<()> {
        instance.ripen_segment_segmenter().call_init(store, config, cx)
    }

    fn call(instance: &Self::Instance, store: &mut Store<State>, rows: &frame::Frame) -> Said<Segments> {
        Ok(instance.ripen_segment_segmenter().call_segment(store, rows)?.map(Into::into))
    }

    fn check(
        output: &Segments,
        rows: usize,
        manifest: &Manifest,
        limit: usize,
    ) -> std::result::Result<(), PluginFailure> {
        check::segments(output, rows, &manifest.outputs, limit)
    }
}

impl From<wit::Segments> for Segments {
    fn from(from: wit::Segments) -> Self {
        Self {
            labels: from.labels,
            offsets: from.offsets,
            codes: from.codes,
            weights: from.weights,
            reasons: from.reasons.into_iter().map(Into::into).collect(),
        }
    }
}
