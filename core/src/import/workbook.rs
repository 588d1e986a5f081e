//! An Excel workbook as rows: one sheet becomes lines of JSON, which go on as those of any other file.
//!
//! The first line is the header as a list, and each row of the sheet is the line of its number. A workbook is an archive
//! whose directory comes last, so it is kept in a temporary file until it is whole, and read on a thread of its own.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _},
};

use calamine::{DataRef, Reader as _, Sheet, SheetType, SheetVisible, Xlsx, XlsxError};
use serde_json::{Map, Value as Json};
use tokio::sync::mpsc;

use crate::error::{Code, Error, Result, unknown};

/// Bytes of a workbook.
pub const LARGEST: u64 = 64 << 20;
/// Bytes that it may unpack to: more is a trap, or a job for CSV.
const UNPACKED: u64 = 1 << 30;
/// Bytes of texts that its cells share, all of which are held in memory.
const SHARED: u64 = 128 << 20;
/// Rows and columns that a sheet may have at all. A file may claim any number.
const ROWS: u32 = 1_048_576;
const COLUMNS: u32 = 16_384;
/// Bytes of lines that are handed on at once.
const CHUNK: usize = 256 << 10;

/// What of a workbook is read.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The first visible sheet where none is named.
    pub sheet: Option<String>,
    /// The columns that the mapping reads.
    pub columns: Vec<String>,
}

pub(super) fn unreadable(detail: impl Into<String>) -> Error {
    Error::invalid("file", Code::UnreadableFile, detail)
}

fn failed(error: &XlsxError) -> Error {
    unreadable(format!("cannot be read as a workbook: {error}"))
}

/// Writes the lines of the sheet to `lines`. Blocks.
///
/// # Errors
/// `Invalid`: no workbook, one that unpacks to too much, no such sheet.
pub fn convert(mut file: File, wanted: &Wanted, lines: &mpsc::Sender<Vec<u8>>) -> Result<()> {
    bounded(&mut file)?;
    let mut book: Xlsx<_> = Xlsx::new(BufReader::new(file)).map_err(|error| failed(&error))?;
    let name = sheet(book.sheets_metadata(), wanted)?;
    let mut cells = book.worksheet_cells_reader(&name).map_err(|error| failed(&error))?;
    let mut out = Lines::to(lines);
    let mut at = 0;
    while let Some(cell) = cells.next_cell().map_err(|error| failed(&error))? {
        let (row, column) = cell.get_position();
        if row >= ROWS || column >= COLUMNS {
            return Err(unreadable("has cells beyond the end of any sheet"));
        }
        if row < at {
            return Err(unreadable("has rows that are not in their order"));
        }
        if row > at {
            out.end(at, wanted)?;
            at = row;
        }
        out.cell(column, cell.get_value(), wanted);
    }
    out.end(at, wanted)?;
    out.flush()
}

/// Refuses what would fill the memory or the disk, whatever the archive says of its sizes.
fn bounded(file: &mut File) -> Result<()> {
    let broken = |source: io::Error| unreadable(format!("cannot be read as a workbook: {source}"));
    let mut archive = zip::ZipArchive::new(BufReader::new(&mut *file))
        .map_err(|source| unreadable(format!("is no workbook: {source}")))?;
    let mut left = UNPACKED;
    for i in 0..archive.len() {
        let entry = archive.by_index(i).map_err(|source| unreadable(format!("is no workbook: {source}")))?;
        let shared = entry.name().is_ok_and(|name| name.ends_with("sharedStrings.xml"));
        let most = if shared { left.min(SHARED) } else { left };
        let unpacked = io::copy(&mut entry.take(most + 1), &mut io::sink()).map_err(broken)?;
        if unpacked > most {
            return Err(unreadable("unpacks to more than is read; send it as CSV"));
        }
        left -= unpacked;
    }
    drop(archive);
    file.rewind().map_err(broken)
}

fn sheet(sheets: &[Sheet], wanted: &Wanted) -> Result<String> {
    let mut visible = sheets.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let found = match &wanted.sheet {
        Some(name) => visible.find(|sheet| sheet.name == *name),
        None => visible.find(|sheet| sheet.visible == SheetVisible::Visible),
    };
    found.map(|sheet| sheet.name.clone()).ok_or_else(|| match &wanted.sheet {
        Some(name) => {
            let detail = unknown("sheet", name, sheets.iter().map(|sheet| sheet.name.as_str()));
            Error::invalid("sheet", Code::InvalidValue, detail)
        }
        None => unreadable("has no sheet with cells"),
    })
}

/// As a person would type it into a CSV file: days as dates.
fn value(cell: &DataRef<'_>) -> Json {
    match cell {
        DataRef::Int(number) => (*number).into(),
        DataRef::Float(float) => number(*float),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.as_str().into(),
        DataRef::SharedString(text) => (*text).into(),
        DataRef::Bool(flag) => (*flag).into(),
        DataRef::DateTime(time) => match time.as_datetime().filter(|_| time.is_datetime()) {
            Some(time) if time.time() == chrono::NaiveTime::MIN => time.date().to_string().into(),
            Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string().into(),
            None => number(time.as_f64()),
        },
        DataRef::Error(error) => error.to_string().into(),
        DataRef::Empty => Json::Null,
    }
}

/// A sheet has whole numbers as fractions too: a key 4711 is not `4711.0`.
fn number(float: f64) -> Json {
    float.to_string().parse::<i64>().map_or_else(|_| float.into(), Json::from)
}

fn is_blank(value: &Json) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// The sheet on its way out.
struct Lines<'a> {
    to: &'a mpsc::Sender<Vec<u8>>,
    buffer: Vec<u8>,
    /// Lines written.
    line: u32,
    /// Place -> name.
    header: Option<Vec<String>>,
    /// The row under way: what is not blank, of the header by place, else by column. Columns that the mapping does not read
    /// are here too: a row that has only those is no blank line.
    row: Map<String, Json>,
    /// Why the row cannot be read.
    broken: Option<String>,
}

impl<'a> Lines<'a> {
    fn to(to: &'a mpsc::Sender<Vec<u8>>) -> Self {
        let buffer = Vec::with_capacity(CHUNK + 4096);
        Self { to, buffer, line: 0, header: None, row: Map::new(), broken: None }
    }

    fn cell(&mut self, place: u32, cell: &DataRef<'_>, wanted: &Wanted) {
        let value = value(cell);
        if is_blank(&value) {
            return;
        }
        let name = match &self.header {
            None => place.to_string(),
            Some(header) => match header.get(place as usize).filter(|name| !name.is_empty()) {
                Some(name) => name.clone(),
                None => return,
            },
        };
        if let DataRef::Error(error) = cell
            && wanted.columns.contains(&name)
        {
            self.broken.get_or_insert_with(|| format!("has the error {error} in the column `{name}`"));
        }
        self.row.insert(name, value);
    }

    /// The row `at`, from 0, is whole.
    fn end(&mut self, at: u32, wanted: &Wanted) -> Result<()> {
        let (row, broken) = (std::mem::take(&mut self.row), self.broken.take());
        if row.is_empty() {
            return Ok(());
        }
        while self.line < at {
            self.buffer.push(b'\n'); // a row without cells
            self.line += 1;
        }
        let line: Json = match (&self.header, broken) {
            (Some(_), Some(broken)) => broken.into(),
            (Some(header), None) => {
                let cell = |name: &String| (name.clone(), row.get(name).cloned().unwrap_or_default());
                header.iter().filter(|name| wanted.columns.contains(name)).map(cell).collect()
            }
            (None, _) => {
                let header = names(&row);
                self.header = Some(header.clone());
                header.into()
            }
        };
        serde_json::to_writer(&mut self.buffer, &line).map_err(|source| Error::internal("a row is JSON", source))?;
        self.buffer.push(b'\n');
        self.line += 1;
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let lines = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + 4096));
        self.to.blocking_send(lines).map_err(|_| Error::internal("the lines of a workbook are taken", "nobody does"))
    }
}

/// The names of the columns by place, of a row by place.
fn names(row: &Map<String, Json>) -> Vec<String> {
    let width = row.keys().filter_map(|place| place.parse::<usize>().ok()).max().unwrap_or_default() + 1;
    let name = |place: usize| match row.get(&place.to_string()) {
        Some(Json::String(name)) => name.trim().to_owned(),
        name => name.map(Json::to_string).unwrap_or_default(),
    };
    (0..width).map(name).collect()
}
