//! JSON as callers may send it, in bodies and in files: no key twice, no deeper than the limit, no NUL in any text. Anything else would be read
//! differently by different readers, and stored by one database alone.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use crate::error::Code;

/// Objects and lists within each other.
pub const DEPTH: usize = 64;

const TOO_DEEP: &str = "nested deeper than";
const NUL: &str = "a text has a NUL character";

/// # Errors
/// What is wrong, and what it says with line and column.
pub fn strict(bytes: &[u8]) -> Result<Json, (Code, String)> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { left: DEPTH }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let text = error.to_string();
        let known = [(TOO_DEEP, Code::JsonTooDeep), (NUL, Code::InvalidValue)];
        let known = known.into_iter().find(|(beginning, _)| text.starts_with(beginning));
        (known.map_or(Code::MalformedJson, |(_, code)| code), text)
    })
}

#[derive(Clone, Copy)]
struct Strict {
    left: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom(format_args!("{TOO_DEEP} {DEPTH}")))?;
        Ok(Self { left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Json, E> {
        plain(value).map(Json::from)
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Json, E> {
        plain(&value)?;
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            plain(&key)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` comes twice")));
            }
            let value = map.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

fn plain<E: serde::de::Error>(text: &str) -> Result<&str, E> {
    if text.contains('\0') { Err(E::custom(NUL)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH, strict};
    use crate::error::Code;

    fn refused(text: &str) -> Code {
        strict(text.as_bytes()).unwrap_err().0
    }

    #[test]
    fn values_are_read_as_they_are() {
        let text = r#"{"a":[1,-2,2.5,true,null,"é"],"b":{"c":18446744073709551615}}"#;
        assert_eq!(strict(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn what_readers_would_read_differently_is_refused() {
        assert_eq!(refused(r#"{"a":1,"a":2}"#), Code::MalformedJson);
        assert_eq!(refused(r#"{"a":1} {}"#), Code::MalformedJson);
        assert_eq!(refused(""), Code::MalformedJson);
        assert_eq!(refused("{\"a\":\"\u{1}\"}"), Code::MalformedJson);
        assert_eq!(refused(r#"{"a":["b\u0000"]}"#), Code::InvalidValue);
        assert_eq!(refused(r#"{"a\u0000":1}"#), Code::InvalidValue);
    }

    #[test]
    fn depth_ends_exactly_at_the_limit() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(strict(nested(DEPTH).as_bytes()).is_ok());
        assert_eq!(refused(&nested(DEPTH + 1)), Code::JsonTooDeep);
        assert_eq!(refused(&nested(100_000)), Code::JsonTooDeep);
    }
}
