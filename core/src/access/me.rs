use sea_orm::{ConnectionTrait, Statement};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Role, may_act, rights_of, token};
use crate::{context::Context, error::Result};

/// Who the caller is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    pub user: MyUser,
    pub tenant: MyTenant,
    pub role: Role,
    /// Everything the role may do, as `kind:verb`.
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

/// The caller's tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MyTenant {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    /// ISO 4217.
    pub base_currency: String,
    /// IANA name: where the tenant's days begin.
    pub time_zone: String,
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
        tenant: MyTenant {
            id: cx.tenant.id,
            slug: cx.tenant.slug.clone(),
            name: cx.tenant.name.clone(),
            base_currency: cx.tenant.base_currency.as_str().to_owned(),
            time_zone: cx.tenant.time_zone.name().to_owned(),
        },
        role: cx.actor.role,
        rights: rights_of(cx.actor.role, cx.shapes()),
    })
}
