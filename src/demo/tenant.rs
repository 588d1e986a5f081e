//! The demo's tenant and its admin.

use std::sync::Arc;

use ripen_core::{
    access::{
        Secret, actor_of_user,
        tenants::{self, NewTenant},
    },
    context::{Context, World},
    engine::read::{self, ListQuery},
    error::{Error, Result},
};
use serde_json::Value as Json;

pub const TENANT: &str = "demo";
pub const ADMIN: &str = "admin@demo.example";

/// Finds the tenant or makes it. The password is answered where this start has set it.
pub async fn enter(world: &Arc<World>, password: Option<String>) -> Result<(Context, Option<String>)> {
    if let Some(tenant) = tenants::find(world, TENANT).await? {
        let system = Context {
            world: Arc::clone(world),
            tenant: Arc::new(tenant),
            actor: Arc::new(ripen_core::access::Actor::system()),
            request_id: None,
            known_at: None,
            attempt: None,
        };
        println!("Tenant {TENANT} is here already; {ADMIN} keeps the password it has.");
        return Ok((as_admin(system).await?, None));
    }
    let password = password.unwrap_or_else(fresh_password);
    let system = tenants::create(
        world,
        NewTenant {
            slug: TENANT.to_owned(),
            name: "Demo".to_owned(),
            base_currency: "USD".to_owned(),
            time_zone: "UTC".to_owned(),
            admin_email: ADMIN.to_owned(),
            admin_name: "Demo Admin".to_owned(),
            admin_password: Secret::new(password.as_str()),
        },
    )
    .await?;
    println!("Tenant {TENANT} made (base currency USD, zone UTC), with the admin {ADMIN}.");
    Ok((as_admin(system).await?, Some(password)))
}

/// From here on the admin acts, with the rights an admin has, not the product itself.
async fn as_admin(system: Context) -> Result<Context> {
    let users = system.resolve("users")?.shape();
    let query = ListQuery {
        filter: Some(format!("email = \"{ADMIN}\"").into()),
        fields: Some("id".to_owned()),
        ..ListQuery::default()
    };
    let page: Json = super::data::json(&read::list(&system, users, &query).await?.body)?;
    let id = page.pointer("/data/0/id").and_then(Json::as_str).and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Error::not_found("user", ADMIN))?;
    let actor = actor_of_user(&system.world.store, &system.tenant, id, system.now()).await?;
    let actor = actor.ok_or_else(|| Error::not_found("active user", ADMIN))?;
    Ok(Context { actor: Arc::new(actor), ..system })
}

/// 128 random bits as text that can be copied by a double click.
fn fresh_password() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
