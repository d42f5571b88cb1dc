//! From the start of the program to its first answer, and what it needs when there is much already.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Settings;
use crate::loader::Loader;
use crate::orders::{Order, Orders};
use crate::report::{Line, Report};
use crate::specimen::{Specimen, Until};
use crate::stand::{Listening, Stand};

/// Of each round, on a new file each.
const STARTS: u32 = 5;
const TASKS: u64 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_secs(10);

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let stand = Stand::build(settings.programs.clone()).await?;
    let orders = Orders::new(settings.seed)?;
    let specimen = Specimen::record(&stand, &orders, Until::Submitted).await?;
    let mut report = Report::new("start");
    report.notes = settings.notes(&stand, Some(&specimen))?;
    for round in 1..=settings.rounds {
        let mut slowest = 0.0_f64;
        for start in 0..STARTS {
            let database = stand.file(&format!("start-{round}-{start}"));
            let hub = stand.hub_soon("start", &database, "embedded")?;
            slowest = slowest.max(first_201(&hub, &orders.next()).await?.as_secs_f64());
        }
        let what = format!("start to first 201 on SQLite, the slowest of {STARTS}");
        report.figure(&what, "s", slowest, Line::at_most(0.5, 0.3));
    }
    let database = stand.database("hub").await?;
    let hub = stand.hub("hub", &database, &stand.queue()).await?;
    let tasks = settings.orders.unwrap_or(TASKS);
    Loader::new(specimen).load(&hub, &orders, &database, tasks).await?;
    drop(hub);
    let hub = stand.hub_soon("hub", &database, &stand.queue())?;
    let started = hub.started;
    let hub = hub.ready().await?;
    report.figure(&format!("start to ready with {tasks} open Tasks"), "s", started.elapsed().as_secs_f64(), None);
    sleep(IDLE).await;
    let line = Line::at_most(80.0, 40.0);
    report.figure(&format!("memory of the hub, idle, with {tasks} open Tasks"), "MB", hub.memory_mb()?, line);
    Ok(report)
}

/// Asks as soon as there is somebody to ask.
async fn first_201(hub: &Listening, order: &Order) -> Result<Duration> {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Ok(status) = submit(hub.address, order).await {
            ensure!(status == "201", "the first order was answered {status}");
            return Ok(hub.started.elapsed());
        }
        ensure!(Instant::now() < limit, "nobody answers");
        sleep(LOOK_EVERY).await;
    }
}

/// The status of the answer.
async fn submit(address: SocketAddr, order: &Order) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "POST /fhir/R4/{} HTTP/1.1\r\nhost: load.invalid\r\ncontent-type: application/fhir+json\r\n\
         content-length: {}\r\n\r\n",
        order.kind,
        order.body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&order.body).await?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    let status = std::str::from_utf8(&line)?.split(' ').nth(1).context("no status")?;
    Ok(status.to_owned())
}
