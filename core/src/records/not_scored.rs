use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Verb,
    engine::{Record, Scope},
};

/// A subject an installation has no decision about, and why: a required fact is missing, or the plugin declined.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "not_scored")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When the decision ceased to hold; it is then no longer shown.
    pub deleted_at: Option<DateTime<Utc>>,
    pub installation_id: Uuid,
    /// The run that decided so. A later run that finds the same at the same `as_of` leaves the row as it is.
    pub plugin_run_id: Uuid,
    /// Kind of the record it is about.
    #[sea_orm(column_type = "Text")]
    pub subject_kind: String,
    pub subject_id: Uuid,
    /// `missing_fact`, or the plugin's own code.
    #[sea_orm(column_type = "Text")]
    pub code: String,
    /// Arguments of the code: of `missing_fact` the name of the input.
    #[schema(value_type = Vec<Object>)]
    pub args: Json,
    /// Business time of the facts behind it.
    pub as_of: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "not_scored";
    const PLURAL: &'static str = "not-scored";
    const SCOPE: Scope = Scope::Subject;
    const VERBS: &'static [Verb] = Verb::READ;
    const LOGGED: bool = false;
    const REFERENCES: &'static [(&'static str, &'static str)] =
        &[("installation_id", "installation"), ("plugin_run_id", "plugin_run")];

    fn example() -> Json {
        json!({"subject_kind": "account", "code": "missing_fact"})
    }
}
