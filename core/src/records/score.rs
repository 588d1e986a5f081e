use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Verb,
    engine::{Record, Scope},
};

/// What a scorer says of one subject, and why. At most one for an installation and a subject; explained by this row alone.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "score")]
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
    pub value: f64,
    /// Terms of the value in their order, `[{"code": "recency", "value": 25.0}]`; they add up as the manifest says.
    #[schema(value_type = Vec<Object>)]
    pub contributions: Json,
    /// Further figures of the subject, not added up.
    #[schema(value_type = Vec<Object>)]
    pub figures: Json,
    /// `[{"code": "inactive", "args": [213.0]}]`; the manifest has the text of each code.
    #[schema(value_type = Vec<Object>)]
    pub reasons: Json,
    /// Business time of the facts behind it.
    pub as_of: DateTime<Utc>,
    /// SHA-256 of the plugin that said so.
    #[sea_orm(column_type = "Text")]
    pub digest: String,
    /// Of the installation, when it was said.
    pub config_version: i64,
    /// A later run has failed: this is the last that is known.
    pub stale: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "score";
    const PLURAL: &'static str = "scores";
    const SCOPE: Scope = Scope::Subject;
    const VERBS: &'static [Verb] = Verb::READ;
    const LOGGED: bool = false;
    const REFERENCES: &'static [(&'static str, &'static str)] =
        &[("installation_id", "installation"), ("plugin_run_id", "plugin_run")];

    fn example() -> Json {
        json!({"subject_kind": "account", "value": 75.0, "contributions": [{"code": "recency", "value": 25.0}]})
    }
}
