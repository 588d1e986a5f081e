use std::{collections::BTreeMap, sync::LazyLock};

use iso_currency::{Currency as Iso, IntoEnumIterator};
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A currency by its ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, DeriveValueType, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "currency", example = "USD")]
pub struct Currency(String);

impl Currency {
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(code: &str) -> Result<Self, String> {
        match Iso::from_code(code) {
            Some(_) => Ok(Self(code.to_owned())),
            None => Err(format!("`{code}` is not an ISO 4217 currency code such as `USD`")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Number of decimals of the smallest unit: 2 for USD, 0 for JPY, 3 for BHD.
    pub fn digits(&self) -> u8 {
        digits(&self.0)
    }
}

/// Decimals of an ISO 4217 code; 2 for one that is not known.
pub fn digits(code: &str) -> u8 {
    Iso::from_code(code).and_then(Iso::exponent).and_then(|n| u8::try_from(n).ok()).unwrap_or(2)
}

/// The currencies whose smallest unit has not two decimals, by its number of decimals.
pub fn unusual_digits() -> &'static BTreeMap<u8, Vec<&'static str>> {
    static UNUSUAL: LazyLock<BTreeMap<u8, Vec<&'static str>>> = LazyLock::new(|| {
        let mut unusual = BTreeMap::<_, Vec<_>>::new();
        for code in Iso::iter().map(|currency| currency.code()).filter(|code| digits(code) != 2) {
            unusual.entry(digits(code)).or_default().push(code);
        }
        unusual
    });
    &UNUSUAL
}
