//! `hub republish`: every Task on offer is told to the broker once more.

use std::process::ExitCode;

use reqwest::Method;

use super::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The hub
    #[arg(long, env = "HUB_OPERATIONS_URL", default_value = "http://127.0.0.1:8080")]
    hub: String,
    /// Bearer token of an operator
    #[arg(long, env = "HUB_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[expect(clippy::print_stdout, reason = "how many there are is what the command tells")]
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.hub, arguments.token)?;
    let put = client.ask(Method::POST, "republish").await?;
    println!("{} Tasks on offer are sent once more", put["tasks"]);
    Ok(ExitCode::SUCCESS)
}
