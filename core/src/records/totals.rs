//! What the lines of a document come to.

use std::collections::{HashMap, HashSet};

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::product;
use crate::{
    error::{Code, Violation},
    values::{decimal, exact},
};

/// Minor units and their currency.
pub(super) type Amount = (i64, String);

/// The products that lines name.
pub(super) fn products(lines: Option<&Json>) -> impl Iterator<Item = Uuid> {
    let lines = lines.and_then(Json::as_array).into_iter().flatten();
    lines.filter_map(|line| line.get("product_id")?.as_str()?.parse().ok())
}

/// Completes the lines (price, cost, amount) and adds them up; `None` for lines without prices.
///
/// # Errors
/// Currencies that differ, amounts too large, at their places.
pub(super) fn complete(
    lines: Option<&mut Json>,
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
    for (n, line) in lines.and_then(Json::as_array_mut).into_iter().flatten().enumerate() {
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

/// What a line does not bring: price and cost of the line that was there, else of its product. A line that was there takes no
/// cost of today.
fn price(line: &mut Json, old: &HashMap<&str, &Json>, products: &HashMap<Uuid, product::Model>) {
    let text = |line: &Json, name: &str| line.get(name).and_then(Json::as_str).map(str::to_owned);
    let product = text(line, "product_id");
    let known = text(line, "id").and_then(|id| old.get(id.as_str()).copied());
    let known = known.filter(|known| text(known, "product_id") == product);
    let product = product.and_then(|id| products.get(&id.parse().ok()?));
    let cost = product.filter(|_| known.is_none()).map(|product| (product.cost_minor, &product.cost_currency));
    let price = product.map(|product| (product.price_minor, &product.price_currency));
    for (name, of_product) in [("unit_price", price), ("unit_cost", cost)] {
        if line.get(name).is_some() {
            continue;
        }
        match known.and_then(|known| known.get(name)) {
            Some(kept) => put(line, name, kept.clone()),
            None => set(line, name, of_product.and_then(|(minor, currency)| minor.zip(currency.clone())).as_ref()),
        }
    }
}

/// Quantity by price less discount, half a unit of the currency rounded away from zero.
fn amount(line: &Json) -> Result<Option<Amount>, String> {
    let too_large = || "comes to more than can be stored".to_owned();
    let number = |name: &str| line.get(name).and_then(Json::as_f64).and_then(exact);
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
