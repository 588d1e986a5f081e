//! Where a page ends, sealed: opaque to callers, and worth nothing in another tenant, kind, filter or sort.
//!
//! The nonce is derived from what is sealed (as in RFC 5297's synthetic IV), so that the same page has the same bytes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, Payload},
};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnType, Value};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{bind_cell, print_instant};
use crate::error::{Code, Error, Result};

const NONCE: usize = 12;

/// The sort values of the row at the end of a page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    /// Continues before that row, against the order.
    pub back: bool,
    pub values: Vec<Value>,
    /// The moment that `now()` is on all pages of the list; `None` where the filter does not ask for it.
    pub now: Option<DateTime<Utc>>,
}

impl Cursor {
    /// `binding` names everything the cursor belongs to.
    pub fn seal(&self, secret: &[u8; 32], binding: &str) -> Result<String> {
        let broken = |source: &'static str| Error::internal("a cursor can be sealed", source);
        let values: Vec<Json> = self.values.iter().map(encode).collect::<Option<_>>().ok_or_else(|| broken("type"))?;
        let plain =
            serde_json::to_vec(&(self.back, values, self.now)).map_err(|s| Error::internal("a cursor is JSON", s))?;
        sealed(secret, binding, &plain)
    }

    /// # Errors
    /// `Malformed`: cut, forged, or sealed for something else.
    pub fn open(secret: &[u8; 32], binding: &str, kinds: &[&ColumnType], text: &str) -> Result<Self> {
        Self::try_open(secret, binding, kinds, text).ok_or_else(|| {
            let detail = "use `page.next` or `page.prev` of an answer to the same filter and sort, as it is";
            Error::malformed("cursor", Code::InvalidCursor, detail)
        })
    }

    pub fn try_open(secret: &[u8; 32], binding: &str, kinds: &[&ColumnType], text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: binding.as_bytes() };
        let plain = cipher(secret).decrypt(&(*nonce).into(), payload).ok()?;
        let (back, values, now): (bool, Vec<Json>, _) = serde_json::from_slice(&plain).ok()?;
        let values = (values.len() == kinds.len()).then_some(values)?;
        let values = values.iter().zip(kinds).map(|(json, kind)| decode(json, kind)).collect();
        Some(Self { back, values, now })
    }
}

pub(crate) fn sealed(secret: &[u8; 32], binding: &str, plain: &[u8]) -> Result<String> {
    let nonce = nonce(secret, binding, plain);
    let sealed = cipher(secret)
        .encrypt(&nonce.into(), Payload { msg: plain, aad: binding.as_bytes() })
        .map_err(|_| Error::internal("a cursor can be sealed", "cipher"))?;
    Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

fn cipher(secret: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&derived(secret, "cursor cipher", &[]).into())
}

fn nonce(secret: &[u8; 32], binding: &str, plain: &[u8]) -> [u8; NONCE] {
    let length = (binding.len() as u64).to_be_bytes();
    let whole = derived(secret, "cursor nonce", &[&length, binding.as_bytes(), plain]);
    std::array::from_fn(|i| whole.get(i).copied().unwrap_or_default())
}

/// One key a purpose.
fn derived(secret: &[u8; 32], purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let start = Sha256::new().chain_update(secret).chain_update(purpose.as_bytes());
    parts.iter().fold(start, Digest::chain_update).finalize().into()
}

/// Floats travel as their bits: a decimal could come back as its neighbour.
fn encode(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Uuid(id) => id.map(|id| id.to_string()).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::BigInt(number) => (*number).into(),
        Value::Double(number) => number.map(f64::to_bits).into(),
        Value::ChronoDate(day) => day.map(|day| day.to_string()).into(),
        Value::ChronoDateTimeUtc(at) => at.map(print_instant).into(),
        Value::String(text) => text.clone().into(),
        _ => return None,
    })
}

fn decode(json: &Json, kind: &ColumnType) -> Value {
    match kind {
        ColumnType::Double => json.as_u64().map(f64::from_bits).into(),
        _ => bind_cell(json, kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn cursor() -> (Cursor, [ColumnType; 6]) {
        let at = crate::engine::instant("2026-01-31T09:30:00.120Z").unwrap();
        let values = vec![
            Value::from(Some(0.1 + 0.2)),
            Value::from(Some(at)),
            Value::from(Some("ä\0\"".to_owned())),
            Value::from(None::<i64>),
            Value::from(crate::engine::date("2026-02-28").ok()),
            Value::from(Some(uuid::Uuid::from_u128(5))),
        ];
        let kinds = [
            ColumnType::Double,
            ColumnType::TimestampWithTimeZone,
            ColumnType::Text,
            ColumnType::BigInteger,
            ColumnType::Date,
            ColumnType::Uuid,
        ];
        (Cursor { back: true, values, now: Some(at) }, kinds)
    }

    #[test]
    fn a_cursor_survives_and_is_the_same_twice() {
        let (cursor, kinds) = cursor();
        let text = cursor.seal(&SECRET, "a").unwrap();
        assert_eq!(text, cursor.seal(&SECRET, "a").unwrap());
        let kinds: Vec<_> = kinds.iter().collect();
        assert_eq!(Cursor::open(&SECRET, "a", &kinds, &text).unwrap(), cursor);
    }

    #[test]
    fn cut_forged_and_foreign_cursors_are_refused() {
        let (cursor, kinds) = cursor();
        let kinds: Vec<_> = kinds.iter().collect();
        let text = cursor.seal(&SECRET, "tenant accounts").unwrap();
        for end in 0..text.len() {
            assert!(Cursor::open(&SECRET, "tenant accounts", &kinds, &text[..end]).is_err());
        }
        let forged = text.replacen(&text[20..21], if &text[20..21] == "A" { "B" } else { "A" }, 1);
        assert!(Cursor::open(&SECRET, "tenant accounts", &kinds, &forged).is_err());
        assert!(Cursor::open(&SECRET, "tenant orders", &kinds, &text).is_err());
        assert!(Cursor::open(&[8; 32], "tenant accounts", &kinds, &text).is_err());
        assert!(
            Cursor::open(&SECRET, "tenant accounts", &kinds[..5], &text)
                .is_err_and(|e| e.to_string().contains("page.next"))
        );
    }
}
