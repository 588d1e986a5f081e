//! Inputs of jobs that failed and could be tried again: whoever is in them would come back.

use std::{borrow::Cow, iter, sync::Arc};

use encoding_rs::Encoding;
use sea_orm::{
    ConnectionTrait, DbBackend, Statement,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::Value as Json;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{
    context::{Context, Unit},
    engine::erase::{Erasure, Likeness, Texts, strings},
    error::{Error, Result},
    import::{
        IMPORT, Spec,
        split::{Format, Position, RawRow, Splitter},
    },
    jobs::input,
};

/// Failed jobs with the person in their input cannot be tried again, and the input is gone; those that may have them are
/// told. Files are read as their imports read them, a chunk at a time: rows put off are rows of the file.
///
/// Cost: each failed job's file is read once.
///
/// # Errors
/// The database.
pub(super) async fn throw_away(unit: &Unit<'_>, texts: &Arc<Texts>, erasure: &mut Erasure) -> Result<()> {
    let (backend, mut gone) = (unit.cx.backend(), Vec::new());
    // who tries one again at the same moment waits, and then finds none
    let lock = if backend == DbBackend::Postgres { "for update of q, j" } else { "" };
    let sql = format!(
        "select q.job_id, q.kind, q.input, q.checkpoint from job_queue q \
         join job j on j.tenant_id = q.tenant_id and j.id = q.job_id \
         where q.tenant_id = $1 and j.state = 'failed' order by q.job_id {lock}"
    );
    for row in unit.txn.query_all_raw(Statement::from_sql_and_values(backend, sql, [unit.cx.tenant.id.into()])).await? {
        let (job, kind): (Uuid, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (asked, reached): (Json, Json) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        let mut likeness = [&asked, &reached].map(|json| texts.row(strings(json, true))).into_iter().max();
        if kind == IMPORT && likeness < Some(Likeness::Certain) {
            let spec = asked.get("spec").unwrap_or(&Json::Null);
            likeness = likeness.max(Some(file(unit.cx, job, spec, texts).await?));
        }
        match likeness {
            Some(Likeness::Certain) => gone.push(job),
            Some(Likeness::Doubtful) => erasure.inputs_in_doubt.push(job),
            Some(Likeness::None) | None => {}
        }
    }
    for table in ["job_queue", "job_input", "import_deferred"] {
        let delete = Query::delete()
            .from_table(Alias::new(table))
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new("job_id")).is_in(gone.iter().copied()))
            .take();
        unit.txn.execute(&delete).await?;
    }
    erasure.inputs = gone.len();
    Ok(())
}

/// What the rows of a job's file tell at most.
async fn file(cx: &Context, job: Uuid, spec: &Json, texts: &Arc<Texts>) -> Result<Likeness> {
    let (format, encoding) = Spec::writing(spec);
    let (mut splitter, mut likeness) = (Splitter::new(format, Position::default()), Likeness::None);
    for n in 0.. {
        let chunk = input::read(cx, job, n).await?;
        let (ended, texts) = (chunk.is_none(), Arc::clone(texts));
        let read = spawn_blocking(move || {
            match &chunk {
                Some(bytes) => splitter.feed(bytes),
                None => splitter.end(),
            }
            let rows = iter::from_fn(|| splitter.next_row()).map(|raw| row(raw, format, encoding, &texts));
            let found = rows.max().unwrap_or_default();
            (splitter, found)
        });
        let (left, found) = read.await.map_err(|panic| Error::internal("reading rows does not panic", panic))?;
        (splitter, likeness) = (left, likeness.max(found));
        if ended || likeness == Likeness::Certain {
            break;
        }
    }
    Ok(likeness)
}

/// What a row tells, also in columns that its import does not read.
fn row(raw: RawRow, format: Format, encoding: &'static Encoding, texts: &Texts) -> Likeness {
    let Ok(cells) = raw.cells else { return Likeness::Doubtful };
    let cells: Vec<Cow<str>> = cells.iter().map(|cell| encoding.decode_without_bom_handling(cell).0).collect();
    let object = cells.first().filter(|_| format == Format::Ndjson).and_then(|line| serde_json::from_str(line).ok());
    match object {
        Some(object) => texts.row(strings(&object, true)),
        None => texts.row(cells),
    }
}
