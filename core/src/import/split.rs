//! Bytes into rows. Both formats break rows at bytes below 0x30 only, which no encoding we read uses inside a character,
//! so that files are split first and decoded by row: what cannot be read is one row, with its line.

/// The longest row, in bytes. A longer one is refused and skipped; it is never held in memory.
pub const LONGEST_ROW: usize = 1 << 20;

/// How the file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with a header. A quote inside an unquoted cell stands for itself.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A place between two rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Bytes before it.
    pub offset: u64,
    /// Line ends before it.
    pub line: u64,
}

/// One row as it stands in the file: its cells (CSV) or its one line (NDJSON), or why it cannot be split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// Where it begins, from 1.
    pub line: u64,
    pub after: Position,
    pub cells: Result<Vec<Vec<u8>>, String>,
}

/// Takes a file in pieces of any size and gives its rows.
pub struct Splitter {
    format: Format,
    /// Bytes from `at` on that no row was made of yet.
    buffer: Vec<u8>,
    start: usize,
    at: Position,
    ended: bool,
    /// Inside a row that is too long, with what to say of it.
    skipping: Option<String>,
}

enum Scan {
    /// `len` bytes with their line end are a row; `None`: a blank line.
    Row {
        len: usize,
        cells: Option<Vec<Vec<u8>>>,
    },
    Unfinished,
    Broken(&'static str),
}

impl Splitter {
    pub fn new(format: Format, at: Position) -> Self {
        Self { format, buffer: Vec::new(), start: 0, at, ended: false, skipping: None }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Steps over `len` bytes that belong to no row: a byte order mark.
    pub fn step_over(&mut self, len: usize) {
        self.start += len;
        self.at.offset += len as u64;
    }

    /// No more bytes will come: the last row may lack its line end.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next row; `None` when more bytes are needed, or after the last row.
    pub fn next_row(&mut self) -> Option<RawRow> {
        loop {
            let bytes = self.buffer.get(self.start..).unwrap_or_default();
            if bytes.is_empty() && self.skipping.is_none() {
                return None;
            }
            if let Some(detail) = self.skipping.take() {
                return self.drop_line(detail);
            }
            let scan = match self.format {
                Format::Csv => csv(bytes, self.ended),
                Format::Ndjson => line(bytes, self.ended),
            };
            match scan {
                Scan::Row { len, cells } if len <= LONGEST_ROW => {
                    let line = self.at.line + 1;
                    self.pass(len);
                    if let Some(cells) = cells {
                        return Some(RawRow { line, after: self.at, cells: Ok(cells) });
                    }
                }
                Scan::Unfinished if bytes.len() <= LONGEST_ROW => return None,
                Scan::Broken(detail) => return self.drop_line(detail.to_owned()),
                Scan::Row { .. } | Scan::Unfinished => {
                    let detail = "is longer than 1 MiB, or a quote in it is never closed";
                    return self.drop_line(detail.to_owned());
                }
            }
        }
    }

    /// Gives up the row that begins here and goes on at the next line.
    fn drop_line(&mut self, detail: String) -> Option<RawRow> {
        let bytes = self.buffer.get(self.start..).unwrap_or_default();
        let line = self.at.line + 1;
        if let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.pass(end + 1);
        } else {
            self.pass(bytes.len());
            if !self.ended {
                self.skipping = Some(detail);
                return None;
            }
        }
        Some(RawRow { line, after: self.at, cells: Err(detail) })
    }

    fn pass(&mut self, len: usize) {
        let passed = self.buffer.get(self.start..self.start + len).unwrap_or_default();
        self.at.line += passed.split(|b| *b == b'\n').skip(1).count() as u64;
        self.at.offset += len as u64;
        self.start += len;
    }
}

fn line(bytes: &[u8], ended: bool) -> Scan {
    let (len, content) = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) => (end + 1, bytes.get(..end).unwrap_or_default()),
        None if ended => (bytes.len(), bytes),
        None => return Scan::Unfinished,
    };
    let content = content.trim_ascii();
    Scan::Row { len, cells: Some(vec![content.to_vec()]).filter(|_| !content.is_empty()) }
}

fn csv(bytes: &[u8], ended: bool) -> Scan {
    let mut cells = Vec::new();
    let mut at = 0;
    let mut quoted = false;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let (cell, len) = if rest.first() == Some(&b'"') {
            quoted = true;
            match quoted_cell(rest) {
                Some(found) => found,
                None if ended => return Scan::Broken("a quote is opened and never closed"),
                None => return Scan::Unfinished,
            }
        } else {
            let len = rest.iter().position(|b| [b',', b'\n'].contains(b)).unwrap_or(rest.len());
            let cell = rest.get(..len).unwrap_or_default();
            let ends_line = rest.get(len) == Some(&b'\n') || (ended && len == rest.len());
            let cell = if ends_line { cell.strip_suffix(b"\r").unwrap_or(cell) } else { cell };
            (cell.to_vec(), len)
        };
        cells.push(cell);
        at += len;
        match bytes.get(at..).unwrap_or_default() {
            [b',', ..] => at += 1,
            [b'\n', ..] => return row(cells, quoted, at + 1),
            [b'\r', b'\n', ..] => return row(cells, quoted, at + 2),
            [] | [b'\r'] if !ended => return Scan::Unfinished,
            rest @ ([] | [b'\r']) => return row(cells, quoted, at + rest.len()),
            _ => return Scan::Broken("text follows a closing quote; a quote inside a quoted cell is written twice"),
        }
    }
}

fn row(cells: Vec<Vec<u8>>, quoted: bool, len: usize) -> Scan {
    let blank = !quoted && matches!(cells.as_slice(), [only] if only.is_empty());
    Scan::Row { len, cells: Some(cells).filter(|_| !blank) }
}

/// The content of a cell that begins with a quote, and its length with both quotes; `None` where it does not end.
fn quoted_cell(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut cell = Vec::new();
    let mut at = 1;
    loop {
        let rest = bytes.get(at..)?;
        let quote = rest.iter().position(|b| *b == b'"')?;
        cell.extend_from_slice(rest.get(..quote)?);
        at += quote + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some((cell, at));
        }
        cell.push(b'"');
        at += 1;
    }
}

/// Counts the rows of a file while it passes by. Exact where every row can be split.
#[derive(Debug, Default)]
pub struct RowCount {
    rows: u64,
    quoted: bool,
    content: bool,
}

impl RowCount {
    pub fn feed(&mut self, format: Format, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'"' if format == Format::Csv => {
                    self.quoted = !self.quoted;
                    self.content = true;
                }
                b'\n' if !self.quoted => {
                    self.rows += u64::from(self.content);
                    self.content = false;
                }
                b'\r' => {}
                _ => self.content = true,
            }
        }
    }

    /// Rows so far, the header of a CSV file left out.
    pub fn rows(&self, format: Format) -> u64 {
        let all = self.rows + u64::from(self.content);
        if format == Format::Csv { all.saturating_sub(1) } else { all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(format: Format, text: &[u8], piece: usize) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut splitter = Splitter::new(format, Position::default());
        let mut rows = Vec::new();
        let mut take = |splitter: &mut Splitter| {
            while let Some(row) = splitter.next_row() {
                let texts = |cells: Vec<Vec<u8>>| cells.into_iter().map(|c| String::from_utf8(c).unwrap()).collect();
                rows.push((row.line, row.cells.map(texts)));
            }
        };
        for part in text.chunks(piece) {
            splitter.feed(part);
            take(&mut splitter);
        }
        splitter.end();
        take(&mut splitter);
        assert_eq!(splitter.at.offset, text.len() as u64, "every byte is accounted for");
        rows
    }

    fn cells(texts: &[&str]) -> Result<Vec<String>, String> {
        texts.iter().map(|text| Ok((*text).to_owned())).collect()
    }

    #[test]
    fn csv_splits_alike_in_pieces_of_every_size() {
        let text = b"a,b\r\n\"x, \"\"y\"\"\nz\",2\n\n5\" pipe,\r\n,last";
        let wanted = vec![
            (1, cells(&["a", "b"])),
            (2, cells(&["x, \"y\"\nz", "2"])),
            (5, cells(&["5\" pipe", ""])),
            (6, cells(&["", "last"])),
        ];
        for piece in 1..=text.len() {
            assert_eq!(split(Format::Csv, text, piece), wanted, "pieces of {piece}");
        }
    }

    #[test]
    fn a_broken_quote_costs_one_line() {
        let rows = split(Format::Csv, b"a\n\"x\"y\nb\n\"open\nc\n", 3);
        assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(rows[1].1.as_ref().unwrap_err().contains("follows a closing quote"));
        assert!(rows[3].1.as_ref().unwrap_err().contains("never closed"));
        assert_eq!(rows[4].1, cells(&["c"]));
    }

    #[test]
    fn a_row_of_ten_megabytes_is_refused_with_its_line_and_not_held() {
        for format in [Format::Csv, Format::Ndjson] {
            let mut splitter = Splitter::new(format, Position::default());
            splitter.feed(b"first\n");
            assert!(splitter.next_row().unwrap().cells.is_ok());
            for _ in 0..160 {
                splitter.feed(&vec![b'x'; 1 << 16]);
                assert_eq!(splitter.next_row(), None);
                assert!(splitter.buffer.len() <= LONGEST_ROW + (1 << 17));
            }
            splitter.feed(b"\nlast\n");
            let long = splitter.next_row().unwrap();
            assert_eq!((long.line, long.cells.unwrap_err().contains("1 MiB")), (2, true));
            assert_eq!(splitter.next_row().unwrap().line, 3);
        }
    }

    #[test]
    fn rows_are_counted_as_they_are_split() {
        let text = b"a,b\r\n\"x\ny\",2\n\n5,6";
        for piece in 1..=text.len() {
            let mut count = RowCount::default();
            text.chunks(piece).for_each(|part| count.feed(Format::Csv, part));
            assert_eq!(count.rows(Format::Csv), 2);
        }
    }
}
