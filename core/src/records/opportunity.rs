use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::{pipeline, rules, stage};
use crate::{
    context::Unit,
    engine::{Interval, Move, Record, Saved, Scope, load, move_intervals},
    error::{Code, Result, Violation},
};

/// A deal that may be won.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "opportunity")]
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
    /// The user whose record it is.
    pub owner_id: Option<Uuid>,
    #[schema(max_length = 300)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Who buys.
    pub account_id: Option<Uuid>,
    /// The main product.
    pub product_id: Option<Uuid>,
    /// Taken from the stage where it is not given.
    pub pipeline_id: Option<Uuid>,
    pub stage_id: Uuid,
    /// The day work on it began.
    pub opened_on: Option<Date>,
    pub expected_close_on: Option<Date>,
    /// When it was won or lost; null while it is open.
    pub closed_at: Option<DateTime<Utc>>,
    /// What it is worth.
    pub amount_minor: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub amount_currency: Option<String>,
    #[schema(max_length = 1000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub won_reason: Option<String>,
    #[schema(max_length = 1000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub lost_reason: Option<String>,
    /// Who else is in the running, or who won instead.
    #[schema(max_length = 300)]
    #[sea_orm(column_type = "Text", nullable)]
    pub competitor: Option<String>,
    /// What is to be done next.
    #[schema(max_length = 1000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub next_step: Option<String>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

const STAGES: Interval = Interval { table: "stage_interval", value: "stage_id", origin: None };

/// A deal has `closed_at` exactly while it is won or lost: stamped on the way in, cleared on reopening. Only imported
/// history brings its own.
fn closing(
    unit: &Unit<'_>,
    was: Option<(Option<DateTime<Utc>>, stage::Kind)>,
    kind: stage::Kind,
    after: &mut Model,
) -> Option<Violation> {
    let given = after.closed_at != was.and_then(|(closed_at, _)| closed_at);
    let moved = was.is_none_or(|(_, before)| before != kind);
    if kind != stage::Kind::Open {
        if after.closed_at.is_none() || (moved && !given) {
            after.closed_at = Some(unit.now);
        }
        return None;
    }
    if given && after.closed_at.is_some() {
        return Some(Violation::field(
            "closed_at",
            Code::InvalidState,
            "the stage is open: only won or lost deals have it",
        ));
    }
    after.closed_at = None;
    None
}

impl Record for Entity {
    const NAME: &'static str = "opportunity";
    const PLURAL: &'static str = "opportunities";
    const SCOPE: Scope = Scope::Owner;
    const REFERENCES: &'static [(&'static str, &'static str)] =
        &[("account_id", "account"), ("product_id", "product"), ("pipeline_id", "pipeline"), ("stage_id", "stage")];
    const HISTORY: &'static [&'static str] = &["closed_at"];
    const SEARCH: &'static [&'static str] = &["name", "competitor", "external_id"];

    fn example() -> Json {
        json!({"name": "Acme: 20 licences", "opened_on": "2026-01-05", "expected_close_on": "2026-03-31",
               "amount": {"amount": "96420.00", "currency": "USD"}, "next_step": "Send the offer"})
    }

    fn check(after: &Model) -> Vec<Violation> {
        let dates = (("opened_on", after.opened_on), ("expected_close_on", after.expected_close_on));
        rules::ordered(dates.0, dates.1).into_iter().collect()
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let ids =
            slice.iter().flat_map(|(before, after)| [before.as_ref().map(|deal| deal.stage_id), Some(after.stage_id)]);
        let stages = load::<stage::Entity>(unit, ids.flatten().collect()).await?;
        let entered = |before: Option<&Model>, stage: &stage::Model| {
            let kept = before.is_some_and(|before| before.pipeline_id == Some(stage.pipeline_id));
            !kept && !unit.history && !unit.server
        };
        let into = slice.iter().filter_map(|(before, after)| {
            stages.get(&after.stage_id).filter(|stage| entered(before.as_ref(), stage)).map(|stage| stage.pipeline_id)
        });
        let pipelines = load::<pipeline::Entity>(unit, into.collect()).await?;
        let mut broken = Vec::new();
        for (at, (before, after)) in slice.iter_mut().enumerate() {
            // A stage that is not there is reported as a reference.
            let Some(stage) = stages.get(&after.stage_id) else { continue };
            if *after.pipeline_id.get_or_insert(stage.pipeline_id) != stage.pipeline_id {
                let detail = format!("the stage belongs to pipeline {}", stage.pipeline_id);
                broken.push((at, Violation::field("pipeline_id", Code::InvalidValue, detail)));
            }
            let closed = pipelines.get(&stage.pipeline_id).filter(|pipeline| !pipeline.active);
            if let Some(pipeline) = closed.filter(|_| entered(before.as_ref(), stage)) {
                let detail = format!("pipeline {} takes no more opportunities", pipeline.name);
                broken.push((at, Violation::field("stage_id", Code::InvalidState, detail)));
            }
            let was = before.as_ref().and_then(|before| Some((before.closed_at, stages.get(&before.stage_id)?.kind)));
            broken.extend(closing(unit, was, stage.kind, after).map(|violation| (at, violation)));
        }
        Ok(broken)
    }

    async fn effects(unit: &Unit<'_>, saved: &[Saved<Model>]) -> Result<()> {
        let moves: Vec<_> = saved
            .iter()
            .filter_map(|Saved { before, after, since }| {
                let before = before.as_ref().map(|deal| Some(deal.stage_id));
                Move::between(after.id, before, Some(after.stage_id), since.stage, "user")
            })
            .collect();
        move_intervals(unit, STAGES, Self::NAME, &moves).await
    }
}
