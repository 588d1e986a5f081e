//! A file on its way in, stored in chunks while it arrives.

use serde_json::{Value as Json, json};
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use uuid::Uuid;

use super::{
    IMPORT,
    source::Layout,
    spec::Spec,
    split::RowCount,
    workbook::{self, LARGEST},
};
use crate::{
    access,
    context::Context,
    error::{Code, Error, Result},
    jobs::{self, input},
};

/// An import that is being sent.
pub struct Upload<'a> {
    cx: &'a Context,
    job: Uuid,
    given: Json,
    spec: Spec,
    /// What it takes.
    rights: Vec<String>,
    buffer: Vec<u8>,
    chunks: i64,
    count: RowCount,
    /// A workbook on its way in, and its bytes so far.
    book: Option<(File, u64)>,
}

impl<'a> Upload<'a> {
    /// Checks the spec and the actor's rights, before any of the file is taken.
    ///
    /// # Errors
    /// `Invalid` with everything wrong in the spec; `Forbidden`.
    pub async fn begin(cx: &'a Context, given: Json) -> Result<Self> {
        let given = Spec::whole(cx, given).await?;
        let spec = Spec::parse(cx, &given)?;
        let kind = cx.kind(&spec.kind);
        let kind = kind.ok_or_else(|| Error::internal("the spec's kind is of the registry", &*spec.kind))?;
        let rights = spec.rights(cx, kind.shape());
        access::may_all(cx, &rights)?;
        let job = cx.new_id();
        let book = if spec.workbook { Some((temporary()?, 0)) } else { None };
        Ok(Self { cx, job, given, spec, rights, buffer: Vec::new(), chunks: 0, count: RowCount::default(), book })
    }

    /// Takes the next bytes of the file, whatever their number.
    ///
    /// # Errors
    /// `Invalid` as soon as the file's head shows that it does not fit the spec. Nothing is left behind.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((file, size)) = &mut self.book else { return self.take(bytes).await };
        *size += bytes.len() as u64;
        if *size > LARGEST {
            let detail = format!("a workbook has at most {LARGEST} bytes; send it as CSV");
            return Err(Error::malformed("file", Code::BodyTooLarge, detail));
        }
        file.write_all(bytes).await.map_err(unwritable)
    }

    /// The next bytes of rows.
    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.count.feed(self.spec.format, bytes);
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= input::CHUNK {
            let rest = self.buffer.split_off(input::CHUNK);
            let chunk = std::mem::replace(&mut self.buffer, rest);
            self.store(chunk).await?;
        }
        Ok(())
    }

    /// The whole file is here: asks for the job.
    ///
    /// # Errors
    /// As [`Upload::write`].
    pub async fn finish(mut self) -> Result<Uuid> {
        let asked = self.ask().await;
        if asked.is_err() {
            self.abandon().await;
        }
        asked.map(|()| self.job)
    }

    async fn ask(&mut self) -> Result<()> {
        if let Some((file, _)) = self.book.take() {
            self.convert(file).await?;
        }
        if !self.buffer.is_empty() || self.chunks == 0 {
            let last = std::mem::take(&mut self.buffer);
            self.store(last).await?;
        }
        let header = u64::from(self.spec.workbook);
        let rows = self.count.rows(self.spec.format).saturating_sub(header);
        let unit = self.cx.begin().await?;
        let (rights, input) = (self.rights.clone(), json!({"spec": self.given, "rows": rows}));
        jobs::enqueue_as(&unit, self.job, IMPORT, rights, input).await?;
        unit.commit().await
    }

    /// The rows of the workbook, on a thread of their own.
    async fn convert(&mut self, mut file: File) -> Result<()> {
        file.flush().await.map_err(unwritable)?;
        file.rewind().await.map_err(unwritable)?;
        let file = file.into_std().await;
        let wanted = workbook::Wanted { sheet: self.spec.sheet.clone(), columns: self.spec.columns.clone() };
        let (lines, mut taken) = mpsc::channel(2);
        let reading = tokio::task::spawn_blocking(move || workbook::convert(file, &wanted, &lines));
        while let Some(lines) = taken.recv().await {
            self.take(&lines).await?;
        }
        // a reader that panics has met a file that nobody could have written
        reading.await.unwrap_or_else(|_| Err(workbook::unreadable("cannot be read as a workbook")))
    }

    /// Removes what was stored: the sender has gone.
    pub async fn abandon(&self) {
        if let Err(error) = self.discard().await {
            tracing::error!(error = &error as &dyn std::error::Error, "a broken upload stays until it is tidied away");
        }
    }

    async fn discard(&self) -> Result<()> {
        let cx = self.cx.at_once();
        let unit = cx.begin().await?;
        input::discard(&unit, self.job).await?;
        unit.commit().await
    }

    /// In a unit of its own, whatever key the request has: an upload takes as long as its sender, and nobody waits for it.
    async fn store(&mut self, chunk: Vec<u8>) -> Result<()> {
        if self.chunks == 0 {
            Layout::read(&self.spec, &chunk)?;
        }
        let cx = self.cx.at_once();
        let unit = cx.begin().await?;
        input::append(&unit, self.job, self.chunks, chunk).await?;
        unit.commit().await?;
        self.chunks += 1;
        Ok(())
    }
}

fn temporary() -> Result<File> {
    tempfile::tempfile().map(File::from_std).map_err(unwritable)
}

fn unwritable(source: std::io::Error) -> Error {
    Error::internal("a temporary file can be written and read", source)
}
