use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    context::Unit,
    engine::{Record, Scope},
    error::{Error, Result, Violation},
    import::Spec,
};

/// What an import is asked for, kept under a name: `{"saved": "monthly"}` in the spec of an import takes it, and whatever else
/// is there overrides it.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "import_mapping")]
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
    /// Unique in the tenant.
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[schema(max_length = 2000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub description: Option<String>,
    /// As the part `spec` of an import: its kind, format, mapping.
    #[schema(value_type = Object)]
    #[sea_orm(column_type = "Json")]
    pub spec: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "import_mapping";
    const PLURAL: &'static str = "import-mappings";
    const SCOPE: Scope = Scope::Tenant;
    const UNIQUE: &'static [&'static [&'static str]] = &[&["name"]];
    const SEARCH: &'static [&'static str] = &["name", "description", "external_id"];

    fn example() -> Json {
        json!({"name": "Accounts of the shop",
               "spec": {"kind": "account", "mode": "upsert", "match": "external_id",
                        "mapping": {"external_id": {"column": "id"}, "name": {"column": "customer"}}}})
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let mut broken = Vec::new();
        for (at, (_, after)) in slice.iter().enumerate().filter(|(_, (_, after))| after.deleted_at.is_none()) {
            match Spec::parse(unit.cx, &after.spec) {
                Err(Error::Invalid(violations)) => {
                    let placed = |violation: Violation| {
                        let pointer = format!("/spec{}", violation.pointer);
                        (at, Violation { pointer, ..violation })
                    };
                    broken.extend(violations.into_iter().map(placed));
                }
                other => drop(other?),
            }
        }
        Ok(broken)
    }
}
