//! The program `worker`: one filler at one broker.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use tikv_jemallocator::Jemalloc;
use workers::{Limits, Options, Shutdown, fillers};

/// A work order is a tree of small allocations that several threads make and free.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Takes work orders off a queue, claims them of the hub, does them and reports.
///
/// The first Ctrl-C or SIGTERM finishes what was granted and takes no more; the second stops at once.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The broker: amqp://user:password@host:port/vhost, or amqps://...
    #[arg(long, env = "WORKER_QUEUE", hide_env_values = true)]
    queue: String,

    /// The kind of work.
    #[arg(long, env = "WORKER_FILLER", value_parser = PossibleValuesParser::new(fillers::kinds()))]
    filler: String,

    /// In whose name to claim, for example Organization/lab-1; work directed to it is done too.
    #[arg(long = "as", value_name = "REFERENCE", env = "WORKER_AS")]
    performer: Option<String>,

    /// Work orders in hand at once.
    #[arg(long, env = "WORKER_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// How often a work order that this worker can do nothing about is put off, before it is parked for a person to see.
    #[arg(long, env = "WORKER_ATTEMPTS", default_value_t = Limits::default().attempts)]
    attempts: u32,

    /// How long a stage of the simulated work takes, in ms or s. One that takes none is not told of.
    #[arg(long, env = "WORKER_PACE", default_value = "300ms", value_parser = duration)]
    pace: Duration,

    /// Which log lines to write, for example workers=debug,info. Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says.
    #[arg(long, value_name = "FILTER", env = "WORKER_LOG", default_value = "info")]
    log: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match watched(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("worker: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn watched(arguments: Arguments) -> anyhow::Result<()> {
    let filter = arguments.log.clone();
    let telemetry = hub_telemetry::init(&hub_telemetry::Options { filter, ..hub_telemetry::Options::new("worker") })?;
    let ended = work(arguments).await;
    telemetry.shutdown().await;
    ended
}

async fn work(arguments: Arguments) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let filler = fillers::simulated(&arguments.filler, arguments.pace).context("there is no such filler")?;
    let name = format!("worker {}", arguments.filler);
    let transport =
        hub_transport::open(&arguments.queue, hub_transport::Options { name, ..hub_transport::Options::worker() })
            .await?;
    say(&format!("worker: {} at work, Ctrl-C drains", arguments.filler));
    let limits = Limits { attempts: arguments.attempts, ..Limits::default() };
    let options = Options { performer: arguments.performer, concurrency: arguments.concurrency, limits };
    let ended = workers::run(transport.clone(), filler, options, shutdown).await;
    transport.close().await;
    ended
}

#[expect(clippy::print_stderr, reason = "the program's edge, where it speaks to whoever started it")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// `300ms`, `2s` or `0`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| format!("{text} is no duration such as 300ms or 2s");
    if let Some(milliseconds) = text.strip_suffix("ms") {
        milliseconds.parse().map(Duration::from_millis).map_err(wrong)
    } else {
        text.strip_suffix('s').unwrap_or(text).parse().map(Duration::from_secs).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_has_a_unit() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert!(duration("soon").is_err());
    }
}
