use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    context::Unit,
    engine::{Record, Scope, writable_ids},
    error::{Code, Result, Violation, unknown},
};

/// What a share lets one do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = ShareAccess)]
pub enum Access {
    Read,
    /// Change it too, and share it on.
    Write,
}

/// A record that someone beside its owner may see, or change, until a time. The rights of their role still hold.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "share")]
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
    /// Kind of the record that is shared.
    #[schema(max_length = 60)]
    #[sea_orm(column_type = "Text")]
    pub subject_kind: String,
    pub subject_id: Uuid,
    /// With whom: a user ..
    pub user_id: Option<Uuid>,
    /// .. or everyone who is in a team.
    pub team_id: Option<Uuid>,
    pub access: Access,
    /// The first instant it no longer holds; null: until it is removed.
    pub until_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "share";
    const PLURAL: &'static str = "shares";
    const SCOPE: Scope = Scope::Subject;
    const AFFECTS_ACCESS: bool = true;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("user_id", "user"), ("team_id", "team")];

    fn example() -> Json {
        json!({"subject_kind": "account", "subject_id": "01939e2b-6c00-7000-8000-000000000001",
               "user_id": "01939e2b-6c00-7000-8000-000000000001", "access": "read", "until_at": "2027-01-01T00:00:00.000Z"})
    }

    fn check(after: &Model) -> Vec<Violation> {
        let detail = "a share is with a user or with a team: one of user_id and team_id";
        let wrong = after.user_id.is_some() == after.team_id.is_some();
        wrong.then(|| Violation::field("user_id", Code::InvalidValue, detail)).into_iter().collect()
    }

    /// Who may change a record may share it.
    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let mut broken = Vec::new();
        let mut wanted: BTreeMap<&str, Vec<Uuid>> = BTreeMap::new();
        for (at, (_, after)) in slice.iter().enumerate().filter(|(_, (_, after))| after.deleted_at.is_none()) {
            let owned = || unit.cx.shapes().filter(|shape| shape.scope == Scope::Owner).map(|shape| &*shape.name);
            if owned().any(|kind| kind == after.subject_kind) {
                wanted.entry(&after.subject_kind).or_default().push(after.subject_id);
            } else {
                let detail = unknown("kind with owners", &after.subject_kind, owned());
                broken.push((at, Violation::field("subject_kind", Code::InvalidValue, detail)));
            }
        }
        let mut may: HashSet<(String, Uuid)> = HashSet::new();
        for (kind, ids) in wanted {
            let found = writable_ids(unit, kind, &ids).await?;
            may.extend(found.into_iter().map(|id| (kind.to_owned(), id)));
        }
        for (at, (_, after)) in slice.iter().enumerate().filter(|(_, (_, after))| after.deleted_at.is_none()) {
            let known = broken.iter().any(|(place, _)| *place == at);
            if !known && !may.contains(&(after.subject_kind.clone(), after.subject_id)) {
                let detail = format!("there is no such {}, or you may not share it", after.subject_kind);
                broken.push((at, Violation::field("subject_id", Code::ReferenceNotFound, detail)));
            }
        }
        Ok(broken)
    }
}
