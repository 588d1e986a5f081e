//! Fixtures: small runs with known answers that travel in the manifest.
//!
//! `ripen plugin test` runs them for the author, and a server runs them in the sandbox before it accepts an upload.
//!
//! ```json
//! {
//!   "name": "two customers",
//!   "kind": "scorer",
//!   "config": { "weights": [1, 1, 1] },
//!   "context": { "as_of": "1998-01-01T00:00:00Z", "currency": "USD",
//!                "statistics": { "recency_cuts": { "values": [10, 20, 30, 40], "count": 85 } } },
//!   "inputs": { "recency_days": [3, 400], "industry": ["retail", null] },
//!   "expect": { "values": [100, 0], "contributions": { "recency": [100, 0] },
//!               "reasons": { "inactive": { "rows": [1], "args": [[400]] } } }
//! }
//! ```
//!
//! `inputs` holds one list a manifest input, as long as there are rows; `null` is a row without the fact, and an input
//! with a default may be left out. Money is in minor units, instants are milliseconds, dates are days since 1970-01-01;
//! words and series are lists of lists. `expect` states `values` for a scorer, `labels` for a segmenter (a name a row,
//! or `{name: weight}`), or `error`, a part of the text with which the plugin refuses; `contributions`, `figures`,
//! `reasons` and `declined` are compared where they are stated. Numbers may differ by 1e-9 x max(1, |expected|).

mod expectation;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ripen_core::ports::{Capability, Frame, Manifest, RunContext, Scores, Segments};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

pub(crate) use self::expectation::labels_by_row;
pub use self::expectation::{Expectation, ExpectedReason, Mismatch, RowLabels};
use crate::rows;

/// A run with its answer. The module's documentation shows its JSON.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    #[serde(default)]
    pub name: String,
    pub kind: Capability,
    /// The installation's configuration; an object.
    #[serde(default)]
    pub config: Map<String, Json>,
    #[serde(default)]
    pub context: FixtureContext,
    /// By input: one value a row.
    pub inputs: BTreeMap<String, Vec<Json>>,
    pub expect: Expectation,
}

/// What the run depends on besides rows and configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixtureContext {
    pub as_of: DateTime<Utc>,
    pub timezone: String,
    pub currency: String,
    pub currency_digits: u8,
    pub seed: u32,
    /// By name: `{"values": [..], "count": n}`.
    pub statistics: Map<String, Json>,
    pub model: Option<Json>,
}

impl Default for FixtureContext {
    fn default() -> Self {
        Self {
            as_of: DateTime::UNIX_EPOCH,
            timezone: "UTC".into(),
            currency: "USD".into(),
            currency_digits: 2,
            seed: 0,
            statistics: Map::new(),
            model: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    #[error("tests.fixtures: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("fixture `{fixture}`: {source}")]
    Inputs { fixture: String, source: rows::RowsError },
    #[error("fixture `{fixture}`, expect: a scorer's has values, a segmenter's has labels, and either may have error")]
    Incomplete { fixture: String },
    #[error("fixture `{fixture}`, {source}")]
    Mismatch { fixture: String, source: Mismatch },
}

impl Fixture {
    /// The fixtures a packed manifest carries.
    ///
    /// # Errors
    /// [`FixtureError::Malformed`] or [`FixtureError::Incomplete`].
    pub fn all(manifest: &Manifest) -> Result<Vec<Self>, FixtureError> {
        let Some(fixtures) = &manifest.tests.fixtures else { return Ok(Vec::new()) };
        let fixtures: Vec<Self> = Deserialize::deserialize(fixtures)?;
        for fixture in &fixtures {
            let Expectation { values, labels, error, .. } = &fixture.expect;
            let complete = match fixture.kind {
                Capability::Scorer => values.is_some() != error.is_some() && labels.is_none(),
                Capability::Segmenter => labels.is_some() != error.is_some() && values.is_none(),
                Capability::Incentive | Capability::Fitter => false,
            };
            if !complete {
                return Err(FixtureError::Incomplete { fixture: fixture.name.clone() });
            }
        }
        Ok(fixtures)
    }

    pub fn run_context(&self) -> RunContext {
        let FixtureContext { as_of, timezone, currency, currency_digits, seed, statistics, model } = &self.context;
        RunContext {
            as_of_ms: as_of.timestamp_millis(),
            timezone: timezone.clone(),
            currency: currency.clone(),
            currency_digits: *currency_digits,
            seed: *seed,
            statistics: Json::Object(statistics.clone()).to_string(),
            model: model.as_ref().map(Json::to_string),
        }
    }

    /// The configuration as the plugin receives it.
    pub fn config_text(&self) -> String {
        Json::Object(self.config.clone()).to_string()
    }

    /// # Errors
    /// [`FixtureError::Inputs`]: the inputs do not fit the manifest.
    pub fn frame(&self, manifest: &Manifest) -> Result<Frame, FixtureError> {
        rows::frame(manifest, &self.context.currency, &self.inputs)
            .map_err(|source| FixtureError::Inputs { fixture: self.name.clone(), source })
    }

    /// # Errors
    /// [`FixtureError::Mismatch`] at the first place that differs.
    pub fn expects_scores(&self, scores: &Scores) -> Result<(), FixtureError> {
        self.expect.scores(scores).map_err(|source| self.mismatch(source))
    }

    /// # Errors
    /// [`FixtureError::Mismatch`] at the first place that differs.
    pub fn expects_segments(&self, segments: &Segments) -> Result<(), FixtureError> {
        self.expect.segments(segments).map_err(|source| self.mismatch(source))
    }

    /// `text`: with what the plugin refused, in `init` or in the call.
    ///
    /// # Errors
    /// [`FixtureError::Mismatch`]: an answer was expected, or another text.
    pub fn expects_refusal(&self, text: &str) -> Result<(), FixtureError> {
        self.expect.refusal(text).map_err(|source| self.mismatch(source))
    }

    fn mismatch(&self, source: Mismatch) -> FixtureError {
        FixtureError::Mismatch { fixture: self.name.clone(), source }
    }
}
