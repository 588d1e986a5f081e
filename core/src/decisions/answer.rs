//! A plugin's columns as answers, one a row.

use serde_json::{Value as Json, json};

use crate::ports::{Column, Figure, Reason, Scores, Segments};

/// What the plugin says of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Score {
        value: f64,
        contributions: Json,
        figures: Json,
        reasons: Json,
    },
    /// At least one label with its weight, in the plugin's order.
    Labels {
        labels: Vec<(String, f64)>,
        reasons: Json,
    },
    /// It declines to say anything, by a code of its manifest.
    Declined {
        code: String,
        args: Json,
    },
}

impl Answer {
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Score { value, .. } => Some(*value),
            _ => None,
        }
    }

    /// The first label: the only one where the plugin gives one.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Labels { labels, .. } => labels.first().map(|(label, _)| label.as_str()),
            _ => None,
        }
    }
}

pub fn scores(scores: &Scores) -> Vec<Answer> {
    let reasons = by_row(&scores.reasons, scores.values.len());
    let mut answers: Vec<Answer> = scores
        .values
        .iter()
        .zip(reasons)
        .enumerate()
        .map(|(row, (value, reasons))| Answer::Score {
            value: *value,
            contributions: figures(&scores.contributions, row),
            figures: figures(&scores.figures, row),
            reasons: Json::Array(reasons),
        })
        .collect();
    for reason in &scores.declined {
        for (at, row) in reason.rows.iter().enumerate() {
            if let Some(answer) = answers.get_mut(*row as usize) {
                *answer = Answer::Declined { code: reason.code.clone(), args: args(reason, at) };
            }
        }
    }
    answers
}

/// A row without any label is declined by the plugin's silence.
pub fn segments(segments: &Segments) -> Vec<Answer> {
    let rows = segments.offsets.len().saturating_sub(1);
    let reasons = by_row(&segments.reasons, rows);
    segments
        .offsets
        .windows(2)
        .zip(reasons)
        .map(|(slot, reasons)| {
            let (from, to) = (slot.first().copied().unwrap_or(0) as usize, slot.last().copied().unwrap_or(0) as usize);
            let labels: Vec<_> = segments
                .codes
                .get(from..to)
                .unwrap_or_default()
                .iter()
                .zip(segments.weights.get(from..to).unwrap_or_default())
                .filter_map(|(code, weight)| Some((segments.labels.get(*code as usize)?.clone(), *weight)))
                .collect();
            if labels.is_empty() {
                Answer::Declined { code: "no_label".to_owned(), args: json!([]) }
            } else {
                Answer::Labels { labels, reasons: Json::Array(reasons) }
            }
        })
        .collect()
}

fn figures(figures: &[Figure], row: usize) -> Json {
    let one = |figure: &Figure| Some(json!({"code": figure.code, "value": figure.values.get(row)?}));
    Json::Array(figures.iter().filter_map(one).collect())
}

fn by_row(reasons: &[Reason], rows: usize) -> Vec<Vec<Json>> {
    let mut by_row = vec![Vec::new(); rows];
    for reason in reasons {
        for (at, row) in reason.rows.iter().enumerate() {
            if let Some(list) = by_row.get_mut(*row as usize) {
                list.push(json!({"code": reason.code, "args": args(reason, at)}));
            }
        }
    }
    by_row
}

fn args(reason: &Reason, at: usize) -> Json {
    Json::Array(reason.args.iter().map(|column| cell(column, at)).collect())
}

fn cell(column: &Column, at: usize) -> Json {
    let word = |dict: &[String], code: &u32| dict.get(*code as usize).cloned().unwrap_or_default();
    let slot = |offsets: &[u32]| {
        let bound = |at: usize| offsets.get(at).map_or(0, |offset| *offset as usize);
        bound(at)..bound(at + 1)
    };
    match column {
        Column::Numbers(values) => json!(values.get(at)),
        Column::Integers(values) => json!(values.get(at)),
        Column::Booleans(values) => json!(values.get(at).map(|value| *value == 1)),
        Column::Texts(texts) => json!(texts.codes.get(at).map(|code| word(&texts.dict, code))),
        Column::Words(words) => {
            let codes = words.codes.get(slot(&words.offsets)).unwrap_or_default();
            codes.iter().map(|code| word(&words.dict, code)).collect()
        }
        Column::Series(series) => json!(series.values.get(slot(&series.offsets))),
    }
}
