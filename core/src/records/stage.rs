use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait,
    entity::prelude::*,
    sea_query::{Alias, ExprTrait, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    context::Unit,
    engine::{Record, Scope},
    error::{Code, Result, Violation},
};

/// What being in the stage means for an opportunity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = StageKind)]
pub enum Kind {
    Open,
    Won,
    Lost,
}

/// A step of a pipeline.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "stage")]
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
    pub pipeline_id: Uuid,
    /// Unique in the pipeline.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Its place in the pipeline, smallest first.
    pub position: i64,
    pub kind: Kind,
    /// Chance of winning from here, in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub probability: Option<f64>,
    /// Days after which an opportunity has been here too long.
    #[schema(minimum = 1, maximum = 36_500)]
    pub rotten_after_days: Option<i64>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Record for Entity {
    const NAME: &'static str = "stage";
    const PLURAL: &'static str = "stages";
    const SCOPE: Scope = Scope::Tenant;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("pipeline_id", "pipeline")];
    const UNIQUE: &'static [&'static [&'static str]] = &[&["pipeline_id", "name"]];
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("position", "0"), ("kind", "open")];

    fn example() -> Json {
        json!({"name": "Negotiation", "position": 30, "kind": "open", "probability": 60.0, "rotten_after_days": 45})
    }

    /// What opportunities are and when they closed was decided by their stage: it does not change under them.
    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let meaning = |stage: &Model| (stage.kind, stage.pipeline_id);
        let changed: Vec<_> = slice
            .iter()
            .enumerate()
            .filter(|(_, (before, after))| before.as_ref().is_some_and(|before| meaning(before) != meaning(after)))
            .map(|(at, (_, after))| (at, after.id))
            .collect();
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let used = Query::select()
            .distinct()
            .column(Alias::new("stage_id"))
            .from(Alias::new("opportunity"))
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new("deleted_at")).is_null())
            .and_where(Expr::col(Alias::new("stage_id")).is_in(changed.iter().map(|(_, id)| *id)))
            .take();
        let rows = unit.txn.query_all(&used).await?;
        let used: Vec<Uuid> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
        let detail = "cannot change while opportunities are in the stage: move them first";
        let kept = changed.into_iter().filter(|(_, id)| used.contains(id));
        Ok(kept.map(|(at, _)| (at, Violation::field("kind", Code::InvalidState, detail))).collect())
    }
}
