//! Rows into bytes, with the records they refer to: one statement a relation and kind, however many rows.

use std::collections::{BTreeSet, HashMap};

use futures::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, QueryResult, Value,
    sea_query::{Alias, Expr, ExprTrait, SelectStatement},
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    Field, FieldType, Shape,
    bytes::{put, put_cell, put_money},
    custom::CUSTOM,
    read_cell,
    selection::{Expanded, Selection},
    show::SUBJECT_KIND,
    visible::visible_by_id,
};
use crate::{
    context::Context,
    error::{Error, Result},
};

/// The columns of a statement, by their index in the shape, and so where each stands in its rows.
pub(super) struct Layout(Vec<usize>);

impl Layout {
    /// The columns that printing `selection` needs, and `extra`.
    pub fn of(selection: &Selection<'_>, extra: impl IntoIterator<Item = usize>) -> Self {
        let printed = selection.fields.iter().flat_map(|field| &field.columns);
        let relations = selection.expanded.iter().map(|e| &e.relation);
        let followed = relations.flat_map(|r| r.id.columns.iter().chain(r.kind.iter().flat_map(|kind| &kind.columns)));
        let in_part = selection.fields.iter().any(|field| selection.shape.shows_in_part(field));
        let about = in_part.then(|| selection.shape.column(SUBJECT_KIND)).flatten();
        let all: BTreeSet<usize> = printed.chain(followed).copied().chain(extra).chain(about).collect();
        Self(all.into_iter().collect())
    }

    pub fn add_to(&self, select: &mut SelectStatement, selection: &Selection<'_>) {
        let columns = self.0.iter().filter_map(|i| selection.shape.columns.get(*i));
        select.columns(columns.map(|column| Alias::new(column.name.as_str())));
    }

    /// A row of the statement.
    pub fn row<'r>(&'r self, shape: &'r Shape, row: &'r QueryResult) -> Read<'r> {
        Read { layout: self, shape, row }
    }

    /// Where column `column` of the shape stands in a row.
    pub fn place(&self, column: usize) -> Result<usize> {
        self.0
            .binary_search(&column)
            .map_err(|_| Error::internal("a statement reads what is printed", "column missing"))
    }
}

/// A record's values by the columns of its shape.
pub(super) trait ByColumn {
    fn cell(&self, column: usize) -> Result<Value>;

    fn first(&self, field: &Field) -> Result<Value> {
        self.cell(field.columns.first().copied().unwrap_or(usize::MAX))
    }
}

/// As a statement reads them.
pub(super) struct Read<'r> {
    layout: &'r Layout,
    shape: &'r Shape,
    row: &'r QueryResult,
}

impl ByColumn for Read<'_> {
    fn cell(&self, column: usize) -> Result<Value> {
        let place = self.layout.place(column)?;
        match self.shape.columns.get(column) {
            Some(column) => Ok(read_cell(self.row, place, &column.kind)?),
            None => Err(Error::internal("a statement reads what is printed", "column missing")),
        }
    }
}

/// As they have just been written.
impl ByColumn for [Value] {
    fn cell(&self, column: usize) -> Result<Value> {
        let cell = self.get(column).cloned();
        cell.ok_or_else(|| Error::internal("what is written is whole", "column missing"))
    }
}

impl Selection<'_> {
    /// What is shown of a field's JSON value.
    pub fn shown(&self, row: &(impl ByColumn + ?Sized), field: &Field) -> Result<Json> {
        let about = match self.shape.column(SUBJECT_KIND).map(|column| row.cell(column)).transpose()? {
            Some(Value::String(kind)) => kind,
            _ => None,
        };
        let value = json(row.first(field)?).unwrap_or_default();
        Ok(self.shape.show(self.cx, field, value, about.as_deref()))
    }
}

/// The records one relation leads to, printed, by place among its targets and id.
type Related = HashMap<(usize, Uuid), Vec<u8>>;

/// Prints rows of one statement.
pub(super) struct Printer<'p> {
    selection: &'p Selection<'p>,
    related: Vec<Related>,
}

impl<'p> Printer<'p> {
    /// For a selection that expands nothing.
    pub fn plain(selection: &'p Selection<'p>) -> Self {
        Self { selection, related: Vec::new() }
    }

    /// Reads what the rows refer to and the selection expands. A record the actor may not see is printed as null.
    pub async fn prepare<C: ConnectionTrait>(
        cx: &Context,
        db: &C,
        selection: &'p Selection<'p>,
        layout: &Layout,
        rows: &[QueryResult],
    ) -> Result<Self> {
        let mut related = Vec::with_capacity(selection.expanded.len());
        for expanded in &selection.expanded {
            let mut wanted = BTreeSet::new();
            for row in rows {
                wanted.extend(reference(expanded, &layout.row(selection.shape, row))?);
            }
            let mut found = Related::new();
            for (place, target) in expanded.targets.iter().enumerate() {
                let ids: Vec<Uuid> = wanted.iter().filter(|(of, _)| *of == place).map(|(_, id)| *id).collect();
                if !ids.is_empty() {
                    found.extend(load(cx, db, target, ids).await?.into_iter().map(|(id, bytes)| ((place, id), bytes)));
                }
            }
            related.push(found);
        }
        Ok(Self { selection, related })
    }

    /// One record as a JSON object, in the order of its shape; a relation follows its id.
    pub fn print(&self, out: &mut Vec<u8>, row: &(impl ByColumn + ?Sized)) -> Result<()> {
        let mut expanded = self.selection.expanded.iter().zip(&self.related).peekable();
        let mut fields = self.selection.fields.iter().peekable();
        out.push(b'{');
        let start = out.len();
        loop {
            let field = fields.peek().and_then(|field| field.columns.first());
            let relation = expanded.peek().and_then(|(e, _)| e.relation.id.columns.first());
            let follows = relation.is_some_and(|id| field.is_none_or(|column| id < column));
            if out.len() > start && (field.is_some() || relation.is_some()) {
                out.push(b',');
            }
            if follows {
                let Some((expanded, related)) = expanded.next() else { break };
                put(out, &expanded.relation.name)?;
                out.push(b':');
                match reference(expanded, row)?.and_then(|key| related.get(&key)) {
                    Some(bytes) => out.extend_from_slice(bytes),
                    None => put(out, &())?,
                }
            } else {
                let Some(field) = fields.next() else { break };
                self.print_field(out, row, field)?;
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn print_field(&self, out: &mut Vec<u8>, row: &(impl ByColumn + ?Sized), field: &Field) -> Result<()> {
        put(out, &field.name)?;
        out.push(b':');
        match (&field.kind, field.columns.as_slice()) {
            (FieldType::Money, [minor, currency]) => put_money(out, row.cell(*minor)?, row.cell(*currency)?),
            (_, [column, ..]) if field.name == CUSTOM => {
                let Selection { shape, custom, .. } = self.selection;
                put(out, &json(row.cell(*column)?).map(|stored| shape.custom.show(&stored, custom.as_ref())))
            }
            _ if self.selection.shape.shows_in_part(field) => put_cell(out, self.selection.shown(row, field)?.into()),
            (_, [column, ..]) => put_cell(out, row.cell(*column)?),
            _ => put(out, &()),
        }
    }
}

/// Which record the relation of this row leads to: its kind's place among the targets, and its id.
fn reference(expanded: &Expanded<'_>, row: &(impl ByColumn + ?Sized)) -> Result<Option<(usize, Uuid)>> {
    let relation = &expanded.relation;
    let id = match (relation.key, row.first(relation.id)?) {
        (None, Value::Uuid(id)) => id,
        (Some(field), custom) => json(custom).and_then(|custom| custom.get(&*field.key)?.as_str()?.parse().ok()),
        _ => None,
    };
    let place = match relation.kind {
        None => Some(0),
        Some(kind) => match row.first(kind)? {
            Value::String(Some(kind)) => relation.targets.iter().position(|target| *target.name == *kind),
            _ => None,
        },
    };
    Ok(place.zip(id))
}

fn json(cell: Value) -> Option<Json> {
    match cell {
        Value::Json(json) => json.map(|json| *json),
        _ => None,
    }
}

/// The records of these ids that the actor may see, printed.
fn load<'a, C: ConnectionTrait>(
    cx: &'a Context,
    db: &'a C,
    selection: &'a Selection<'a>,
    ids: Vec<Uuid>,
) -> BoxFuture<'a, Result<HashMap<Uuid, Vec<u8>>>> {
    Box::pin(async move {
        let id = selection.shape.column("id").unwrap_or(usize::MAX);
        let layout = Layout::of(selection, [id]);
        let mut select = visible_by_id(cx, selection.shape);
        layout.add_to(&mut select, selection);
        select.and_where(Expr::col(Alias::new("id")).is_in(ids));
        let rows = db.query_all(&select).await?;
        let printer = Printer::prepare(cx, db, selection, &layout, &rows).await?;
        let place = layout.place(id)?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let mut bytes = Vec::with_capacity(256);
            printer.print(&mut bytes, &layout.row(selection.shape, row))?;
            found.insert(row.try_get_by_index(place)?, bytes);
        }
        Ok(found)
    })
}
