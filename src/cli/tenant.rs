use std::io::IsTerminal;

use ripen_core::access::{
    Secret,
    tenants::{self, NewTenant},
};
use serde_json::json;

use super::Outcome;
use crate::{Config, Outside, world};

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Create a tenant and its first administrator; the password comes from the terminal or standard input
    Create(Create),
}

#[derive(clap::Args)]
pub(super) struct Create {
    /// Names the tenant at login
    slug: String,
    #[arg(long, value_name = "EMAIL")]
    admin_email: String,
    /// Name of the tenant, for people [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// ISO 4217 code of the currency that bare amounts are in
    #[arg(long, default_value = "USD")]
    currency: String,
    /// IANA time zone in which days begin
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(action: Action, config: &Config) -> Outcome {
    let Action::Create(Create { slug, admin_email, name, currency, zone, json }) = action;
    let new = NewTenant {
        name: name.unwrap_or_else(|| slug.clone()),
        slug,
        base_currency: currency,
        time_zone: zone,
        admin_name: "Administrator".to_owned(),
        admin_email,
        admin_password: Secret::new(password()?),
    };
    let (world, email) = (world(config, Outside::real()).await?, new.admin_email.clone());
    let tenant = tenants::create(&world, new).await?.tenant;
    world.store.clone().close().await?;
    if json {
        println!("{}", json!({"id": tenant.id, "slug": tenant.slug, "admin_email": email}));
    } else {
        println!("tenant {} ({}) created; {email} may log in", tenant.slug, tenant.id);
    }
    Ok(())
}

/// From the terminal, unseen; else the first line of standard input.
fn password() -> std::io::Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Password of the administrator: ");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
