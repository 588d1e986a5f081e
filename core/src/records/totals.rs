//! What the lines of a document come to.

use std::collections::{HashMap, HashSet};

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::product;
use crate::{
    error::{Code, Violation},
    values::decimal,
};

/// Minor units and their currency.
pub(super) type Amount = (i64, String);

/// The products that lines name.
pub(super) fn products(lines: Option<&Json>) -> impl Iterator<Item = Uuid> {
    let lines = lines.and_then(Json::as_array).into_iter().flatten();
    lines.filter_map(|line| line.get("product_id")?.as_str()?.parse().ok())
}

/// Completes the lines (price and cost of the product where the line is new, its amount) and adds them up; `None` for lines
/// without prices.
///
/// # Errors
/// Currencies that differ, amounts too large, at their places.
pub(super) fn complete(
    lines: &mut Json,
    before: Option<&Json>,
    products: &HashMap<Uuid, product::Model>,
) -> Result<Option<Amount>, Vec<Violation>> {
    let old: HashMap<&str, &Json> = before
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|line| Some((line.get("id")?.as_str()?, line)))
        .collect();
    let (mut total, mut currencies, mut broken) = (0_i64, HashSet::new(), Vec::new());
    for (n, line) in lines.as_array_mut().into_iter().flatten().enumerate() {
        price(line, &old, products);
        let amount = match amount(line) {
            Ok(amount) => amount,
            Err(detail) => {
                broken.push(Violation::field(&format!("lines.{n}"), Code::OutOfRange, detail));
                continue;
            }
        };
        let Some((minor, currency)) = amount else { continue };
        set(line, "amount", Some(&(minor, currency.clone())));
        currencies.insert(currency);
        if currencies.len() > 1 {
            let detail = "all lines of a document have one currency";
            broken.push(Violation::field(&format!("lines.{n}.unit_price"), Code::InvalidValue, detail));
        }
        match total.checked_add(minor) {
            Some(sum) => total = sum,
            None => broken.push(Violation::field("lines", Code::OutOfRange, "come to more than can be stored")),
        }
    }
    if broken.is_empty() { Ok(currencies.into_iter().next().map(|currency| (total, currency))) } else { Err(broken) }
}

/// A line that was there keeps its cost; a new one takes that of its product, and its price where it brings none.
fn price(line: &mut Json, old: &HashMap<&str, &Json>, products: &HashMap<Uuid, product::Model>) {
    let text = |line: &Json, name: &str| line.get(name).and_then(Json::as_str).map(str::to_owned);
    let product = text(line, "product_id");
    let known = text(line, "id").and_then(|id| old.get(id.as_str()).copied());
    if let Some(known) = known.filter(|known| text(known, "product_id") == product) {
        if let Some(cost) = known.get("unit_cost").cloned() {
            put(line, "unit_cost", cost);
        }
        return;
    }
    let Some(product) = product.and_then(|id| products.get(&id.parse().ok()?)) else { return };
    let amount = |minor: Option<i64>, currency: &Option<String>| minor.zip(currency.clone());
    if line.get("unit_cost").is_none() {
        set(line, "unit_cost", amount(product.cost_minor, &product.cost_currency).as_ref());
    }
    if line.get("unit_price").is_none() {
        set(line, "unit_price", amount(product.price_minor, &product.price_currency).as_ref());
    }
}

/// Quantity by price less discount, half a unit of the currency rounded away from zero.
fn amount(line: &Json) -> Result<Option<Amount>, String> {
    let too_large = || "comes to more than can be stored".to_owned();
    let number = |name: &str| line.get(name).and_then(Json::as_f64).and_then(|n| Decimal::try_from(n).ok());
    let Some(price) = line.get("unit_price") else { return Ok(None) };
    let part = |name: &str| price.get(name).and_then(Json::as_str).unwrap_or_default();
    let Ok(money) = crate::values::Money::parse(part("amount"), part("currency")) else { return Ok(None) };
    let left = Decimal::ONE_HUNDRED - number("discount").unwrap_or_default();
    let exact = Decimal::from(money.minor)
        .checked_mul(number("quantity").unwrap_or_default())
        .and_then(|sum| sum.checked_mul(left))
        .and_then(|sum| sum.checked_div(Decimal::ONE_HUNDRED))
        .ok_or_else(too_large)?;
    let minor =
        exact.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero).to_i64().ok_or_else(too_large)?;
    Ok(Some((minor, money.currency.as_str().to_owned())))
}

fn set(line: &mut Json, name: &str, amount: Option<&Amount>) {
    if let Some((minor, currency)) = amount {
        put(line, name, json!({"amount": decimal(*minor, currency), "currency": currency}));
    }
}

fn put(line: &mut Json, name: &str, value: Json) {
    line.as_object_mut().map(|line| line.insert(name.to_owned(), value));
}
