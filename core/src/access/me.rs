use sea_orm::{ConnectionTrait, Statement};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Settings, may_act, rights_of, token};
use crate::{context::Context, error::Result};

/// Who the caller is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    pub user: MyUser,
    pub tenant: Settings,
    /// The key of the role.
    pub role: String,
    /// Everything you may do, as `kind:verb`.
    #[schema(example = json!(["account:create", "account:read"]))]
    pub rights: Vec<String>,
}

/// The caller's own user, in short.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MyUser {
    pub id: Uuid,
    pub email: String,
    pub name: String,
}

/// # Errors
/// `invalid_token` where no user stands behind the caller.
pub async fn me(cx: &Context) -> Result<Me> {
    may_act(&cx.actor, "me:read")?;
    let sql = "select id, email, name from \"user\" where tenant_id = $1 and id = $2 and deleted_at is null";
    let values = [cx.tenant.id.into(), cx.actor.user.into()];
    let row = cx.reader().query_one_raw(Statement::from_sql_and_values(cx.backend(), sql, values)).await?;
    let row = row.ok_or_else(token::invalid)?;
    Ok(Me {
        user: MyUser { id: row.try_get("", "id")?, email: row.try_get("", "email")?, name: row.try_get("", "name")? },
        tenant: Settings::of(&cx.tenant),
        role: cx.actor.role.to_string(),
        rights: rights_of(&cx.actor, cx.shapes()),
    })
}
