//! Whether a column is well formed: one entry a row, indexes that point inside, numbers that every language can hold.

use ripen_core::ports::{Column, Series, Texts, Words};

use super::{Checked, count, finite};
use crate::codes;

/// Largest whole number that a double holds exactly with all below it; what JavaScript guests see.
const MAX_INTEGER: u64 = (1 << 53) - 1;

pub(super) fn column(name: &str, column: &Column, rows: usize) -> Checked {
    match column {
        Column::Numbers(values) => {
            count(name, values.len(), rows)?;
            finite(name, values)
        }
        Column::Integers(values) => {
            count(name, values.len(), rows)?;
            integers(name, values)
        }
        Column::Booleans(values) => {
            count(name, values.len(), rows)?;
            flags(name, values)
        }
        Column::Texts(Texts { dict, codes }) => {
            count(name, codes.len(), rows)?;
            self::codes(name, codes, dict.len())
        }
        Column::Words(Words { dict, offsets, codes }) => {
            self::offsets(name, offsets, rows, codes.len())?;
            self::codes(name, codes, dict.len())
        }
        Column::Series(Series { offsets, values }) => {
            self::offsets(name, offsets, rows, values.len())?;
            finite(name, values)
        }
    }
}

/// Each 0 or 1.
pub(super) fn flags(name: &str, values: &[u8]) -> Checked {
    match values.iter().find(|value| **value > 1) {
        Some(value) => Err(codes::OUT_OF_RANGE.because(format!("{name} holds {value}, it must be 0 or 1"))),
        None => Ok(()),
    }
}

fn integers(name: &str, values: &[i64]) -> Checked {
    match values.iter().find(|value| value.unsigned_abs() > MAX_INTEGER) {
        Some(value) => {
            Err(codes::OUT_OF_RANGE.because(format!("{name} holds {value}, beyond +-(2^53 - 1) = {MAX_INTEGER}")))
        }
        None => Ok(()),
    }
}

pub(super) fn codes(name: &str, codes: &[u32], length: usize) -> Checked {
    match codes.iter().find(|code| **code as usize >= length) {
        Some(code) => Err(codes::BAD_INDEX.because(format!("{name} points at entry {code} of {length}"))),
        None => Ok(()),
    }
}

/// `rows` + 1 entries that rise from 0 to `length`.
pub(super) fn offsets(name: &str, offsets: &[u32], rows: usize, length: usize) -> Checked {
    if offsets.len() != rows + 1 {
        let detail = format!("{name} has {} offsets for {rows} rows, it must be {}", offsets.len(), rows + 1);
        return Err(codes::WRONG_ROW_COUNT.because(detail));
    }
    let spans = offsets.first() == Some(&0) && offsets.last().is_some_and(|last| *last as usize == length);
    if spans && offsets.is_sorted() {
        return Ok(());
    }
    Err(codes::BAD_INDEX.because(format!("the offsets of {name} do not rise from 0 to {length}")))
}
