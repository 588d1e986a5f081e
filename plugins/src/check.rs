//! Whether what crosses the sandbox is what the manifest promises, in both directions.

mod columns;
mod rows;
mod weight;

pub(crate) use self::rows::frame;

use std::collections::{BTreeMap, BTreeSet};

use ripen_core::ports::{Contributions, Figure, Outputs, PluginFailure, Reason, Scores, Segments};

use crate::codes;

type Checked = Result<(), PluginFailure>;

/// Contributions must add up to within this share of the value, or absolutely where the value is below 1.
const TOLERANCE: f64 = 1e-9;

/// # Errors
/// The first promise of `promised` that the scores of `rows` rows break, or more than `limit` bytes said.
pub(crate) fn scores(scores: &Scores, rows: usize, promised: &Outputs, limit: usize) -> Checked {
    count("values", scores.values.len(), rows)?;
    finite("values", &scores.values)?;
    let figures = || scores.contributions.iter().chain(&scores.figures);
    for figure in figures() {
        count(&figure.code, figure.values.len(), rows)?;
        finite(&figure.code, &figure.values)?;
    }
    for list in [&scores.contributions, &scores.figures] {
        distinct(list.iter().map(|figure| &figure.code))?;
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
    weight::scores(scores, limit)
}

/// # Errors
/// The first promise of `promised` that the labels of `rows` rows break, or more than `limit` bytes said.
pub(crate) fn segments(segments: &Segments, rows: usize, promised: &Outputs, limit: usize) -> Checked {
    if let Some(label) = segments.labels.iter().find(|label| !promised.labels.contains(label)) {
        let detail = format!("label {label:?} is not in outputs.labels of the manifest");
        return Err(codes::UNKNOWN_LABEL.because(detail));
    }
    distinct(segments.labels.iter())?;
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
    reasons(&segments.reasons, rows, promised)?;
    weight::segments(segments, limit)
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

fn distinct<'a>(codes: impl Iterator<Item = &'a String>) -> Checked {
    let mut seen = BTreeSet::new();
    for code in codes {
        if !seen.insert(code) {
            return Err(codes::REPEATED_CODE.because(format!("{code:?} comes twice")));
        }
    }
    Ok(())
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
    if target.is_finite() && (sum - target).abs() <= TOLERANCE * target.abs().max(1.0) {
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

#[cfg(test)]
mod tests {
    use ripen_core::ports::{Column, Texts};

    use super::*;

    fn promised() -> Outputs {
        Outputs {
            range: Some((0.0, 100.0)),
            contributions: Contributions::Sum,
            labels: vec!["high".into(), "low".into()],
            reasons: BTreeMap::from([("late".into(), BTreeMap::new())]),
            ..Outputs::default()
        }
    }

    fn figure(code: &str, values: &[f64]) -> Figure {
        Figure { code: code.into(), values: values.into() }
    }

    fn late(rows: &[u32], args: Vec<Column>) -> Reason {
        Reason { code: "late".into(), rows: rows.into(), args }
    }

    fn good_scores() -> Scores {
        Scores {
            values: vec![30.0, 0.0],
            contributions: vec![figure("a", &[10.0, 0.0]), figure("b", &[20.0, 0.0])],
            figures: vec![figure("odds", &[0.5, 0.0])],
            reasons: vec![late(&[0], vec![Column::Integers(vec![3])])],
            declined: vec![late(&[1], vec![])],
        }
    }

    fn code(change: impl FnOnce(&mut Scores)) -> &'static str {
        let mut changed = good_scores();
        change(&mut changed);
        scores(&changed, 2, &promised(), 1000).err().map_or("none", |failure| failure.code)
    }

    #[test]
    fn scores_keep_each_promise() {
        assert_eq!(code(|_| {}), "none");
        assert_eq!(code(|s| s.values.truncate(1)), "plugin_wrong_row_count");
        assert_eq!(code(|s| s.contributions[1].values.push(0.0)), "plugin_wrong_row_count");
        assert_eq!(code(|s| s.figures[0].values[0] = f64::NAN), "plugin_not_finite");
        assert_eq!(code(|s| s.contributions[0].values[0] = f64::INFINITY), "plugin_not_finite");
        assert_eq!(code(|s| s.contributions[1].code = "a".into()), "plugin_repeated_code");
        assert_eq!(code(|s| s.values[0] = 100.5), "plugin_out_of_range");
        assert_eq!(code(|s| s.values[0] = 30.1), "plugin_contributions_do_not_add_up");
        assert_eq!(code(|s| s.values[0] += 2.9e-8), "none");
        assert_eq!(code(|s| s.values[0] += 3.1e-8), "plugin_contributions_do_not_add_up");
        assert_eq!(code(|s| s.reasons[0].code = "early".into()), "plugin_unknown_reason");
        assert_eq!(code(|s| s.declined[0].code = "early".into()), "plugin_unknown_reason");
        assert_eq!(code(|s| s.reasons[0].rows[0] = 2), "plugin_bad_index");
        assert_eq!(code(|s| s.reasons[0].args[0] = Column::Integers(vec![])), "plugin_wrong_row_count");
        assert_eq!(code(|s| s.reasons[0].args[0] = Column::Integers(vec![1 << 53])), "plugin_out_of_range");
        assert_eq!(code(|s| s.reasons[0].args[0] = Column::Integers(vec![i64::MIN])), "plugin_out_of_range");
        assert_eq!(code(|s| s.reasons[0].args[0] = Column::Booleans(vec![2])), "plugin_out_of_range");
        let long = |codes| Column::Texts(Texts { dict: vec!["x".repeat(400)], codes });
        assert_eq!(code(|s| s.reasons[0].args[0] = long(vec![0])), "none");
        assert_eq!(code(|s| s.reasons[0] = late(&[0, 0, 0], vec![long(vec![0, 0, 0])])), "plugin_returned_too_much");
        assert_eq!(code(|s| s.figures[0].code = "x".repeat(600)), "plugin_returned_too_much");
        let text = Texts { dict: vec!["x".into()], codes: vec![1] };
        assert_eq!(code(|s| s.reasons[0].args[0] = Column::Texts(text)), "plugin_bad_index");
        assert_eq!(code(|s| s.declined.push(late(&[1], vec![]))), "plugin_bad_declined");
        assert_eq!(code(|s| s.declined[0].rows = vec![0]), "plugin_bad_declined");
        assert_eq!(code(|s| s.figures[0].values[1] = 0.5), "plugin_bad_declined");
        assert_eq!(code(|s| s.declined[0].rows = vec![9]), "plugin_bad_index");
    }

    #[test]
    fn log_odds_add_up_to_the_logit() {
        let promised = Outputs { contributions: Contributions::LogOdds, ..promised() };
        let answer = |value: f64| Scores {
            values: vec![value],
            contributions: vec![figure("base", &[-1.0]), figure("stage", &[2.0])],
            ..Scores::default()
        };
        assert!(scores(&answer(1.0 / (1.0 + (-1.0_f64).exp())), 1, &promised, 1000).is_ok());
        for value in [0.5, 0.0, 1.0] {
            let failure = scores(&answer(value), 1, &promised, 1000).expect_err("another logit");
            assert_eq!(failure.code, "plugin_contributions_do_not_add_up");
        }
    }

    fn segment_code(multiple: bool, change: impl FnOnce(&mut Segments)) -> &'static str {
        let mut answer = Segments {
            labels: vec!["low".into(), "high".into()],
            offsets: vec![0, 1, 2],
            codes: vec![1, 0],
            weights: vec![1.0, 1.0],
            reasons: vec![],
        };
        change(&mut answer);
        let promised = Outputs { multiple, ..promised() };
        segments(&answer, 2, &promised, 1000).err().map_or("none", |failure| failure.code)
    }

    #[test]
    fn segments_keep_each_promise() {
        assert_eq!(segment_code(false, |_| {}), "none");
        assert_eq!(segment_code(false, |s| s.labels[0] = "middle".into()), "plugin_unknown_label");
        assert_eq!(segment_code(false, |s| s.labels[0] = "high".into()), "plugin_repeated_code");
        assert_eq!(segment_code(false, |s| s.weights.truncate(1)), "plugin_wrong_row_count");
        assert_eq!(segment_code(false, |s| s.weights[0] = f64::NAN), "plugin_not_finite");
        assert_eq!(segment_code(false, |s| s.offsets.truncate(2)), "plugin_wrong_row_count");
        assert_eq!(segment_code(false, |s| s.offsets[1] = 3), "plugin_bad_index");
        assert_eq!(segment_code(false, |s| s.offsets[2] = 1), "plugin_bad_index");
        assert_eq!(segment_code(false, |s| s.codes[0] = 2), "plugin_bad_index");
        assert_eq!(segment_code(false, |s| s.offsets[1] = 2), "plugin_label_count");
        assert_eq!(segment_code(false, |s| s.weights[0] = 0.5), "plugin_label_count");
        assert_eq!(segment_code(true, |s| s.weights[0] = 0.5), "none");
        assert_eq!(segment_code(true, |s| s.offsets[1] = 2), "none");
        assert_eq!(segment_code(true, |s| s.weights[0] = -0.5), "plugin_out_of_range");
        let told = Column::Texts(Texts { dict: vec!["x".repeat(600)], codes: vec![0] });
        let tell = |s: &mut Segments| s.reasons.push(late(&[0], vec![told.clone()]));
        assert_eq!(segment_code(true, tell), "none");
        let tell_twice = |s: &mut Segments| {
            tell(s);
            (s.codes, s.weights, s.offsets) = (vec![1, 0, 0], vec![1.0; 3], vec![0, 2, 3]);
        };
        assert_eq!(segment_code(true, tell_twice), "plugin_returned_too_much");
        assert_eq!(segment_code(true, |s| (s.offsets[1], s.codes[0]) = (2, 0)), "plugin_label_count");
    }
}
