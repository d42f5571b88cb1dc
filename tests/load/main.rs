//! `load`: how fast it is, beside what the parts that it stands on can do and beside what a program written by hand
//! does, all in one run.
//!
//! PostgreSQL with fsync, RabbitMQ with quorum queues, hubs and workers stand on this machine as processes of their
//! own ([`stand`]). A [`drive`]r submits realistic [`orders`] over HTTP. The same rows and messages, recorded from the
//! hub itself ([`specimen`]), are written by plain SQL and plain lapin (the [`floor`]), and by a few dozen lines of axum
//! behind the same gate (the [`baseline`]). A [`report`] tells every figure with its bar.
//!
//! `cargo build --release --workspace --bins && cargo run --release -p tests --bin load -- submit workflow`
//!
//! To add a scenario: a file in `scenarios/`, and its line in [`scenarios::Scenario`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program speaks to whoever runs it")]

mod baseline;
mod drive;
mod floor;
mod loader;
mod machine;
mod meter;
mod orders;
mod post;
mod report;
mod rows;
mod scenarios;
mod specimen;
mod stand;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use scenarios::{Scenario, Settings};
use tests::Programs;

/// Measures the hub, what it stands on, and what is written by hand, in one run. Good: every bar holds.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    hidden: Option<Hidden>,

    /// What to measure; all when none is named.
    scenarios: Vec<Scenario>,

    /// How often; every bar has to hold each time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// For how long each point is measured.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,

    /// For how long each point runs before.
    #[arg(long, default_value_t = 3.0)]
    warm: f64,

    /// How many there are, where a scenario wants a number: messages that wait (relay), Tasks (start, registry, claim, national, scale),
    /// orchestrations.
    #[arg(long)]
    orders: Option<u64>,

    /// Orders a second that come beside the questions (registry), or that come at all (submit, which then measures nothing
    /// else); half of what can be written when not given. Two programs are compared at the same number.
    #[arg(long)]
    beside: Option<f64>,

    /// How many connections the embedded hub is given, one number after another (submit).
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,64,256")]
    connections: Vec<usize>,

    /// How long, where a scenario runs for minutes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,

    /// What the hub keeps its registry in.
    #[arg(long, value_enum, default_value_t = Database::Postgres)]
    database: Database,

    /// What carries its messages: SQLite goes with the embedded queue, PostgreSQL with RabbitMQ.
    #[arg(long, value_enum, default_value_t = Queue::Rabbitmq)]
    queue: Queue,

    /// Of the orders.
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// Where the programs `hub` and `worker` are; beside this one when not given.
    #[arg(long)]
    programs: Option<PathBuf>,

    /// Where JSON and SVG are put.
    #[arg(long, default_value = "target/load")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Database {
    Postgres,
    Sqlite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Queue {
    Rabbitmq,
    Embedded,
}

#[derive(Debug, Subcommand)]
enum Hidden {
    #[command(hide = true)]
    BaselineServer(baseline::Arguments),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::parse();
    if let Some(Hidden::BaselineServer(arguments)) = arguments.hidden.take() {
        baseline::serve(arguments).await?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        ended = run(arguments) => ended,
        // What was started ends when it is dropped.
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| ExitCode::from(130))?),
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let is_embedded = match (arguments.database, arguments.queue) {
        (Database::Postgres, Queue::Rabbitmq) => false,
        (Database::Sqlite, Queue::Embedded) => true,
        _ => bail!("measured are PostgreSQL with RabbitMQ, and SQLite with the embedded queue"),
    };
    let settings = Settings {
        programs: Programs::at(arguments.programs)?,
        is_embedded,
        rounds: arguments.rounds,
        measured: Duration::from_secs_f64(arguments.seconds),
        warm: Duration::from_secs_f64(arguments.warm),
        orders: arguments.orders,
        beside: arguments.beside,
        connections: arguments.connections,
        minutes: Duration::from_secs_f64(arguments.minutes * 60.0),
        seed: arguments.seed,
    };
    let every = Scenario::value_variants().to_vec();
    let wanted = if arguments.scenarios.is_empty() { every } else { arguments.scenarios };
    let mut holds = true;
    for scenario in wanted {
        let report = scenario.run(&settings).await?;
        report.keep(&arguments.out)?;
        println!("{report}");
        holds &= report.holds();
    }
    say(&format!("written: {}/<scenario>.json and .svg", arguments.out.display()));
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How it goes on, for whoever waits.
fn say(line: &str) {
    eprintln!("{line}");
}
