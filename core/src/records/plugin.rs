use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::Verb,
    engine::{Record, Scope},
};

/// One release of a plugin, uploaded and verified: `name@release`. Its bytes never change.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "plugin")]
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
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// The plugin's own version, as its manifest states it.
    #[sea_orm(column_type = "Text")]
    pub release: String,
    #[sea_orm(column_type = "Text")]
    pub description: String,
    #[sea_orm(column_type = "Text")]
    pub license: String,
    /// What it can do: `scorer`, `segmenter`.
    #[schema(value_type = Vec<String>)]
    pub kinds: Json,
    /// Kind of record it was written for.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// SHA-256 of the component, lower-case hex.
    #[sea_orm(column_type = "Text")]
    pub digest: String,
    /// Bytes of the component.
    pub size: i64,
    /// Version of the plugin contract it was built for.
    #[sea_orm(column_type = "Text")]
    pub api: String,
    /// Interfaces the component imports.
    #[schema(value_type = Vec<String>)]
    pub imports: Json,
    /// Fixtures of its own that it passed when it was uploaded.
    pub fixtures: i64,
    /// Fuel it used for a row of its fixtures.
    pub fuel_per_row: i64,
    /// What it reads, gives back and can be told: its manifest.
    #[schema(value_type = Object)]
    pub manifest: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "plugin";
    const PLURAL: &'static str = "plugins";
    const SCOPE: Scope = Scope::Tenant;
    const VERBS: &'static [Verb] = Verb::READ;
    const UNIQUE: &'static [&'static [&'static str]] = &[&["name", "release"]];

    fn example() -> Json {
        json!({"name": "rfm", "release": "1.0.0", "kinds": ["scorer", "segmenter"], "subject": "account"})
    }
}
