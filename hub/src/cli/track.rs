//! `hub track`: where an order stands, as a table or as JSON; a prescription as a pharmacist thinks of it.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::client::{Client, OrderStatus};
use super::prescription::Prescription;

/// How often `--watch` looks.
const WATCH: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Type/id, an id, or an identifier: value or system|value
    name: String,
    /// The hub's FHIR base
    #[arg(long, env = "HUB_URL", default_value = "http://127.0.0.1:8080/fhir/R4")]
    hub: String,
    /// Bearer token
    #[arg(long, env = "HUB_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Look again every second, until it has ended
    #[arg(long)]
    watch: bool,
    /// The answer of $order-status as it is
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.hub, arguments.token)?;
    let mut last = String::new();
    loop {
        let order = client.order_status(&arguments.name).await?;
        let prescription = || Prescription::of(&order).map(|prescription| prescription.table());
        let text = if arguments.json { order.raw.to_string() } else { prescription().unwrap_or_else(|| table(&order)) };
        if text != last {
            println!("{text}");
            last = text;
        }
        if !arguments.watch || is_over(&order.status) {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(WATCH).await;
    }
}

pub(super) fn is_over(status: &str) -> bool {
    schemas::task::TaskStatus::parse(status).is_none_or(schemas::task::TaskStatus::is_terminal)
}

/// The overall status, and a row for each Task.
pub(super) fn table(order: &OrderStatus) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["Task", "what", "status", "business status", "owner", "since"]);
    for (n, task) in order.tasks.iter().enumerate() {
        let branch = match n {
            0 => "",
            n if n + 1 == order.tasks.len() => "└ ",
            _ => "├ ",
        };
        let id = task["id"].as_str().unwrap_or_default();
        // All share the order's id: behind the first dot stands the step.
        let short = if n == 0 { id } else { id.split_once('.').map_or(id, |(_, step)| step) };
        table.add_row([
            format!("{branch}{short}"),
            what(task),
            text(&task["status"]),
            business(task),
            text(&task["owner"]["reference"]),
            text(&task["lastModified"]),
        ]);
    }
    let waiting = if order.waiting_for.is_empty() {
        String::new()
    } else {
        format!("\nwaiting for: {}", order.waiting_for.join("; "))
    };
    format!("{} ({} of {} done)\n{table}{waiting}", order.status, order.done, order.total)
}

/// In words; of a coded status its display.
fn business(task: &Value) -> String {
    let status = &task["businessStatus"];
    let named = [&status["text"], &status["coding"][0]["display"], &status["coding"][0]["code"]];
    named.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned()
}

fn what(task: &Value) -> String {
    let code = &task["code"];
    let named = [&task["description"], &code["text"], &code["coding"][0]["code"]];
    named.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
