//! What must hold for any bytes at all: the bodies of the fuzz targets in `fuzz/`, whose corpora also run as ordinary
//! tests.

#![expect(clippy::panic, reason = "a panic is how a fuzz target tells what it has found")]

use sea_orm::ColumnType;

use crate::{
    engine::{
        cursor::{Cursor, sealed},
        filter::{self, Filter},
    },
    import::split::{Format, Position, RawRow, Splitter},
};

/// A text that is a filter prints as one that means the same.
pub fn filter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(tree) = filter::parse(&text) {
        let printed = tree.to_string();
        match filter::parse(&printed) {
            Ok(again) => assert_eq!(again.to_string(), printed),
            Err(error) => panic!("`{text}` prints as `{printed}`, which is none: {error}"),
        }
    }
    let _ = serde_json::from_slice::<Filter>(data).map(|tree| tree.to_string());
}

/// Nobody but the server makes a cursor; one it made of whatever values opens as it was sealed.
pub fn cursor(data: &[u8]) {
    const SECRET: [u8; 32] = [7; 32];
    let kinds = [
        ColumnType::Text,
        ColumnType::BigInteger,
        ColumnType::Double,
        ColumnType::Boolean,
        ColumnType::Date,
        ColumnType::TimestampWithTimeZone,
        ColumnType::Uuid,
    ];
    let kinds: Vec<_> = kinds.iter().collect();
    let open = |text: &str| Cursor::open(&SECRET, "tenant kind sort", &kinds, text);
    assert!(open(&String::from_utf8_lossy(data)).is_err(), "forged");
    let Ok(opened) = sealed(&SECRET, "tenant kind sort", data).and_then(|text| open(&text)) else { return };
    let seal = |cursor: &Cursor| cursor.seal(&SECRET, "tenant kind sort").ok();
    let text = seal(&opened);
    assert!(text.is_some(), "{opened:?} cannot be sealed");
    assert_eq!(text.as_deref().and_then(|text| open(text).ok()).and_then(|again| seal(&again)), text);
}

/// Rows do not depend on the pieces a file arrives in, and reading can go on after any of them.
pub fn rows(data: &[u8]) {
    let Some((size, file)) = data.split_first() else { return };
    let format = if size % 2 == 0 { Format::Csv } else { Format::Ndjson };
    let whole = read(format, Position::default(), file, file.len());
    assert_eq!(read(format, Position::default(), file, usize::from(*size) / 2), whole);
    for (read_before, row) in whole.iter().enumerate() {
        let rest = usize::try_from(row.after.offset).ok().and_then(|offset| file.get(offset..));
        let rest = rest.map(|rest| read(format, row.after, rest, rest.len()));
        assert_eq!(rest.as_deref(), whole.get(read_before + 1..), "after {row:?}");
    }
}

fn read(format: Format, from: Position, file: &[u8], size: usize) -> Vec<RawRow> {
    let mut splitter = Splitter::new(format, from);
    let mut rows = Vec::new();
    for piece in file.chunks(size.max(1)) {
        splitter.feed(piece);
        rows.extend(std::iter::from_fn(|| splitter.next_row()));
    }
    splitter.end();
    rows.extend(std::iter::from_fn(|| splitter.next_row()));
    rows
}
