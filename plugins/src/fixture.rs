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

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ripen_core::ports::{Capability, Column, Figure, Frame, Manifest, Reason, RunContext, Scores, Segments};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::rows;

/// Relative tolerance of every compared number.
const TOLERANCE: f64 = 1e-9;

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

/// What the plugin must answer; what is `None` is not compared.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    pub values: Option<Vec<f64>>,
    pub labels: Option<Vec<RowLabels>>,
    pub error: Option<String>,
    pub contributions: Option<BTreeMap<String, Vec<f64>>>,
    pub figures: Option<BTreeMap<String, Vec<f64>>>,
    pub reasons: Option<BTreeMap<String, ExpectedReason>>,
    pub declined: Option<BTreeMap<String, ExpectedReason>>,
}

/// The labels of one row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum RowLabels {
    One(String),
    Weighted(BTreeMap<String, f64>),
}

/// The rows of one reason with its arguments, each a list as long as the rows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedReason {
    pub rows: Vec<u32>,
    #[serde(default)]
    pub args: Vec<Vec<Json>>,
}

#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    #[error("tests.fixtures: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("fixture `{fixture}`: {source}")]
    Inputs { fixture: String, source: rows::RowsError },
    #[error("fixture `{fixture}`, expect: a scorer's has values, a segmenter's has labels, and either may have error")]
    Incomplete { fixture: String },
    #[error("fixture `{fixture}`, {place}: {expected} expected, {found} answered")]
    Mismatch { fixture: String, place: String, expected: String, found: String },
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
            match (fixture.kind, values, labels, error) {
                (Capability::Scorer, Some(_), None, None) | (Capability::Segmenter, None, Some(_), None) => {}
                (Capability::Scorer | Capability::Segmenter, None, None, Some(_)) => {}
                _ => return Err(FixtureError::Incomplete { fixture: fixture.name.clone() }),
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
        let expect = &self.expect;
        let Some(values) = &expect.values else { return self.unexpected("scores") };
        self.numbers("values", values, &scores.values)?;
        self.figures("contributions", expect.contributions.as_ref(), &scores.contributions)?;
        self.figures("figures", expect.figures.as_ref(), &scores.figures)?;
        self.reasons("reasons", expect.reasons.as_ref(), &scores.reasons)?;
        self.reasons("declined", expect.declined.as_ref(), &scores.declined)
    }

    /// # Errors
    /// [`FixtureError::Mismatch`] at the first place that differs.
    pub fn expects_segments(&self, segments: &Segments) -> Result<(), FixtureError> {
        let Some(labels) = &self.expect.labels else { return self.unexpected("labels") };
        let answered: Vec<_> = labels_by_row(segments).collect();
        if labels.len() != answered.len() {
            return self.differs("labels, rows", labels.len(), answered.len());
        }
        for (row, (expected, found)) in labels.iter().zip(&answered).enumerate() {
            let expected = match expected {
                RowLabels::One(label) => BTreeMap::from([(label.as_str(), 1.0)]),
                RowLabels::Weighted(weights) => {
                    weights.iter().map(|(label, weight)| (label.as_str(), *weight)).collect()
                }
            };
            let same = expected.len() == found.len()
                && expected.iter().zip(found).all(|(a, b)| a.0 == b.0 && near(*a.1, *b.1));
            if !same {
                return self.differs(&format!("labels, row {row}"), format!("{expected:?}"), format!("{found:?}"));
            }
        }
        self.reasons("reasons", self.expect.reasons.as_ref(), &segments.reasons)
    }

    /// # Errors
    /// [`FixtureError::Mismatch`]: an answer was expected, or another text.
    pub fn expects_refusal(&self, text: &str) -> Result<(), FixtureError> {
        match &self.expect.error {
            Some(part) if text.contains(part) => Ok(()),
            Some(part) => self.differs("error", part, text),
            None => self.differs("answer", "no error", text),
        }
    }

    fn unexpected(&self, found: &str) -> Result<(), FixtureError> {
        let expected = self.expect.error.as_deref().unwrap_or("another kind of answer");
        self.differs("answer", expected, found)
    }

    fn differs(&self, place: &str, expected: impl ToString, found: impl ToString) -> Result<(), FixtureError> {
        Err(FixtureError::Mismatch {
            fixture: self.name.clone(),
            place: place.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        })
    }

    fn numbers(&self, place: &str, expected: &[f64], found: &[f64]) -> Result<(), FixtureError> {
        if expected.len() != found.len() {
            return self.differs(&format!("{place}, rows"), expected.len(), found.len());
        }
        match expected.iter().zip(found).enumerate().find(|(_, (a, b))| !near(**a, **b)) {
            Some((row, (expected, found))) => self.differs(&format!("{place}, row {row}"), expected, found),
            None => Ok(()),
        }
    }

    fn figures(
        &self,
        place: &str,
        expected: Option<&BTreeMap<String, Vec<f64>>>,
        found: &[Figure],
    ) -> Result<(), FixtureError> {
        let Some(expected) = expected else { return Ok(()) };
        let found: BTreeMap<_, _> = found.iter().map(|figure| (&figure.code, &figure.values)).collect();
        if !expected.keys().eq(found.keys().copied()) {
            return self.differs(place, format!("{:?}", expected.keys()), format!("{:?}", found.keys()));
        }
        expected
            .iter()
            .zip(found.values())
            .try_for_each(|((code, expected), found)| self.numbers(&format!("{place}.{code}"), expected, found))
    }

    fn reasons(
        &self,
        place: &str,
        expected: Option<&BTreeMap<String, ExpectedReason>>,
        found: &[Reason],
    ) -> Result<(), FixtureError> {
        let Some(expected) = expected else { return Ok(()) };
        let found: BTreeMap<_, _> = found.iter().map(|reason| (&reason.code, reason)).collect();
        if !expected.keys().eq(found.keys().copied()) {
            return self.differs(place, format!("{:?}", expected.keys()), format!("{:?}", found.keys()));
        }
        for ((code, expected), found) in expected.iter().zip(found.values()) {
            if expected.rows != found.rows {
                let rows = (format!("{:?}", expected.rows), format!("{:?}", found.rows));
                return self.differs(&format!("{place}.{code}.rows"), rows.0, rows.1);
            }
            let args: Vec<_> = found.args.iter().map(arguments).collect();
            let same = args.len() == expected.args.len()
                && args.iter().zip(&expected.args).all(|(found, expected)| {
                    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| same_argument(a, b))
                });
            if !same {
                let args = (format!("{:?}", expected.args), format!("{args:?}"));
                return self.differs(&format!("{place}.{code}.args"), args.0, args.1);
            }
        }
        Ok(())
    }
}

fn near(expected: f64, found: f64) -> bool {
    (expected - found).abs() <= TOLERANCE * expected.abs().max(1.0)
}

fn same_argument(a: &Json, b: &Json) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => near(b, a),
        _ => a == b,
    }
}

fn arguments(column: &Column) -> Vec<Json> {
    match column {
        Column::Numbers(values) => values.iter().copied().map(Json::from).collect(),
        Column::Integers(values) => values.iter().copied().map(Json::from).collect(),
        Column::Booleans(values) => values.iter().map(|value| Json::from(*value != 0)).collect(),
        Column::Texts(texts) => {
            let text = |code: &u32| texts.dict.get(*code as usize).map(String::as_str).into();
            texts.codes.iter().map(text).collect()
        }
        Column::Words(_) | Column::Series(_) => Vec::new(),
    }
}

/// Row by row: its labels with their weights.
pub(crate) fn labels_by_row(segments: &Segments) -> impl Iterator<Item = BTreeMap<&str, f64>> {
    let rows = segments.offsets.windows(2).filter_map(|pair| match pair {
        [from, to] => Some(*from as usize..*to as usize),
        _ => None,
    });
    rows.map(|range| {
        let codes = segments.codes.get(range.clone()).unwrap_or_default();
        let weights = segments.weights.get(range).unwrap_or_default();
        let name = |code: &u32| segments.labels.get(*code as usize).map_or("", String::as_str);
        codes.iter().zip(weights).map(|(code, weight)| (name(code), *weight)).collect()
    })
}
