use std::fmt::Write as _;

use serde_json::Value as Json;

use super::currency::{Currency, digits};

/// An amount in the smallest unit of its currency. In JSON `{"amount": "1234.50", "currency": "USD"}`, stored as two
/// columns `x_minor` and `x_currency`, never as a binary fraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    /// Reads a decimal such as `-1234.50`.
    ///
    /// # Errors
    /// What is wrong, for people: not a decimal, more decimals than the currency has, or too large to store.
    pub fn parse(amount: &str, currency: &str) -> Result<Self, String> {
        let currency = Currency::parse(currency)?;
        let places = usize::from(currency.digits());
        let (negative, digits) = amount.strip_prefix('-').map_or((false, amount), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let decimal = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !decimal(whole) || !decimal(fraction) || digits.ends_with('.') {
            return Err(format!("`{amount}` is not a decimal such as `1234.50`"));
        }
        let significant = fraction.trim_end_matches('0');
        if significant.len() > places {
            return Err(format!("`{amount}` has more decimals than {} has ({places})", currency.as_str()));
        }
        let text = format!("{}{whole}{significant:0<places$}", if negative { "-" } else { "" });
        let minor = text.parse().map_err(|_| format!("`{amount}` is too large"))?;
        Ok(Self { minor, currency })
    }

    /// Reads what is written in JSON: `{"amount": "1234.50", "currency": "USD"}`.
    pub fn of(json: &Json) -> Option<Self> {
        Self::parse(json.get("amount")?.as_str()?, json.get("currency")?.as_str()?).ok()
    }

    /// The decimal string, with exactly as many decimals as the currency has.
    pub fn amount(&self) -> String {
        decimal(self.minor, self.currency.as_str())
    }
}

/// `minor` units of the currency as a decimal string.
pub fn decimal(minor: i64, currency: &str) -> String {
    let places = u32::from(digits(currency));
    let unit = 10_u64.pow(places);
    let size = minor.unsigned_abs();
    let mut text = String::with_capacity(24);
    let _ = write!(text, "{}{}", if minor < 0 { "-" } else { "" }, size / unit);
    if places > 0 {
        let _ = write!(text, ".{:0width$}", size % unit, width = places as usize);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn amounts_survive_the_round_trip_in_every_exponent() {
        for (amount, currency, minor, printed) in [
            ("1234.5", "USD", 123_450, "1234.50"),
            ("-0.01", "USD", -1, "-0.01"),
            ("90071992547409.93", "USD", 9_007_199_254_740_993, "90071992547409.93"),
            ("1200", "JPY", 1200, "1200"),
            ("0.125", "BHD", 125, "0.125"),
        ] {
            let money = Money::parse(amount, currency).unwrap();
            assert_eq!((money.minor, money.amount().as_str()), (minor, printed));
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_reason() {
        for (amount, currency) in [
            ("1.234", "USD"),
            ("1.5", "JPY"),
            ("1e3", "USD"),
            ("", "USD"),
            (".5", "USD"),
            ("1.", "USD"),
            ("--1", "USD"),
            ("1", "US"),
            ("99999999999999999999", "USD"),
        ] {
            assert!(Money::parse(amount, currency).is_err(), "{amount} {currency}");
        }
    }
}
