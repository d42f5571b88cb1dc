//! A prescription for repeat dispensing lives through its issues, a day in a blink.

use std::time::{Duration, Instant};

use anyhow::Context;
use hub_domain::workflows::eps::table::State;
use hub_storage::ClockOffset;
use schemas::time::Timestamp;
use serde_json::Value;
use tokio::time::sleep;

use super::say;
use crate::app::App;
use crate::cli::client::Client;
use crate::cli::prescription::{Issue, Prescription};

const ORDER: &str = include_str!("../../../../schemas/examples/repeat-dispensing.json");
/// The day on which that is written.
const WRITTEN: &str = "2026-01-05";
const DAY: Duration = Duration::from_secs(24 * 3600);
const BLINK: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(40);
/// Three issues need a tenth of it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Sends it, lets time pass, and tells what happens; whether all issues were dispensed.
pub(super) async fn tell(app: &App) -> anyhow::Result<bool> {
    let service = app.service.clone();
    let today = service.now().date();
    let base = app.base_url();
    let client = Client::new(&base, None)?;
    let sent = client.process(&ORDER.replace(WRITTEN, &today)).await.context("the prescription was refused")?;
    say(&format!("{today}  sent: {}", sent["issue"][0]["diagnostics"].as_str().unwrap_or_default()));
    let number = number_of(ORDER)?;
    let passing = tokio::spawn(pass(service.clock_offset.clone()));
    let told = follow(&client, &number, || service.now()).await;
    passing.abort();
    let prescription = told?;
    say(&format!("\n{}", prescription.table()));
    let dispensed = prescription.issues.iter().all(|issue| issue.code == State::Dispensed.code());
    let end = if dispensed { "All issues were dispensed" } else { "NOT all issues were dispensed" };
    say(&format!("{end}. Each day lasted {} ms.", BLINK.as_millis()));
    Ok(dispensed)
}

async fn pass(clock: ClockOffset) {
    loop {
        sleep(BLINK).await;
        clock.advance(DAY);
    }
}

/// Tells of each change with its day, until all issues are over.
async fn follow(client: &Client, number: &str, now: impl Fn() -> Timestamp) -> anyhow::Result<Prescription> {
    let begin = Instant::now();
    let mut told: Vec<String> = Vec::new();
    loop {
        let order = client.order_status(number).await?;
        let prescription = Prescription::of(&order).context("the order is no prescription")?;
        told.resize(prescription.issues.len(), String::new());
        for (n, (issue, told)) in prescription.issues.iter().zip(&mut told).enumerate() {
            let line = line(n, issue);
            if *told != line {
                say(&format!("{}  {line}", now().date()));
                *told = line;
            }
        }
        let is_over = |issue: &Issue| State::parse(&issue.code).is_some_and(State::is_over);
        if prescription.issues.iter().all(is_over) || begin.elapsed() > PATIENCE {
            return Ok(prescription);
        }
        sleep(LOOK).await;
    }
}

fn line(n: usize, issue: &Issue) -> String {
    let items: Vec<String> = issue.items.iter().map(|item| format!("{}: {}", item.name, item.state)).collect();
    format!("issue {}  {:<33} {}", n + 1, issue.state, items.join("; ")).trim_end().to_owned()
}

fn number_of(order: &str) -> anyhow::Result<String> {
    let order: Value = serde_json::from_str(order)?;
    let number = order["entry"][1]["resource"]["groupIdentifier"]["value"].as_str();
    number.map(str::to_owned).context("the order has no number")
}
