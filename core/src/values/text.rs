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
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (local, domain) = text.rsplit_once('@').unwrap_or_default();
        let plain = |part: &str| !part.chars().any(|c| c.is_whitespace() || c.is_control() || ",;<>()\"".contains(c));
        let labels = domain.split('.').count() >= 2 && domain.split('.').all(|label| !label.is_empty());
        if local.is_empty() || local.contains('@') || text.len() > 254 || !labels || !plain(local) || !plain(domain) {
            return Err(format!("`{text}` is not an e-mail address"));
        }
        Ok(Self(text.to_lowercase()))
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
