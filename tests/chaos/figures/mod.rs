//! Scenarios with a figure and a line that it has to pass. They measure, so they stand here and not among the tests:
//! `cargo run --release -p tests --bin chaos -- --figure broker-away`.

mod broker_away;
mod database_back;
mod load;
mod soak;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use tests::Programs;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// The broker is gone for a minute: orders are accepted all the same, and then the backlog drains
    BrokerAway,
    /// PostgreSQL is restarted, ends every connection, has none left: the rate comes back
    DatabaseBack,
    /// Half load for as long as is said: memory, file handles and tables stay flat
    Soak,
}

impl Figure {
    /// Measures, prints, and tells whether every line was passed.
    pub(crate) async fn measure(self, programs: &Programs, duration: Duration, rate: f64) -> Result<bool> {
        match self {
            Self::BrokerAway => broker_away::measure(programs).await,
            Self::DatabaseBack => database_back::measure(programs).await,
            Self::Soak => soak::measure(programs, duration, rate).await,
        }
    }
}

/// Prints a figure beside its line.
fn passes(what: &str, figure: f64, unit: &str, is_good: bool, line: &str) -> bool {
    println!("{} {what}: {figure:.2} {unit} (line: {line})", if is_good { "pass" } else { "FAIL" });
    is_good
}
