//! One page of rows through lookups, matching and the write.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::Value;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{
    deferred::{self, Waiting},
    draft::{Draft, text},
    lookup, refer,
    source::Cell,
    spec::{Mode, Spec},
    tally::Tally,
    target::{Source, Target},
};
use crate::{
    context::{Tenant, Unit},
    engine::{Operation, Resource, Verdict, upsert},
    error::{Code, Error, Result},
    jobs::RowError,
};

/// A row's line and its cells, or why it cannot be read.
pub type RowIn = (u64, Result<Vec<Cell>, String>);

/// Rows read as far as that goes without the database.
pub struct Page {
    drafts: Vec<Draft>,
    unreadable: Vec<RowError>,
}

impl Page {
    pub fn read(spec: &Spec, tenant: &Tenant, rows: impl Iterator<Item = RowIn>) -> Self {
        let mut page = Self { drafts: Vec::new(), unreadable: Vec::new() };
        for (line, cells) in rows {
            match cells {
                Ok(cells) => page.drafts.push(Draft::read(spec, tenant, line, cells)),
                Err(detail) => page.unreadable.push(RowError::error(line, Code::UnreadableRow, detail)),
            }
        }
        page
    }
}

/// A page on its way.
pub struct Batch<'a> {
    pub unit: &'a Unit<'a>,
    pub spec: &'a Spec,
    pub resource: &'a dyn Resource,
    pub job: Uuid,
    /// What a lookup into the imported kind misses may still come.
    pub hopes: bool,
    /// Rows put off before this page.
    pub waiting: u64,
}

/// What became of a page.
#[derive(Default)]
pub struct Outcome {
    pub errors: Vec<RowError>,
    pub waiting: Vec<Waiting>,
    pub settled: Settled,
    pub tally: Tally,
}

/// Rows that will not be looked at again.
#[derive(Default)]
pub struct Settled {
    /// Values that lookups into the imported kind find now.
    pub values: Vec<String>,
    /// Match keys of all of them, refused or accepted.
    pub keys: Vec<String>,
    accepted: Vec<(u64, Option<String>, Option<String>)>,
}

impl Settled {
    /// What a dry run has to remember of accepted rows.
    pub fn remembered(&self) -> Vec<Waiting> {
        let told = self.accepted.iter().filter(|(_, provides, key)| provides.is_some() || key.is_some());
        told.map(|(line, provides, key)| Waiting {
            line: *line,
            cells: Vec::new(),
            wants: None,
            provides: provides.clone(),
            key: key.clone(),
        })
        .collect()
    }
}

/// A draft ready to be written, with the values it is matched by.
struct Ready {
    draft: Draft,
    key: Option<Vec<Value>>,
    /// The key as rows that are put off keep it.
    text: Option<String>,
}

fn text_of(key: &[Value]) -> String {
    key.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

impl Batch<'_> {
    /// # Errors
    /// What concerns the page as a whole; rows that are refused are in the outcome.
    pub async fn work(&self, page: Page) -> Result<Outcome> {
        let Page { mut drafts, unreadable } = page;
        let mut outcome = Outcome::default();
        outcome.tally.rows += unreadable.len() as u64;
        outcome.tally.failed += unreadable.len() as u64;
        outcome.errors = unreadable;
        for target in &self.spec.targets {
            if let Source::Lookup(lookup) = &target.source {
                refer::fill(self, target, lookup, &mut drafts).await?;
            }
        }
        let ready = self.keyed(drafts);
        let ready = self.hold_back(ready, &mut outcome).await?;
        self.write(ready, &mut outcome).await?;
        outcome.errors.sort_by_key(|error| error.line);
        Ok(outcome)
    }

    /// What each draft is matched by; one without is refused.
    fn keyed(&self, drafts: Vec<Draft>) -> Vec<Ready> {
        let shape = self.resource.shape();
        let keyed = drafts.into_iter().map(|mut draft| {
            if self.spec.matching.is_empty() {
                return Ready { draft, key: None, text: None };
            }
            let key = upsert::key(shape, &self.spec.matching, &draft.data);
            for violation in key.as_ref().err().into_iter().flatten() {
                let name = violation.pointer.trim_start_matches('/').replace('/', ".");
                let known = draft.errors.iter().any(|error| error.field.as_deref() == Some(name.as_str()));
                if let Some(target) = self.spec.targets.iter().find(|t| t.name == name && !known) {
                    draft.refuse(self.spec, target, violation.code, violation.detail.as_str());
                }
            }
            let text = key.as_deref().ok().map(text_of);
            Ready { draft, key: key.ok(), text }
        });
        keyed.collect()
    }

    /// Puts rows off that wait, for another row or for an earlier one about the same record, and settles the refused.
    async fn hold_back(&self, rows: Vec<Ready>, outcome: &mut Outcome) -> Result<Vec<Ready>> {
        let mut held: HashMap<String, i64> = HashMap::new();
        if self.waiting > 0 && self.hopes {
            let keys: Vec<String> = rows.iter().filter_map(|row| row.text.clone()).collect();
            held = deferred::first_lines(self.unit, self.job, &keys).await?;
        }
        let mut ready = Vec::with_capacity(rows.len());
        for row in rows {
            let line = i64::try_from(row.draft.line).unwrap_or(i64::MAX);
            let key = row.text.clone();
            let behind = key.as_ref().and_then(|key| held.get(key)).is_some_and(|first| *first < line);
            if !row.draft.errors.is_empty() {
                outcome.refuse(row, Vec::new());
            } else if row.draft.waits.is_some() || behind {
                held.extend(key.clone().map(|key| (key, line)).filter(|(key, _)| !held.contains_key(key)));
                let provides = self.provides(&row.draft.data);
                let Draft { line, cells, waits: wants, .. } = row.draft;
                outcome.waiting.push(Waiting { line, cells, wants, provides, key });
            } else {
                ready.push(row);
            }
        }
        Ok(ready)
    }

    /// The value by which lookups into the imported kind find this row's record.
    fn provides(&self, data: &Map<String, Json>) -> Option<String> {
        let shape = self.resource.shape();
        let field = shape.field(&self.spec.own_lookup()?.by)?;
        let value = data.get(&field.name).filter(|value| !value.is_null())?;
        lookup::stored(shape, field, value).ok().map(|(_, text)| text)
    }

    /// Writes in slices in which no two rows are about the same record: the later sees what the earlier wrote.
    async fn write(&self, rows: Vec<Ready>, outcome: &mut Outcome) -> Result<()> {
        let shape = self.resource.shape();
        let keys: Vec<_> = rows.iter().filter_map(|row| row.key.as_ref()).collect();
        let mut known = upsert::find(self.unit, shape, &self.spec.matching, &keys).await?;
        let mut tried: HashSet<String> = HashSet::new();
        if self.spec.dry_run && !self.spec.matching.is_empty() {
            let keys: Vec<String> = rows.iter().filter_map(|row| row.text.clone()).collect();
            tried.extend(deferred::seen(self.unit, self.job, "match_key", &keys).await?);
        }
        let mut slice: Vec<(Ready, Operation)> = Vec::with_capacity(rows.len());
        let mut inside: HashSet<Vec<Value>> = HashSet::new();
        for row in rows {
            if row.key.as_ref().is_some_and(|key| inside.contains(key)) {
                self.flush(std::mem::take(&mut slice), &mut known, &tried, outcome).await?;
                inside.clear();
            }
            let id = row.key.as_ref().and_then(|key| known.get(key)).copied();
            if let Some(operation) = self.operation(&row, id, &tried) {
                inside.extend(row.key.clone());
                slice.push((row, operation));
            } else {
                let error = self.unmatched(&row);
                outcome.refuse(row, vec![error]);
            }
        }
        self.flush(slice, &mut known, &tried, outcome).await
    }

    /// `None` where the row's record must be there and is not.
    fn operation(&self, row: &Ready, id: Option<Uuid>, tried: &HashSet<String>) -> Option<Operation> {
        let tried = || row.text.as_ref().is_some_and(|key| tried.contains(key));
        let there = id.is_some() || self.spec.mode != Mode::Update || tried();
        let (data, since) = (row.draft.data.clone(), row.draft.since);
        there.then(|| upsert::operation(self.resource.shape(), id, data, since).1)
    }

    fn unmatched(&self, row: &Ready) -> RowError {
        let by = self.spec.matching.first().map_or("", String::as_str);
        let detail = format!("there is no {} with this {}", self.spec.kind, self.spec.matching.join(" and "));
        let column = self.spec.targets.iter().find(|t| t.name == by).and_then(Target::column);
        let value = column.and_then(|column| text(self.spec, &row.draft.cells, column));
        RowError::error(row.draft.line, Code::NotFound, detail).at(by, column, value)
    }

    async fn flush(
        &self,
        slice: Vec<(Ready, Operation)>,
        known: &mut HashMap<Vec<Value>, Uuid>,
        tried: &HashSet<String>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        if slice.is_empty() {
            return Ok(());
        }
        let (rows, operations): (Vec<_>, Vec<_>) = slice.into_iter().unzip();
        let new: Vec<bool> = operations.iter().map(|o| matches!(o, Operation::Create { .. })).collect();
        let verdicts: Vec<Verdict> = self.resource.write(self.unit, operations).await?;
        for ((row, new), verdict) in rows.into_iter().zip(new).zip(verdicts) {
            match verdict {
                Ok(written) => {
                    let again = row.text.as_ref().is_some_and(|key| tried.contains(key));
                    match (new && !again, written.changed) {
                        (true, _) => outcome.tally.created += 1,
                        (false, true) => outcome.tally.updated += 1,
                        (false, false) => outcome.tally.unchanged += 1,
                    }
                    known.extend(row.key.clone().map(|key| (key, written.id)));
                    let provides = self.provides(&row.draft.data);
                    outcome.accept(self, &row, provides);
                }
                Err(Error::Database(source)) => return Err(Error::Database(source)),
                Err(error) => {
                    let errors = self.explained(&row.draft, &error);
                    outcome.refuse(row, errors);
                }
            }
        }
        Ok(())
    }

    /// A refused write in terms of the file.
    fn explained(&self, draft: &Draft, error: &Error) -> Vec<RowError> {
        let named = RowError::of(draft.line, error).into_iter().map(|(field, error)| {
            let Some(field) = field else { return error };
            let column = self.spec.targets.iter().find(|t| t.field == field).and_then(Target::column);
            let value = column.and_then(|column| text(self.spec, &draft.cells, column));
            error.at(&field, column, value)
        });
        named.collect()
    }
}

impl Outcome {
    fn refuse(&mut self, row: Ready, more: Vec<RowError>) {
        self.tally.rows += 1;
        self.tally.failed += 1;
        self.settled.keys.extend(row.text);
        self.errors.extend(row.draft.errors);
        self.errors.extend(more);
    }

    fn accept(&mut self, batch: &Batch<'_>, row: &Ready, provides: Option<String>) {
        let (spec, draft) = (batch.spec, &row.draft);
        self.tally.rows += 1;
        for (column, cell) in spec.columns.iter().zip(&draft.cells) {
            match cell {
                Cell::Text(text) | Cell::Number(text) => {
                    if spec.replace.get(column).is_some_and(|words| words.contains_key(text)) {
                        let of_column: &mut BTreeMap<_, _> = self.tally.replaced.entry(column.clone()).or_default();
                        *of_column.entry(text.clone()).or_default() += 1;
                    }
                }
                Cell::Empty | Cell::Absent => *self.tally.empty.entry(column.clone()).or_default() += 1,
            }
        }
        let warnings = draft.warnings(spec, &batch.unit.cx.tenant);
        self.tally.warnings += warnings.len() as u64;
        self.errors.extend(warnings);
        let key = row.text.clone();
        self.settled.values.extend(provides.clone());
        self.settled.keys.extend(key.clone());
        self.settled.accepted.push((draft.line, provides, key));
    }
}
