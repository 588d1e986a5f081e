//! What every answer must hold before it leaves the plugin. The host checks again; here the message can name the
//! author's own codes and rows.

use std::collections::HashSet;

use crate::columns::{Column, Figure, Reason, Scores, Segments};

/// Largest integer that every language's numbers hold exactly.
const MAX_INTEGER: u64 = (1 << 53) - 1;

pub(crate) fn scores(scores: &Scores, rows: u32) -> Result<(), String> {
    finite("values", &scores.values, rows)?;
    for Figure { code, values } in scores.contributions.iter().chain(&scores.figures) {
        finite(&format!("`{code}`"), values, rows)?;
    }
    reasons(&scores.reasons, rows)?;
    reasons(&scores.declined, rows)?;
    let figures = scores.contributions.iter().chain(&scores.figures).map(|figure| &figure.values);
    let columns: Vec<&Vec<f64>> = std::iter::once(&scores.values).chain(figures).collect();
    let mut seen = HashSet::new();
    for row in scores.declined.iter().flat_map(|reason| &reason.rows) {
        if !seen.insert(row) {
            return Err(format!("row {row} is declined twice"));
        }
        if columns.iter().any(|column| column.get(*row as usize).is_some_and(|value| *value != 0.0)) {
            return Err(format!("row {row} is declined, so its values must be 0"));
        }
    }
    Ok(())
}

pub(crate) fn segments(segments: &Segments, rows: u32) -> Result<(), String> {
    let Segments { labels, offsets, codes, weights, reasons: given } = segments;
    if offsets.len() != rows as usize + 1 {
        return Err(format!("labels for {} of {rows} rows", offsets.len().saturating_sub(1)));
    }
    if offsets.first() != Some(&0)
        || !offsets.is_sorted()
        || offsets.last().map(|end| *end as usize) != Some(codes.len())
    {
        return Err(format!("offsets must rise from 0 to the number of codes, {}", codes.len()));
    }
    if let Some(code) = codes.iter().find(|code| **code as usize >= labels.len()) {
        return Err(format!("code {code} names none of {} labels", labels.len()));
    }
    if weights.len() != codes.len() || weights.iter().any(|weight| !weight.is_finite()) {
        return Err("each label needs a weight that is a finite number".into());
    }
    reasons(given, rows)
}

fn finite(what: &str, values: &[f64], rows: u32) -> Result<(), String> {
    if values.len() != rows as usize {
        return Err(format!("{what}: {} values for {rows} rows", values.len()));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(format!("{what}, row {row}: not a finite number")),
        None => Ok(()),
    }
}

fn reasons(reasons: &[Reason], rows: u32) -> Result<(), String> {
    for Reason { code, rows: of, args } in reasons {
        if let Some(row) = of.iter().find(|row| **row >= rows) {
            return Err(format!("reason `{code}`: row {row} of {rows}"));
        }
        for (index, arg) in args.iter().enumerate() {
            let fault = match arg {
                _ if arg.rows() != of.len() => "must be as long as the reason's rows",
                Column::Numbers(values) if values.iter().any(|value| !value.is_finite()) => "has no finite number",
                Column::Integers(values) if values.iter().any(|value| value.unsigned_abs() > MAX_INTEGER) => {
                    "has an integer beyond 2^53 - 1"
                }
                _ => continue,
            };
            return Err(format!("reason `{code}`, argument {index}: {fault}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Scores {
        let figure = |code: &str| Figure { code: code.into(), values: vec![1.0, 0.0] };
        Scores {
            values: vec![1.0, 0.0],
            contributions: vec![figure("a")],
            figures: vec![figure("b")],
            reasons: vec![reason(&[0, 1], vec![Column::Integers(vec![1, -1])])],
            declined: vec![reason(&[1], vec![])],
        }
    }

    fn reason(rows: &[u32], args: Vec<Column>) -> Reason {
        Reason { code: "r".into(), rows: rows.into(), args }
    }

    #[test]
    fn a_sound_answer_passes() {
        assert_eq!(scores(&sound(), 2), Ok(()));
    }

    #[test]
    fn each_fault_of_scores_is_named() {
        let fault = |spoil: fn(&mut Scores)| {
            let mut spoilt = sound();
            spoil(&mut spoilt);
            scores(&spoilt, 2).unwrap_err()
        };
        assert_eq!(fault(|s| s.values.push(1.0)), "values: 3 values for 2 rows");
        assert_eq!(fault(|s| s.values[0] = f64::NAN), "values, row 0: not a finite number");
        assert_eq!(fault(|s| s.contributions[0].values[1] = f64::INFINITY), "`a`, row 1: not a finite number");
        assert_eq!(fault(|s| s.figures[0].values.clear()), "`b`: 0 values for 2 rows");
        assert_eq!(fault(|s| s.reasons[0].rows[1] = 2), "reason `r`: row 2 of 2");
        let length = "reason `r`, argument 0: must be as long as the reason's rows";
        assert_eq!(fault(|s| s.reasons[0].args[0] = Column::Numbers(vec![1.0])), length);
        let integer = "reason `r`, argument 0: has an integer beyond 2^53 - 1";
        assert_eq!(fault(|s| s.reasons[0].args[0] = Column::Integers(vec![0, 1 << 53])), integer);
        assert_eq!(fault(|s| s.declined.push(reason(&[1], vec![]))), "row 1 is declined twice");
        assert_eq!(fault(|s| s.figures[0].values[1] = 0.5), "row 1 is declined, so its values must be 0");
    }

    #[test]
    fn each_fault_of_segments_is_named() {
        let fault = |spoil: fn(&mut Segments)| {
            let labels = vec!["few".into(), "many".into()];
            let (offsets, codes, weights) = (vec![0, 1, 3], vec![0, 0, 1], vec![1.0, 0.5, 0.5]);
            let mut spoilt = Segments { labels, offsets, codes, weights, reasons: vec![] };
            assert_eq!(segments(&spoilt, 2), Ok(()));
            spoil(&mut spoilt);
            segments(&spoilt, 2).unwrap_err()
        };
        assert_eq!(fault(|s| s.offsets.truncate(2)), "labels for 1 of 2 rows");
        assert_eq!(fault(|s| s.offsets[1] = 4), "offsets must rise from 0 to the number of codes, 3");
        assert_eq!(fault(|s| s.codes[2] = 2), "code 2 names none of 2 labels");
        assert_eq!(fault(|s| s.weights[0] = f64::NAN), "each label needs a weight that is a finite number");
        assert_eq!(fault(|s| s.weights.truncate(2)), "each label needs a weight that is a finite number");
        assert_eq!(fault(|s| s.reasons.push(reason(&[2], vec![]))), "reason `r`: row 2 of 2");
    }
}
