//! `ripen demo`: the main job on real data, from nothing, by the same calls that a company, an admin and a plugin make.

mod console;
mod data;
mod plugins;
mod report;
mod tenant;

use std::sync::Arc;

use ripen_core::{
    context::{Context, World},
    error::Result,
};

pub use self::tenant::{ADMIN, TENANT};

/// Makes the tenant, brings the data in, puts the shipped plugin to work and prints what is worth a second look. What a
/// former start has done is found, not done again. Answers with the admin's context, and the password where this start
/// has set it.
///
/// # Errors
/// Whatever the product refuses.
pub async fn run(world: &Arc<World>, password: Option<String>) -> Result<(Context, Option<String>)> {
    let (admin, password) = tenant::enter(world, password).await?;
    data::bring_in(&admin).await?;
    plugins::put_to_work(&admin).await?;
    report::print(&admin).await?;
    Ok((admin, password))
}
