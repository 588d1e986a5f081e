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
