use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    engine::{Record, Scope},
    values::{Email, Handles, OptOuts, OtherEmails, OtherPhones, Phone},
};

/// Which name comes first: `western` Ann Archer, `eastern` 王 小明.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = NameOrder)]
pub enum NameOrder {
    Western,
    Eastern,
}

/// A person to talk to, usually of an account.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "contact")]
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
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub first_name: Option<String>,
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub last_name: String,
    pub name_order: NameOrder,
    /// The account they chiefly belong to.
    pub account_id: Option<Uuid>,
    /// Position: Head of Purchasing.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub title: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub email: Option<Email>,
    #[sea_orm(column_type = "Text", nullable)]
    pub phone: Option<Phone>,
    pub other_emails: Option<OtherEmails>,
    pub other_phones: Option<OtherPhones>,
    pub birthday: Option<Date>,
    pub handles: Option<Handles>,
    pub opt_outs: Option<OptOuts>,
    /// Where the contact came from: fair, referral, website, ..
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
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

impl Record for Entity {
    const NAME: &'static str = "contact";
    const PLURAL: &'static str = "contacts";
    const SCOPE: Scope = Scope::Owner;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("account_id", "account")];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("name_order", "western")];
    const PERSONAL: &'static [&'static str] = &[
        "first_name",
        "last_name",
        "title",
        "email",
        "phone",
        "other_emails",
        "other_phones",
        "birthday",
        "handles",
        "opt_outs",
    ];
    const SEARCH: &'static [&'static str] =
        &["last_name first_name", "title", "email", "phone", "other_emails", "other_phones", "external_id"];

    fn example() -> Json {
        json!({"first_name": "Wile", "last_name": "Coyote", "title": "Head of Purchasing", "email": "wile@example.com",
               "opt_outs": ["call"]})
    }
}
