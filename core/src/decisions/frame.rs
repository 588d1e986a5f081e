//! Facts of a page of subjects as the columns a plugin is sent, and the digest of what it was sent.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::binding::Source;
use crate::{
    context::Tenant,
    metrics::Datum,
    ports::{Column, Frame, FrameField, InputType, Series, Texts, Words},
};

/// A subject with its facts, one a source.
pub type Facts = (Uuid, Option<String>, Vec<Option<Datum>>);

/// The subjects of a page that a plugin is asked about, and those it is not.
pub struct Page {
    pub frame: Frame,
    /// Row i of the frame is `subjects[i]`: its id and external id.
    pub subjects: Vec<(Uuid, Option<String>)>,
    /// Subjects without a required fact, with the name of the first input they lack.
    pub missing: Vec<(Uuid, String)>,
}

/// Required facts decide who is asked about; defaults fill; what is still missing arrives with `present` 0.
pub fn page(sources: &[Source], tenant: &Tenant, facts: Vec<Facts>) -> Page {
    let (mut subjects, mut missing, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (id, external_id, data) in facts {
        let lacks = sources.iter().zip(&data).find(|(source, datum)| source.required && datum.is_none());
        if let Some((source, _)) = lacks {
            missing.push((id, source.name.clone()));
        } else {
            subjects.push((id, external_id));
            kept.push(data);
        }
    }
    let fields = sources.iter().enumerate().map(|(i, source)| field(source, tenant, i, &kept)).collect();
    let rows = u32::try_from(subjects.len()).unwrap_or(u32::MAX);
    Page { frame: Frame { rows, fields }, subjects, missing }
}

fn field(source: &Source, tenant: &Tenant, index: usize, rows: &[Vec<Option<Datum>>]) -> FrameField {
    let value = |row: &Vec<Option<Datum>>| row.get(index).cloned().flatten().or_else(|| source.default.clone());
    let data: Vec<Option<Datum>> = rows.iter().map(value).collect();
    let present = data.iter().any(Option::is_none).then(|| data.iter().map(|d| u8::from(d.is_some())).collect());
    let column = match source.kind {
        InputType::Number => Column::Numbers(data.iter().map(|d| number(d.as_ref())).collect()),
        InputType::Integer | InputType::Money | InputType::Instant | InputType::Date => {
            Column::Integers(data.iter().map(|d| integer(d.as_ref())).collect())
        }
        InputType::Boolean => {
            Column::Booleans(data.iter().map(|d| u8::from(*d == Some(Datum::Boolean(true)))).collect())
        }
        InputType::Text => Column::Texts(texts(&data)),
        // no fact has these types: a binding to one is refused
        InputType::Words => Column::Words(Words { offsets: vec![0; rows.len() + 1], ..Words::default() }),
        InputType::Series => Column::Series(Series { offsets: vec![0; rows.len() + 1], ..Series::default() }),
    };
    FrameField { name: source.name.clone(), unit: source.wanted.unit(tenant), column, present }
}

#[expect(clippy::cast_precision_loss, reason = "facts stay within 2^53, where f64 is exact")]
fn number(datum: Option<&Datum>) -> f64 {
    match datum {
        Some(Datum::Integer(value)) => *value as f64,
        Some(Datum::Number(value)) => *value,
        _ => 0.0,
    }
}

fn integer(datum: Option<&Datum>) -> i64 {
    match datum {
        Some(Datum::Integer(value)) => *value,
        _ => 0,
    }
}

fn texts(data: &[Option<Datum>]) -> Texts {
    let mut known: HashMap<&str, u32> = HashMap::new();
    let mut texts = Texts::default();
    for datum in data {
        let text = match datum {
            Some(Datum::Text(text)) => text.as_str(),
            _ => "",
        };
        let next = u32::try_from(texts.dict.len()).unwrap_or(u32::MAX);
        let code = *known.entry(text).or_insert_with(|| {
            texts.dict.push(text.to_owned());
            next
        });
        texts.codes.push(code);
    }
    texts
}

/// SHA-256 over the digest of everything before and this frame, lower-case hex: a run that resumes goes on with it.
pub fn chained(before: &str, frame: &Frame) -> String {
    let mut hash = Sha256::new();
    text(&mut hash, before);
    hash.update(frame.rows.to_le_bytes());
    for field in &frame.fields {
        text(&mut hash, &field.name);
        text(&mut hash, field.unit.as_deref().unwrap_or_default());
        match &field.column {
            Column::Numbers(values) => numbers(&mut hash, b'n', values),
            Column::Integers(values) => values.iter().for_each(|value| hash.update(value.to_le_bytes())),
            Column::Booleans(values) => hash.update(values),
            Column::Texts(texts) => {
                let texts = texts.codes.iter().filter_map(|code| texts.dict.get(*code as usize));
                texts.for_each(|value| text(&mut hash, value));
            }
            Column::Words(words) => {
                words.offsets.iter().chain(&words.codes).for_each(|n| hash.update(n.to_le_bytes()));
                words.dict.iter().for_each(|word| text(&mut hash, word));
            }
            Column::Series(series) => {
                series.offsets.iter().for_each(|n| hash.update(n.to_le_bytes()));
                numbers(&mut hash, b's', &series.values);
            }
        }
        match &field.present {
            Some(present) => hash.update(present),
            None => hash.update([1]),
        }
    }
    super::hex(&hash.finalize())
}

fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn numbers(hash: &mut Sha256, tag: u8, values: &[f64]) {
    hash.update([tag]);
    for value in values {
        hash.update(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::{Facts, Page, chained, page};
    use crate::{
        context::Tenant,
        decisions::binding::{Source, sources},
        metrics::Datum,
        ports::{Column, Manifest, Texts},
        records,
        values::Currency,
    };

    fn tenant() -> Tenant {
        Tenant {
            id: Uuid::nil(),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            base_currency: Currency::parse("USD").unwrap(),
            time_zone: chrono_tz::UTC,
            require_preconditions: false,
            version: 1,
            generation: 1,
            definitions: 0,
            kinds: crate::engine::Registry::default(),
        }
    }

    fn inputs() -> Vec<Source> {
        let manifest: Manifest = serde_json::from_value(json!({
            "plugin": {"name": "test", "version": "1.0.0", "api": "1", "kinds": ["scorer"], "subject": "account"},
            "inputs": {
                "a_days": {"type": "number", "from": "metric:days_since_last_order", "required": true},
                "b_spent": {"type": "money", "from": "metric:order_revenue", "default": 5},
                "c_size": {"type": "integer", "from": "field:employees"},
                "d_name": {"type": "text", "from": "field:name", "default": "?"},
            },
        }))
        .unwrap();
        let registry = records::all();
        sources(&manifest, registry.kind("account").unwrap().shape(), &serde_json::Map::new()).unwrap()
    }

    fn facts(id: u128, days: Option<i64>, spent: Option<i64>, size: Option<i64>, name: Option<&str>) -> Facts {
        let whole = |value: Option<i64>| value.map(Datum::Integer);
        let name = name.map(|name| Datum::Text(name.to_owned()));
        (Uuid::from_u128(id), None, vec![whole(days), whole(spent), whole(size), name])
    }

    fn made(facts: Vec<Facts>) -> Page {
        page(&inputs(), &tenant(), facts)
    }

    #[test]
    fn required_decides_who_is_asked_about_and_defaults_fill() {
        let made = made(vec![
            facts(1, Some(9), Some(100), Some(3), Some("Ann")),
            facts(2, None, Some(200), None, None),
            facts(3, Some(8), None, None, None),
            facts(4, Some(7), Some(300), Some(4), Some("Ann")),
        ]);
        let asked: Vec<_> = made.subjects.iter().map(|(id, _)| id.as_u128()).collect();
        assert_eq!((made.frame.rows, asked), (3, vec![1, 3, 4]));
        assert_eq!(made.missing, [(Uuid::from_u128(2), "a_days".to_owned())]);
        let column = |n: usize| {
            let field = &made.frame.fields[n];
            (field.name.as_str(), field.unit.as_deref(), field.column.clone(), field.present.clone())
        };
        assert_eq!(column(0), ("a_days", Some("days"), Column::Numbers(vec![9.0, 8.0, 7.0]), None));
        assert_eq!(column(1), ("b_spent", Some("USD"), Column::Integers(vec![100, 5, 300]), None));
        assert_eq!(column(2), ("c_size", None, Column::Integers(vec![3, 0, 4]), Some(vec![1, 0, 1])));
        let names = Texts { dict: vec!["Ann".to_owned(), "?".to_owned()], codes: vec![0, 1, 0] };
        assert_eq!(column(3), ("d_name", None, Column::Texts(names), None));
    }

    #[test]
    fn the_digest_tells_facts_apart_and_ignores_who_they_are_about() {
        let digest = |before: &str, id: u128, size: Option<i64>| {
            chained(before, &made(vec![facts(id, Some(9), Some(100), size, Some("Ann"))]).frame)
        };
        assert_eq!(digest("", 1, Some(0)), digest("", 2, Some(0)));
        assert_ne!(digest("", 1, Some(0)), digest("", 1, Some(1)));
        assert_ne!(digest("", 1, Some(0)), digest("", 1, None), "a missing fact is not a zero");
        assert_ne!(digest("", 1, Some(0)), digest("x", 1, Some(0)));
    }
}
