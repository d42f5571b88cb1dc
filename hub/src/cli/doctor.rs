//! `hub doctor`: what is wrong with a hub's configuration, its database and its broker, and what to do about it.
//!
//! It reads what `serve` reads, looks at the database and the broker itself, and changes nothing. What is down does not
//! keep it from looking at the rest.

mod broker;
mod database;
mod finding;

use std::process::ExitCode;
use std::time::Duration;

use hub_domain::decide::Policy;
use hub_domain::registry::Figures;
use hub_transport::Place;
use serde_json::json;

use self::finding::{Finding, Health};
use crate::app;
use crate::auth::Authenticator;
use crate::config::{Config, ConfigError, Flags};

/// How long one part may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// For machines: all findings as JSON
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "the findings are what the command is for")]
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let findings = examine(&arguments.flags).await;
    let worst = findings.iter().map(|finding| finding.health).max().unwrap_or(Health::Ok);
    if arguments.json {
        println!(
            "{:#}",
            json!({ "health": worst.word(), "findings": findings.iter().map(Finding::json).collect::<Vec<_>>() })
        );
    } else {
        println!("{}", finding::lines(&findings));
    }
    Ok(if worst == Health::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(flags: &Flags) -> Vec<Finding> {
    let config = match Config::load(flags) {
        Ok(config) => config,
        Err(error) => return faults(error),
    };
    hub_telemetry::install_tls_provider();
    let (mut findings, policy) = configuration(&config).await;
    let seen = tokio::time::timeout(PATIENCE, database::look(&config)).await;
    let (of_database, figures) = seen.unwrap_or_else(|_| (vec![late("database")], None));
    findings.extend(of_database);
    let places = places(&config, policy.as_ref(), figures.as_ref());
    let seen = tokio::time::timeout(PATIENCE, broker::look(&config, &places)).await;
    findings.extend(seen.unwrap_or_else(|_| vec![late("broker")]));
    findings
}

/// Each one that `serve` would refuse to start with.
fn faults(error: ConfigError) -> Vec<Finding> {
    let ConfigError::Faults(faults) = error else {
        return vec![Finding::failed(
            "configuration",
            error,
            "name a file that is there and is TOML (--config, HUB_CONFIG)",
        )];
    };
    let tell = |fault: crate::config::Fault| {
        let what = format!("{} ({}): {}", fault.field, fault.source, fault.text);
        Finding::failed("configuration", what, format!("allowed: {}", fault.allowed))
    };
    faults.into_iter().map(tell).collect()
}

/// The settings are legal: whether what they name can be used.
async fn configuration(config: &Config) -> (Vec<Finding>, Option<Policy>) {
    let mut findings = Vec::new();
    let policy = app::policy(config);
    if let Err(why) = &policy {
        findings.push(Finding::failed(
            "configuration",
            format!("{why:#}"),
            "mend the plan, or the folder that plans names",
        ));
    }
    match tokio::time::timeout(PATIENCE, Authenticator::open(config)).await {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => findings.push(Finding::failed("configuration", format!("{why:#}"), "mend auth.jwks")),
        Err(_) => findings.push(late("configuration")),
    }
    if findings.is_empty() {
        findings.push(Finding::ok("configuration", "no fault"));
    }
    (findings, policy.ok())
}

/// Where work should wait: for the plans there are, and for open work of plans that are gone.
fn places(config: &Config, policy: Option<&Policy>, figures: Option<&Figures>) -> Vec<Place> {
    let mut places = policy.and_then(|policy| app::places(config, policy).ok()).unwrap_or_default();
    places.extend(figures.map(app::places_of_open_work).unwrap_or_default());
    places.sort();
    places.dedup();
    places
}

fn late(what: &str) -> Finding {
    let text = format!("no answer within {} s", PATIENCE.as_secs());
    Finding::failed(what, text, "see whether it is overloaded, or whether something between swallows what is sent")
}
