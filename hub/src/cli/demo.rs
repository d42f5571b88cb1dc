//! `hub demo`: a hub on the embedded parts, simulated fillers, and three orders through the public REST API; or one that
//! takes months.

mod repeat_dispensing;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::net::TcpListener;

use super::client::{Client, OrderStatus};
use super::serve::{register_fillers, start_fillers};
use super::shutdown::{close, close_on_signal, signal};
use super::track::{is_over, table};
use crate::app::App;
use crate::config::{Config, Flags};

/// What is submitted: (its name, a resource or a Bundle).
const ORDERS: [(&str, &str); 3] = [
    ("referral", include_str!("../../../schemas/examples/referral.json")),
    ("laboratory order", include_str!("../../../schemas/examples/laboratory.json")),
    ("prescription", include_str!("../../../schemas/examples/prescription.json")),
];

/// How long one stage of a simulated step takes.
const PACE: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_millis(100);
/// An order that is not over by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many further ports are tried when one is busy.
const PORTS_LIMIT: u16 = 50;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// Stop when all is fulfilled; the exit code is 0 only if it was
    #[arg(long)]
    exit: bool,
    /// Show a prescription for repeat dispensing instead, with a clock that goes a day in a blink; stops at its end
    #[arg(long, conflicts_with = "database")]
    repeat_dispensing: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut flags = arguments.flags;
    let folder = TemporaryFolder::unless(flags.database.is_some())?;
    if let Some(folder) = &folder {
        flags.database = Some(format!("sqlite:{}", folder.0.join("demo.db").display()));
    }
    if flags.log_level.is_none() {
        // The story is told on standard output; the log is for when it goes wrong.
        flags.log_level = Some("warn".into());
    }
    let mut config = Config::load(&flags)?;
    register_fillers(&mut config);
    let telemetry = hub_telemetry::init(&config.telemetry("hub"))?;
    let listener = listen(config.listen).await?;
    let app = App::open_on(config, listener).await?;
    let fillers = start_fillers(&app, PACE);
    let base = app.base_url();
    say(&format!("The hub listens at {base}"));
    let story =
        async { if arguments.repeat_dispensing { repeat_dispensing::tell(&app).await } else { tell(&base).await } };
    let story = tokio::select! {
        told = story => told,
        () = signal() => Ok(false),
    };
    let fulfilled = story?;
    let code = if arguments.exit || arguments.repeat_dispensing {
        close(app).await;
        if fulfilled { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    } else {
        say("\nThe hub keeps serving, and the fillers keep working. Ctrl-C stops.");
        close_on_signal(app).await
    };
    drop(fillers);
    telemetry.shutdown().await;
    Ok(code)
}

/// The address that was configured, or the next port that is free.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let mut last = None;
    for step in 0..PORTS_LIMIT {
        let port = if address.port() == 0 { 0 } else { address.port().saturating_add(step) };
        match TcpListener::bind(SocketAddr::new(address.ip(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => return Err(error).with_context(|| format!("listen: {address}")),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("no port"), Into::into))
        .with_context(|| format!("listen: {address} and the {PORTS_LIMIT} ports after it are busy"))
}

/// Submits the orders and follows them to their end; whether all were fulfilled.
async fn tell(base: &str) -> anyhow::Result<bool> {
    let client = Client::new(base, None)?;
    let begin = Instant::now();
    let mut orders = Vec::new();
    for (name, body) in ORDERS {
        let answer = client.submit(body).await.with_context(|| format!("the {name} was refused"))?;
        orders.push((name, request_of(&answer)));
    }
    let mut display = Display::new(&orders);
    let mut statuses = Vec::new();
    loop {
        statuses.clear();
        for (_, request) in &orders {
            statuses.push(client.order_status(request).await?);
        }
        display.show(&statuses);
        if statuses.iter().all(|order| is_over(&order.status)) || begin.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    display.finish();
    let fulfilled = statuses.iter().all(|order| order.status == "completed");
    for ((name, request), order) in orders.iter().zip(&statuses) {
        say(&format!("\n{name}: {}", table(order)));
        say(&format!("  {base}/{request}\n  {base}/{request}/$order-status"));
    }
    let root = base.trim_end_matches("/fhir/R4");
    say(&format!(
        "\nAll Tasks: {base}/Task?_sort=-_lastUpdated\nWhat is offered: {base}/metadata\nFigures: {root}/metrics"
    ));
    let end = if fulfilled { "All three orders are fulfilled" } else { "NOT all orders are fulfilled" };
    say(&format!("{end}, {:.1} s after the first was submitted.", begin.elapsed().as_secs_f64()));
    Ok(fulfilled)
}

/// `Type/id` of the request in an answer: the resource itself, or the first request of a transaction's response.
fn request_of(answer: &serde_json::Value) -> String {
    if let (Some(kind), Some(id)) = (answer["resourceType"].as_str(), answer["id"].as_str()) {
        return format!("{kind}/{id}");
    }
    let locations = answer["entry"].as_array().into_iter().flatten().filter_map(|e| e["response"]["location"].as_str());
    let relative = locations.filter_map(|url| {
        let mut parts = url.rsplit('/').skip(2);
        let (id, kind) = (parts.next()?, parts.next()?);
        schemas::resource::Kind::parse(kind).filter(|kind| kind.is_request()).map(|kind| format!("{kind}/{id}"))
    });
    relative.into_iter().next().unwrap_or_default()
}

/// How each Task moves: bars on a terminal, a line for each change elsewhere.
struct Display {
    names: Vec<String>,
    bars: Option<(MultiProgress, Vec<ProgressBar>)>,
    seen: Vec<Vec<String>>,
}

impl Display {
    fn new(orders: &[(&str, String)]) -> Self {
        let names: Vec<String> = orders.iter().map(|(name, _)| (*name).to_owned()).collect();
        let bars = std::io::stdout().is_terminal().then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{prefix:>17} {bar:24} {pos}/{len} {msg}");
            let bar = |name: &String| {
                let bar = all.add(ProgressBar::new(1)).with_prefix(name.clone());
                bar.set_style(style.as_ref().map_or_else(|_| ProgressStyle::default_bar(), Clone::clone));
                bar
            };
            let bars = names.iter().map(bar).collect();
            (all, bars)
        });
        Self { seen: vec![Vec::new(); names.len()], names, bars }
    }

    fn show(&mut self, statuses: &[OrderStatus]) {
        for (n, order) in statuses.iter().enumerate() {
            if let Some((_, bars)) = &self.bars {
                bars[n].set_length(order.total.max(1));
                bars[n].set_position(order.done);
                bars[n].set_message(format!("{} {}", order.status, order.waiting_for.join("; ")));
                continue;
            }
            for task in &order.tasks {
                let id = task["id"].as_str().unwrap_or_default();
                let step = id.split_once('.').map_or("", |(_, step)| step);
                let what = task["description"].as_str().unwrap_or("the whole order");
                let business = task["businessStatus"]["text"].as_str().map(|b| format!(" ({b})")).unwrap_or_default();
                let line = format!(
                    "{:>17}  {step:<3} {what}: {}{business}",
                    self.names[n],
                    task["status"].as_str().unwrap_or_default()
                );
                if !self.seen[n].contains(&line) {
                    say(&line);
                    self.seen[n].push(line);
                }
            }
        }
    }

    fn finish(self) {
        for bar in self.bars.into_iter().flat_map(|(_, bars)| bars) {
            bar.finish();
        }
    }
}

#[expect(clippy::print_stdout, reason = "the demo speaks to the person who started it")]
fn say(text: &str) {
    println!("{text}");
}

/// Removed when the demo ends.
struct TemporaryFolder(std::path::PathBuf);

impl TemporaryFolder {
    fn unless(given: bool) -> anyhow::Result<Option<Self>> {
        if given || std::env::var_os("HUB_DATABASE").is_some() {
            return Ok(None);
        }
        let path = std::env::temp_dir().join(format!("hub-demo-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Some(Self(path)))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system, as any temporary file.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
