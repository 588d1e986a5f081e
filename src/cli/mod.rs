//! The command line: one subcommand a file.

mod demo;
mod doctor;
mod migrate;
mod openapi;
mod plugin;
mod serve;
mod tenant;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::Config;

/// The hidden subcommand that compiles a plugin from standard input to standard output.
pub(crate) const COMPILE: [&str; 2] = ["plugin", "compile-child"];

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Ripen: a headless CRM core with explainable plugins.
#[derive(Parser)]
#[command(name = "ripen", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Common {
    /// Settings in TOML; `RIPEN__SECTION__KEY` in the environment and flags win over it
    #[arg(long, global = true, value_name = "FILE", env = "RIPEN_CONFIG")]
    config: Option<PathBuf>,
    /// Where the embedded database and compiled plugins are kept [default: ripen-data]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// `sqlite://path` or `postgres://user:password@host/database`
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Address to serve on [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

#[derive(Subcommand)]
enum Command {
    /// Do the main job on real data in an embedded database, then serve
    Demo(demo::Args),
    /// Serve the API
    Serve(serve::Args),
    /// Bring the database to this release
    Migrate,
    /// Manage tenants
    #[command(subcommand)]
    Tenant(tenant::Action),
    /// Print the API description
    Openapi,
    /// Check database, migrations, clock and limits
    Doctor,
    /// Build, inspect, test and run plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
}

/// The whole program.
pub fn main() -> ExitCode {
    start(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("ripen: {}", ripen_api::chain(&*error));
        ExitCode::FAILURE
    })
}

fn start(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Command::Plugin(command) = cli.command {
        return plugin::run(command); // needs no server, and may be a process with little memory
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err("another TLS library is in place".into());
    }
    run(cli.command, cli.common.settings()?).map(|()| ExitCode::SUCCESS)
}

#[tokio::main]
async fn run(command: Command, config: Config) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(args, config).await,
        Command::Serve(args) => serve::run(args, config).await,
        Command::Migrate => migrate::run(&config).await,
        Command::Tenant(action) => tenant::run(action, &config).await,
        Command::Openapi => openapi::run(),
        Command::Doctor => doctor::run(&config).await,
        Command::Plugin(command) => plugin::run(command).map(drop),
    }
}

impl Common {
    fn settings(&self) -> Result<Config, crate::config::ConfigError> {
        let mut config = Config::load(self.config.clone())?;
        if let Some(dir) = &self.dir {
            config.dir.clone_from(dir);
        }
        if let Some(url) = &self.database {
            config.database.url = Some(url.clone());
        }
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        Ok(config)
    }
}
