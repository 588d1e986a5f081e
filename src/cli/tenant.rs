use super::Outcome;
use crate::Config;

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
    let Action::Create(_new) = action;
    let _ = config;
    Ok(())
}
