use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use super::{order_line, product, rules, totals};
use crate::{
    context::Unit,
    engine::{Children, Record, Scope, Shape, load},
    error::{Code, Result, Violation},
};

/// Where an order stands. Placed and fulfilled orders count as revenue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderState)]
pub enum State {
    Draft,
    Placed,
    Fulfilled,
    Cancelled,
}

/// What an account ordered.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "order")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The record's key in another system; unique in the tenant.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub external_id: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// The user whose record it is.
    pub owner_id: Option<Uuid>,
    /// Who orders.
    pub account_id: Uuid,
    /// The number on the paper; unique in the tenant.
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub number: Option<String>,
    /// `placed` for a new order with `placed_on`, else `draft`, where it is not given.
    pub state: State,
    pub placed_on: Option<Date>,
    pub due_on: Option<Date>,
    pub fulfilled_on: Option<Date>,
    /// What is ordered, the whole list: a write replaces it. Items keep their ids; `amount` and `unit_cost` are worked out.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub lines: Option<Json>,
    /// The total, without tax: the sum of the lines, unless it is given.
    pub amount_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub amount_currency: Option<String>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "order";
    const PLURAL: &'static str = "orders";
    const SCOPE: Scope = Scope::Owner;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("account_id", "account")];
    const PARTS: Option<Children> = Some(("lines", Shape::of::<order_line::Entity>));
    const UNIQUE: &'static [&'static [&'static str]] = &[&["number"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("state", "draft")];
    const SEARCH: &'static [&'static str] = &["number", "external_id"];

    fn example() -> Json {
        json!({"number": "2026-0042", "placed_on": "2026-01-12", "due_on": "2026-02-12",
               "amount": {"amount": "9642.00", "currency": "USD"}})
    }

    fn prepare(_unit: &Unit<'_>, before: Option<&Model>, given: &Map<String, Json>, after: &mut Model) {
        let Some(before) = before else {
            if !given.contains_key("state") && after.placed_on.is_some() {
                after.state = State::Placed;
            }
            return;
        };
        // A total that was the sum of the lines is so again: left empty, it is added up.
        if !given.contains_key("amount") && before.lines != after.lines && amount(before) == sum(before) {
            set_amount(after, None);
        }
    }

    fn check(after: &Model) -> Vec<Violation> {
        let placed = ("placed_on", after.placed_on);
        let dates = [("due_on", after.due_on), ("fulfilled_on", after.fulfilled_on)];
        let mut broken: Vec<_> = dates.into_iter().filter_map(|date| rules::ordered(placed, date)).collect();
        if matches!(after.state, State::Placed | State::Fulfilled) && after.placed_on.is_none() {
            broken.push(Violation::field("placed_on", Code::Required, "is required once the order is placed"));
        }
        broken
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let changed = |before: Option<&Model>, after: &Model| before.is_none_or(|before| before.lines != after.lines);
        let ids: Vec<_> = slice
            .iter()
            .filter(|(before, after)| changed(before.as_ref(), after))
            .flat_map(|(_, after)| totals::products(after.lines.as_ref()))
            .collect();
        let products = if ids.is_empty() { HashMap::new() } else { load::<product::Entity>(unit, ids).await? };
        let mut broken = Vec::new();
        for (at, (before, after)) in slice.iter_mut().enumerate() {
            let before = before.as_ref();
            if !changed(before, after) && after.amount_minor.is_some() {
                continue;
            }
            let was = before.and_then(|before| before.lines.as_ref());
            match totals::complete(after.lines.as_mut(), was, &products) {
                Ok(total) if after.amount_minor.is_none() => set_amount(after, total),
                Ok(_) => {}
                Err(violations) => broken.extend(violations.into_iter().map(|violation| (at, violation))),
            }
        }
        Ok(broken)
    }
}

fn amount(order: &Model) -> Option<totals::Amount> {
    order.amount_minor.zip(order.amount_currency.clone())
}

fn set_amount(order: &mut Model, amount: Option<totals::Amount>) {
    (order.amount_minor, order.amount_currency) = amount.unzip();
}

/// What the lines of a stored order come to.
fn sum(order: &Model) -> Option<totals::Amount> {
    let mut lines = order.lines.clone();
    totals::complete(lines.as_mut(), order.lines.as_ref(), &HashMap::new()).ok().flatten()
}
