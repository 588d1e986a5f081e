//! The stored file as rows of the cells that the mapping reads.

use std::sync::Arc;

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value as Json};
use uuid::Uuid;

use super::{
    spec::{Spec, escaped},
    split::{Format, Position, RawRow, Splitter},
    workbook::unreadable,
};
use crate::{
    context::Context,
    error::{Code, Error, Result, Violation, unknown},
    jobs::input,
    values::json::strict,
};

/// One cell. CSV knows no difference between nothing and an empty text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// The row's object lacks the key: the field is left alone.
    Absent,
    Empty,
    Text(String),
    /// A number of the file itself, in digits, sign and point alone.
    Number(String),
}

/// One row: the cells of [`Spec::columns`] in their order, or why it cannot be read.
#[derive(Clone, Debug)]
pub struct Row {
    pub line: u64,
    pub after: Position,
    pub cells: Result<Vec<Cell>, String>,
}

/// How rows are read: what the header says.
#[derive(Clone, Debug)]
pub struct Layout {
    format: Format,
    /// A line that is a text says why its row cannot be read.
    workbook: bool,
    encoding: &'static Encoding,
    columns: Vec<String>,
    /// Place of each column in a CSV row, and how many a row has.
    places: Vec<usize>,
    width: usize,
    /// Columns of the header that the mapping does not read.
    pub unread: Vec<String>,
    /// Where the rows begin.
    pub start: Position,
}

impl Layout {
    /// Reads the head of a file: `first` are its first bytes, at least a mebibyte or all of it.
    ///
    /// # Errors
    /// `Invalid`: an empty file, an unreadable header, a column that the mapping names and the header lacks.
    pub fn read(spec: &Spec, first: &[u8]) -> Result<Self> {
        if first.starts_with(&[0xFF, 0xFE]) || first.starts_with(&[0xFE, 0xFF]) {
            return Err(unreadable("is UTF-16; save it as UTF-8"));
        }
        let mark = Encoding::for_bom(first).map_or(0, |(_, len)| len);
        let mut splitter = Splitter::new(spec.format, Position::default());
        splitter.feed(first);
        splitter.end();
        splitter.step_over(mark);
        let start = Position { offset: mark as u64, line: 0 };
        let row = splitter.next_row().ok_or_else(|| unreadable("is empty"))?;
        let mut layout = Self {
            format: spec.format,
            workbook: spec.workbook,
            encoding: spec.encoding,
            columns: spec.columns.clone(),
            places: Vec::new(),
            width: 1,
            unread: Vec::new(),
            start,
        };
        if spec.format == Format::Ndjson && !spec.workbook {
            return Ok(layout);
        }
        let cells = row.cells.map_err(|detail| unreadable(format!("has a header that {detail}")))?;
        layout.start = row.after;
        if spec.workbook {
            let header: Vec<String> = serde_json::from_slice(cells.first().map(Vec::as_slice).unwrap_or_default())
                .map_err(|source| Error::internal("a workbook's first line is its header", source))?;
            places(spec, &header)?;
            layout.unread = header.into_iter().filter(|name| !name.is_empty() && spec.slot(name).is_none()).collect();
            return Ok(layout);
        }
        let header = cells
            .iter()
            .map(|cell| decoded(spec.encoding, cell).map(|text| text.trim().to_owned()))
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| unreadable(format!("has a header that is not {}", spec.encoding.name())))?;
        layout.width = header.len();
        layout.places = places(spec, &header)?;
        layout.unread = header.into_iter().filter(|name| spec.slot(name).is_none()).collect();
        Ok(layout)
    }

    fn row(&self, raw: RawRow) -> Row {
        let cells = raw.cells.and_then(|cells| match self.format {
            Format::Csv => self.csv(&cells),
            Format::Ndjson => self.ndjson(cells.first().map(Vec::as_slice).unwrap_or_default()),
        });
        let nul = |cell: &Cell| matches!(cell, Cell::Text(text) if text.contains('\0'));
        let cells = cells.and_then(|cells| match cells.iter().position(nul) {
            Some(slot) => {
                let column = self.columns.get(slot).map_or("", String::as_str);
                Err(format!("has a NUL character in the column `{column}`"))
            }
            None => Ok(cells),
        });
        Row { line: raw.line, after: raw.after, cells }
    }

    fn csv(&self, cells: &[Vec<u8>]) -> Result<Vec<Cell>, String> {
        if cells.len() != self.width {
            return Err(format!("has {} cells where the header has {}", cells.len(), self.width));
        }
        self.places.iter().map(|place| self.text(cells.get(*place).map(Vec::as_slice).unwrap_or_default())).collect()
    }

    fn text(&self, bytes: &[u8]) -> Result<Cell, String> {
        let text = decoded(self.encoding, bytes)
            .ok_or_else(|| format!("has bytes that are not {}: is the encoding right?", self.encoding.name()))?;
        Ok(if text.trim().is_empty() { Cell::Empty } else { Cell::Text(text.into_owned()) })
    }

    fn ndjson(&self, line: &[u8]) -> Result<Vec<Cell>, String> {
        let text = decoded(self.encoding, line)
            .ok_or_else(|| format!("has bytes that are not {}: is the encoding right?", self.encoding.name()))?;
        if self.workbook
            && let Ok(reason) = serde_json::from_str(&text)
        {
            return Err(reason);
        }
        let wrong = |detail| format!("is not a JSON object: {detail}");
        let Json::Object(members) = strict(text.as_bytes()).map_err(|(_, detail)| wrong(detail))? else {
            return Err(wrong("it is of another type".to_owned()));
        };
        let cell = |column: &String| match members.get(column) {
            None => Cell::Absent,
            Some(Json::Null) => Cell::Empty,
            Some(Json::String(text)) if text.trim().is_empty() => Cell::Empty,
            Some(Json::String(text)) => Cell::Text(text.clone()),
            Some(Json::Number(number)) => Cell::Number(plain(number)),
            Some(other) => Cell::Text(other.to_string()),
        };
        Ok(self.columns.iter().map(cell).collect())
    }
}

/// Without an exponent, as people write numbers.
fn plain(number: &Number) -> String {
    number.as_f64().filter(|_| number.is_f64()).map_or_else(|| number.to_string(), |number| number.to_string())
}

fn places(spec: &Spec, header: &[String]) -> Result<Vec<usize>> {
    if header.iter().any(|name| name.contains('\0')) {
        return Err(unreadable("has a header with a NUL character"));
    }
    let mut broken = Vec::new();
    let mut places = Vec::with_capacity(spec.columns.len());
    for column in &spec.columns {
        let mut found = header.iter().enumerate().filter(|(_, name)| *name == column).map(|(place, _)| place);
        let detail = match (found.next(), found.next()) {
            (Some(place), None) => {
                places.push(place);
                continue;
            }
            (Some(_), Some(_)) => format!("the file has several columns `{column}`"),
            (None, _) => unknown("column", column, header.iter().map(String::as_str)),
        };
        let users = spec.targets.iter().filter(|target| target.column() == Some(column));
        broken.extend(users.map(|target| Violation {
            pointer: format!("/mapping/{}/column", escaped(&target.name)),
            code: Code::UnknownColumn,
            detail: detail.clone(),
        }));
    }
    if broken.is_empty() { Ok(places) } else { Err(Error::Invalid(broken)) }
}

/// The text, or `None` where the bytes are not of the encoding.
fn decoded<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<std::borrow::Cow<'a, str>> {
    encoding.decode_without_bom_handling_and_without_replacement(bytes)
}

/// Rows of a job's stored file. In memory are a chunk of it at a time and the rows that are taken.
pub struct Source<'a> {
    cx: &'a Context,
    job: Uuid,
    layout: Arc<Layout>,
    /// On its way between here and the thread that splits.
    splitter: Option<Splitter>,
    /// The chunk to read next, and how much of it to skip.
    chunk: i64,
    skip: usize,
    ended: bool,
}

impl<'a> Source<'a> {
    /// Opens the file after `from`, or at its first row.
    ///
    /// # Errors
    /// As [`Layout::read`]; the database.
    pub async fn open(cx: &'a Context, job: Uuid, spec: &Spec, from: Option<Position>) -> Result<Self> {
        let first = input::read(cx, job, 0).await?.unwrap_or_default();
        let layout = Arc::new(Layout::read(spec, &first)?);
        let at = from.unwrap_or(layout.start);
        let chunk = i64::try_from(at.offset / input::CHUNK as u64).unwrap_or(i64::MAX);
        let skip = usize::try_from(at.offset % input::CHUNK as u64).unwrap_or(0);
        let splitter = Some(Splitter::new(spec.format, at));
        Ok(Self { cx, job, layout, splitter, chunk, skip, ended: false })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The next rows, at most `limit`; none after the last.
    ///
    /// # Errors
    /// The database.
    pub async fn page(&mut self, limit: usize) -> Result<Vec<Row>> {
        let mut rows = self.split(limit, |_| {}).await?;
        while rows.len() < limit && !self.ended {
            let bytes = input::read(self.cx, self.job, self.chunk).await?;
            let skip = std::mem::take(&mut self.skip);
            self.chunk += 1;
            self.ended = bytes.is_none();
            let more = move |splitter: &mut Splitter| match &bytes {
                Some(bytes) => splitter.feed(bytes.get(skip..).unwrap_or_default()),
                None => splitter.end(),
            };
            rows.extend(self.split(limit - rows.len(), more).await?);
        }
        Ok(rows)
    }

    /// At most `limit` rows of what the splitter has after `more`.
    async fn split(&mut self, limit: usize, more: impl FnOnce(&mut Splitter) + Send + 'static) -> Result<Vec<Row>> {
        let Some(mut splitter) = self.splitter.take() else { return Ok(Vec::new()) };
        let layout = Arc::clone(&self.layout);
        let split = tokio::task::spawn_blocking(move || {
            more(&mut splitter);
            let rows = std::iter::from_fn(|| splitter.next_row()).take(limit).map(|raw| layout.row(raw)).collect();
            (splitter, rows)
        });
        let (splitter, rows) = split.await.map_err(|source| Error::internal("splitting does not panic", source))?;
        self.splitter = Some(splitter);
        Ok(rows)
    }
}
