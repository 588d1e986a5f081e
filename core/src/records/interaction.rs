use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait,
    entity::prelude::*,
    sea_query::{Alias, ExprTrait, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use super::{account, contact, opportunity, rules};
use crate::{
    context::Unit,
    engine::{Operation, Record, Saved, Scope, Since, follow_up, load, print_instant, settled},
    error::{Code, Result, Violation},
};

/// How they met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = Channel)]
pub enum Channel {
    Call,
    Visit,
    Email,
    Chat,
    Meeting,
    Social,
    Other,
}

/// Who began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = Direction)]
pub enum Direction {
    Inbound,
    Outbound,
}

/// Something that happened between us and a customer: a call, a visit, a message.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "interaction")]
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
    /// At least one of account, contact and opportunity. The account is that of the opportunity or of the contact where it
    /// is not given.
    pub account_id: Option<Uuid>,
    pub contact_id: Option<Uuid>,
    pub opportunity_id: Option<Uuid>,
    pub channel: Channel,
    pub direction: Option<Direction>,
    pub start_at: DateTime<Utc>,
    pub end_at: Option<DateTime<Utc>>,
    /// How long they really spoke.
    #[schema(minimum = 0)]
    pub talk_seconds: Option<i64>,
    /// What came of it, in the tenant's own words: `connected`, `no_answer`, `busy`, `wrong_number`, `refused`, ..
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub outcome: Option<String>,
    #[schema(max_length = 10000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub note: Option<String>,
    /// Where the recording is kept.
    #[schema(max_length = 500)]
    #[sea_orm(column_type = "Text", nullable)]
    pub recording_reference: Option<String>,
    /// The system that captured it.
    #[schema(max_length = 100)]
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// Its key there: what is captured twice is stored once.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub source_key: Option<String>,
    /// The tenant's own fields.
    #[schema(value_type = Option<Object>)]
    #[sea_orm(column_type = "Json", nullable)]
    pub custom: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// Sets `last_contact_at` of every record the interactions are or were about.
async fn touch<R: Record>(
    unit: &Unit<'_>,
    saved: &[Saved<Model>],
    column: &'static str,
    subject: fn(&Model) -> Option<Uuid>,
) -> Result<()> {
    let rows = saved.iter().flat_map(|saved| saved.before.iter().chain([&saved.after]));
    let touched: BTreeSet<Uuid> = rows.filter_map(subject).collect();
    let mut operations = Vec::with_capacity(touched.len());
    let touched: Vec<_> = touched.into_iter().collect();
    settled::<R>(unit, &touched).await?;
    for part in touched.chunks(1000) {
        let latest = Query::select()
            .column(Alias::new(column))
            .expr(Expr::col(Alias::new("start_at")).max())
            .from(Alias::new("interaction"))
            .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
            .and_where(Expr::col(Alias::new("deleted_at")).is_null())
            .and_where(Expr::col(Alias::new(column)).is_in(part.iter().copied()))
            .group_by_col(Alias::new(column))
            .take();
        let mut last: HashMap<Uuid, DateTime<Utc>> = HashMap::new();
        for row in unit.txn.query_all(&latest).await? {
            last.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        }
        operations.extend(part.iter().map(|id| {
            let at = last.get(id).copied().map(print_instant);
            let data = Map::from_iter([("last_contact_at".to_owned(), Json::from(at))]);
            Operation::Update { id: *id, version: None, data, since: Since::default() }
        }));
    }
    follow_up::<R>(unit, operations).await
}

impl Record for Entity {
    const NAME: &'static str = "interaction";
    const PLURAL: &'static str = "interactions";
    const SCOPE: Scope = Scope::Owner;
    const PERSONAL: &'static [&'static str] = &["note", "outcome", "recording_reference", "source_key"];
    const ABOUT: &'static [&'static str] = &["contact_id", "account_id"];
    const REFERENCES: &'static [(&'static str, &'static str)] =
        &[("account_id", "account"), ("contact_id", "contact"), ("opportunity_id", "opportunity")];
    const UNIQUE: &'static [&'static [&'static str]] = &[&["source", "source_key"]];

    fn example() -> Json {
        json!({"account_id": "01939e2b-6c00-7000-8000-000000000001", "channel": "call", "direction": "outbound",
               "start_at": "2026-01-12T09:30:00.000Z", "end_at": "2026-01-12T09:42:00.000Z", "talk_seconds": 640,
               "outcome": "connected", "note": "Wants an offer for 20 licences."})
    }

    fn check(after: &Model) -> Vec<Violation> {
        let mut broken: Vec<_> =
            rules::ordered(("start_at", Some(after.start_at)), ("end_at", after.end_at)).into_iter().collect();
        if [after.account_id, after.contact_id, after.opportunity_id].iter().all(Option::is_none) {
            let detail = "one of account_id, contact_id and opportunity_id is required";
            broken.push(Violation::field("account_id", Code::Required, detail));
        }
        broken
    }

    /// Without an account it is about that of the opportunity, else of the contact.
    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let homeless = || slice.iter().map(|(_, after)| after).filter(|after| after.account_id.is_none());
        let deals = load::<opportunity::Entity>(unit, homeless().filter_map(|i| i.opportunity_id).collect()).await?;
        let people = load::<contact::Entity>(unit, homeless().filter_map(|i| i.contact_id).collect()).await?;
        for (_, after) in slice {
            let of_deal = || deals.get(&after.opportunity_id?)?.account_id;
            let of_person = || people.get(&after.contact_id?)?.account_id;
            after.account_id = after.account_id.or_else(of_deal).or_else(of_person);
        }
        Ok(Vec::new())
    }

    async fn effects(unit: &Unit<'_>, saved: &[Saved<Model>]) -> Result<()> {
        touch::<account::Entity>(unit, saved, "account_id", |i| i.account_id).await?;
        touch::<contact::Entity>(unit, saved, "contact_id", |i| i.contact_id).await
    }
}
