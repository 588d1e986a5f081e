//! What an import is asked to do: read strictly, everything that is wrong told at once.

use std::{collections::BTreeMap, sync::Arc};

use encoding_rs::{Encoding, GB18030, UTF_8, WINDOWS_1252};
use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait},
};
use serde_json::{Map, Value as Json};

use super::{
    bounds::Bounds,
    split::Format,
    target::{self, Lookup, Missing, Target},
};
use crate::{
    access::{self, Verb},
    context::Context,
    engine::{FieldAccess, Shape, merge_patch, upsert, visible},
    error::{Code, Error, Result, VIOLATIONS, Violation, enough, unknown},
    jobs,
    records::import_mapping,
};

/// Rows become records of the kind how?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each row is a new record.
    Insert,
    /// Each row changes the record that matches; one without a match is refused.
    Update,
    /// As update where a record matches, else as insert.
    Upsert,
}

/// An import's specification, checked.
#[derive(Debug)]
pub struct Spec {
    pub kind: Arc<str>,
    pub format: Format,
    /// The file is a workbook: its rows come as NDJSON after a line with the header.
    pub workbook: bool,
    /// Of a workbook; the first visible one where none is named.
    pub sheet: Option<String>,
    pub encoding: &'static Encoding,
    pub mode: Mode,
    /// Fields whose values find the record that a row is about, as those of an upsert do; none for inserts.
    pub matching: Vec<String>,
    /// What each mapped field is made of, in the order of their names.
    pub targets: Vec<Target>,
    /// Columns the mapping reads, in the order of their names. Cells are kept in this order.
    pub columns: Vec<String>,
    /// Column -> text -> what it should have been.
    pub replace: BTreeMap<String, BTreeMap<String, String>>,
    /// Column -> what is reported, yet accepted, outside of these.
    pub warn: BTreeMap<String, Bounds>,
    /// An export's apostrophes before what would be a formula are taken off.
    pub formula_guard: bool,
    /// Everything is tried, nothing is kept.
    pub dry_run: bool,
}

/// Words for the parts of a spec that are one of a few.
const FORMATS: [(&str, (Format, bool)); 3] =
    [("csv", (Format::Csv, false)), ("ndjson", (Format::Ndjson, false)), ("xlsx", (Format::Ndjson, true))];
const ENCODINGS: [(&str, &Encoding); 3] = [("utf-8", UTF_8), ("gb18030", GB18030), ("windows-1252", WINDOWS_1252)];
const MODES: [(&str, Mode); 3] = [("insert", Mode::Insert), ("update", Mode::Update), ("upsert", Mode::Upsert)];
const KEYS: [&str; 12] = [
    "kind",
    "format",
    "sheet",
    "encoding",
    "mode",
    "match",
    "mapping",
    "formats",
    "replace",
    "warn",
    "formula_guard",
    "dry_run",
];

impl Spec {
    /// Reads a spec, as far as that goes without the file.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong; pointers are into the spec.
    pub fn parse(cx: &Context, given: &Json) -> Result<Self> {
        let mut wrong = Wrong::default();
        let Json::Object(given) = given else {
            return Err(Error::invalid("spec", Code::WrongType, "must be a JSON object"));
        };
        wrong.keys("", given, &KEYS);
        let shape = kind(cx, given, &mut wrong);
        let (format, workbook) = wrong.word(given, "format", &FORMATS, (Format::Csv, false));
        let sheet = given.get("sheet").map(|sheet| sheet.as_str().unwrap_or_default().to_owned());
        if sheet.as_ref().is_some_and(|sheet| sheet.is_empty() || !workbook) {
            wrong.add("/sheet", Code::InvalidValue, "must be the name of a sheet, where the format is xlsx");
        }
        if workbook && given.contains_key("encoding") {
            wrong.add("/encoding", Code::InvalidValue, "a workbook says itself how it is encoded");
        }
        let encoding = wrong.word(given, "encoding", &ENCODINGS, UTF_8);
        let mode = wrong.word(given, "mode", &MODES, Mode::Insert);
        let [formula_guard, dry_run] = ["formula_guard", "dry_run"].map(|key| wrong.flag(given, key));
        let Some(shape) = shape else { return Err(Error::Invalid(wrong.0)) };
        let targets = target::targets(cx, shape, given, &mut wrong);
        if wrong.is_enough() {
            return Err(Error::Invalid(wrong.0)); // not all of them have been looked at
        }
        let mut columns: Vec<String> = targets.iter().filter_map(|t| t.column().map(str::to_owned)).collect();
        columns.sort_unstable();
        columns.dedup();
        let replace = replacements(given, &columns, &mut wrong);
        let warn = warnings(given, &columns, &targets, &mut wrong);
        let matching = matching(shape, given, mode, &targets, &mut wrong);
        if mode != Mode::Update {
            for field in shape.fields.iter().filter(|f| f.required && !targets.iter().any(|t| t.field == f.name)) {
                wrong.add("/mapping", Code::Required, format!("must map `{}`, which new records need", field.name));
            }
        }
        let kind = Arc::clone(&shape.name);
        let spec = Self {
            kind,
            format,
            workbook,
            sheet,
            encoding,
            mode,
            matching,
            targets,
            columns,
            replace,
            warn,
            formula_guard,
            dry_run,
        };
        if wrong.0.is_empty() { Ok(spec) } else { Err(Error::Invalid(wrong.0)) }
    }

    /// How the rows of a spec's file are laid out and encoded, whatever else it says.
    pub fn writing(given: &Json) -> (Format, &'static Encoding) {
        let (none, mut wrong) = (Map::new(), Wrong::default());
        let given = given.as_object().unwrap_or(&none);
        let (format, _) = wrong.word(given, "format", &FORMATS, (Format::Csv, false));
        (format, wrong.word(given, "encoding", &ENCODINGS, UTF_8))
    }

    /// The spec as a whole: `saved` in it names one that is kept, and what else is there overrides it (RFC 7396).
    ///
    /// # Errors
    /// `Invalid` where there is none of that name; `Forbidden`.
    pub async fn whole(cx: &Context, mut given: Json) -> Result<Json> {
        let Some(name) = given.as_object_mut().and_then(|given| given.remove("saved")) else { return Ok(given) };
        let wrong = |detail: String| Error::invalid("saved", Code::InvalidValue, detail);
        let name = name.as_str().ok_or_else(|| wrong("must be the name of an import mapping".to_owned()))?;
        let shape = cx.tenant.kinds.of::<import_mapping::Entity>()?.shape();
        access::may(&cx.actor, Verb::Read, shape)?;
        let select =
            visible(cx, shape).column(Alias::new("spec")).and_where(Expr::col(Alias::new("name")).eq(name)).take();
        let row = cx.reader().query_one(&select).await?;
        let row = row.ok_or_else(|| wrong(format!("there is no import mapping `{name}`")))?;
        Ok(merge_patch(row.try_get_by_index(0)?, &given))
    }

    /// The rights that it takes to do what the spec asks for.
    pub fn rights(&self, cx: &Context, shape: &Shape) -> Vec<String> {
        let mut rights = vec!["import:create".to_owned(), jobs::READ.to_owned()];
        if self.mode != Mode::Update {
            rights.push(access::right(shape, Verb::Create));
        }
        if self.mode != Mode::Insert {
            rights.push(access::right(shape, Verb::Update));
        }
        if self.targets.iter().any(|target| target.access == FieldAccess::History) {
            rights.push(super::HISTORY.to_owned());
        }
        let lookups = self.targets.iter().filter_map(Target::lookup).filter(|it| it.missing == Missing::Create);
        let made = lookups.filter_map(|lookup| cx.kind(&lookup.kind));
        rights.extend(made.map(|resource| access::right(resource.shape(), Verb::Create)));
        rights
    }

    /// A lookup into the imported kind itself. All of them look by the same field.
    pub fn own_lookup(&self) -> Option<&Lookup> {
        self.targets.iter().filter_map(Target::lookup).find(|lookup| lookup.kind == self.kind)
    }

    /// The place of a column among [`Spec::columns`].
    pub fn slot(&self, column: &str) -> Option<usize> {
        self.columns.binary_search_by(|known| known.as_str().cmp(column)).ok()
    }
}

/// What is wrong so far, by JSON pointer into the spec.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<Violation>);

impl Wrong {
    pub fn add(&mut self, pointer: &str, code: Code, detail: impl Into<String>) {
        self.0.push(Violation { pointer: pointer.to_owned(), code, detail: detail.into() });
    }

    pub fn is_enough(&self) -> bool {
        enough(&self.0)
    }

    /// Refuses keys that are not of `known`.
    pub fn keys(&mut self, pointer: &str, given: &Map<String, Json>, known: &[&str]) {
        for key in given.keys().filter(|key| !known.contains(&key.as_str())).take(VIOLATIONS) {
            let detail = unknown("key", key, known.iter().copied());
            self.add(&format!("{pointer}/{}", escaped(key)), Code::UnknownField, detail);
        }
    }

    /// The object under `key`; empty where there is none.
    pub fn object<'a>(&mut self, given: &'a Map<String, Json>, key: &str) -> Option<&'a Map<String, Json>> {
        match given.get(key) {
            Some(Json::Object(object)) => Some(object),
            Some(_) => {
                self.add(&format!("/{key}"), Code::WrongType, "must be a JSON object");
                None
            }
            None => None,
        }
    }

    fn flag(&mut self, given: &Map<String, Json>, key: &str) -> bool {
        given.get(key).is_some_and(|flag| {
            flag.as_bool().unwrap_or_else(|| {
                self.add(&format!("/{key}"), Code::WrongType, "must be true or false");
                false
            })
        })
    }

    fn word<T: Copy>(&mut self, given: &Map<String, Json>, key: &str, words: &[(&str, T)], usual: T) -> T {
        let Some(word) = given.get(key) else { return usual };
        let found = word.as_str().and_then(|word| words.iter().find(|(known, _)| *known == word));
        found.map_or_else(
            || {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                self.add(&format!("/{key}"), Code::InvalidValue, format!("must be one of {}", known.join(", ")));
                usual
            },
            |(_, meaning)| *meaning,
        )
    }
}

/// A key as a part of a JSON pointer (RFC 6901).
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn kind<'a>(cx: &'a Context, given: &Map<String, Json>, wrong: &mut Wrong) -> Option<&'a Shape> {
    let writable = |shape: &&Shape| shape.verbs.contains(&Verb::Create);
    let kinds = || cx.shapes().filter(writable);
    let Some(name) = given.get("kind").and_then(Json::as_str) else {
        wrong.add("/kind", Code::Required, "is required: a kind of record such as `account`");
        return None;
    };
    let shape = kinds().find(|shape| *shape.name == *name);
    if shape.is_none() {
        let detail = unknown("kind of record to import", name, kinds().map(|shape| &*shape.name));
        wrong.add("/kind", Code::InvalidValue, detail);
    }
    shape
}

fn matching(
    shape: &Shape,
    given: &Map<String, Json>,
    mode: Mode,
    targets: &[Target],
    wrong: &mut Wrong,
) -> Vec<String> {
    let possible = || upsert::keys(shape).iter().map(|set| set.join(",")).collect::<Vec<_>>().join("; ");
    let by: Vec<String> = match given.get("match") {
        Some(names) => names.as_str().unwrap_or_default().split(',').map(|name| name.trim().to_owned()).collect(),
        None => Vec::new(),
    };
    let unmapped = by.iter().find(|name| !targets.iter().any(|target| target.name == **name));
    let refused = match (mode, by.is_empty(), upsert::finds(shape, &by), unmapped) {
        (Mode::Insert, true, ..) => None,
        (Mode::Insert, false, ..) => Some((Code::InvalidValue, "is of no use with mode insert".to_owned())),
        (_, true, ..) => Some((Code::Required, format!("is required to find records: one of {}", possible()))),
        (_, _, Err(detail), _) => Some((Code::InvalidValue, detail)),
        (_, _, _, Some(name)) => Some((Code::InvalidValue, format!("`{name}` must be mapped, to be matched"))),
        (_, _, Ok(()), None) => None,
    };
    if let Some((code, detail)) = refused {
        wrong.add("/match", code, detail);
    }
    by
}

fn of_columns<'a>(
    given: &'a Map<String, Json>,
    key: &str,
    columns: &[String],
    wrong: &mut Wrong,
) -> Vec<(&'a String, String, &'a Json)> {
    let mut entries = Vec::new();
    for (column, entry) in wrong.object(given, key).into_iter().flatten() {
        if wrong.is_enough() {
            break;
        }
        let pointer = format!("/{key}/{}", escaped(column));
        if columns.contains(column) {
            entries.push((column, pointer, entry));
        } else {
            let detail = unknown("column that the mapping reads", column, columns.iter().map(String::as_str));
            wrong.add(&pointer, Code::UnknownColumn, detail);
        }
    }
    entries
}

fn replacements(
    given: &Map<String, Json>,
    columns: &[String],
    wrong: &mut Wrong,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut replace = BTreeMap::new();
    for (column, pointer, entry) in of_columns(given, "replace", columns, wrong) {
        match serde_json::from_value::<BTreeMap<String, String>>(entry.clone()) {
            Ok(words) => {
                replace.insert(column.clone(), words);
            }
            Err(_) => wrong.add(&pointer, Code::WrongType, r#"must be like {"from": "to"}, texts both"#),
        }
    }
    replace
}

fn warnings(
    given: &Map<String, Json>,
    columns: &[String],
    targets: &[Target],
    wrong: &mut Wrong,
) -> BTreeMap<String, Bounds> {
    let mut warn = BTreeMap::new();
    for (column, pointer, entry) in of_columns(given, "warn", columns, wrong) {
        let Some(target) = targets.iter().find(|t| t.column() == Some(column)) else { continue };
        match Bounds::parse(entry, &target.kind, target.writing.as_ref()) {
            Ok(bounds) => {
                warn.insert(column.clone(), bounds);
            }
            Err(detail) => wrong.add(&pointer, Code::InvalidValue, detail),
        }
    }
    warn
}
