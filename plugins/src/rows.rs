//! Rows written down by hand (fixtures, files of `ripen plugin run`) as the frame a plugin is sent.

use std::collections::{BTreeMap, HashMap};

use ripen_core::{
    metrics::{Fact, Unit},
    ports::{Column, Frame, FrameField, Input, InputType, Manifest, Series, Texts, Words},
};
use serde_json::Value as Json;

#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    #[error("no input `{0}` in the manifest")]
    Unknown(String),
    #[error("input `{0}` is missing and has no default")]
    Missing(String),
    #[error("input `{input}` has {found} values, others have {rows}")]
    Length { input: String, found: usize, rows: usize },
    #[error("input `{input}`, row {row}: {value} is no {wanted}")]
    Type { input: String, row: usize, value: String, wanted: &'static str },
    #[error("input `{input}`, row {row}: no value, but the input is required")]
    Required { input: String, row: usize },
}

/// `columns` by input name, one JSON value a row, as the manifest's types; `currency` is the unit of money.
///
/// # Errors
/// A column that the manifest does not declare, one that is missing, or a value that does not fit.
pub fn frame(manifest: &Manifest, currency: &str, columns: &BTreeMap<String, Vec<Json>>) -> Result<Frame, RowsError> {
    if let Some(unknown) = columns.keys().find(|name| !manifest.inputs.contains_key(*name)) {
        return Err(RowsError::Unknown(unknown.clone()));
    }
    let rows = columns.values().next().map_or(0, Vec::len);
    let field = |(name, input): (&String, &Input)| {
        let absent = vec![Json::Null; rows];
        let values = match columns.get(name) {
            Some(values) => values,
            None if input.default.is_some() => &absent,
            None => return Err(RowsError::Missing(name.clone())),
        };
        if values.len() != rows {
            return Err(RowsError::Length { input: name.clone(), found: values.len(), rows });
        }
        field(name, input, currency, values)
    };
    let fields = manifest.inputs.iter().map(field).collect::<Result<_, _>>()?;
    Ok(Frame { rows: u32::try_from(rows).unwrap_or(u32::MAX), fields })
}

fn field(name: &str, input: &Input, currency: &str, values: &[Json]) -> Result<FrameField, RowsError> {
    let mut present = vec![1; values.len()];
    let mut filled = Vec::with_capacity(values.len());
    for (row, (value, present)) in values.iter().zip(&mut present).enumerate() {
        match (value, &input.default) {
            (Json::Null, Some(default)) => filled.push(default),
            (Json::Null, None) if input.required => return Err(RowsError::Required { input: name.into(), row }),
            (Json::Null, None) => {
                *present = 0;
                filled.push(value);
            }
            _ => filled.push(value),
        }
    }
    let unit = match input.kind {
        InputType::Money => Some(currency),
        InputType::Instant => Some("ms"),
        InputType::Date => Some("day"),
        _ => input
            .from
            .strip_prefix("metric:")
            .and_then(Fact::parse)
            .filter(|fact| fact.unit() == Unit::Days)
            .map(|_| "days"),
    };
    Ok(FrameField {
        name: name.into(),
        unit: unit.map(Into::into),
        column: column(name, input.kind, &filled)?,
        present: present.contains(&0).then_some(present),
    })
}

/// Null stands for 0 or empty.
fn column(name: &str, kind: InputType, values: &[&Json]) -> Result<Column, RowsError> {
    let each = Each { name, values };
    Ok(match kind {
        InputType::Number => Column::Numbers(each.read("number", Json::as_f64)?),
        InputType::Integer | InputType::Money | InputType::Instant | InputType::Date => {
            Column::Integers(each.read("integer", Json::as_i64)?)
        }
        InputType::Boolean => Column::Booleans(each.read("boolean", |value| value.as_bool().map(u8::from))?),
        InputType::Text => {
            let mut dict = Dictionary::default();
            let codes = each.read("text", |value| value.as_str().map(|text| dict.code(text)))?;
            // An absent text is the empty text, which needs an entry of its own.
            let empty = values.iter().any(|value| value.is_null()).then(|| dict.code(""));
            let absent = |(code, value): (u32, &&Json)| if value.is_null() { empty.unwrap_or(code) } else { code };
            let codes = codes.into_iter().zip(values).map(absent).collect();
            Column::Texts(Texts { dict: dict.texts, codes })
        }
        InputType::Words => {
            let mut dict = Dictionary::default();
            let lists =
                each.read("list of texts", |value| list(value, |word| word.as_str().map(|word| dict.code(word))))?;
            Column::Words(Words { offsets: offsets(&lists), codes: lists.concat(), dict: dict.texts })
        }
        InputType::Series => {
            let lists = each.read("list of numbers", |value| list(value, Json::as_f64))?;
            Column::Series(Series { offsets: offsets(&lists), values: lists.concat() })
        }
    })
}

/// The values of one input.
struct Each<'a> {
    name: &'a str,
    values: &'a [&'a Json],
}

impl Each<'_> {
    fn read<T: Default>(
        &self,
        wanted: &'static str,
        mut read: impl FnMut(&Json) -> Option<T>,
    ) -> Result<Vec<T>, RowsError> {
        let one = |(row, value): (usize, &&Json)| match value {
            Json::Null => Ok(T::default()),
            value => read(value).ok_or_else(|| RowsError::Type {
                input: self.name.into(),
                row,
                value: value.to_string(),
                wanted,
            }),
        };
        self.values.iter().enumerate().map(one).collect()
    }
}

fn list<T>(value: &Json, read: impl FnMut(&Json) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(read).collect()
}

/// Offsets of lists of these lengths, from 0.
fn offsets<T>(lists: &[Vec<T>]) -> Vec<u32> {
    let ends = lists.iter().scan(0, |end, list| {
        *end += u32::try_from(list.len()).unwrap_or(u32::MAX);
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Texts in the order of their first use.
#[derive(Default)]
struct Dictionary {
    texts: Vec<String>,
    codes: HashMap<String, u32>,
}

impl Dictionary {
    fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.into());
        self.codes.insert(text.into(), code);
        code
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(inputs: &Json) -> Manifest {
        let plugin = json!({"name": "abc", "version": "1.0.0", "api": "1", "kinds": ["scorer"], "subject": "account"});
        serde_json::from_value(json!({"plugin": plugin, "inputs": inputs})).unwrap()
    }

    fn one(input: &Json, values: Json) -> Result<FrameField, RowsError> {
        let columns = BTreeMap::from([("x".to_string(), serde_json::from_value(values).unwrap())]);
        frame(&manifest(&json!({ "x": input })), "EUR", &columns).map(|mut frame| frame.fields.remove(0))
    }

    fn input(kind: &str) -> Json {
        json!({"type": kind, "from": "field:x"})
    }

    #[test]
    fn units_are_those_that_the_server_sends() {
        let unit =
            |kind: &str, from: &str, value| one(&json!({"type": kind, "from": from}), json!([value])).unwrap().unit;
        assert_eq!(unit("integer", "metric:days_since_last_win", 3).as_deref(), Some("days"));
        assert_eq!(unit("integer", "metric:won_count", 3), None);
        assert_eq!(unit("money", "metric:won_amount", 3).as_deref(), Some("EUR"));
        assert_eq!(unit("date", "field:x", 3).as_deref(), Some("day"));
    }

    #[test]
    fn each_type_becomes_its_column() {
        let column = |kind, values| one(&input(kind), values).unwrap().column;
        assert_eq!(column("number", json!([1, 2.5])), Column::Numbers(vec![1.0, 2.5]));
        assert_eq!(column("integer", json!([1, -2])), Column::Integers(vec![1, -2]));
        assert_eq!(column("boolean", json!([true, false])), Column::Booleans(vec![1, 0]));
        let texts = Texts { dict: vec!["b".into(), "a".into()], codes: vec![0, 1, 0] };
        assert_eq!(column("text", json!(["b", "a", "b"])), Column::Texts(texts));
        let words = Words { dict: vec!["b".into(), "a".into()], offsets: vec![0, 2, 2, 3], codes: vec![0, 1, 0] };
        assert_eq!(column("words", json!([["b", "a"], [], ["b"]])), Column::Words(words));
        let series = Series { offsets: vec![0, 0, 2], values: vec![1.0, 2.0] };
        assert_eq!(column("series", json!([[], [1, 2]])), Column::Series(series));
    }

    #[test]
    fn units_follow_the_type() {
        let unit = |kind| one(&input(kind), json!([1])).unwrap().unit;
        assert_eq!(
            ["money", "instant", "date", "number"].map(unit),
            [Some("EUR".into()), Some("ms".into()), Some("day".into()), None]
        );
    }

    #[test]
    fn a_row_without_the_fact_is_filled_marked_or_refused() {
        let filled = one(&json!({"type": "number", "from": "field:x", "default": 3}), json!([null, 1])).unwrap();
        assert_eq!((filled.column, filled.present), (Column::Numbers(vec![3.0, 1.0]), None));
        let marked = one(&input("text"), json!(["a", null])).unwrap();
        let texts = Texts { dict: vec!["a".into(), String::new()], codes: vec![0, 1] };
        assert_eq!((marked.column, marked.present), (Column::Texts(texts), Some(vec![1, 0])));
        let refused = one(&json!({"type": "number", "from": "field:x", "required": true}), json!([null]));
        assert_eq!(refused.unwrap_err().to_string(), "input `x`, row 0: no value, but the input is required");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let said = |inputs: Json, columns: Json| {
            frame(&manifest(&inputs), "EUR", &serde_json::from_value(columns).unwrap()).unwrap_err().to_string()
        };
        let two = json!({"x": input("money"), "y": input("number")});
        assert_eq!(said(two.clone(), json!({"z": []})), "no input `z` in the manifest");
        assert_eq!(said(two.clone(), json!({"x": [1]})), "input `y` is missing and has no default");
        assert_eq!(said(two.clone(), json!({"x": [1], "y": [1, 2]})), "input `y` has 2 values, others have 1");
        assert_eq!(said(two, json!({"x": [1.5], "y": [1]})), "input `x`, row 0: 1.5 is no integer");
    }
}
