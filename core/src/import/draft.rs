//! One row of cells into what would be written, references still open.

use serde_json::{Map, Value as Json};

use super::{
    read::{self, Writing},
    source::Cell,
    spec::Spec,
    target::{Began, Place, Source, Target},
};
use crate::{
    context::Tenant,
    engine::{Since, export::guard::unguarded, instant},
    error::Code,
    jobs::RowError,
};

/// A row on its way to a record.
pub struct Draft {
    pub line: u64,
    pub cells: Vec<Cell>,
    pub data: Map<String, Json>,
    pub since: Since,
    /// Why the row is refused, all at once.
    pub errors: Vec<RowError>,
    /// What a lookup into the imported kind did not find yet: a row further down may bring it.
    pub waits: Option<String>,
}

fn cell<'a>(spec: &Spec, cells: &'a [Cell], column: &str) -> Option<&'a Cell> {
    spec.slot(column).and_then(|slot| cells.get(slot))
}

/// The text of a column's cell, replacements made; `None` where it is empty or absent.
pub fn text<'a>(spec: &'a Spec, cells: &'a [Cell], column: &str) -> Option<&'a str> {
    let Some(Cell::Text(text) | Cell::Number(text)) = cell(spec, cells, column) else { return None };
    let text = if spec.formula_guard { unguarded(text) } else { text };
    let better = spec.replace.get(column).and_then(|words| words.get(text));
    Some(better.map_or(text, String::as_str)).filter(|text| !text.is_empty())
}

fn absent(spec: &Spec, cells: &[Cell], column: &str) -> bool {
    matches!(cell(spec, cells, column), None | Some(Cell::Absent))
}

/// How a column's text is written: signs that people put into numbers are not in those of the file itself.
fn writing<'a>(spec: &Spec, cells: &[Cell], column: &str, target: &'a Target) -> Option<&'a Writing> {
    let number = matches!(cell(spec, cells, column), Some(Cell::Number(_)));
    target.writing.as_ref().filter(|writing| !number || matches!(writing, Writing::Time(_)))
}

impl Draft {
    /// Reads each mapped field from its cell or constant. Lookups are left for the whole page.
    pub fn read(spec: &Spec, tenant: &Tenant, line: u64, cells: Vec<Cell>) -> Self {
        let mut draft =
            Self { line, data: Map::new(), since: Since::default(), errors: Vec::new(), waits: None, cells };
        for target in &spec.targets {
            let value = match &target.source {
                Source::Constant(value) => value.clone(),
                Source::Column(column) | Source::Lookup(super::target::Lookup { column, .. }) => {
                    match (text(spec, &draft.cells, column), &target.source) {
                        (Some(_), Source::Lookup(_)) => continue,
                        (Some(text), _) => {
                            let writing = writing(spec, &draft.cells, column, target);
                            match read::value(text, &target.kind, writing, tenant) {
                                Ok(value) => value,
                                Err(detail) => {
                                    draft.refuse(spec, target, Code::InvalidValue, detail);
                                    continue;
                                }
                            }
                        }
                        (None, _) if target.skips_empty || absent(spec, &draft.cells, column) => continue,
                        (None, _) => Json::Null,
                    }
                }
            };
            draft.place(target, value);
        }
        draft
    }

    pub fn refuse(&mut self, spec: &Spec, target: &Target, code: Code, detail: impl Into<String>) {
        let value = target.column().and_then(|column| text(spec, &self.cells, column));
        let error = RowError::error(self.line, code, detail).at(&target.name, target.column(), value);
        self.errors.push(error);
    }

    /// Puts the value where the target says. An amount comes before its currency, and is in the tenant's until then; without
    /// an amount a currency says nothing.
    pub fn place(&mut self, target: &Target, value: Json) {
        match &target.place {
            Place::Whole => {
                self.data.insert(target.field.clone(), value);
            }
            Place::Since(began) => {
                let at = value.as_str().and_then(|text| instant(text).ok());
                match began {
                    Began::Owner => self.since.owner = at,
                    Began::Stage => self.since.stage = at,
                    Began::Grade => self.since.grade = at,
                }
            }
            Place::Part(part) => {
                let whole = self.data.entry(&target.field).or_insert_with(|| Json::Object(Map::new()));
                if let Json::Object(whole) = whole {
                    whole.insert(part.clone(), value);
                }
            }
            Place::Currency(part) => {
                let whole = self.data.get_mut(&target.field);
                let money =
                    whole.and_then(|whole| if let Some(part) = part { whole.get_mut(part) } else { Some(whole) });
                if let (Some(Json::Object(money)), false) = (money, value.is_null()) {
                    money.insert("currency".to_owned(), value);
                }
            }
        }
    }

    /// What is odd about the row, though it is accepted.
    pub fn warnings(&self, spec: &Spec, tenant: &Tenant) -> Vec<RowError> {
        let mut warnings = Vec::new();
        for (column, bounds) in &spec.warn {
            let target = spec.targets.iter().find(|t| t.column() == Some(column));
            let (Some(target), Some(text)) = (target, text(spec, &self.cells, column)) else { continue };
            if let Some(detail) = bounds.odd(text, &target.kind, writing(spec, &self.cells, column, target), tenant) {
                let warning = RowError::warning(self.line, Code::OutOfRange, detail);
                warnings.push(warning.at(&target.name, Some(column), Some(text)));
            }
        }
        warnings
    }
}
