//! Searches of those from whom some of the searched fields are hidden.
//!
//! The index knows which words a record has, not which field has them. What it finds for them is looked at once more, in the
//! fields they may read, and only a record that has the words there is found: as if there were no other field.

use sea_orm::{
    ConnectionTrait, Value,
    sea_query::{Alias, SelectStatement},
};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{columns, fields, tokens, words};
use crate::{
    engine::{Shape, read_cell},
    error::{Code, Error, Result},
};

/// Records that a search looks at once more, at most.
pub const CANDIDATES: usize = 1000;

/// Whether searches of the kind have to look again for whom the shape is.
pub(in crate::engine) fn some_are_hidden(shape: &Shape) -> bool {
    fields(shape).any(|name| shape.hides(name))
}

/// Which of the rows that the index has found have every word of `text` in fields that are not hidden.
///
/// Cost: one statement, up to 1,001 rows of the searched columns.
///
/// # Errors
/// `Malformed` where there are more; the database.
pub(in crate::engine) async fn readable(
    db: &impl ConnectionTrait,
    shape: &Shape,
    found: &SelectStatement,
    text: &str,
) -> Result<Vec<Uuid>> {
    let searched: Vec<_> = columns(shape).into_iter().filter_map(|i| shape.columns.get(i)).collect();
    let names = ["id"].into_iter().chain(searched.iter().map(|column| column.name.as_str()));
    let select = found.clone().columns(names.map(Alias::new)).limit(CANDIDATES as u64 + 1).take();
    let rows = db.query_all(&select).await?;
    if rows.len() > CANDIDATES {
        let detail =
            format!("more than {CANDIDATES} {} may have these words; give more of them, or a `filter`", shape.plural);
        return Err(Error::malformed("search", Code::QueryTooExpensive, detail));
    }
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        let cells = fields(shape).zip(&searched).enumerate().map(|(i, (name, column))| {
            if shape.hides(name) { Ok(Value::String(None)) } else { read_cell(row, i + 1, &column.kind) }
        });
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        records.push((row.try_get_by_index::<Uuid>(0)?, cells));
    }
    let (search, wanted) = (shape.search, tokens::wanted(text));
    let look = move || {
        let kept = records.into_iter().filter(|(_, cells)| wanted.is_in(&words(search, cells)));
        kept.map(|(id, _)| id).collect()
    };
    spawn_blocking(look).await.map_err(|source| Error::internal("a search comes to its end", source))
}
