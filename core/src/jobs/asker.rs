//! Who asked for a job, with the rights they have now.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use crate::{
    access::{Actor, Reach, Role},
    context::{Tenant, World},
    error::{Error, Result},
    values::Currency,
};

pub(super) async fn find(world: &World, tenant: Uuid, user: Option<Uuid>) -> Result<(Arc<Tenant>, Arc<Actor>)> {
    let store = &world.store;
    let sql = "select slug, name, base_currency, time_zone from tenant where id = $1";
    let row = store.read.query_one_raw(Statement::from_sql_and_values(store.backend, sql, [tenant.into()])).await?;
    let row = row.ok_or_else(|| Error::not_found("tenant", tenant))?;
    let broken = |what: String| Error::internal("a stored tenant is valid", what);
    let (currency, zone): (String, String) = (row.try_get("", "base_currency")?, row.try_get("", "time_zone")?);
    let found = Tenant {
        id: tenant,
        slug: row.try_get("", "slug")?,
        name: row.try_get("", "name")?,
        base_currency: Currency::parse(&currency).map_err(broken)?,
        time_zone: zone.parse().map_err(|_| broken(zone))?,
    };
    let actor = match user {
        None => Actor::system(),
        Some(user) => {
            let sql = "select role from \"user\" where tenant_id = $1 and id = $2 and state = 'active' and deleted_at is null";
            let wanted = Statement::from_sql_and_values(store.backend, sql, [tenant.into(), user.into()]);
            let gone = || Error::Forbidden { right: "to act: the user who asked may not any more".to_owned() };
            let role: Role = store.read.query_one_raw(wanted).await?.ok_or_else(gone)?.try_get("", "role")?;
            let reach = if role == Role::Admin { Reach::All } else { Reach::Users([user].into()) };
            Actor { user: Some(user), role, reach }
        }
    };
    Ok((Arc::new(found), Arc::new(actor)))
}
