//! The same work over a registry that grows: what was quick with ten thousand Tasks has to be so with ten million.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, PgConnection, SqliteConnection};

use super::in_flight::{throughput, workers};
use super::registry::{Grown, Question, ask};
use super::{Settings, embedded, tidy};
use crate::drive::{Drive, Pace};
use crate::orders::Orders;
use crate::report::{Line, Point, Report};
use crate::specimen::{Specimen, Until};
use crate::stand::Stand;

/// Up to the second when no other number is asked for: the last needs some 70 GB.
const SIZES: [u64; 3] = [10_000, 1_000_000, 10_000_000];
const CONNECTIONS: usize = 64;

/// For how long orders come before it is looked how many there are.
const GROWING: Duration = Duration::from_secs(2);
const TASKS: &str = "SELECT coalesce(max(seq), 0) FROM task";
const SIZE: &str = "SELECT pg_database_size(current_database())";

/// Of one size, by what was done.
type Rates = Vec<(&'static str, f64)>;

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let stand = Stand::build(settings.programs.clone()).await?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let specimen = Specimen::record(&stand, &orders, Until::Accepted).await?;
    let mut report = Report::new("scale");
    report.notes = settings.notes(&stand, Some(&specimen))?;
    let mut grown = Grown::new(&stand, specimen).await?;
    let largest = settings.orders.unwrap_or(SIZES[1]);
    let sizes: Vec<u64> = SIZES.into_iter().filter(|size| *size < largest).chain([largest]).collect();
    let (mut before, mut first) = (0, None);
    for size in &sizes {
        grown.grow(&orders, size - before).await?;
        before = *size;
        report.notes.push(format!("{size} Tasks loaded: the database has {:.1} GB", gigabytes(&grown).await?));
        let rates = measure(settings, &stand, &grown, orders.clone(), *size, &mut report).await?;
        let least = first.get_or_insert(rates.clone());
        if size == &largest {
            for ((what, rate), (_, small)) in rates.iter().zip(least.iter()) {
                let figure = format!("{what}: {size} Tasks over {}", sizes[0]);
                report.figure(&figure, "x", rate / small, Line::at_least(0.8, 0.95));
            }
        }
    }
    Ok(report)
}

/// On SQLite, where the registry grows as it does in earnest: by orders that are submitted.
pub(super) async fn on_sqlite(settings: &Settings) -> Result<Report> {
    let stand = Stand::bare(settings.programs.clone())?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let mut report = Report::new("scale-embedded");
    report.notes = settings.notes(&stand, None)?;
    let hub = embedded::hub(&stand).await?;
    let mut registry = SqliteConnection::connect(&embedded::database(&stand)).await?;
    let mut first = None;
    for size in [SIZES[0], settings.orders.unwrap_or(SIZES[1])] {
        while sqlx::query_scalar::<_, i64>(TASKS).fetch_one(&mut registry).await? < i64::try_from(size)? {
            let growing = Drive {
                to: hub.address,
                connections: CONNECTIONS,
                pace: Pace::Closed,
                warm: Duration::ZERO,
                measured: GROWING,
            };
            growing.run(orders.clone()).await?;
        }
        let (tally, cost) = settings.drive(&hub, CONNECTIONS, Pace::Closed, orders.clone()).await?;
        report.point(Point::of(embedded::WHO, format!("{size} Tasks"), "orders", &tally, cost));
        let small = *first.get_or_insert(tally.rate());
        if size > SIZES[0] {
            let figure = format!("submit on SQLite: {size} Tasks over {}", SIZES[0]);
            report.figure(&figure, "x", tally.rate() / small, Line::at_least(0.8, 0.95));
        }
    }
    Ok(report)
}

async fn measure(
    settings: &Settings,
    stand: &Stand,
    grown: &Grown,
    orders: Arc<Orders>,
    size: u64,
    report: &mut Report,
) -> Result<Rates> {
    let load = format!("{size} Tasks");
    let mut rates = Rates::new();
    tidy(stand, &grown.database).await?;
    let (tally, cost) = settings.drive(&grown.hub, CONNECTIONS, Pace::Closed, orders.clone()).await?;
    rates.push(("submit", tally.rate()));
    report.point(Point::of("submit", load.clone(), "orders", &tally, cost));
    for question in [Question::Read, Question::Worklist] {
        rates.push((question.name(), ask(settings, grown, question, &load, report).await?));
    }
    tidy(stand, &grown.database).await?;
    let at_work = workers(stand)?;
    let point = throughput(settings, &grown.hub, &grown.database, orders).await?.point(load);
    drop(at_work);
    rates.push(("workflow", point.rate));
    report.point(point);
    Ok(rates)
}

async fn gigabytes(grown: &Grown) -> Result<f64> {
    let mut connection = PgConnection::connect(&grown.database).await?;
    let bytes: i64 = sqlx::query_scalar(SIZE).fetch_one(&mut connection).await?;
    Ok(bytes as f64 / 1e9)
}
