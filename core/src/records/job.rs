use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::role::Rights;
use crate::{
    access::Verb,
    engine::{Record, Scope},
};

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = JobState)]
pub enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    /// Nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Long work done in the background: an import, a run of a plugin. It does what `created_by` may when it starts, within the
/// scopes of the key they asked with. Seen by whoever asked for it, and by those who see everything.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "job")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The record's key in another system; unique in the tenant.
    #[schema(max_length = 200, read_only)]
    #[sea_orm(column_type = "Text", nullable)]
    pub external_id: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// What is done: `import`, `plugin_run`, `plugin_upload`.
    #[schema(read_only)]
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// What asking for it took: whoever cancels it, tries it again, undoes it or reads what it refused has these rights too.
    #[schema(value_type = Vec<String>, read_only)]
    pub rights: Rights,
    #[schema(read_only)]
    pub state: State,
    /// `{done, total, ok, failed, eta_s}`: rows worked on, rows there are (null while unknown), of those done how many
    /// were accepted and refused, seconds left at the present pace (null while unknown).
    #[schema(value_type = Object, read_only)]
    #[sea_orm(column_type = "Json")]
    pub progress: Json,
    /// What came of it, once it has succeeded.
    #[schema(value_type = Option<Object>, read_only)]
    #[sea_orm(column_type = "Json", nullable)]
    pub result: Option<Json>,
    /// Why it failed: `{code, title, detail, errors}`.
    #[schema(value_type = Option<Object>, read_only)]
    #[sea_orm(column_type = "Json", nullable)]
    pub problem: Option<Json>,
    #[schema(read_only)]
    pub started_at: Option<DateTime<Utc>>,
    #[schema(read_only)]
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "job";
    const PLURAL: &'static str = "jobs";
    const SCOPE: Scope = Scope::Asker;
    const RESTRICTED: bool = true;
    const VERBS: &'static [Verb] = Verb::READ;
    const LOGGED: bool = false;

    fn example() -> Json {
        json!({})
    }
}
