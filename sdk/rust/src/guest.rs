//! What [`ripen_plugin!`](crate::ripen_plugin) calls.

use std::cell::RefCell;

use crate::{
    Context, Frame, Plugin, Scorer, Segmenter, check,
    columns::{Scores, Segments},
};

/// Holds a plugin between `init` and the call.
pub struct Slot<P>(RefCell<Option<P>>);

impl<P: Plugin> Slot<P> {
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub fn init(&self, config: &str, cx: &Context) -> Result<(), String> {
        #[cfg(target_arch = "wasm32")]
        std::panic::set_hook(Box::new(|info| crate::log::error(info)));
        *self.0.borrow_mut() = Some(start(config, cx)?);
        Ok(())
    }

    pub fn call<T>(&self, call: impl FnOnce(&P) -> Result<T, String>) -> Result<T, String> {
        self.0.borrow().as_ref().ok_or_else(|| "init was not called".to_string()).and_then(call)
    }
}

impl<P: Plugin> Default for Slot<P> {
    fn default() -> Self {
        Self::new()
    }
}

pub fn start<P: Plugin>(config: &str, cx: &Context) -> Result<P, String> {
    P::new(serde_json::from_str(config).map_err(|error| format!("config: {error}"))?, cx)
}

pub fn score(plugin: &impl Scorer, frame: &Frame) -> Result<Scores, String> {
    let scores = plugin.score_columns(frame)?;
    check::scores(&scores, frame.rows)?;
    Ok(scores)
}

pub fn segment(plugin: &impl Segmenter, frame: &Frame) -> Result<Segments, String> {
    let segments = plugin.segment_columns(frame)?;
    check::segments(&segments, frame.rows)?;
    Ok(segments)
}
