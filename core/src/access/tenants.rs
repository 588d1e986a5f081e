//! Tenants: the customers of the installation.

use std::sync::Arc;

use chrono_tz::Tz;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult,
    sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement},
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Actor, Secret, credential, password, settings};
use crate::{
    context::{Context, Tenant, Unit, World},
    custom,
    engine::{Operation, Record, Since},
    error::{Code, Error, Result, Violation},
    records::user,
    values::Currency,
};

/// A tenant to be, with the administrator who sets up the rest.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Names the tenant at login: 2 to 63 of `a-z`, `0-9` and `-`, starting with a letter.
    pub slug: String,
    pub name: String,
    /// ISO 4217.
    pub base_currency: String,
    /// IANA name, `Europe/Berlin`: where the tenant's days begin.
    pub time_zone: String,
    pub admin_email: String,
    pub admin_name: String,
    pub admin_password: Secret,
}

/// Creates the tenant and its first administrator, all or nothing.
///
/// # Errors
/// `Invalid` with everything that is wrong; `Conflict` where the slug is taken.
pub async fn create(world: &Arc<World>, new: NewTenant) -> Result<Context> {
    let tenant = checked(world, &new)?;
    password::acceptable("admin_password", &new.admin_password, &[&new.slug, &new.admin_name])?;
    let hash = world.gate.passwords.turn().await?.hash(&new.admin_password).await?;
    let cx = Context {
        world: Arc::clone(world),
        tenant: Arc::new(tenant),
        actor: Arc::new(Actor::system()),
        request_id: None,
        known_at: None,
        attempt: None,
    };
    let unit = cx.begin().await?;
    let columns = ["id", "slug", "name", "base_currency", "time_zone", "generation", "created_at"];
    let insert = Query::insert()
        .into_table(Alias::new("tenant"))
        .columns(columns.map(Alias::new))
        .values_panic([
            Expr::val(cx.tenant.id),
            Expr::val(cx.tenant.slug.as_str()),
            Expr::val(cx.tenant.name.as_str()),
            Expr::val(cx.tenant.base_currency.as_str()),
            Expr::val(cx.tenant.time_zone.name()),
            Expr::val(1_i64),
            Expr::val(unit.now),
        ])
        .take();
    unit.txn.execute(&insert).await.map_err(|source| taken(&new.slug, source))?;
    let admin = json!({"email": new.admin_email, "name": new.admin_name, "role": "admin", "state": "active"});
    let Json::Object(data) = admin else { return Err(Error::internal("an admin is an object", "it is not")) };
    let users = world.registry.kind(user::Entity::NAME);
    let users = users.ok_or_else(|| Error::internal("users are a kind", "they are not registered"))?;
    let written = users.write(&unit, vec![Operation::Create { data, since: Since::default() }]).await?;
    for verdict in written {
        credential::store(&unit, verdict?.id, &hash).await?;
    }
    unit.commit().await?;
    Ok(cx)
}

fn checked(world: &World, new: &NewTenant) -> Result<Tenant> {
    let mut broken = Vec::new();
    let mut refuse = |field: &str, detail: String| broken.push(Violation::field(field, Code::InvalidValue, detail));
    if !is_slug(&new.slug) {
        refuse("slug", "must have 2 to 63 of a-z, 0-9 and single hyphens, and start with a letter".to_owned());
    }
    if !settings::is_name(&new.name) {
        refuse("name", "must have 1 to 200 characters".to_owned());
    }
    let currency = Currency::parse(&new.base_currency).map_err(|detail| refuse("base_currency", detail));
    let zone = new.time_zone.parse::<Tz>().map_err(|_| {
        refuse("time_zone", format!("`{}` is not an IANA time zone such as `Europe/Berlin`", new.time_zone));
    });
    match (currency, zone) {
        (Ok(base_currency), Ok(time_zone)) if broken.is_empty() => Ok(Tenant {
            id: world.ids.next(world.clock.now()),
            slug: new.slug.clone(),
            name: new.name.clone(),
            base_currency,
            time_zone,
            require_preconditions: false,
            version: 1,
            generation: 1,
            definitions: 0,
            kinds: world.registry.clone(),
        }),
        _ => Err(Error::Invalid(broken)),
    }
}

fn is_slug(slug: &str) -> bool {
    (2..=63).contains(&slug.len())
        && slug.starts_with(|c: char| c.is_ascii_lowercase())
        && slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !slug.ends_with('-')
        && !slug.contains("--")
}

fn taken(slug: &str, source: sea_orm::DbErr) -> Error {
    match Error::from_write(source) {
        Error::Conflict { .. } => Error::conflict(Code::Duplicate, format!("there is a tenant `{slug}` already")),
        other => other,
    }
}

/// The tenant of that slug.
///
/// # Errors
/// The database.
pub async fn find(world: &World, slug: &str) -> Result<Option<Tenant>> {
    let select = select().and_where(Expr::col(Alias::new("slug")).eq(slug)).take();
    match world.store.read.query_one(&select).await? {
        Some(row) => whole(world, read(world, &row)?).await.map(Some),
        None => Ok(None),
    }
}

/// Every tenant, by slug.
///
/// # Errors
/// The database.
pub async fn all(world: &World) -> Result<Vec<Tenant>> {
    let select = select().order_by(Alias::new("slug"), Order::Asc).take();
    let mut tenants = Vec::new();
    for row in world.store.read.query_all(&select).await? {
        tenants.push(whole(world, read(world, &row)?).await?);
    }
    Ok(tenants)
}

/// The tenant of that id. Its kinds are for the caller to fill in: they change only with the generation.
pub(super) async fn by_id(world: &World, id: Uuid) -> Result<Option<Tenant>> {
    let select = select().and_where(Expr::col(Alias::new("id")).eq(id)).take();
    let row = world.store.read.query_one(&select).await?;
    row.map(|row| read(world, &row)).transpose()
}

/// The number of the tenant's definitions, as the transaction sees it.
pub(super) async fn definitions(txn: &DatabaseTransaction, id: Uuid) -> Result<Option<i64>> {
    let select = select().and_where(Expr::col(Alias::new("id")).eq(id)).take();
    let row = txn.query_one(&select).await?;
    Ok(row.map(|row| row.try_get("", "definitions")).transpose()?)
}

/// The unit's tenant as it is stored, until the unit ends nobody else's to change.
pub(super) async fn locked(unit: &Unit<'_>) -> Result<Tenant> {
    let mut select = select().and_where(Expr::col(Alias::new("id")).eq(unit.cx.tenant.id)).take();
    if unit.cx.backend() == DbBackend::Postgres {
        select.lock_exclusive();
    }
    let row = unit.txn.query_one(&select).await?;
    let row = row.ok_or_else(|| Error::internal("a unit's tenant is stored", "it is not"))?;
    read(&unit.cx.world, &row)
}

/// Makes every process forget what it remembers of the tenant's users, and of its `definitions` where those have changed.
pub(crate) async fn raise_generation(unit: &Unit<'_>, definitions: bool) -> Result<()> {
    let [generation, defined] = ["generation", "definitions"].map(Alias::new);
    let update = Query::update()
        .table(Alias::new("tenant"))
        .value(generation.clone(), Expr::col(generation).add(1))
        .value(defined.clone(), Expr::col(defined.clone()).add(i64::from(definitions)))
        .and_where(Expr::col(Alias::new("id")).eq(unit.cx.tenant.id))
        .returning_col(defined)
        .take();
    let row = unit.txn.query_one(&update).await?;
    if let Some(row) = row.filter(|_| definitions) {
        unit.cx.world.gate.defines(unit.cx.tenant.id, row.try_get_by_index(0)?);
    }
    Ok(())
}

fn select() -> SelectStatement {
    let text = ["id", "slug", "name", "base_currency", "time_zone"];
    let rest = ["require_preconditions", "version", "generation", "definitions"];
    Query::select().columns(text.into_iter().chain(rest).map(Alias::new)).from(Alias::new("tenant")).take()
}

/// With its own kinds and fields.
async fn whole(world: &World, tenant: Tenant) -> Result<Tenant> {
    Ok(Tenant { kinds: custom::kinds(world, tenant.id).await?, ..tenant })
}

fn read(world: &World, row: &QueryResult) -> Result<Tenant> {
    let broken = |source: String| Error::internal("a stored tenant is valid", source);
    let currency: String = row.try_get("", "base_currency")?;
    let zone: String = row.try_get("", "time_zone")?;
    Ok(Tenant {
        id: row.try_get("", "id")?,
        slug: row.try_get("", "slug")?,
        name: row.try_get("", "name")?,
        base_currency: Currency::parse(&currency).map_err(broken)?,
        time_zone: zone.parse::<Tz>().map_err(|source| broken(source.to_string()))?,
        require_preconditions: row.try_get("", "require_preconditions")?,
        version: row.try_get("", "version")?,
        generation: row.try_get("", "generation")?,
        definitions: row.try_get("", "definitions")?,
        kinds: world.registry.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::is_slug;

    #[test]
    fn slugs() {
        for good in ["demo", "a1", "acme-europe", "x".repeat(63).as_str()] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "a", "1a", "Acme", "acme-", "-acme", "a--b", "a_b", "ä1", "a b", "x".repeat(64).as_str()] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
