use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use crate::{
    context::Unit,
    custom::{define, rules},
    engine::{Record, Saved, Scope},
    error::{Result, Violation},
};

/// What the values of a custom field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomFieldType)]
pub enum Type {
    Text,
    Integer,
    Number,
    /// An amount with its currency; at most 2^53 - 1 of its smallest units.
    Money,
    Boolean,
    Date,
    Instant,
    Choice,
    /// Several of the options; a list.
    Choices,
    Email,
    Phone,
    Url,
    Country,
    Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomFieldState)]
pub enum State {
    Active,
    /// Hidden: its values are kept, and neither shown nor taken, until it is active again.
    Retired,
}

/// A field that the tenant has added to a kind of record: `budget` of accounts is `custom.budget` everywhere.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "custom_field")]
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
    /// The kind it extends, `account` or one of the tenant's own; fixed once made.
    #[schema(max_length = 63)]
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// `snake_case`, unique in its kind; fixed once made.
    #[schema(min_length = 2, max_length = 63, pattern = "^[a-z][a-z0-9_]*$")]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Fixed once made: make another field and retire this one to change it.
    pub r#type: Type,
    /// The kind of record that a reference leads to; fixed once made.
    #[schema(max_length = 63)]
    #[sea_orm(column_type = "Text", nullable)]
    pub refers_to: Option<String>,
    /// What people call it, by language: `{"en": "Budget", "zh": "预算"}`.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub label: Option<Json>,
    #[schema(max_length = 2000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub description: Option<String>,
    /// Every record must have a value.
    pub required: bool,
    /// No two live records share a value.
    pub unique: bool,
    /// The words of a choice or of choices, in their order: `["small", "large"]`.
    #[schema(value_type = Option<Vec<String>>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub options: Option<Json>,
    /// What a create stores that does not name the field.
    #[schema(value_type = Option<Value>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub default: Option<Json>,
    /// `{min, max}` of numbers, dates and instants; `{min_length, max_length, pattern}` of texts. A pattern is a regular
    /// expression that matches somewhere in the text; `^` and `$` tie it to the ends.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub validation: Option<Json>,
    /// Filters may name it. References and unique fields always are.
    pub filterable: bool,
    pub state: State,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "custom_field";
    const PLURAL: &'static str = "custom-fields";
    const SCOPE: Scope = Scope::Tenant;
    const AFFECTS_ACCESS: bool = true;
    const DEFINES: bool = true;
    const UNIQUE: &'static [&'static [&'static str]] = &[&["kind", "name"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] =
        &[("required", "false"), ("unique", "false"), ("filterable", "true"), ("state", "active")];

    fn example() -> Json {
        json!({"kind": "account", "name": "renewal_note", "type": "text", "label": {"en": "Renewal note"},
               "validation": {"max_length": 200}})
    }

    fn prepare(_unit: &Unit<'_>, _before: Option<&Model>, _given: &Map<String, Json>, after: &mut Model) {
        after.filterable |= after.unique || after.r#type == Type::Reference;
    }

    fn check(after: &Model) -> Vec<Violation> {
        define::field(after).err().unwrap_or_default()
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        rules::fields(unit, slice).await
    }

    async fn effects(unit: &Unit<'_>, saved: &[Saved<Model>]) -> Result<()> {
        rules::reindexed(unit, saved).await
    }
}
