//! `chaos`: kills everything, lets it settle, and counts what was lost, doubled, illegal or stuck. A good run counts
//! nothing.
//!
//! Two hubs and three workers of each kind stand on a PostgreSQL and a RabbitMQ of their own, behind wires that can be
//! slowed, cut and silenced. Clients submit, claim over REST, cancel, and repeat whatever was not answered, while a
//! schedule, made by chance from a seed, kills and parts them all ([`schedule`]). Then nothing is harmed any more, all
//! that is under way comes to its end, and a [`checker`], which shares no code with the hub, reads the clients' diary
//! and the database.
//!
//! `cargo run --release -p tests --bin chaos -- --minutes 30 --seed 7`

#![expect(clippy::print_stdout, reason = "a command line program speaks to whoever runs it")]

mod checker;
mod clients;
mod diary;
mod figures;
mod orchestrators;
mod pharmacies;
mod process;
mod referrers;
mod run;
mod schedule;
mod stage;
mod strays;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tests::Programs;

/// Kills hubs, workers, PostgreSQL and RabbitMQ under load, and proves that nothing is lost and nothing done twice.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long to harm.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,

    /// Of the schedule and of the clients; one by chance, which is printed, when none is given.
    #[arg(long)]
    seed: Option<u64>,

    /// Orders that are submitted in a second, all clients together.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,

    /// Measures this instead.
    #[arg(long)]
    figure: Option<figures::Figure>,

    /// Where the programs `hub` and `worker` are; beside this one when not given.
    #[arg(long)]
    programs: Option<PathBuf>,

    /// Breaks a promise of the hub (`outbox`, `confirm`, `receipt`, `version`), with programs that can: then a run that
    /// finds nothing wrong has failed.
    #[arg(long, value_name = "PROMISE", requires = "programs")]
    breaks: Option<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    tokio::select! {
        ended = run(Arguments::parse()) => ended,
        // What was started ends when it is dropped.
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| ExitCode::from(130))?),
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let duration = Duration::from_secs_f64(arguments.minutes * 60.0);
    let programs = Programs::at(arguments.programs)?;
    if let Some(figure) = arguments.figure {
        let passed = figure.measure(&programs, duration, arguments.rate).await?;
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let plan = run::Plan {
        duration,
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000)),
        orders_per_second: arguments.rate,
        programs,
        fault: arguments.breaks.map(|promise| format!("break:{promise}")),
    };
    let is_sabotaged = plan.fault.is_some();
    let is_clean = run::judged(plan).await?;
    Ok(if is_clean != is_sabotaged { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
