//! PostgreSQL is restarted, ends every connection in a stream, and has no connection left. Each time the rate is back
//! soon after it takes connections again.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, PgConnection};
use tests::Programs;
use tokio::time::{Instant, sleep};

use super::load::Load;
use super::passes;
use crate::stage::Stage;

const NORMAL: Duration = Duration::from_secs(20);
/// A rate is taken over this.
const WINDOW: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const WATCHED: Duration = Duration::from_secs(20);
const EXHAUSTED: Duration = Duration::from_secs(5);

pub(super) async fn measure(programs: &Programs) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("hub-figure-").tempdir()?;
    let stage = Stage::set_without_workers(programs, None, folder.path(), &[]).await?;
    stage.is_ready().await;
    let load = Load::closed(&stage.clients);
    sleep(Duration::from_secs(5)).await;
    let mut passed = true;

    let normal = normal(&load).await;
    stage.kill_database(Duration::from_secs(2)).await?;
    passed &= is_back("after a kill and a restart", &load, normal).await;

    let normal = self::normal(&load).await;
    stage.terminate_backends().await?;
    passed &= is_back("after every connection was ended five times in a second", &load, normal).await;

    let normal = self::normal(&load).await;
    exhaust(&stage).await?;
    passed &= is_back("after no connection was left", &load, normal).await;
    Ok(passed)
}

async fn normal(load: &Load) -> f64 {
    let rate = load.rate_of(NORMAL).await;
    println!("normal: {rate:.0} orders/s accepted with 32 clients");
    rate
}

/// From now on: how long it takes until a window has 95 % of the normal rate.
async fn is_back(when: &str, load: &Load, normal: f64) -> bool {
    let begun = Instant::now();
    sleep(WATCHED).await;
    let second = Duration::from_secs(1);
    let rates = (0..WATCHED.as_secs() as u32).map(|n| load.rate(begun + second * n, begun + second * (n + 1)));
    let rates: Vec<String> = rates.map(|rate| format!("{rate:.0}")).collect();
    println!("orders in each second after that: {}", rates.join(" "));
    let starts = (0..).map(|n| begun + LOOK_EVERY * n).take_while(|start| *start + WINDOW < begun + WATCHED);
    let first = starts.map(|start| (start, load.rate(start, start + WINDOW))).find(|(_, rate)| *rate >= 0.95 * normal);
    let seconds = first.map_or(f64::INFINITY, |(start, _)| start.duration_since(begun).as_secs_f64());
    passes(&format!("95 % of the rate {when}"), seconds, "s after it takes connections", seconds <= 5.0, "<= 5 s")
}

/// Ends the hubs' connections and takes every one that there is, for a while.
async fn exhaust(stage: &Stage) -> Result<()> {
    let until = Instant::now() + EXHAUSTED;
    let mut held = Vec::new();
    let mut last = PgConnection::connect(&stage.database).await?;
    while Instant::now() < until {
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'exhaust'";
        sqlx::query(ended).execute(&mut last).await?;
        let url = format!("{}?application_name=exhaust", stage.database);
        while let Ok(connection) = PgConnection::connect(&url).await {
            held.push(connection);
        }
        sleep(Duration::from_millis(100)).await;
    }
    println!("{} connections were held for {} s", held.len(), EXHAUSTED.as_secs());
    Ok(())
}
