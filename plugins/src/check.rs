//! Whether what crosses the sandbox is what the manifest promises, in both directions.

mod columns;
mod rows;

pub(crate) use self::rows::frame;

use std::collections::{BTreeMap, BTreeSet};

use ripen_core::ports::{Contributions, Figure, Outputs, PluginFailure, Reason, Scores, Segments};

use crate::codes;

type Checked = Result<(), PluginFailure>;

/// Contributions must add up to within this share of the value, or absolutely where the value is below 1.
const TOLERANCE: f64 = 1e-9;

/// # Errors
/// The first promise of `promised` that the scores of `rows` rows break.
pub(crate) fn scores(scores: &Scores, rows: usize, promised: &Outputs) -> Checked {
    count("values", scores.values.len(), rows)?;
    finite("values", &scores.values)?;
    let figures = || scores.contributions.iter().chain(&scores.figures);
    for figure in figures() {
        count(&figure.code, figure.values.len(), rows)?;
        finite(&figure.code, &figure.values)?;
    }
    for list in [&scores.contributions, &scores.figures] {
        distinct(list)?;
    }
    reasons(&scores.reasons, rows, promised)?;
    reasons(&scores.declined, rows, promised)?;
    let declined = declined(&scores.declined, rows)?;
    for (row, (&value, &declined)) in scores.values.iter().zip(&declined).enumerate() {
        if declined {
            let zero = value == 0.0 && figures().all(|figure| figure.values.get(row) == Some(&0.0));
            if !zero {
                return Err(
                    codes::BAD_DECLINED.because(format!("row {row} is declined, but its figures are not all 0"))
                );
            }
        } else {
            in_range(row, value, promised.range)?;
            adds_up(row, value, &scores.contributions, promised.contributions)?;
        }
    }
    Ok(())
}

/// # Errors
/// The first promise of `promised` that the labels of `rows` rows break.
pub(crate) fn segments(segments: &Segments, rows: usize, promised: &Outputs) -> Checked {
    if let Some(label) = segments.labels.iter().find(|label| !promised.labels.contains(label)) {
        let detail = format!("label {label:?} is not in outputs.labels of the manifest");
        return Err(codes::UNKNOWN_LABEL.because(detail));
    }
    count("weights", segments.weights.len(), segments.codes.len())?;
    finite("weights", &segments.weights)?;
    columns::offsets("labels", &segments.offsets, rows, segments.codes.len())?;
    columns::codes("labels", &segments.codes, segments.labels.len())?;
    for (row, slot) in segments.offsets.windows(2).enumerate() {
        let &[from, to] = slot else { continue };
        let slot = from as usize..to as usize;
        let (codes, weights) = (segments.codes.get(slot.clone()), segments.weights.get(slot));
        labels_of_row(row, codes.unwrap_or_default(), weights.unwrap_or_default(), promised.multiple)?;
    }
    reasons(&segments.reasons, rows, promised)
}

fn labels_of_row(row: usize, labels: &[u32], weights: &[f64], multiple: bool) -> Checked {
    let broken = |detail: String| Err(codes::LABEL_COUNT.because(detail));
    if !multiple {
        return match (labels, weights) {
            ([_], [weight]) if (*weight - 1.0).abs() < f64::EPSILON => Ok(()),
            ([_], [weight]) => broken(format!("row {row} has its label with weight {weight}, it must be 1")),
            _ => broken(format!("row {row} has {} labels, it must have exactly one", labels.len())),
        };
    }
    if labels.iter().collect::<BTreeSet<_>>().len() < labels.len() {
        return broken(format!("row {row} has one label twice"));
    }
    match weights.iter().find(|weight| **weight < 0.0) {
        Some(weight) => {
            Err(codes::OUT_OF_RANGE.because(format!("row {row} has a label with weight {weight}, below 0")))
        }
        None => Ok(()),
    }
}

fn count(name: &str, found: usize, rows: usize) -> Checked {
    if found == rows {
        return Ok(());
    }
    Err(codes::WRONG_ROW_COUNT.because(format!("{name} has {found} entries for {rows} rows")))
}

fn finite(name: &str, values: &[f64]) -> Checked {
    match values.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(codes::NOT_FINITE
            .because(format!("{name} holds {} at row {row}", values.get(row).copied().unwrap_or(f64::NAN)))),
        None => Ok(()),
    }
}

fn distinct(figures: &[Figure]) -> Checked {
    let mut seen = BTreeSet::new();
    match figures.iter().find(|figure| !seen.insert(&figure.code)) {
        Some(figure) => Err(codes::REPEATED_FIGURE.because(format!("{:?} comes twice", figure.code))),
        None => Ok(()),
    }
}

fn in_range(row: usize, value: f64, range: Option<(f64, f64)>) -> Checked {
    match range {
        Some((low, high)) if !(low..=high).contains(&value) => {
            Err(codes::OUT_OF_RANGE.because(format!("the value of row {row} is {value}, outside of [{low}, {high}]")))
        }
        _ => Ok(()),
    }
}

fn adds_up(row: usize, value: f64, contributions: &[Figure], promised: Contributions) -> Checked {
    let (target, what) = match promised {
        Contributions::None => return Ok(()),
        Contributions::Sum => (value, "the value"),
        Contributions::LogOdds => ((value / (1.0 - value)).ln(), "the logit of the value"),
    };
    // In list order: floating-point sums depend on it.
    let sum = contributions.iter().filter_map(|figure| figure.values.get(row)).fold(0.0, |sum, part| sum + part);
    if (sum - target).abs() <= TOLERANCE * target.abs().max(1.0) {
        return Ok(());
    }
    Err(codes::DO_NOT_ADD_UP.because(format!("the contributions of row {row} add up to {sum}, {what} is {target}")))
}

fn reasons(reasons: &[Reason], rows: usize, promised: &Outputs) -> Checked {
    for reason in reasons {
        if !promised.reasons.contains_key(&reason.code) {
            let detail = format!("reason {:?} is not in outputs.reasons of the manifest", reason.code);
            return Err(codes::UNKNOWN_REASON.because(detail));
        }
        let name = format!("reason {}", reason.code);
        columns::codes(&name, &reason.rows, rows)?;
        for (position, arg) in reason.args.iter().enumerate() {
            columns::column(&format!("argument {position} of {name}"), arg, reason.rows.len())?;
        }
    }
    Ok(())
}

/// Whether each row is declined.
fn declined(reasons: &[Reason], rows: usize) -> Result<Vec<bool>, PluginFailure> {
    let mut by: BTreeMap<u32, &str> = BTreeMap::new();
    for reason in reasons {
        for row in &reason.rows {
            if let Some(before) = by.insert(*row, &reason.code) {
                let detail = format!("row {row} is declined twice, as {before} and as {}", reason.code);
                return Err(codes::BAD_DECLINED.because(detail));
            }
        }
    }
    let mut declined = vec![false; rows];
    for row in by.into_keys() {
        if let Some(entry) = declined.get_mut(row as usize) {
            *entry = true;
        }
    }
    Ok(declined)
}
