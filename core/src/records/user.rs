use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Role,
    engine::{Record, Scope},
    values::Email,
};

/// Where a user stands.
#[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = UserState)]
pub enum State {
    Invited,
    Active,
    Suspended,
}

/// Someone who works in the tenant. Passwords and tokens are kept elsewhere and never shown.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "user")]
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
    /// Signs in with it; unique in the tenant.
    #[sea_orm(column_type = "Text")]
    pub email: Email,
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    pub role: Role,
    pub state: State,
    /// Whom they report to.
    pub manager_id: Option<Uuid>,
    pub hired_on: Option<Date>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "user";
    const PLURAL: &'static str = "users";
    const SCOPE: Scope = Scope::Tenant;
    const AFFECTS_ACCESS: bool = true;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("manager_id", "user")];
    const UNIQUE: &'static [&'static [&'static str]] = &[&["email"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("role", "rep"), ("state", "active")];

    fn example() -> Json {
        json!({"email": "ann@example.com", "name": "Ann Archer", "role": "rep"})
    }
}
