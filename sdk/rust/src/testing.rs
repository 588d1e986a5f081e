//! Runs a plugin natively, the way the host does: configuration text, `new`, all rows, checks.

use crate::{
    Context, Frame, Scorer, Segmenter,
    columns::{Scores, Segments},
    guest,
};

/// The scores of `frame`.
///
/// # Errors
/// What the host would be told: a configuration or context that the plugin refuses, facts that do not fit, or an answer
/// that breaks the contract.
pub fn score<P: Scorer>(config: &str, cx: &Context, frame: &Frame) -> Result<Scores, String> {
    guest::score(&guest::start::<P>(config, cx)?, frame)
}

/// The labels of `frame`.
///
/// # Errors
/// As [`score`].
pub fn segment<P: Segmenter>(config: &str, cx: &Context, frame: &Frame) -> Result<Segments, String> {
    guest::segment(&guest::start::<P>(config, cx)?, frame)
}
