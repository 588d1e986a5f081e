use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::rules;
use crate::{
    context::Unit,
    engine::{Interval, Move, Record, Saved, Scope, move_intervals},
    error::{Code, Result, Violation},
    values::{Address, Country, Handles, OptOuts, Phone, Url},
};

/// What the account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = AccountKind)]
pub enum Kind {
    Company,
    Person,
}

/// How far the account has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = AccountLifecycle)]
pub enum Lifecycle {
    Lead,
    Prospect,
    Customer,
    Former,
}

/// A customer, or someone who may become one: an organisation or a person.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "account")]
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
    #[schema(max_length = 300)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    pub kind: Kind,
    pub lifecycle: Lifecycle,
    /// Ripeness grade: A, A-, B+, ..
    #[schema(max_length = 20)]
    #[sea_orm(column_type = "Text", nullable)]
    pub grade: Option<String>,
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub industry: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub country: Option<Country>,
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub region: Option<String>,
    #[schema(minimum = 0)]
    pub employees: Option<i64>,
    #[schema(minimum = 1, maximum = 9999)]
    pub year_founded: Option<i64>,
    /// Turnover of the last business year.
    pub annual_revenue_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub annual_revenue_currency: Option<String>,
    /// Number in the register of companies: Unified Social Credit Code, Handelsregister, ..
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub registration_id: Option<String>,
    /// VAT or other tax number.
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub tax_id: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub website: Option<Url>,
    #[sea_orm(column_type = "Text", nullable)]
    pub phone: Option<Phone>,
    pub billing_address: Option<Address>,
    pub shipping_address: Option<Address>,
    pub handles: Option<Handles>,
    pub opt_outs: Option<OptOuts>,
    /// Where the account came from: fair, referral, website, ..
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// What they say they need.
    #[schema(max_length = 5000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub needs: Option<String>,
    /// How they like to be treated.
    #[schema(max_length = 5000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub preferences: Option<String>,
    /// The account it belongs to.
    pub parent_id: Option<Uuid>,
    /// The account that recommended them.
    pub referred_by_id: Option<Uuid>,
    /// Start of the latest interaction.
    #[schema(read_only)]
    pub last_contact_at: Option<DateTime<Utc>>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

const GRADES: Interval = Interval { table: "grade_interval", value: "grade", origin: Some("source") };

impl Record for Entity {
    const NAME: &'static str = "account";
    const PLURAL: &'static str = "accounts";
    const SCOPE: Scope = Scope::Owner;
    const REFERENCES: &'static [(&'static str, &'static str)] =
        &[("parent_id", "account"), ("referred_by_id", "account")];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("kind", "company"), ("lifecycle", "prospect")];
    const PERSONAL: &'static [&'static str] = &[
        "name",
        "registration_id",
        "tax_id",
        "website",
        "phone",
        "billing_address",
        "shipping_address",
        "handles",
        "opt_outs",
        "needs",
        "preferences",
    ];
    const SEARCH: &'static [&'static str] = &["name", "registration_id", "tax_id", "website", "phone", "external_id"];

    fn example() -> Json {
        json!({"name": "Acme Corporation", "kind": "company", "country": "US", "employees": 2822,
               "annual_revenue": {"amount": "1100040000.00", "currency": "USD"},
               "billing_address": {"street": "1 Main Street", "city": "Springfield", "country": "US"}})
    }

    fn check(after: &Model) -> Vec<Violation> {
        let own = Violation::field("referred_by_id", Code::InvalidValue, "an account cannot recommend itself");
        Some(own).filter(|_| after.referred_by_id == Some(after.id)).into_iter().collect()
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        rules::loops(unit, "account", "parent_id", slice, |account| (account.id, account.parent_id)).await
    }

    async fn effects(unit: &Unit<'_>, saved: &[Saved<Model>]) -> Result<()> {
        let moves: Vec<_> = saved
            .iter()
            .filter_map(|Saved { before, after, since }| {
                let before = before.as_ref().map(|account| account.grade.clone());
                Move::between(after.id, before, after.grade.clone(), since.grade, "user")
            })
            .collect();
        move_intervals(unit, GRADES, Self::NAME, &moves).await
    }
}
