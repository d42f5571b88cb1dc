//! A long run at half load: memory, file handles, and those tables that hold what is under way stay as they are. The
//! registry itself grows, since it is the record of what was done.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};
use tests::{Across, Line, Panel, Programs, plot};
use tokio::time::{Instant, sleep, sleep_until};

use super::load::Load;
use super::passes;
use crate::stage::Stage;

const SAMPLES: u32 = 240;
/// How much more the last quarter may have than the second, the first being the time in which all fills up.
const GROWTH: f64 = 1.15;
/// Answers for repeats are kept for this share of the run.
const KEPT: f64 = 0.15;

const TABLES: &str = "SELECT relname::text, pg_total_relation_size(relid)::float8, n_dead_tup::float8
      FROM pg_stat_user_tables WHERE relname IN ('outbox', 'timer', 'receipt', 'head', 'task') ORDER BY relname";

/// One look at everything.
struct Sample {
    seconds: f64,
    values: Vec<f64>,
}

/// What is looked at: its name, its unit, and how much more of it is no growth; none for what is only shown.
const SEEN: [(&str, &str, Option<f64>); 11] = [
    ("memory of the hubs", "MB", Some(8.0)),
    ("memory of the workers", "MB", Some(16.0)),
    ("handles of the hubs", "files", Some(4.0)),
    ("handles of the workers", "files", Some(8.0)),
    ("size of outbox", "MB", Some(8.0)),
    ("size of timer", "MB", Some(8.0)),
    ("size of receipt", "MB", Some(8.0)),
    ("messages in the outbox", "rows", Some(500.0)),
    ("dead rows of head", "rows", None),
    ("dead rows of task", "rows", None),
    ("orders accepted", "orders/s", None),
];

pub(super) async fn measure(programs: &Programs, duration: Duration, rate: f64) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("hub-figure-").tempdir()?;
    let kept = format!("receipts_kept={}s", (duration.as_secs_f64() * KEPT).ceil());
    let stage = Stage::set(programs, None, folder.path(), &["--set", &kept]).await?;
    stage.is_ready().await;
    let load = Load::open(&stage.clients, rate);
    let begun = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut connection = PgConnection::connect(&stage.database).await?;
    for n in 1..=SAMPLES {
        sleep_until(begun + duration * n / SAMPLES).await;
        let before = samples.last().map_or(0.0, |sample| sample.seconds);
        let seconds = begun.elapsed().as_secs_f64();
        let (from, until) = (begun + Duration::from_secs_f64(before), begun + Duration::from_secs_f64(seconds));
        let mut values = look(&stage, &mut connection).await?;
        values.push(load.rate(from, until));
        samples.push(Sample { seconds, values });
        if n % (SAMPLES / 12) == 0 {
            println!("{seconds:6.0} s: {} orders, {} refused", load.accepted(), load.refused());
        }
    }
    let refused = load.refused();
    drop(load);
    let waits = drains(&mut connection).await?;
    let mut passed = passes("orders refused", refused as f64, "orders", refused == 0, "none");
    passed &= passes("left in the outbox", waits, "messages", waits == 0.0, "none");
    for (n, (what, unit, slack)) in SEEN.iter().enumerate() {
        let mean = |quarter: usize| {
            let part = &samples[samples.len() * (quarter - 1) / 4..samples.len() * quarter / 4];
            part.iter().map(|sample| sample.values[n]).sum::<f64>() / part.len() as f64
        };
        let (second, last) = (mean(2), mean(4));
        match slack {
            Some(slack) => {
                let line = second * GROWTH + slack;
                let line_text = format!("second quarter {second:.1}, so <= {line:.1}");
                passed &= passes(&format!("{what}, last quarter"), last, unit, last <= line, &line_text);
            }
            None => println!("     {what}: {second:.1} {unit} in the second quarter, {last:.1} in the last"),
        }
    }
    keep(&samples)?;
    Ok(passed)
}

async fn look(stage: &Stage, connection: &mut PgConnection) -> Result<Vec<f64>> {
    let tables = sqlx::query_as::<_, (String, f64, f64)>(TABLES).fetch_all(&mut *connection).await?;
    let of = |name: &str| tables.iter().find(|(table, ..)| table == name).map_or((0.0, 0.0), |row| (row.1, row.2));
    let outbox: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(connection).await?;
    let (hubs, workers) = stage.processes();
    Ok(vec![
        sum(&hubs, memory_mb),
        sum(&workers, memory_mb),
        sum(&hubs, handles),
        sum(&workers, handles),
        of("outbox").0 / 1e6,
        of("timer").0 / 1e6,
        of("receipt").0 / 1e6,
        outbox as f64,
        of("head").1,
        of("task").1,
    ])
}

fn sum(processes: &[u32], of: fn(u32) -> Option<f64>) -> f64 {
    processes.iter().filter_map(|id| of(*id)).sum()
}

fn memory_mb(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kb| kb / 1000.0)
}

fn handles(process: u32) -> Option<f64> {
    Some(fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as f64)
}

/// How many messages wait when there was time for all.
async fn drains(connection: &mut PgConnection) -> Result<f64> {
    let mut waits = 0;
    for _ in 0..60 {
        waits = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM outbox").fetch_one(&mut *connection).await?;
        if waits == 0 {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    Ok(waits as f64)
}

/// Beside each other in the folder of the build: `soak.csv` and `soak.svg`.
fn keep(samples: &[Sample]) -> Result<()> {
    let folder = Path::new("target/chaos");
    fs::create_dir_all(folder)?;
    let head: Vec<&str> = SEEN.iter().map(|(what, ..)| *what).collect();
    let rows = samples.iter().map(|sample| {
        let values = sample.values.iter().map(|value| format!("{value:.2}"));
        [format!("{:.1}", sample.seconds)].into_iter().chain(values).collect::<Vec<_>>().join(",")
    });
    let csv = [format!("seconds,{}", head.join(","))].into_iter().chain(rows).collect::<Vec<_>>().join("\n");
    fs::write(folder.join("soak.csv"), csv + "\n")?;
    let panels: Vec<Panel> = SEEN
        .iter()
        .enumerate()
        .map(|(n, (what, unit, _))| {
            let points = samples.iter().map(|sample| (sample.seconds / 60.0, sample.values[n])).collect();
            Panel { title: format!("{what} ({unit})"), lines: vec![Line { name: String::new(), points }] }
        })
        .collect();
    fs::write(folder.join("soak.svg"), plot(&panels, &Across::Even("minutes")))
        .context("the plot cannot be written")?;
    println!("written: {0}/soak.csv, {0}/soak.svg", folder.display());
    Ok(())
}
