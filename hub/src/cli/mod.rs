//! The command line. One subcommand, one file.

mod client;
mod demo;
mod doctor;
mod parked;
mod plan;
mod prescription;
mod republish;
mod serve;
mod shutdown;
mod track;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A broker for healthcare orders: takes in referrals, laboratory orders and prescriptions as FHIR, gives the work to
/// those who do it over queues, and always knows where each one stands.
#[derive(Debug, Parser)]
#[command(name = "hub", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub
    Serve(serve::Arguments),
    /// Start a hub with simulated fillers, submit orders, and show how they are fulfilled
    Demo(demo::Arguments),
    /// Look at messages that could not be handled; send them again, or drop them
    Parked(parked::Arguments),
    /// Send every Task on offer once more, for a broker that lost messages; those it did not lose come twice, harmlessly
    Republish(republish::Arguments),
    /// Look at the configuration, the database and the broker of a hub, and say what to do about what is wrong
    Doctor(doctor::Arguments),
    /// Show where an order stands
    Track(track::Arguments),
    /// Check, draw or simulate a plan before it is installed
    Plan(plan::Arguments),
}

impl Cli {
    /// Runs the subcommand. An error is told to the person, and ends the process with 1.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Parked(arguments) => parked::run(arguments).await,
            Command::Republish(arguments) => republish::run(arguments).await,
            Command::Doctor(arguments) => doctor::run(arguments).await,
            Command::Track(arguments) => track::run(arguments).await,
            Command::Plan(arguments) => plan::run(arguments),
        }
    }
}
