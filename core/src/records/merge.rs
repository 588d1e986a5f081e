use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{FromJsonQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Verb,
    engine::{Record, Scope},
};

/// Records whose field led to the one that went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Moved)]
pub struct Moved {
    pub kind: String,
    pub field: String,
    pub ids: Vec<Uuid>,
    /// The field was emptied, where it would have led from the record to itself.
    #[serde(default)]
    pub emptied: bool,
}

/// What a merge moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[serde(transparent)]
pub struct AllMoved(pub Vec<Moved>);

/// Field by field, as the API writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct Values(pub BTreeMap<String, Json>);

/// Two records that were found to be one: what was taken, what was moved, and whether it was undone.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "merge")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// Kind of both.
    #[sea_orm(column_type = "Text")]
    pub subject_kind: String,
    /// The record that stayed.
    pub subject_id: Uuid,
    /// The record that went: deleted, its history kept.
    pub merged_id: Uuid,
    pub moved: AllMoved,
    /// What changed of the record that stayed: before ..
    pub before: Values,
    /// .. and after.
    pub after: Values,
    /// When both became two again.
    pub undone_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "merge";
    const PLURAL: &'static str = "merges";
    const SCOPE: Scope = Scope::Subject;
    const VERBS: &'static [Verb] = Verb::READ;
    const PERSONAL: &'static [&'static str] = &["before", "after"];
    const QUOTES: &'static [&'static str] = &["before", "after"];
    const ABOUT: &'static [&'static str] = &["subject_id", "merged_id"];

    fn example() -> Json {
        json!({"subject_kind": "account", "merged_id": "01939e2b-6c00-7000-8000-000000000001"})
    }
}
