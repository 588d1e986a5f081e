//! A row as the cells of a sheet: one a field, two for money, named as an import's mapping names them.

use std::borrow::Cow;

use sea_orm::QueryResult;
use serde_json::Value as Json;

use super::guard::guarded;
use crate::{
    engine::{
        Field, FieldType,
        cell::json_cell,
        custom::{CUSTOM, CustomField},
        read::Whole,
        selection::Selection,
    },
    error::Result,
    values::{Money, decimal},
};

/// One cell.
pub enum Cell {
    Empty,
    Text(String),
    /// In digits, sign and point alone.
    Number(String),
    Boolean(bool),
}

impl Cell {
    /// As a CSV file has it. Numbers stay numbers, texts are no formulas.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => "".into(),
            Self::Text(text) => guarded(text),
            Self::Number(number) => number.into(),
            Self::Boolean(true) => "true".into(),
            Self::Boolean(false) => "false".into(),
        }
    }
}

/// How the rows of one export become cells.
pub struct Cells<'a>(&'a Whole<'a>);

impl<'a> Cells<'a> {
    pub fn of(whole: &'a Whole<'a>) -> Self {
        Self(whole)
    }

    pub fn header(&self) -> Vec<String> {
        let names = self.0.selection.fields.iter().flat_map(|field| match &*field.name {
            CUSTOM => self.own().flat_map(|own| names(&own.field)).collect(),
            _ => names(field),
        });
        names.collect()
    }

    /// The tenant's own fields, each in a column.
    fn own(&self) -> impl Iterator<Item = &'a CustomField> {
        let Selection { shape, custom, .. } = &self.0.selection;
        shape.custom.active().filter(move |own| custom.as_ref().is_none_or(|chosen| chosen.contains(&*own.key)))
    }

    pub fn read(&self, row: &QueryResult) -> Result<Vec<Cell>> {
        let Whole { selection, layout, .. } = self.0;
        let mut cells = Vec::with_capacity(selection.fields.len() + 4);
        for field in &selection.fields {
            let mut values = Vec::with_capacity(2);
            for index in &field.columns {
                let kind = selection.shape.columns.get(*index).map(|column| &column.kind);
                let Some(kind) = kind else { continue };
                values.push(json_cell(row, layout.place(*index)?, kind)?);
            }
            match (&field.kind, values.as_slice()) {
                (FieldType::Money, [Json::Number(minor), Json::String(currency)]) => {
                    cells.extend(amount(minor.as_i64().unwrap_or_default(), currency));
                }
                (FieldType::Money, _) => cells.extend([Cell::Empty, Cell::Empty]),
                (_, [values]) if field.name == CUSTOM => {
                    for own in self.own() {
                        let value = values.get(&*own.key).unwrap_or(&Json::Null);
                        if own.field.kind != FieldType::Money {
                            cells.push(cell(value.clone()));
                            continue;
                        }
                        let none = [Cell::Empty, Cell::Empty];
                        cells.extend(Money::of(value).map_or(none, |of| amount(of.minor, of.currency.as_str())));
                    }
                }
                _ if selection.shape.shows_in_part(field) => {
                    cells.push(cell(selection.shown(&layout.row(selection.shape, row), field)?));
                }
                _ => cells.extend(values.into_iter().map(cell)),
            }
        }
        Ok(cells)
    }
}

/// The columns of a field.
fn names(field: &Field) -> Vec<String> {
    match field.kind {
        FieldType::Money => vec![format!("{}.amount", field.name), format!("{}.currency", field.name)],
        _ => vec![field.name.clone()],
    }
}

fn amount(minor: i64, currency: &str) -> [Cell; 2] {
    [Cell::Number(decimal(minor, currency)), Cell::Text(currency.to_owned())]
}

fn cell(value: Json) -> Cell {
    match value {
        Json::Null => Cell::Empty,
        Json::Bool(flag) => Cell::Boolean(flag),
        Json::String(text) => Cell::Text(text),
        // never with an exponent, which imports refuse
        Json::Number(number) => Cell::Number(match number.as_f64().filter(|_| number.is_f64()) {
            Some(number) => number.to_string(),
            None => number.to_string(),
        }),
        mut tree => {
            tree.sort_all_objects();
            Cell::Text(tree.to_string())
        }
    }
}
