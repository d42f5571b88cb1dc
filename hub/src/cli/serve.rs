//! `hub serve`: the hub, until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use workers::fillers;

use super::shutdown::close_on_signal;
use crate::app::App;
use crate::config::{Config, Flags};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// Also run the simulated fillers, which do all open work
    #[arg(long, env = "HUB_FILLERS")]
    fillers: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(&arguments.flags)?;
    if arguments.fillers {
        register_fillers(&mut config);
    }
    let telemetry = hub_telemetry::init(&config.telemetry("hub"))?;
    let app = App::open(config).await?;
    let fillers = arguments.fillers.then(|| start_fillers(&app, fillers::PACE));
    let code = close_on_signal(app).await;
    drop(fillers);
    telemetry.shutdown().await;
    Ok(code)
}

/// Each simulated filler gets a queue of its own, by which it hears when work that it has begun is to be stopped.
pub(super) fn register_fillers(config: &mut Config) {
    config.performers.extend(fillers::kinds().map(performer));
}

fn performer(kind: &str) -> String {
    format!("Organization/simulated-{kind}")
}

/// The simulated fillers, in this process, on the hub's own transport. They stop when this is dropped.
pub(super) fn start_fillers(app: &App, pace: Duration) -> Fillers {
    let shutdown = workers::Shutdown::default();
    for kind in fillers::kinds() {
        let Some(filler) = fillers::simulated(kind, pace) else { continue };
        let (transport, shutdown) = (app.service.transport.clone(), shutdown.clone());
        tokio::spawn(async move {
            let options = workers::Options { performer: Some(performer(kind)), ..workers::Options::default() };
            if let Err(error) = workers::run(transport, filler, options, shutdown).await {
                tracing::error!(work = kind, cause = %error, "a simulated filler ended");
            }
        });
    }
    Fillers(shutdown)
}

pub(super) struct Fillers(workers::Shutdown);

impl Drop for Fillers {
    fn drop(&mut self) {
        self.0.drain.cancel();
        self.0.stop.cancel();
    }
}
