use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Verb,
    engine::{Record, Scope},
    ports::Capability,
};

/// What the plugin does for this installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = InstallationKind)]
pub enum Kind {
    Scorer,
    Segmenter,
}

impl From<Kind> for Capability {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Scorer => Self::Scorer,
            Kind::Segmenter => Self::Segmenter,
        }
    }
}

/// Only an active installation decides; any may be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = InstallationState)]
pub enum State {
    Draft,
    Active,
    Paused,
    Failed,
}

/// A plugin at work in the tenant: on which records, fed from which facts, with which configuration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "installation")]
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
    /// The name by which people and programs call it; unique in the tenant.
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text")]
    pub key: String,
    pub plugin_id: Uuid,
    pub kind: Kind,
    /// Kind of the records it decides about.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// Filter over the subjects; without it, all of them.
    #[sea_orm(column_type = "Text", nullable)]
    pub r#where: Option<String>,
    #[schema(value_type = Object)]
    pub config: Json,
    /// Where each input of the plugin comes from, `{"orders": {"from": "metric:won_count", "window": "P365D"}}`; inputs
    /// not named here come from where the manifest says.
    #[schema(value_type = Object)]
    pub bindings: Json,
    pub state: State,
    /// The plugin's only source of variation, fixed for good.
    pub seed: i64,
    /// Counts the changes of plugin, filter, configuration and bindings; runs and decisions name it.
    pub config_version: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "installation";
    const PLURAL: &'static str = "installations";
    const SCOPE: Scope = Scope::Tenant;
    const VERBS: &'static [Verb] = Verb::READ;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("plugin_id", "plugin")];
    const UNIQUE: &'static [&'static [&'static str]] = &[&["key"]];

    fn example() -> Json {
        json!({"key": "rfm-customers", "kind": "scorer", "subject": "account", "config": {"weights": [1, 1, 2]}})
    }
}
