//! A workbook in constant memory: rows go to a temporary file as they come, on a thread of their own, because a file has to
//! be waited for and compression takes its time.

use std::{
    fs::File,
    future::Future,
    io::{Seek as _, SeekFrom},
};

use chrono::{DateTime, Utc};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};
use tokio::{io::AsyncReadExt as _, sync::mpsc, task::JoinHandle};

use super::{CHUNK, cells::Cell};
use crate::error::{Code, Error, Result};

/// Rows of a sheet, its header apart.
const MOST_ROWS: u32 = 1_048_575;
/// Characters of a cell.
const LONGEST_TEXT: usize = 32_767;
/// Digits that a number keeps in a spreadsheet.
const EXACT_DIGITS: usize = 15;
/// Rows that are handed over at once.
const BATCH: usize = 256;

/// A workbook that is being written.
pub struct Sheet {
    rows: mpsc::Sender<Vec<Vec<Cell>>>,
    batch: Vec<Vec<Cell>>,
    written: JoinHandle<Result<File>>,
}

impl Sheet {
    /// `at` is the time that the workbook says it was made.
    pub fn begin(header: Vec<String>, at: DateTime<Utc>) -> Self {
        let (rows, taken) = mpsc::channel(2);
        let written = tokio::task::spawn_blocking(move || write(&header, at, taken));
        Self { rows, batch: Vec::with_capacity(BATCH), written }
    }

    /// # Errors
    /// `query_too_expensive` where a sheet cannot hold the row.
    pub async fn add(&mut self, row: Vec<Cell>) -> Result<()> {
        self.batch.push(row);
        if self.batch.len() >= BATCH { self.hand_over().await } else { Ok(()) }
    }

    async fn hand_over(&mut self) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        if self.rows.send(batch).await.is_ok() {
            return Ok(());
        }
        let ended = || Error::internal("a workbook takes rows until its end", "it has ended");
        Err(joined((&mut self.written).await).err().unwrap_or_else(ended))
    }

    /// Ends the workbook and gives its bytes piece by piece.
    ///
    /// # Errors
    /// As [`Sheet::add`], and those of `put`.
    pub async fn send<F: Future<Output = Result<()>>>(mut self, put: impl Fn(Vec<u8>) -> F) -> Result<()> {
        self.hand_over().await?;
        drop(self.rows);
        let mut file = tokio::fs::File::from_std(joined(self.written.await)?);
        loop {
            let mut piece = vec![0; CHUNK];
            let length = file.read(&mut piece).await.map_err(broken)?;
            if length == 0 {
                return Ok(());
            }
            piece.truncate(length);
            put(piece).await?;
        }
    }
}

fn joined(written: Result<Result<File>, tokio::task::JoinError>) -> Result<File> {
    written.map_err(|source| Error::internal("a workbook's thread does not panic", source))?
}

fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::internal("a temporary file can be written and read", source)
}

fn too_much(detail: &str) -> Error {
    Error::Limit { code: Code::QueryTooExpensive, detail: format!("{detail}; export csv or ndjson"), retry_after: None }
}

fn write(header: &[String], at: DateTime<Utc>, mut rows: mpsc::Receiver<Vec<Vec<Cell>>>) -> Result<File> {
    let failed = |source: XlsxError| Error::internal("a workbook can be written", source);
    let mut book = Workbook::new();
    let made = ExcelDateTime::from_timestamp(at.timestamp()).map_err(failed)?;
    book.set_properties(&DocProperties::new().set_creation_datetime(&made));
    let sheet = book.add_worksheet_with_constant_memory().map_err(failed)?;
    for (column, name) in (0..).zip(header) {
        sheet.write_string(0, column, name).map_err(failed)?;
    }
    let mut line = 0;
    while let Some(batch) = rows.blocking_recv() {
        for cells in batch {
            line += 1;
            if line > MOST_ROWS {
                return Err(too_much(&format!("a sheet has at most {MOST_ROWS} records")));
            }
            for (column, cell) in (0..).zip(cells) {
                match cell {
                    Cell::Empty => continue,
                    Cell::Boolean(flag) => sheet.write_boolean(line, column, flag),
                    Cell::Number(number) => match exact(&number) {
                        Some(exact) => sheet.write_number(line, column, exact),
                        None => sheet.write_string(line, column, number),
                    },
                    Cell::Text(text) if text.encode_utf16().count() > LONGEST_TEXT => {
                        return Err(too_much(&format!("a cell has at most {LONGEST_TEXT} characters")));
                    }
                    Cell::Text(text) => sheet.write_string(line, column, text),
                }
                .map_err(failed)?;
            }
        }
    }
    let mut file = tempfile::tempfile().map_err(broken)?;
    book.save_to_writer(&file).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(broken)?;
    Ok(file)
}

/// The number, where a spreadsheet would keep all its digits.
fn exact(number: &str) -> Option<f64> {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    number.parse().ok().filter(|_| digits <= EXACT_DIGITS)
}
