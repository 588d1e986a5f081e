use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Verb,
    engine::{Record, Scope},
};

/// `apply` books what the plugin answers as decisions; `simulate` compares it with what another configuration (or
/// nothing) decides; `backtest` compares it with what happened afterwards. Only `apply` changes decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = PluginRunMode)]
pub enum Mode {
    Apply,
    Simulate,
    Backtest,
}

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = PluginRunOutcome)]
pub enum Outcome {
    Succeeded,
    Failed,
    /// Somebody ended its job; decisions of its finished pages stay.
    Cancelled,
}

/// One run of an installation over its subjects at a moment of business time. The job of the same id shows its progress.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "plugin_run")]
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
    /// Who asked for it.
    pub owner_id: Option<Uuid>,
    pub installation_id: Uuid,
    pub mode: Mode,
    /// Facts are what was true before this moment.
    pub as_of: DateTime<Utc>,
    /// Filter over the installation's subjects that narrows the run, never the population behind its statistics.
    #[sea_orm(column_type = "Text", nullable)]
    pub r#where: Option<String>,
    /// The configuration of a simulation or backtest, where it is not the installation's.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Json>,
    /// What a backtest looks at: `{"fact": "order_revenue", "window": "P9M"}`, from `as_of` on.
    #[schema(value_type = Option<Object>)]
    pub outcome: Option<Json>,
    /// The installation's configuration the run started with and holds to its end.
    pub config_version: i64,
    /// SHA-256 of the plugin's component.
    #[sea_orm(column_type = "Text")]
    pub plugin_digest: String,
    /// SHA-256 over everything the plugin was told: context, configuration and each page's facts in their order.
    #[sea_orm(column_type = "Text", nullable)]
    pub input_digest: Option<String>,
    /// Subjects looked at.
    pub rows: Option<i64>,
    pub scored: Option<i64>,
    pub not_scored: Option<i64>,
    /// Fuel the plugin used; the same on every machine.
    pub fuel: Option<i64>,
    /// Milliseconds spent in the plugin.
    pub ms: Option<i64>,
    /// Most memory an instance of the plugin held, bytes.
    pub peak_memory: Option<i64>,
    /// Null until the run has ended.
    pub ended: Option<Outcome>,
    /// Problem code of a failed run.
    #[sea_orm(column_type = "Text", nullable)]
    pub problem: Option<String>,
    /// What the run found, by its mode.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "plugin_run";
    const PLURAL: &'static str = "plugin-runs";
    const SCOPE: Scope = Scope::Owner;
    const VERBS: &'static [Verb] = Verb::READ;
    const LOGGED: bool = false;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("installation_id", "installation")];

    fn example() -> Json {
        json!({"mode": "simulate", "as_of": "2018-01-01T00:00:00.000Z"})
    }
}
