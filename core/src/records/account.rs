use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    context::Unit,
    engine::{Interval, Move, Record, Saved, Scope, move_intervals},
    error::Result,
    values::Country,
};

/// What the account is.
#[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = AccountKind)]
pub enum Kind {
    Company,
    Person,
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
    pub owner_id: Option<Uuid>,
    #[schema(max_length = 300)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    pub kind: Kind,
    /// Ripeness grade: A, A-, B+, ..
    #[schema(max_length = 20)]
    #[sea_orm(column_type = "Text", nullable)]
    pub grade: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub country: Option<Country>,
    #[schema(minimum = 0)]
    pub employees: Option<i64>,
    /// Turnover of the last business year.
    pub annual_revenue_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub annual_revenue_currency: Option<String>,
    /// The account it belongs to.
    pub parent_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

const GRADES: Interval = Interval { table: "grade_interval", value: "grade", origin: Some("source") };

impl Record for Entity {
    const NAME: &'static str = "account";
    const PLURAL: &'static str = "accounts";
    const SCOPE: Scope = Scope::Owner;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("parent_id", "account")];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("kind", "company")];

    fn example() -> Json {
        json!({"name": "Acme Corporation", "kind": "company", "country": "US", "employees": 2822,
               "annual_revenue": {"amount": "1100040000.00", "currency": "USD"}})
    }

    async fn effects(unit: &Unit<'_>, saved: &[Saved<Model>]) -> Result<()> {
        let graded =
            saved.iter().filter(|s| s.before.as_ref().and_then(|b| b.grade.as_ref()) != s.after.grade.as_ref());
        let moves: Vec<_> = graded
            .map(|s| Move {
                record: s.after.id,
                first: s.before.as_ref().is_none_or(|b| b.grade.is_none()),
                to: s.after.grade.clone().map(Into::into),
                since: s.since.grade,
                origin: "user",
            })
            .collect();
        move_intervals(unit, GRADES, Self::NAME, &moves).await
    }
}
