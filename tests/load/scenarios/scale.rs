//! The same work over a registry that grows: what was quick with ten thousand Tasks has to be so with ten million.
//!
//! Hours apart, a machine is not the same. So the large registry and a small one are measured there and back, one kind of
//! work after another, each time by a small one that is new: what it has taken in would soon be more than what it began with.

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
use crate::stand::{Listening, Stand};

const SMALL: u64 = 10_000;
/// Up to the first when no other number is asked for: the last needs some 70 GB.
const SIZES: [u64; 2] = [1_000_000, 10_000_000];
const CONNECTIONS: usize = 64;

/// For how long orders come before it is looked how many there are.
const GROWING: Duration = Duration::from_secs(2);
const TASKS: &str = "SELECT coalesce(max(seq), 0) FROM task";
const SIZE: &str = "SELECT pg_database_size(current_database())";

/// What is measured over a registry.
#[derive(Debug, Clone, Copy)]
enum Work {
    Submit,
    Read,
    Worklist,
    /// Submitted, and worked on until it is completed.
    Complete,
}

impl Work {
    const ALL: [Self; 4] = [Self::Submit, Self::Read, Self::Worklist, Self::Complete];

    fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => Question::Read.name(),
            Self::Worklist => Question::Worklist.name(),
            Self::Complete => "workflow",
        }
    }
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let stand = Stand::build_large(settings.programs.clone()).await?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let specimen = Specimen::record(&stand, &orders, Until::Accepted).await?;
    let mut report = Report::new("scale");
    report.notes = settings.notes(&stand, Some(&specimen))?;
    let mut large = Grown::new(&stand, "hub", specimen.clone()).await?;
    let mut scale = Scale { settings, stand, orders, specimen, report };
    let largest = settings.orders.unwrap_or(SIZES[0]);
    let sizes: Vec<u64> = SIZES.into_iter().filter(|size| *size < largest).chain([largest]).collect();
    let mut before = 0;
    for size in sizes {
        large.grow(&scale.orders, size - before).await?;
        before = size;
        let note = format!("{size} Tasks loaded: the database has {:.1} GB", gigabytes(&large).await?);
        scale.report.notes.push(note);
        for work in Work::ALL {
            if size == largest {
                scale.compare(&mut large, size, work).await?;
            } else {
                scale.measure(&large, size, work).await?;
            }
        }
    }
    Ok(scale.report)
}

struct Scale<'s> {
    settings: &'s Settings,
    stand: Stand,
    orders: Arc<Orders>,
    specimen: Specimen,
    report: Report,
}

impl Scale<'_> {
    /// Of both registries only one has a hub at a time: reports of workers come by one queue.
    async fn compare(&mut self, large: &mut Grown, size: u64, work: Work) -> Result<()> {
        large.rest();
        let mut small = Grown::new(&self.stand, &format!("small_{}", work as usize), self.specimen.clone()).await?;
        small.grow(&self.orders, SMALL).await?;
        let there = self.measure(&small, SMALL, work).await?;
        small.rest();
        large.wake(&self.stand).await?;
        let over = self.measure(large, size, work).await? + self.measure(large, size, work).await?;
        large.rest();
        small.wake(&self.stand).await?;
        let back = self.measure(&small, SMALL, work).await?;
        let figure = format!("{}: {size} Tasks over {SMALL}", work.name());
        self.report.figure(&figure, "x", over / (there + back), Line::at_least(0.8, 0.95));
        Ok(())
    }

    /// How often in a second.
    async fn measure(&mut self, grown: &Grown, size: u64, work: Work) -> Result<f64> {
        let Self { settings, stand, orders, report, .. } = self;
        let load = format!("{size} Tasks");
        tidy(stand, &grown.database).await?;
        let point = match work {
            Work::Submit => {
                let (tally, cost) = settings.drive(grown.hub()?, CONNECTIONS, Pace::Closed, orders.clone()).await?;
                Point::of(work.name(), load, "orders", &tally, cost)
            }
            Work::Read => return ask(settings, grown, Question::Read, &load, report).await,
            Work::Worklist => return ask(settings, grown, Question::Worklist, &load, report).await,
            Work::Complete => {
                let _at_work = workers(stand)?;
                throughput(settings, grown.hub()?, &grown.database, orders.clone()).await?.point(load)
            }
        };
        let rate = point.rate;
        report.point(point);
        Ok(rate)
    }
}

/// On SQLite, where the registry grows as it does in earnest: by orders that are submitted.
pub(super) async fn on_sqlite(settings: &Settings) -> Result<Report> {
    let stand = Stand::bare(settings.programs.clone())?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let mut report = Report::new("scale-embedded");
    report.notes = settings.notes(&stand, None)?;
    let size = settings.orders.unwrap_or(SIZES[0]);
    let large = filled(&stand, "large", size, &orders).await?;
    let small = filled(&stand, "small", SMALL, &orders).await?;
    let mut rates = Vec::new();
    for (hub, size) in [(&small, SMALL), (&large, size), (&large, size), (&small, SMALL)] {
        let (tally, cost) = settings.drive(hub, CONNECTIONS, Pace::Closed, orders.clone()).await?;
        report.point(Point::of(embedded::WHO, format!("{size} Tasks"), "orders", &tally, cost));
        rates.push(tally.rate());
    }
    let figure = format!("submit on SQLite: {size} Tasks over {SMALL}");
    let over = (rates[1] + rates[2]) / (rates[0] + rates[3]);
    report.figure(&figure, "x", over, Line::at_least(0.8, 0.95));
    Ok(report)
}

/// A hub over a file of its own with so many Tasks.
async fn filled(stand: &Stand, name: &str, tasks: u64, orders: &Arc<Orders>) -> Result<Listening> {
    let database = stand.file(name);
    let hub = stand.hub(name, &database, "embedded").await?;
    let mut registry = SqliteConnection::connect(&database).await?;
    while sqlx::query_scalar::<_, i64>(TASKS).fetch_one(&mut registry).await? < i64::try_from(tasks)? {
        let (to, warm, measured) = (hub.address, Duration::ZERO, GROWING);
        let growing = Drive { to, connections: CONNECTIONS, pace: Pace::Closed, warm, measured };
        growing.run(orders.clone()).await?;
    }
    Ok(hub)
}

async fn gigabytes(grown: &Grown) -> Result<f64> {
    let mut connection = PgConnection::connect(&grown.database).await?;
    let bytes: i64 = sqlx::query_scalar(SIZE).fetch_one(&mut connection).await?;
    Ok(bytes as f64 / 1e9)
}
