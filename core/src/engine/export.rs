//! Everything a filter keeps, as a file: streamed from one statement, which is one consistent snapshot on both databases,
//! in constant memory. Rows, fields and rights are those of lists.

mod cells;
pub(crate) mod guard;
mod sheet;

use std::time::Duration;

use futures::{TryStreamExt as _, stream::BoxStream};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, StreamTrait as _,
    sea_query::SelectStatement,
};

use self::{cells::Cells, sheet::Sheet};
use super::{
    Shape,
    expand::Printer,
    read::{ListQuery, Whole, whole},
};
use crate::{
    context::Context,
    error::{Code, Error, Result},
};

/// Bytes that are handed on at once.
const CHUNK: usize = 64 << 10;
/// A reader that takes nothing for so long is gone, and with it the snapshot that is kept for them.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with a header of field names, as an import reads it.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// An Excel workbook of one sheet, at most 1,048,575 records.
    Xlsx,
}

impl Format {
    /// # Errors
    /// `Malformed` for any other word.
    pub fn parse(word: Option<&str>) -> Result<Self> {
        match word {
            None | Some("csv") => Ok(Self::Csv),
            Some("ndjson") => Ok(Self::Ndjson),
            Some("xlsx") => Ok(Self::Xlsx),
            Some(_) => Err(Error::malformed("format", Code::InvalidParameter, "must be csv, ndjson or xlsx")),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Xlsx => "xlsx",
        }
    }
}

/// Takes the file, piece by piece, at the reader's pace.
pub struct Sink(tokio::sync::mpsc::Sender<Result<Vec<u8>>>);

impl Sink {
    /// Two pieces wait for the reader at most.
    pub fn new() -> (Self, tokio::sync::mpsc::Receiver<Result<Vec<u8>>>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        (Self(sender), receiver)
    }

    async fn put(&self, bytes: Vec<u8>) -> Result<()> {
        let sent = tokio::time::timeout(PATIENCE, self.0.send(Ok(bytes))).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::Limit {
                code: Code::BodyTooSlow,
                detail: "nobody takes the file".to_owned(),
                retry_after: None,
            }),
        }
    }

    /// Tells the reader that the file ends before its end.
    pub async fn fail(&self, error: Error) {
        drop(tokio::time::timeout(PATIENCE, self.0.send(Err(error))).await);
    }
}

/// Writes the records that the filter keeps, in its order, as far as the actor may see them. `limit`, `cursor`, `expand` and
/// `count` of the query are not looked at.
///
/// # Errors
/// As [`list`](super::read::list), before anything is written; the database; a reader who has left.
pub async fn export(cx: &Context, shape: &Shape, query: &ListQuery, format: Format, sink: &Sink) -> Result<()> {
    let whole = planned(cx, shape, query).await?;
    match format {
        Format::Ndjson => ndjson(cx, &whole, sink).await,
        Format::Csv => csv(cx, &whole, sink).await,
        Format::Xlsx => xlsx(cx, &whole, sink).await,
    }
}

/// Whether the query can be exported.
///
/// # Errors
/// As [`export`].
pub async fn check(cx: &Context, shape: &Shape, query: &ListQuery) -> Result<()> {
    planned(cx, shape, query).await.map(drop)
}

async fn planned<'a>(cx: &'a Context, shape: &'a Shape, query: &ListQuery) -> Result<Whole<'a>> {
    let whole = whole(cx, shape, query).await?;
    if whole.selection.expanded.is_empty() {
        return Ok(whole);
    }
    let detail = "an export has the kind's own fields; export the other kind too and join by id";
    Err(Error::malformed("fields", Code::InvalidParameter, detail))
}

/// Where the rows come from.
enum Source {
    Pool(DatabaseConnection),
    /// Behind PostgreSQL's fence between tenants.
    Fenced(DatabaseTransaction),
}

impl Source {
    async fn of(cx: &Context) -> Result<Self> {
        Ok(match cx.backend() {
            DbBackend::Postgres => Self::Fenced(cx.store().begin_for(cx.tenant.id).await?),
            _ => Self::Pool(cx.store().read.clone()),
        })
    }

    async fn rows<'a>(&'a self, select: &'a SelectStatement) -> Result<BoxStream<'a, Result<QueryResult, DbErr>>> {
        Ok(match self {
            Self::Pool(pool) => Box::pin(pool.stream(select).await?),
            Self::Fenced(txn) => Box::pin(txn.stream(select).await?),
        })
    }
}

async fn ndjson(cx: &Context, whole: &Whole<'_>, sink: &Sink) -> Result<()> {
    let printer = Printer::prepare(cx, &cx.reader(), &whole.selection, &whole.layout, &[]).await?;
    let mut text = Vec::with_capacity(CHUNK + 4096);
    let source = Source::of(cx).await?;
    let mut rows = source.rows(&whole.select).await?;
    while let Some(row) = rows.try_next().await? {
        printer.print(&mut text, &whole.layout.row(whole.selection.shape, &row))?;
        text.push(b'\n');
        if text.len() >= CHUNK {
            sink.put(std::mem::replace(&mut text, Vec::with_capacity(CHUNK + 4096))).await?;
        }
    }
    sink.put(text).await
}

async fn csv(cx: &Context, whole: &Whole<'_>, sink: &Sink) -> Result<()> {
    let broken = |source: csv::Error| Error::internal("cells can be written as CSV", source);
    let cells = Cells::of(whole);
    let fresh = || csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::with_capacity(CHUNK));
    let finish = |csv: csv::Writer<Vec<u8>>| {
        csv.into_inner().map_err(|source| Error::internal("memory can be written", source.to_string()))
    };
    let mut csv = fresh();
    csv.write_record(cells.header()).map_err(broken)?;
    let mut written = 0;
    let source = Source::of(cx).await?;
    let mut rows = source.rows(&whole.select).await?;
    while let Some(row) = rows.try_next().await? {
        for cell in cells.read(&row)? {
            let text = cell.text();
            written += text.len() + 1;
            csv.write_field(&*text).map_err(broken)?;
        }
        csv.write_record(None::<&[u8]>).map_err(broken)?;
        if written >= CHUNK {
            sink.put(finish(std::mem::replace(&mut csv, fresh()))?).await?;
            written = 0;
        }
    }
    sink.put(finish(csv)?).await
}

/// A workbook is a ZIP archive whose directory comes last: it is written to a file that has no name, then sent.
async fn xlsx(cx: &Context, whole: &Whole<'_>, sink: &Sink) -> Result<()> {
    let cells = Cells::of(whole);
    let mut sheet = Sheet::begin(cells.header(), cx.now());
    let source = Source::of(cx).await?;
    let mut rows = source.rows(&whole.select).await?;
    while let Some(row) = rows.try_next().await? {
        sheet.add(cells.read(&row)?).await?;
    }
    drop(rows);
    sheet.send(|bytes| sink.put(bytes)).await
}
