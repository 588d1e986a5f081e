use std::time::Duration;

use sea_orm::DbBackend;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tracing_subscriber::EnvFilter;

use super::Outcome;
use crate::{
    Config, Outside, Server, build,
    config::{Log, LogFormat},
    migrate,
};

/// A connection that somebody holds does not keep the process from its end for longer.
const PATIENCE: Duration = Duration::from_secs(5);

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
    until_told(server).await
}

/// Serves until the process is told to end, and finishes what is open; told once more, it ends at once.
pub(super) async fn until_told(server: Server) -> Outcome {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut told = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    told().await;
    tracing::info!("stopping");
    tokio::select! {
        ended = end(server) => ended,
        () = told() => {
            tracing::warn!("ending at once: what was under way is undone or taken up by the next start");
            Ok(())
        }
    }
}

/// Stops the server. An SQLite database is one file then, without a log of writes beside it, and can be copied as it is.
pub(super) async fn end(server: Server) -> Outcome {
    let store = server.world.store.clone();
    server.stop().await?;
    if store.backend == DbBackend::Sqlite {
        if let Ok(closed) = timeout(PATIENCE, store.close()).await {
            closed?;
        } else {
            tracing::warn!("a connection is still in use; the next start puts its log of writes in order");
        }
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
