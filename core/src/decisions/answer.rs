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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Answer, scores, segments};
    use crate::ports::{Column, Figure, Reason, Scores, Segments, Texts};

    fn figure(code: &str, values: &[f64]) -> Figure {
        Figure { code: code.to_owned(), values: values.to_vec() }
    }

    #[test]
    fn each_row_gets_its_terms_and_its_reasons_and_a_declined_one_nothing_else() {
        let named = Texts { dict: vec!["steel".to_owned(), "toys".to_owned()], codes: vec![1, 0] };
        let found = scores(&Scores {
            values: vec![3.0, 0.0, 5.0],
            contributions: vec![figure("a", &[1.0, 0.0, 2.0]), figure("b", &[2.0, 0.0, 3.0])],
            figures: vec![figure("odds", &[0.25, 0.0, 0.5])],
            reasons: vec![Reason {
                code: "trade".to_owned(),
                rows: vec![2, 0],
                args: vec![Column::Texts(named), Column::Integers(vec![7, 8])],
            }],
            declined: vec![Reason {
                code: "too_new".to_owned(),
                rows: vec![1],
                args: vec![Column::Numbers(vec![1.5])],
            }],
        });
        let row = |value: f64, a: f64, b: f64, odds: f64, args| Answer::Score {
            value,
            contributions: json!([{"code": "a", "value": a}, {"code": "b", "value": b}]),
            figures: json!([{"code": "odds", "value": odds}]),
            reasons: json!([{"code": "trade", "args": args}]),
        };
        let declined = Answer::Declined { code: "too_new".to_owned(), args: json!([1.5]) };
        let expected =
            [row(3.0, 1.0, 2.0, 0.25, json!(["steel", 8])), declined, row(5.0, 2.0, 3.0, 0.5, json!(["toys", 7]))];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_row_may_have_several_labels_or_none() {
        let found = segments(&Segments {
            labels: vec!["quality".to_owned(), "price".to_owned()],
            offsets: vec![0, 2, 2, 3],
            codes: vec![1, 0, 0],
            weights: vec![0.75, 0.25, 1.0],
            reasons: Vec::new(),
        });
        let labels = |labels: &[(&str, f64)]| Answer::Labels {
            labels: labels.iter().map(|(label, weight)| ((*label).to_owned(), *weight)).collect(),
            reasons: json!([]),
        };
        let none = Answer::Declined { code: "no_label".to_owned(), args: json!([]) };
        assert_eq!(found, [labels(&[("price", 0.75), ("quality", 0.25)]), none, labels(&[("quality", 1.0)])]);
        assert_eq!(found.first().and_then(Answer::label), Some("price"));
    }
}
