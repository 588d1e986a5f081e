//! Texts with rules of their own.

use std::sync::Once;

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An e-mail address, kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, DeriveValueType, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "email", max_length = 254, example = "ann@example.com")]
pub struct Email(String);

impl Email {
    /// Reads an address as letters have it: words with single dots between, no quotes, no comments, a domain with a name.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (local, domain) = text.rsplit_once('@').unwrap_or_default();
        // RFC 5322, 3.2.3, with what RFC 6531 adds
        let atext = |c: char| {
            let plain = c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
            plain || !c.is_ascii() && !c.is_whitespace() && !c.is_control()
        };
        let atom = |text: &str| !text.is_empty() && text.chars().all(atext);
        let ends = |text: &str| [text.chars().next(), text.chars().next_back()];
        let label =
            |text: &str| atom(text) && text.len() <= 63 && !ends(text).iter().flatten().any(char::is_ascii_punctuation);
        let local = local.len() <= 64 && local.split('.').all(atom);
        let domain = domain.contains('.') && domain.split('.').all(label);
        if local && domain && text.len() <= 254 {
            return Ok(Self(text.to_lowercase()));
        }
        Err(format!("`{text}` is not an e-mail address"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A telephone number in E.164: `+8613800138000`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, DeriveValueType, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "phone", max_length = 40, example = "+8613800138000")]
pub struct Phone(String);

/// Patterns of numbers that are kept compiled: those of some forty countries.
const PATTERNS: usize = 500;

impl Phone {
    /// Reads a number with its country code, with or without separators.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        static ROOM: Once = Once::new();
        ROOM.call_once(|| {
            if let Ok(mut patterns) = phonenumber::metadata::DATABASE.cache().lock() {
                patterns.set_capacity(PATTERNS);
            }
        });
        let number = phonenumber::parse(None, text).ok().filter(phonenumber::is_valid);
        let number = number
            .ok_or_else(|| format!("`{text}` is not a telephone number with its country code, +8613800138000"))?;
        // the library's own formatter looks for a pattern that E.164 does not need
        Ok(Self(format!("+{}{}", number.country().code(), number.national())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A country by its ISO 3166-1 alpha-2 code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, DeriveValueType, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "country", min_length = 2, max_length = 2, example = "CN")]
pub struct Country(String);

impl Country {
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        match celes::Country::from_alpha2(text) {
            Ok(country) if country.alpha2 == text => Ok(Self(text.to_owned())),
            _ => Err(format!("`{text}` is not an ISO 3166-1 alpha-2 country code such as `CN`")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A web address, `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, DeriveValueType, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "uri", max_length = 2000, example = "https://www.example.com")]
pub struct Url(String);

impl Url {
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let clean = text.len() <= 2000 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        match host {
            Some(host) if !host.is_empty() && clean => Ok(Self(text.to_owned())),
            _ => Err(format!("`{text}` is not a web address such as https://www.example.com")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
