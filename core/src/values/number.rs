//! Numbers between their binary and their decimal form, by way of the shortest text that stands for the double: it is what
//! callers see, and so what they compare with.

use rust_decimal::Decimal;
use serde_json::Value as Json;

/// Up to here doubles are printed without an exponent.
const PLAIN: f64 = 1e16;

/// The nearest double.
pub fn double(number: &Decimal) -> Option<f64> {
    number.to_string().parse().ok()
}

/// The decimal that is printed for the double; `None` where it has more than 28 digits before its point.
pub fn exact(number: f64) -> Option<Decimal> {
    number.to_string().parse().ok()
}

/// The double as JSON that both databases give back as it is: PostgreSQL writes exponents out, which makes whole numbers of
/// those that fit 64 bits, and knows no negative zero.
pub fn normal(number: f64) -> Json {
    let whole = (number.abs() >= PLAIN).then(|| number.to_string()).and_then(|text| {
        let positive = text.parse::<u64>().map(Json::from);
        positive.or_else(|_| text.parse::<i64>().map(Json::from)).ok()
    });
    whole.unwrap_or_else(|| Json::from(number + 0.0))
}
