//! Which records would no longer validate under another definition of a field.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, Order,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    context::Context,
    engine::{
        Shape,
        custom::{CUSTOM, CustomField},
    },
    error::{Code, Result, Violation},
};

const ROWS_PER_STATEMENT: u64 = 1000;
/// Records that a preview names.
const NAMED: usize = 100;

/// What a definition would mean for the records that exist.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Preview {
    /// Records of the kind that were looked at: all of them.
    pub checked: u64,
    /// Those that would no longer validate.
    pub would_fail: u64,
    /// The first hundred of them.
    pub records: Vec<Failure>,
}

/// A record that would no longer validate, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Failure {
    pub id: Uuid,
    #[schema(value_type = String)]
    pub code: Code,
    pub detail: String,
}

/// Reads every live record of the kind, a thousand a statement; for a unique field it remembers each value.
///
/// # Errors
/// The database.
pub(super) async fn check(
    cx: &Context,
    db: &impl ConnectionTrait,
    shape: &Shape,
    field: &CustomField,
) -> Result<Preview> {
    let mut preview = Preview::default();
    let mut holders: HashMap<String, Uuid> = HashMap::new();
    let mut last = None;
    loop {
        let rows = page(cx, db, shape, last).await?;
        for (id, custom) in &rows {
            let value = custom.as_ref().and_then(|custom| custom.get(&*field.key));
            preview.checked += 1;
            if let Some(violation) = broken(field, *id, value, &mut holders) {
                preview.would_fail += 1;
                if preview.records.len() < NAMED {
                    preview.records.push(Failure { id: *id, code: violation.code, detail: violation.detail });
                }
            }
        }
        match rows.last() {
            Some((id, _)) => last = Some(*id),
            None => return Ok(preview),
        }
    }
}

fn broken(
    field: &CustomField,
    id: Uuid,
    value: Option<&Json>,
    holders: &mut HashMap<String, Uuid>,
) -> Option<Violation> {
    let Some(value) = value else {
        return field.field.required.then(|| field.field.violation(Code::Required, "has no value"));
    };
    match field.read(value) {
        Err(violation) => Some(violation),
        Ok(stored) => {
            let holder = holders.insert(field.only(&stored)?, id)?;
            Some(field.field.violation(Code::Duplicate, format!("has the value that record {holder} has too")))
        }
    }
}

/// The next records of the kind, by id, with their custom values.
pub(super) async fn page(
    cx: &Context,
    db: &impl ConnectionTrait,
    shape: &Shape,
    after: Option<Uuid>,
) -> Result<Vec<(Uuid, Option<Json>)>> {
    let (id, custom) = (Alias::new("id"), Alias::new(CUSTOM));
    let mut select = Query::select();
    select
        .columns([id.clone(), custom])
        .from(shape.table())
        .and_where(Expr::col(Alias::new("tenant_id")).eq(cx.tenant.id))
        .and_where(Expr::col(Alias::new("deleted_at")).is_null())
        .cond_where(shape.rows(shape.table()))
        .order_by(id.clone(), Order::Asc)
        .limit(ROWS_PER_STATEMENT);
    if let Some(after) = after {
        select.and_where(Expr::col(id).gt(after));
    }
    let rows = db.query_all(&select).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}
