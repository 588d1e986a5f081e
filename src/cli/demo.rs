//! `ripen demo`: an embedded database, real data, the shipped plugin, and then the API.

use super::{Outcome, serve};
use crate::{
    Config, Outside, build,
    config::LogFormat,
    demo::{self, ADMIN, TENANT},
    migrate,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Password of the demo's admin; without it one is made up and printed once
    #[arg(long, value_name = "TEXT", env = "RIPEN_DEMO_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// End after the figures, without serving
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(args: Args, mut config: Config) -> Outcome {
    config.log.format = LogFormat::Text;
    "warn".clone_into(&mut config.log.level);
    serve::log(&config.log)?;
    if args.once {
        config.server.listen.set_port(0);
    }
    migrate(&config).await?;
    let server = build(&config, Outside::real()).await?;
    println!("Ripen demo in {}", config.dir.display());
    let (_, password) = demo::run(&server.world, args.password).await?;
    if args.once {
        return serve::end(server).await;
    }
    invite(&format!("http://{}", server.address()), password.as_deref());
    serve::until_told(server).await
}

/// Where to look, how to get in, and three lines to try.
fn invite(address: &str, password: Option<&str>) {
    let shown = password.unwrap_or("YOUR PASSWORD");
    println!("\nServing on {address}; the API's own pages: {address}/docs   (Ctrl-C ends)");
    println!("Log in: tenant {TENANT}, e-mail {ADMIN}, password {shown}\n");
    for line in lines(address, shown) {
        println!("{line}\n");
    }
}

/// Log in, read one explained score, pause the plugin.
pub(crate) fn lines(address: &str, password: &str) -> [String; 3] {
    let login = format!(r#"{{"tenant":"{TENANT}","email":"{ADMIN}","password":"{password}"}}"#);
    [
        format!(
            "TOKEN=$(curl -s {address}/v1/auth/login -H 'Content-Type: application/json' -d '{login}' | \
             sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        format!(
            "curl -s -G {address}/v1/scores -H \"Authorization: Bearer $TOKEN\" -d limit=1 -d expand=subject \
             --data-urlencode 'filter=installation.key = \"rfm-accounts\"' -d sort=-value"
        ),
        format!("curl -s -X POST {address}/v1/installations/rfm-accounts/pause -H \"Authorization: Bearer $TOKEN\""),
    ]
}
