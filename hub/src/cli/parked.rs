//! `hub parked`: messages that could not be handled.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use reqwest::Method;
use serde_json::Value;

use super::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The hub
    #[arg(long, env = "HUB_OPERATIONS_URL", default_value = "http://127.0.0.1:8080", global = true)]
    hub: String,
    /// Bearer token of an operator
    #[arg(long, env = "HUB_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// All of them, the oldest first
    List,
    /// One, with its body, which may be about a patient
    Show { id: i64 },
    /// Send these back to where they were
    Retry { ids: Vec<i64> },
    /// Forget these
    Drop { ids: Vec<i64> },
}

#[expect(clippy::print_stdout, reason = "what it prints is what the command is for")]
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.hub, arguments.token)?;
    match arguments.what {
        What::List => println!("{}", table(&all(&client).await?)),
        What::Show { id } => println!("{:#}", client.ask(Method::GET, &format!("parked/{id}")).await?),
        What::Retry { ids } => {
            for id in ids {
                let sent = client.ask(Method::POST, &format!("parked/{id}/retry")).await?;
                println!("{id} sent to {}", sent["sent_to"].as_str().unwrap_or_default());
            }
        }
        What::Drop { ids } => {
            for id in ids {
                client.ask(Method::DELETE, &format!("parked/{id}")).await?;
                println!("{id} dropped");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(client: &Client) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().and_then(|parked| parked["id"].as_i64()).unwrap_or_default();
        let mut page = client.ask(Method::GET, &format!("parked?after={after}")).await?;
        match page["parked"].take() {
            Value::Array(more) if !more.is_empty() => all.extend(more),
            _ => return Ok(all),
        }
    }
}

fn table(parked: &[Value]) -> String {
    if parked.is_empty() {
        return "Nothing is parked.".into();
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["id", "since", "queue", "attempts", "why"]);
    for one in parked {
        let text = |name: &str| one[name].as_str().map_or_else(|| one[name].to_string(), str::to_owned);
        table.add_row([text("id"), text("at"), text("queue"), text("attempts"), text("why")]);
    }
    table.to_string()
}
