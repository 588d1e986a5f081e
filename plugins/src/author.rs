//! Runs a plugin over a file, for its author: the columns are the manifest's inputs, the whole file is the population.

use std::{collections::BTreeMap, io::Read, sync::Arc};

use chrono::{DateTime, NaiveDate};
use ripen_core::{
    metrics::nearest_rank,
    ports::{
        Artefact, Call, Capability, Input, InputType, Manifest, PluginFailure, PluginHost, RunContext, Scores, Segments,
    },
};
use serde_json::{Value as Json, json};

use crate::{codes, fixture::labels_by_row, rows};

/// Rows of one call, as on a server.
const BATCH: usize = 1_000;

/// A column that need not be an input: it is handed through.
const ID: &str = "id";

/// What a plugin says about one row of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRow {
    /// Line of the file, the header being line 1.
    pub line: u64,
    /// Of the column `id`, where the file has one.
    pub id: Option<String>,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Score {
        value: f64,
        /// By code, in the plugin's order.
        contributions: Vec<(String, f64)>,
    },
    /// By label, with its weight.
    Labels(BTreeMap<String, f64>),
    /// The code of the plugin's reason.
    Declined(String),
    /// The required input without a value.
    NotScored(String),
}

/// Why a file could not be run.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("the file is no CSV: {0}")]
    Csv(#[from] csv::Error),
    #[error("column `{0}` is no input of the manifest; it has {1}")]
    UnknownColumn(String, String),
    #[error("the file has no column `{0}`, which the manifest requires")]
    MissingColumn(String),
    #[error("line {line}, column `{column}`: `{value}` is no {wanted}")]
    Value { line: u64, column: String, value: String, wanted: &'static str },
    #[error(transparent)]
    Rows(#[from] rows::RowsError),
    #[error(transparent)]
    Plugin(#[from] PluginFailure),
}

/// Runs `kind` over each row of `csv`, handing what the plugin logs to `said`. `context.statistics` is computed here, over the
/// rows that have every required input. Cells: numbers; money in minor units; dates as 2024-05-01, instants as 2024-05-01T12:00:00Z; true or false;
/// words and series separated by `;`. An empty cell has no value.
///
/// # Errors
/// The place in the file that is wrong, or what the plugin failed with.
pub fn run_file(
    host: &dyn PluginHost,
    artefact: &Artefact,
    kind: Capability,
    config: &str,
    mut context: RunContext,
    csv: impl Read,
    said: &mut dyn FnMut(&str),
) -> Result<Vec<FileRow>, FileError> {
    let manifest = &artefact.manifest;
    let rows = Cells::read_all(manifest, csv)?;
    let (missing, population): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.missing(manifest).is_some());
    let not_scored = |row: &Cells| Some(row.answered(Outcome::NotScored(row.missing(manifest)?.clone())));
    let mut answers: Vec<FileRow> = missing.iter().filter_map(not_scored).collect();

    context.statistics = statistics(manifest, &population).to_string();
    let (config, context): (Arc<str>, _) = (config.into(), Arc::new(context));
    for batch in population.chunks(BATCH) {
        let frame = rows::frame(manifest, &context.currency, &columns(manifest, batch))?;
        let call = Call { artefact: artefact.clone(), config: config.clone(), context: context.clone(), frame };
        let (outcomes, log) = outcomes(host, kind, call)?;
        for line in &log {
            said(line);
        }
        answers.extend(batch.iter().zip(outcomes).map(|(row, outcome)| row.answered(outcome)));
    }
    answers.sort_by_key(|row| row.line);
    Ok(answers)
}

/// What became of each row, and what the plugin logged.
type Outcomes = (Vec<Outcome>, Vec<String>);

fn outcomes(host: &dyn PluginHost, kind: Capability, call: Call) -> Result<Outcomes, PluginFailure> {
    match kind {
        Capability::Scorer => host.score(call).map(|answer| (of_scores(&answer.output), answer.log)),
        Capability::Segmenter => host.segment(call).map(|answer| (of_segments(&answer.output), answer.log)),
        Capability::Incentive | Capability::Fitter => {
            Err(codes::UNSUPPORTED_KIND.because(format!("a {} cannot be run over a file", kind.as_str())))
        }
    }
}

/// One row of the file.
struct Cells {
    line: u64,
    id: Option<String>,
    values: BTreeMap<String, Json>,
}

impl Cells {
    fn read_all(manifest: &Manifest, csv: impl Read) -> Result<Vec<Self>, FileError> {
        let mut reader = csv::Reader::from_reader(csv);
        let headers = reader.headers()?.clone();
        let is_input = |name: &str| manifest.inputs.contains_key(name);
        if let Some(unknown) = headers.iter().find(|name| *name != ID && !is_input(name)) {
            let inputs: Vec<&str> = manifest.inputs.keys().map(String::as_str).collect();
            return Err(FileError::UnknownColumn(unknown.into(), inputs.join(", ")));
        }
        let wanted = manifest.inputs.iter().find(|(name, input)| input.required && !headers.iter().any(|h| h == *name));
        if let Some((name, _)) = wanted {
            return Err(FileError::MissingColumn(name.clone()));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let mut cells = Cells { line, id: None, values: BTreeMap::new() };
            for (column, text) in headers.iter().zip(&record) {
                match manifest.inputs.get(column) {
                    Some(input) => {
                        cells.values.insert(column.into(), value(line, column, input, text)?);
                    }
                    None => cells.id = Some(text.into()),
                }
            }
            rows.push(cells);
        }
        Ok(rows)
    }

    /// The required input this row has no value of.
    fn missing<'a>(&self, manifest: &'a Manifest) -> Option<&'a String> {
        let absent = |name: &String| self.values.get(name).is_none_or(Json::is_null);
        manifest.inputs.iter().find(|(name, input)| input.required && absent(name)).map(|(name, _)| name)
    }

    fn answered(&self, outcome: Outcome) -> FileRow {
        FileRow { line: self.line, id: self.id.clone(), outcome }
    }
}

fn value(line: u64, column: &str, input: &Input, text: &str) -> Result<Json, FileError> {
    if text.is_empty() {
        return Ok(Json::Null);
    }
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Json::from);
    let date = |text: &str| text.parse::<NaiveDate>().ok().map(|date| json!(date.to_epoch_days()));
    let instant = |text: &str| text.parse::<DateTime<chrono::Utc>>().ok().map(|time| json!(time.timestamp_millis()));
    let (value, wanted) = match input.kind {
        InputType::Number => (number(text), "number"),
        InputType::Integer => (text.parse::<i64>().ok().map(Json::from), "whole number"),
        InputType::Money => (text.parse::<i64>().ok().map(Json::from), "whole number of minor units"),
        InputType::Date => (date(text), "date like 2024-05-01"),
        InputType::Instant => (instant(text), "instant like 2024-05-01T12:00:00Z"),
        InputType::Boolean => (text.parse::<bool>().ok().map(Json::from), "true or false"),
        InputType::Text => (Some(Json::from(text)), "text"),
        InputType::Words => (Some(text.split(';').map(Json::from).collect()), "list of words"),
        InputType::Series => {
            (text.split(';').map(number).collect::<Option<Vec<_>>>().map(Json::from), "list of numbers")
        }
    };
    value.ok_or_else(|| FileError::Value { line, column: column.into(), value: text.into(), wanted })
}

/// One list an input. A column the file lacks has no values.
fn columns(manifest: &Manifest, batch: &[Cells]) -> BTreeMap<String, Vec<Json>> {
    let column =
        |name: &String| batch.iter().map(|cells| cells.values.get(name).cloned().unwrap_or_default()).collect();
    manifest.inputs.keys().map(|name| (name.clone(), column(name))).collect()
}

/// `{name: {"values": [quantiles], "count": rows}}`, by nearest rank over the rows that have a value or a default.
fn statistics(manifest: &Manifest, population: &[Cells]) -> Json {
    let numbers = |name: &str| {
        let default = manifest.inputs.get(name).and_then(|input| input.default.as_ref());
        let value = |cells: &Cells| cells.values.get(name).filter(|value| !value.is_null()).or(default)?.as_f64();
        let mut numbers: Vec<f64> = population.iter().filter_map(value).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let statistic = |of: &str, quantiles: &[f64]| {
        let sorted = numbers(of);
        let values: Vec<f64> = quantiles.iter().filter_map(|q| quantile(&sorted, *q)).collect();
        json!({"values": values, "count": sorted.len()})
    };
    manifest.statistics.iter().map(|(name, wanted)| (name.clone(), statistic(&wanted.of, &wanted.quantiles))).collect()
}

/// The smallest value v with at least `q` of the values <= v, as a server finds it.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = nearest_rank(q, i64::try_from(sorted.len()).ok()?).ok()?;
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

fn of_scores(scores: &Scores) -> Vec<Outcome> {
    let contributions = |row: usize| {
        let of = |figure: &ripen_core::ports::Figure| Some((figure.code.clone(), *figure.values.get(row)?));
        scores.contributions.iter().filter_map(of).collect()
    };
    let score = |(row, value): (usize, &f64)| Outcome::Score { value: *value, contributions: contributions(row) };
    let mut outcomes: Vec<Outcome> = scores.values.iter().enumerate().map(score).collect();
    for reason in &scores.declined {
        for row in &reason.rows {
            if let Some(outcome) = outcomes.get_mut(*row as usize) {
                *outcome = Outcome::Declined(reason.code.clone());
            }
        }
    }
    outcomes
}

fn of_segments(segments: &Segments) -> Vec<Outcome> {
    let owned = |(label, weight): (&str, f64)| (label.to_owned(), weight);
    labels_by_row(segments).map(|labels| Outcome::Labels(labels.into_iter().map(owned).collect())).collect()
}
