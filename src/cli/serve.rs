use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::Outcome;
use crate::{
    Config, Outside, build,
    config::{Log, LogFormat},
    migrate,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Bring the database to this release first
    #[arg(long)]
    migrate: bool,
}

pub(super) async fn run(args: Args, config: Config) -> Outcome {
    log(&config.log)?;
    if args.migrate {
        migrate(&config).await?;
    }
    let server = build(&config, Outside::real()).await?;
    tracing::info!(address = %server.address(), "serving");
    until_told().await?;
    tracing::info!("stopping");
    Ok(server.stop().await?)
}

/// Returns when the process is told to end.
pub(super) async fn until_told() -> std::io::Result<()> {
    let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = end.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Lines on standard error.
pub(super) fn log(settings: &Log) -> Outcome {
    let lines =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(&settings.level)?).with_writer(std::io::stderr);
    let set = match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    };
    set.map_err(|error| -> Box<dyn std::error::Error> { error })
}
