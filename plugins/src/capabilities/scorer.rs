//! How good, how ripe, how likely: a value a row and the contributions to it.

use ripen_core::ports::{Capability, Figure, Manifest, PluginFailure, Scores};
use wasmtime::{Result, Store, component::InstancePre};

use super::{Kind, Kinds, Said};
use crate::{check, contract::frame, state::State};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../sdk/wit/1",
        world: "ripen:plugin/scorer",
        imports: { default: trappable },
        with: {
            "ripen:frame/types@1.0.0": crate::contract::frame,
            "ripen:host/log@1.0.0": crate::contract::log,
        },
    });
}

use bindings::exports::ripen::score::scorer as wit;

#[derive(Clone)]
pub(crate) struct Scorer(bindings::ScorerPre<State>);

impl Kind for Scorer {
    const CAPABILITY: Capability = Capability::Scorer;
    const EXPORT: &'static str = "ripen:score/scorer@1.0.0";
    type Instance = bindings::Scorer;
    type Output = Scores;

    fn link(pre: InstancePre<State>) -> Result<Self> {
        bindings::ScorerPre::new(pre).map(Self)
    }

    fn of(kinds: &Kinds) -> Option<&Self> {
        kinds.scorer.as_ref()
    }

    fn instantiate(&self, store: &mut Store<State>) -> Result<Self::Instance> {
        self.0.instantiate(store)
    }

    fn init(instance: &Self::Instance, store: &mut Store<State>, config: &str, cx: &frame::Context) -> Said<()> {
        instance.ripen_score_scorer().call_init(store, config, cx)
    }

    fn call(instance: &Self::Instance, store: &mut Store<State>, rows: &frame::Frame) -> Said<Scores> {
        Ok(instance.ripen_score_scorer().call_score(store, rows)?.map(Into::into))
    }

    fn check(
        output: &Scores,
        rows: usize,
        manifest: &Manifest,
        limit: usize,
    ) -> std::result::Result<(), PluginFailure> {
        check::scores(output, rows, &manifest.outputs, limit)
    }
}

impl From<wit::Scores> for Scores {
    fn from(from: wit::Scores) -> Self {
        let figures = |list: Vec<wit::Figure>| {
            list.into_iter().map(|wit::Figure { code, values }| Figure { code, values }).collect()
        };
        Self {
            values: from.values,
            contributions: figures(from.contributions),
            figures: figures(from.figures),
            reasons: from.reasons.into_iter().map(Into::into).collect(),
            declined: from.declined.into_iter().map(Into::into).collect(),
        }
    }
}
