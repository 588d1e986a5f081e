//! The change log as callers read it: in commit order, in fields instead of columns, each reader what they may see now.
//!
//! A page costs four statements and one more for each kind in it, however many changes: where the log ends, the changes,
//! the records as they are now (which also tells who may see them), and what followed those that changed again since.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, IntoIden, Query},
};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    Change, Field, FieldType, Row, Shape,
    cell::json_cell,
    cursor::Cursor,
    history::{self, Mark},
    instant, print_instant,
    show::SUBJECT_KIND,
    visible::reachable,
};
use crate::{
    access::{self, Verb},
    context::Context,
    error::{Code, Error, Result, Violation, enough, unknown},
};

const DEFAULT_LIMIT: u64 = 100;
/// Changes a page looks at.
pub const MAX_LIMIT: u64 = 1000;
/// The word for the end of the log.
const LATEST: &str = "latest";
/// Fields that change with every write; the item itself carries them.
const STAMPS: [&str; 2] = ["version", "updated_at"];

/// Where a reader stands: just after a change, or before all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(Option<Mark>);

/// What a reader asks for.
pub struct Feed<'a> {
    cx: &'a Context,
    /// Those that the reader may read, of those that were named.
    shapes: Vec<(&'a Shape, Vec<&'a Field>)>,
    limit: u64,
}

/// Changes in commit order.
pub struct Batch {
    /// Each with its cursor, printed as JSON.
    pub items: Vec<(String, Vec<u8>)>,
    /// Where to go on, whether there was anything or not.
    pub next: Position,
    /// There is more already.
    pub has_more: bool,
}

#[derive(Serialize)]
struct Item<'i> {
    cursor: &'i str,
    kind: &'i str,
    id: Uuid,
    version: i64,
    at: String,
    op: &'static str,
    changed: Changed<'i>,
    actor_id: Option<Uuid>,
    request_id: Option<&'i str>,
}

/// Field -> what it was and what it became, in the order of the kind.
struct Changed<'i>(Vec<(&'i str, Values)>);

#[derive(Serialize)]
struct Values {
    before: Json,
    after: Json,
}

impl Serialize for Changed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, values)| (name, values)))
    }
}

impl<'a> Feed<'a> {
    /// `kind`: names of kinds with commas between; without it, every kind the reader may read.
    ///
    /// # Errors
    /// `Forbidden`; `Malformed` with every kind that is unknown; a limit out of range.
    pub fn new(cx: &'a Context, kind: Option<&str>, limit: Option<u64>) -> Result<Self> {
        access::may_act(&cx.actor, "change:read")?;
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::malformed("limit", Code::InvalidParameter, format!("must be 1 to {MAX_LIMIT}")));
        }
        let mut named = Vec::new();
        let mut broken = Vec::new();
        for name in kind.into_iter().flat_map(|names| names.split(',')).map(str::trim) {
            if let Some(resource) = cx.kind(name) {
                access::may(&cx.actor, Verb::Read, resource.shape())?;
                named.push(resource.shape());
            } else if enough(&broken) {
                break;
            } else {
                let detail = unknown("kind", name, cx.shapes().map(|shape| &*shape.name));
                broken.push(Violation::parameter("kind", Code::InvalidParameter, detail));
            }
        }
        if !broken.is_empty() {
            return Err(Error::Malformed(broken));
        }
        if kind.is_none() {
            named.extend(cx.shapes().filter(|shape| access::may(&cx.actor, Verb::Read, shape).is_ok()));
        }
        let with_fields = |shape: &'a Shape| (shape, shape.every_field().collect());
        Ok(Self { cx, shapes: named.into_iter().map(with_fields).collect(), limit })
    }

    /// Where `after` leads: a cursor, `latest`, or the beginning where nothing is said. `parameter` names it in a refusal.
    ///
    /// # Errors
    /// `Malformed`: `invalid_cursor` for what is none of this tenant's, `cursor_expired` where the log no longer holds the
    /// change it stands for.
    pub async fn position(&self, parameter: &str, after: Option<&str>) -> Result<Position> {
        let text = match after {
            None => return Ok(Position(None)),
            Some(LATEST) => return Ok(Position(history::last(self.cx).await?)),
            Some(text) => text,
        };
        let position = Position::open(self.cx, text).ok_or_else(|| {
            let detail = format!("use `page.next` or an item's `cursor` as it is, or `{LATEST}`");
            Error::malformed(parameter, Code::InvalidCursor, detail)
        })?;
        match &position.0 {
            Some(mark) if !history::holds(self.cx, mark).await? => {
                let detail = "the log was put back to an earlier state since, and what followed then may differ; read \
                              the records anew and go on from `latest`";
                Err(Error::malformed(parameter, Code::CursorExpired, detail))
            }
            _ => Ok(position),
        }
    }

    /// The changes that follow. Looks at no more than the limit, so that a page may hold fewer changes, or none, and yet
    /// not be the last: those of records that the reader may not see are passed over.
    ///
    /// # Errors
    /// The database.
    pub async fn read(&self, from: &Position) -> Result<Batch> {
        let end = history::last(self.cx).await?;
        if end == from.0 || self.shapes.is_empty() {
            return Ok(Batch { items: Vec::new(), next: from.clone(), has_more: false });
        }
        let cursor = from.0.map_or((0, 0), |mark| mark.cursor);
        let kinds: Vec<_> = self.shapes.iter().map(|(shape, _)| &*shape.name).collect();
        let mut changes = history::changes(self.cx, cursor, &kinds, self.limit + 1).await?;
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = changes.len() > most;
        changes.truncate(most);
        let mut next = changes.last().map_or_else(|| from.clone(), |change| Position(Some(mark(change))));
        if !has_more && end.is_some_and(|end| next.0.is_none_or(|next| next.cursor < end.cursor)) {
            next = Position(end);
        }
        Ok(Batch { items: self.print(changes).await?, next, has_more })
    }

    async fn print(&self, changes: Vec<Change>) -> Result<Vec<(String, Vec<u8>)>> {
        let present = self.present(&changes).await?;
        let afters = self.afters(&changes, &present).await?;
        let mut items = Vec::with_capacity(changes.len());
        for (change, after) in changes.iter().zip(afters) {
            let Some((_, fields)) = self.shapes.iter().find(|(shape, _)| *shape.name == *change.kind) else { continue };
            let Some(after) = after else { continue };
            items.push(self.item(change, fields, &after)?);
        }
        Ok(items)
    }

    /// The records of the changes as they are now, deleted or not, as far as the reader may see them.
    async fn present(&self, changes: &[Change]) -> Result<HashMap<(&'a str, Uuid), Row>> {
        let mut present = HashMap::new();
        for (shape, _) in &self.shapes {
            let mut ids: Vec<_> = changes.iter().filter(|c| *c.kind == *shape.name).map(|c| c.record).collect();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                continue;
            }
            let table = shape.table();
            let select = Query::select()
                .from(table.clone())
                .columns(shape.columns.iter().map(|column| Alias::new(column.name.as_str())))
                .cond_where(reachable(self.cx, shape, &table.into_iden()))
                .and_where(Expr::col(Alias::new("id")).is_in(ids))
                .take();
            let id = shape.column("id").unwrap_or(usize::MAX);
            for row in self.cx.reader().query_all(&select).await? {
                let cell =
                    |(i, column): (usize, &super::Column)| Ok((column.name.clone(), json_cell(&row, i, &column.kind)?));
                let cells = shape.columns.iter().enumerate().map(cell).collect::<Result<_>>()?;
                present.insert((&*shape.name, row.try_get_by_index(id)?), cells);
            }
        }
        Ok(present)
    }

    /// Each record as the change left it: as the next change found it, else as it is now; `None` where the reader may
    /// not see it. What is newer than the present row read before is in the log by then.
    async fn afters(&self, changes: &[Change], present: &HashMap<(&'a str, Uuid), Row>) -> Result<Vec<Option<Row>>> {
        let key = |change: &Change| (change.kind.clone(), change.record, change.version);
        let mut missing = Vec::new();
        let mut later: HashMap<(&str, Uuid), &Change> = HashMap::new();
        let mut found: Vec<Option<Row>> = Vec::with_capacity(changes.len());
        for change in changes.iter().rev() {
            let record = (change.kind.as_str(), change.record);
            let next = later.insert(record, change);
            found.push(match (present.get(&record), next) {
                (None, _) => None,
                (Some(_), Some(next)) => row(next.before.clone()),
                (Some(now), None) if now.get("version").and_then(Json::as_i64) == Some(change.version) => {
                    Some(now.clone())
                }
                (Some(_), None) => {
                    missing.push(key(change));
                    None
                }
            });
        }
        found.reverse();
        let mut befores = history::next_befores(self.cx, &missing).await?;
        for (change, place) in changes.iter().zip(&mut found) {
            if place.is_none() {
                let now = || present.get(&(change.kind.as_str(), change.record)).cloned();
                *place = befores.remove(&key(change)).map_or_else(now, |before| row(Some(before)));
            }
        }
        Ok(found)
    }

    fn item(&self, change: &Change, fields: &[&Field], after: &Row) -> Result<(String, Vec<u8>)> {
        let shape = self.shapes.iter().find(|(shape, _)| *shape.name == *change.kind).map(|(shape, _)| *shape);
        let Some(shape) = shape else { return Err(Error::internal("a change is of a kind", change.kind.clone())) };
        let before = row(change.before.clone());
        let op = op(before.as_ref(), after);
        let value = |field: &Field, row: Option<&Row>| {
            row.map_or(Json::Null, |row| {
                let about = row.get(SUBJECT_KIND).and_then(Json::as_str);
                printed(field, shape.show(self.cx, field, field.encode(&shape.columns, row), about))
            })
        };
        let whole = op != "update";
        let mut changed = Vec::new();
        for field in fields.iter().filter(|field| !STAMPS.contains(&field.name.as_str())) {
            let named = shape.columns_of(field).any(|column| change.changed.contains(&column.name))
                || field.custom_key().is_some_and(|_| change.changed.contains(&field.name));
            if !whole && !named {
                continue;
            }
            let values = match op {
                "create" | "restore" => Values { before: Json::Null, after: value(field, Some(after)) },
                "delete" => Values { before: value(field, before.as_ref()), after: Json::Null },
                _ => Values { before: value(field, before.as_ref()), after: value(field, Some(after)) },
            };
            if !whole && !shape.shows_in_part(field) || values.before != values.after {
                changed.push((field.name.as_str(), values));
            }
        }
        let cursor = Position(Some(mark(change))).seal(self.cx)?;
        let item = Item {
            cursor: &cursor,
            kind: &change.kind,
            id: change.record,
            version: change.version,
            at: print_instant(change.at),
            op,
            changed: Changed(changed),
            actor_id: change.actor,
            request_id: change.request_id.as_deref(),
        };
        let json = serde_json::to_vec(&item).map_err(|source| Error::internal("a change is JSON", source))?;
        Ok((cursor, json))
    }
}

fn mark(change: &Change) -> Mark {
    Mark { cursor: change.cursor, record: change.record, at: change.at }
}

fn row(json: Option<Json>) -> Option<Row> {
    match json {
        Some(Json::Object(row)) => Some(row),
        _ => None,
    }
}

fn op(before: Option<&Row>, after: &Row) -> &'static str {
    let lives = |row: &Row| row.get("deleted_at").is_none_or(Json::is_null);
    match before {
        None => "create",
        Some(before) if lives(before) == lives(after) => "update",
        Some(_) if lives(after) => "restore",
        Some(_) => "delete",
    }
}

/// As the record's own answer prints it.
fn printed(field: &Field, mut value: Json) -> Json {
    if field.kind == FieldType::Instant
        && let Some(at) = value.as_str().and_then(|text| instant(text).ok())
    {
        return print_instant(at).into();
    }
    value.sort_all_objects();
    value
}

impl Position {
    /// The position as callers keep it: opaque, and worth nothing in another tenant. The change it names stands for the
    /// state of the log it was read from.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn seal(&self, cx: &Context) -> Result<String> {
        let mark = self.0;
        let values = vec![
            mark.map(|mark| mark.cursor.0).into(),
            mark.map(|mark| mark.cursor.1).into(),
            mark.map(|mark| mark.record).into(),
            mark.map(|mark| mark.at).into(),
        ];
        Cursor { back: false, values, now: None }.seal(&cx.world.secrets.cursor, &binding(cx))
    }

    fn open(cx: &Context, text: &str) -> Option<Self> {
        use sea_orm::{ColumnType, Value};
        let kinds =
            [&ColumnType::BigInteger, &ColumnType::BigInteger, &ColumnType::Uuid, &ColumnType::TimestampWithTimeZone];
        let cursor = Cursor::try_open(&cx.world.secrets.cursor, &binding(cx), &kinds, text)?;
        match cursor.values.as_slice() {
            [
                Value::BigInt(Some(xid)),
                Value::BigInt(Some(seq)),
                Value::Uuid(Some(record)),
                Value::ChronoDateTimeUtc(Some(at)),
            ] => Some(Self(Some(Mark { cursor: (*xid, *seq), record: *record, at: *at }))),
            [Value::BigInt(None), Value::BigInt(None), Value::Uuid(None), Value::ChronoDateTimeUtc(None)] => {
                Some(Self(None))
            }
            _ => None,
        }
    }
}

fn binding(cx: &Context) -> String {
    format!("{} changes", cx.tenant.id)
}
