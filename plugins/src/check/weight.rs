//! How much an answer says once each row has its own words: a dictionary is handed over once, and read by many rows.

use ripen_core::ports::{Column, Reason, Scores, Segments, Words};

use super::Checked;
use crate::{codes, limits::show_size};

/// Bytes of an entry beside its text.
const ENTRY: usize = 16;

/// # Errors
/// `RETURNED_TOO_MUCH` beyond `limit` bytes.
pub(super) fn scores(scores: &Scores, limit: usize) -> Checked {
    let rows = scores.values.len();
    let figures = scores.contributions.iter().chain(&scores.figures);
    let figures = figures.map(|figure| rows.saturating_mul(ENTRY + figure.code.len()));
    let reasons = [&scores.reasons, &scores.declined].into_iter().flat_map(|reasons| of_rows(reasons, rows));
    within(figures.chain(reasons), limit)
}

/// Each label of a row is kept with the reasons of that row.
///
/// # Errors
/// As [`scores`].
pub(super) fn segments(segments: &Segments, limit: usize) -> Checked {
    let reasons = of_rows(&segments.reasons, segments.offsets.len().saturating_sub(1));
    let rows = segments.offsets.windows(2).zip(reasons).map(|(slot, reasons)| {
        let &[from, to] = slot else { return 0 };
        let codes = segments.codes.get(from as usize..to as usize).unwrap_or_default();
        let words = codes.iter().map(|code| word(&segments.labels, *code));
        words.fold(reasons.saturating_mul(codes.len().max(1)), usize::saturating_add)
    });
    within(rows, limit)
}

fn within(parts: impl Iterator<Item = usize>, limit: usize) -> Checked {
    let bytes = parts.fold(0, usize::saturating_add);
    if bytes <= limit {
        return Ok(());
    }
    let (bytes, limit) = (show_size(bytes as u64), show_size(limit as u64));
    Err(codes::RETURNED_TOO_MUCH.because(format!("the answer says {bytes} row by row, the limit is {limit}")))
}

fn of_rows(reasons: &[Reason], rows: usize) -> Vec<usize> {
    let mut bytes = vec![0_usize; rows];
    for reason in reasons {
        for (at, row) in reason.rows.iter().enumerate() {
            let said = reason
                .args
                .iter()
                .map(|column| cell(column, at))
                .fold(ENTRY + reason.code.len(), usize::saturating_add);
            if let Some(sum) = bytes.get_mut(*row as usize) {
                *sum = sum.saturating_add(said);
            }
        }
    }
    bytes
}

/// What the argument says at `at`. Numbers are handed over row by row, and weigh no more than they did.
fn cell(column: &Column, at: usize) -> usize {
    match column {
        Column::Numbers(_) | Column::Integers(_) | Column::Booleans(_) | Column::Series(_) => ENTRY,
        Column::Texts(texts) => texts.codes.get(at).map_or(0, |code| word(&texts.dict, *code)),
        Column::Words(Words { dict, offsets, codes }) => {
            let bound = |at: usize| offsets.get(at).map_or(0, |offset| *offset as usize);
            let codes = codes.get(bound(at)..bound(at + 1)).unwrap_or_default();
            codes.iter().map(|code| word(dict, *code)).fold(ENTRY, usize::saturating_add)
        }
    }
}

fn word(dict: &[String], code: u32) -> usize {
    ENTRY + dict.get(code as usize).map_or(0, String::len)
}
