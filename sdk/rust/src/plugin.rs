use serde::de::DeserializeOwned;

use crate::{
    Context, Frame, Score, Segment,
    columns::{Scores, Segments},
    score::Collector as ScoreCollector,
    segment::Collector as SegmentCollector,
};

/// The facts of one row; `#[derive(Inputs)]` makes it from a struct whose fields bear the names of the manifest's
/// inputs and have a [`Value`](crate::Value) type.
pub trait Inputs: Sized {
    /// All rows of `frame`, in order. The columns are looked up once.
    ///
    /// # Errors
    /// An input that is missing, of another type, or has rows without a value where the field is no `Option`.
    fn rows(frame: &Frame) -> Result<impl Iterator<Item = Self>, String>;
}

/// What every kind of plugin has: a configuration, facts, and a way to make itself ready.
pub trait Plugin: Sized {
    /// The installation's configuration; it passed the manifest's JSON Schema before.
    type Config: DeserializeOwned;
    /// The facts of one row.
    type Inputs: Inputs;

    /// Called once before any rows, at the latest when an admin saves the configuration.
    ///
    /// # Errors
    /// What is wrong with the configuration, the statistics or the model, in words for the admin.
    fn new(config: Self::Config, cx: &Context) -> Result<Self, String>;
}

/// How good, how ripe, how likely: one value a row.
pub trait Scorer: Plugin {
    /// The value of one row with what it is made of.
    fn score(&self, row: &Self::Inputs) -> Score;

    /// All rows at once. Override it where whole columns are faster than rows; it must give what
    /// [`Scorer::score`] gives.
    ///
    /// # Errors
    /// Facts that do not fit, in words for the operator.
    fn score_columns(&self, frame: &Frame) -> Result<Scores, String> {
        let mut scores = ScoreCollector::new(frame.rows);
        for row in Self::Inputs::rows(frame)? {
            scores.push(self.score(&row))?;
        }
        Ok(scores.finish())
    }
}

/// Which tier, which needs: labels a row.
pub trait Segmenter: Plugin {
    /// The label or labels of one row.
    fn segment(&self, row: &Self::Inputs) -> Segment;

    /// All rows at once. Override it where whole columns are faster than rows; it must give what
    /// [`Segmenter::segment`] gives.
    ///
    /// # Errors
    /// Facts that do not fit, in words for the operator.
    fn segment_columns(&self, frame: &Frame) -> Result<Segments, String> {
        let mut segments = SegmentCollector::new(frame.rows);
        for row in Self::Inputs::rows(frame)? {
            segments.push(self.segment(&row))?;
        }
        Ok(segments.finish())
    }
}
