//! Reading records: from the row into the answer's bytes, for every kind the same.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnType, Condition, ConnectionTrait, QueryResult, Value,
    sea_query::{Alias, Expr, ExprTrait, Func, IntoIden, SelectStatement},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Shape,
    bytes::put,
    cursor::Cursor,
    expand::{Layout, Printer, Read},
    filter::{Filter, Function, Written, compile_at},
    page::segments,
    past, print_instant, search,
    selection::Selection,
    sort::Sort,
    visible,
    visible::visible_by_id,
};
use crate::{
    access::{self, Verb},
    context::{Context, Unit},
    error::{Code, Error, Result, Violation},
};

const DEFAULT_LIMIT: u64 = 50;
pub const MAX_LIMIT: u64 = 200;

/// What a list is asked for, as its parameters say it.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    pub filter: Option<Written>,
    /// Words that the searched fields of the kind have, the last one at least begun.
    pub search: Option<String>,
    /// `-amount,name`; without it the newest records come first.
    pub sort: Option<String>,
    /// `id,name,owner.name`; without it every field.
    pub fields: Option<String>,
    /// `owner,account.owner`
    pub expand: Option<String>,
    /// Rows of a page, 1 to 200; 50 where nothing is said.
    pub limit: Option<u64>,
    pub cursor: Option<String>,
    /// Counts all rows of the filter, for the price of a second statement.
    pub count: bool,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// `{"data":[..],"page":{"next":..,"prev":..,"has_more":..}}`, with `total` where it was asked for.
    pub body: Vec<u8>,
    pub next: Option<String>,
    pub prev: Option<String>,
}

/// One record.
#[derive(Clone, Debug)]
pub struct Found {
    pub body: Vec<u8>,
    pub version: i64,
    /// `"v7"` for the whole record as every tenant has it, else `"v7.<hash>"` of the fields that are shown: chosen ones, those
    /// that a role may read, and the tenant's own, which change without the record's version. None with expanded relations,
    /// which do so too, and none of the past, which nobody can write to.
    pub etag: Option<String>,
}

/// The records of a kind that the actor may see and the filter keeps, one page of them.
///
/// Cost: one statement, one more for each expanded relation and kind, one more to count, one more where a descending page
/// reaches the null values of its first key, and one more to search where a searched field is hidden from the actor.
///
/// # Errors
/// `Forbidden`; `Malformed` with everything that is wrong with the query.
pub async fn list(cx: &Context, shape: &Shape, query: &ListQuery) -> Result<Page> {
    access::may(&cx.actor, Verb::Read, shape)?;
    past::keeps(cx, shape)?;
    let db = &cx.reader();
    let plan = Plan::within_rights(cx, db, shape, query).await?;
    let layout = plan.layout();
    let mut rows = plan.rows(db, &layout).await?;
    let back = plan.cursor.as_ref().is_some_and(|cursor| cursor.back);
    let more = rows.len() as u64 > plan.limit;
    rows.truncate(usize::try_from(plan.limit).unwrap_or(usize::MAX));
    if back {
        rows.reverse();
    }
    let ends =
        [(rows.last(), false, back || more), (rows.first(), true, if back { more } else { plan.cursor.is_some() })];
    let [next, prev] = ends.map(|(row, back, there)| match row.filter(|_| there) {
        Some(row) => plan.seal(row, &layout, back).map(Some),
        None => Ok(None),
    });
    let (next, prev) = (next?, prev?);
    let total = if query.count { Some(plan.count(db).await?) } else { None };
    let printer = Printer::prepare(cx, db, &plan.selection, &layout, &rows).await?;
    let rows: Vec<_> = rows.iter().map(|row| layout.row(shape, row)).collect();
    let body = body(&printer, &rows, next.as_deref(), prev.as_deref(), total)?;
    Ok(Page { body, next, prev })
}

/// The statements that read one page of a list, without their limit: what a test of query plans explains.
///
/// # Errors
/// As [`list`].
pub fn statements(cx: &Context, shape: &Shape, query: &ListQuery) -> Result<Vec<SelectStatement>> {
    let plan = Plan::of(cx, shape, query)?;
    Ok(plan.statements(&plan.layout()))
}

fn body(
    printer: &Printer<'_>,
    rows: &[Read<'_>],
    next: Option<&str>,
    prev: Option<&str>,
    total: Option<i64>,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(64 + rows.len() * 512);
    out.extend_from_slice(br#"{"data":["#);
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        printer.print(&mut out, row)?;
    }
    out.extend_from_slice(br#"],"page":{"next":"#);
    put(&mut out, &next)?;
    out.extend_from_slice(br#","prev":"#);
    put(&mut out, &prev)?;
    out.extend_from_slice(br#","has_more":"#);
    put(&mut out, &next.is_some())?;
    if let Some(total) = total {
        out.extend_from_slice(br#","total":"#);
        put(&mut out, &total)?;
    }
    out.extend_from_slice(b"}}");
    Ok(out)
}

/// A list's query, read and resolved.
struct Plan<'a> {
    cx: &'a Context,
    selection: Selection<'a>,
    sort: Sort,
    limit: u64,
    cursor: Option<Cursor>,
    /// The moment of the list's first page, where the filter asks for it.
    now: Option<DateTime<Utc>>,
    /// Everything a cursor of this list belongs to.
    binding: String,
    /// The rows of the list, without columns, order and page.
    rows: SelectStatement,
}

impl<'a> Plan<'a> {
    fn of(cx: &'a Context, shape: &'a Shape, query: &ListQuery) -> Result<Self> {
        let mut broken = Broken::default();
        let selection = broken.check(Selection::parse(cx, shape, query.fields.as_deref(), query.expand.as_deref()))?;
        let sort = broken.check(Sort::parse(shape, cx.backend(), query.sort.as_deref()))?;
        let limit = broken.check(limit(query.limit))?;
        let filter = broken.check(query.filter.as_ref().map(Written::read).transpose())?.flatten();
        let binding = sort.as_ref().map(|sort| binding(cx, shape, sort, filter.as_ref(), query.search.as_deref()));
        let cursor = match (&query.cursor, &sort, &binding) {
            (Some(text), Some(sort), Some(binding)) => broken.check(open(cx, sort, binding, text))?,
            _ => None,
        };
        let relative = filter.as_ref().is_some_and(|filter| filter.calls(Function::is_time));
        let now = cursor.as_ref().and_then(|cursor| cursor.now).unwrap_or_else(|| cx.now());
        let mut rows = visible(cx, shape);
        if let Some(filter) = &filter {
            let condition = broken.check(compile_at(cx, shape, filter, shape.table().into_iden(), now))?;
            rows.cond_where(condition.unwrap_or_else(Condition::all));
        }
        if let Some(text) = &query.search {
            rows.cond_where(broken.check(search::condition(cx, shape, text))?.map_or_else(Condition::all, Into::into));
        }
        match (selection, sort, limit, binding) {
            (Some(selection), Some(sort), Some(limit), Some(binding)) if broken.0.is_empty() => {
                Ok(Self { cx, selection, sort, limit, cursor, now: relative.then_some(now), binding, rows })
            }
            _ => Err(Error::Malformed(broken.0)),
        }
    }

    /// The same, its search narrowed to what the actor may read.
    async fn within_rights(
        cx: &'a Context,
        db: &impl ConnectionTrait,
        shape: &'a Shape,
        query: &ListQuery,
    ) -> Result<Self> {
        let mut plan = Self::of(cx, shape, query)?;
        if let Some(text) = query.search.as_ref().filter(|_| search::some_are_hidden(shape)) {
            let found = search::readable(db, shape, &plan.rows, text).await?;
            plan.rows.and_where(Expr::col(Alias::new("id")).is_in(found));
        }
        Ok(plan)
    }

    /// The page's rows and one more, where there is one, in the direction of travel.
    async fn rows(&self, db: &impl ConnectionTrait, layout: &Layout) -> Result<Vec<QueryResult>> {
        let mut rows: Vec<QueryResult> = Vec::new();
        for mut select in self.statements(layout) {
            let wanted = (self.limit + 1).saturating_sub(rows.len() as u64);
            if wanted > 0 {
                rows.extend(db.query_all(select.limit(wanted)).await?);
            }
        }
        Ok(rows)
    }

    /// One statement a segment of the page, to be read one after the other until there are rows enough.
    fn statements(&self, layout: &Layout) -> Vec<SelectStatement> {
        let back = self.cursor.as_ref().is_some_and(|cursor| cursor.back);
        let reversed = back.then(|| self.sort.reversed());
        let sort = reversed.as_ref().unwrap_or(&self.sort);
        let mut select = self.rows.clone();
        layout.add_to(&mut select, &self.selection);
        sort.add_to(&mut select);
        let values = self.cursor.as_ref().map_or(&[][..], |cursor| &cursor.values);
        segments(&sort.0, values).into_iter().map(|segment| select.clone().cond_where(segment).take()).collect()
    }

    fn layout(&self) -> Layout {
        Layout::of(&self.selection, self.sort.0.iter().map(|key| key.column))
    }

    async fn count(&self, db: &impl ConnectionTrait) -> Result<i64> {
        let id = Expr::col(Alias::new("id"));
        let row = db.query_one(self.rows.clone().expr(Func::count(id))).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }

    fn seal(&self, row: &QueryResult, layout: &Layout, back: bool) -> Result<String> {
        let row = layout.row(self.selection.shape, row);
        let values = self.sort.0.iter().map(|key| key.of(&row)).collect::<Result<_>>()?;
        Cursor { back, values, now: self.now }.seal(&self.cx.world.secrets.cursor, &self.binding)
    }
}

/// Everything a cursor of this list belongs to. Relative dates count as they are written.
fn binding(cx: &Context, shape: &Shape, sort: &Sort, filter: Option<&Filter>, search: Option<&str>) -> String {
    let filter = filter.map(|filter| format!(" {filter}")).unwrap_or_default();
    let search = search.map(|text| format!(" search {text:?}")).unwrap_or_default();
    let known = cx.known_at.map(|at| format!(" known at {}", print_instant(at))).unwrap_or_default();
    format!("{} {} {sort}{filter}{search}{known}", cx.tenant.id, shape.name)
}

fn open(cx: &Context, sort: &Sort, binding: &str, text: &str) -> Result<Cursor> {
    let kinds: Vec<&ColumnType> = sort.0.iter().map(|key| &key.kind).collect();
    Cursor::open(&cx.world.secrets.cursor, binding, &kinds, text)
}

/// All rows of a list as one statement, and how they are printed: what an export streams.
pub(super) struct Whole<'a> {
    pub selection: Selection<'a>,
    pub layout: Layout,
    pub select: SelectStatement,
}

/// # Errors
/// As [`list`].
pub(super) async fn whole<'a>(cx: &'a Context, shape: &'a Shape, query: &ListQuery) -> Result<Whole<'a>> {
    access::may(&cx.actor, Verb::Read, shape)?;
    let sort = query.sort.clone().unwrap_or_else(|| "id".to_owned()); // oldest first, so that most references lead back
    let query = ListQuery { sort: Some(sort), limit: None, cursor: None, ..query.clone() };
    let plan = Plan::within_rights(cx, &cx.reader(), shape, &query).await?;
    let layout = plan.layout();
    let select = plan.statements(&layout).pop();
    let select = select.ok_or_else(|| Error::internal("a list without a cursor is one statement", &*shape.name))?;
    Ok(Whole { selection: plan.selection, layout, select })
}

/// Everything that is wrong with a query, to be said at once.
#[derive(Default)]
struct Broken(Vec<Violation>);

impl Broken {
    fn check<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Malformed(violations)) => {
                self.0.extend(violations);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

fn limit(wanted: Option<u64>) -> Result<u64> {
    let limit = wanted.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::malformed("limit", Code::InvalidParameter, format!("must be 1 to {MAX_LIMIT}")))
}

/// One record that the actor may see.
///
/// # Errors
/// `NotFound` where there is none or they may not see it; `Forbidden`; `Malformed` fields or relations.
pub async fn get(cx: &Context, shape: &Shape, id: Uuid, fields: Option<&str>, expand: Option<&str>) -> Result<Found> {
    find(cx, &cx.reader(), shape, id, fields, expand).await
}

/// The whole record as the unit sees it: what a create or an update answers with.
///
/// # Errors
/// As [`get`].
pub(super) async fn get_in(unit: &Unit<'_>, shape: &Shape, id: Uuid) -> Result<Found> {
    find(unit.cx, &unit.txn, shape, id, None, None).await
}

async fn find<C: ConnectionTrait>(
    cx: &Context,
    db: &C,
    shape: &Shape,
    id: Uuid,
    fields: Option<&str>,
    expand: Option<&str>,
) -> Result<Found> {
    access::may(&cx.actor, Verb::Read, shape)?;
    past::keeps(cx, shape)?;
    let selection = Selection::parse(cx, shape, fields, expand)?;
    let version = shape.column("version").unwrap_or(usize::MAX);
    let layout = Layout::of(&selection, [version]);
    let mut select = visible_by_id(cx, shape);
    layout.add_to(&mut select, &selection);
    select.and_where(Expr::col(Alias::new("id")).eq(id));
    let row = db.query_one(&select).await?.ok_or_else(|| Error::not_found(&shape.name, id))?;
    let version: i64 = row.try_get_by_index(layout.place(version)?)?;
    let rows = [row];
    let printer = Printer::prepare(cx, db, &selection, &layout, &rows).await?;
    let mut body = Vec::with_capacity(512);
    for row in &rows {
        printer.print(&mut body, &layout.row(shape, row))?;
    }
    Ok(Found { body, version, etag: etag(cx, &selection, version, fields.is_some()) })
}

/// The same from what has just been written, which its writer may see.
///
/// # Errors
/// `Forbidden`.
pub(super) fn written(cx: &Context, shape: &Shape, cells: &[Value], version: i64) -> Result<Found> {
    access::may(&cx.actor, Verb::Read, shape)?;
    let selection = Selection::parse(cx, shape, None, None)?;
    let mut body = Vec::with_capacity(512);
    Printer::plain(&selection).print(&mut body, cells)?;
    Ok(Found { body, version, etag: etag(cx, &selection, version, false) })
}

fn etag(cx: &Context, selection: &Selection<'_>, version: i64, chosen: bool) -> Option<String> {
    if !selection.expanded.is_empty() || cx.known_at.is_some() {
        return None;
    }
    let shape = selection.shape;
    if !chosen && shape.is_as_built() {
        return Some(format!("\"v{version}\""));
    }
    let mut own: Vec<_> = match &selection.custom {
        Some(chosen) => chosen.iter().map(String::as_str).collect(),
        None => shape.custom.active().map(|field| &*field.key).collect(),
    };
    own.sort_unstable();
    let lines = shape.parts.iter().flat_map(|parts| parts.shape.field_names());
    let names = selection.fields.iter().map(|field| field.name.as_str()).chain(own).chain(lines);
    let hash = names.fold(Sha256::new(), |hash, name| hash.chain_update(name).chain_update(",")).finalize();
    let short = hash.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Some(format!("\"v{version}.{short}\""))
}
