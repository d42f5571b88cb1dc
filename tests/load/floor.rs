//! The floor: what PostgreSQL and RabbitMQ can do with the rows and messages of such orders when nobody asks anything
//! of them: statements of many rows, many orders to a transaction, a full window of confirms, nothing decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use sqlx::{ConnectOptions, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::meter::{Cost, Reading};
use crate::post::{Publisher, Queues};
use crate::report::Point;
use crate::rows::{self, Rows};
use crate::specimen::{Copies, Letter, Specimen};

/// As many connections as the hub has lanes.
const LANES: usize = 2;
const WINDOW: usize = 1000;
/// Orders of one transaction; the best is found out.
const GROUPS: [usize; 3] = [32, 128, 512];
const TRIAL: Duration = Duration::from_secs(2);

pub(crate) struct Floor {
    rows: Rows,
    queues: Queues,
    database: String,
    copies: Copies,
    /// Messages are consumed as well.
    consumes: bool,
    /// Orders of one transaction.
    pub(crate) group: usize,
}

/// What it came to.
pub(crate) struct Found {
    measured: Duration,
    /// Orders whose rows and messages are safe; or messages, where there are no rows.
    pub(crate) done: u64,
    pub(crate) cost: Cost,
}

impl Found {
    /// In a second.
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.measured.as_secs_f64()
    }

    pub(crate) fn point(&self, round: u32, unit: &'static str) -> Point {
        Point::new("floor", format!("round {round}, {LANES} connections"), unit, self.rate(), self.cost.each(self.done))
    }

    /// Both times together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { measured: self.measured + other.measured, done: self.done + other.done, cost: self.cost.and(other.cost) }
    }
}

#[derive(Default)]
struct Counts {
    orders: AtomicU64,
    letters: Arc<AtomicU64>,
}

impl Floor {
    /// Finds out how many orders go best into one transaction.
    pub(crate) async fn lay(specimen: Specimen, database: String, queue: &str, consumes: bool) -> Result<Arc<Self>> {
        let queues = Queues::declare(queue, &letters(&specimen)).await?;
        let mut floor =
            Self { rows: Rows::new(specimen), queues, database, copies: Copies::new(1, false), consumes, group: 0 };
        let (mut best, mut highest) = (GROUPS[0], 0.0);
        for group in GROUPS {
            floor.group = group;
            let trial = Arc::new(floor);
            let rate = trial.clone().measure(Duration::from_millis(500), TRIAL).await?.rate();
            (best, highest) = if rate > highest { (group, rate) } else { (best, highest) };
            floor = Arc::into_inner(trial).unwrap_or_else(|| unreachable!("the trial is over"));
        }
        floor.group = best;
        Ok(Arc::new(floor))
    }

    pub(crate) async fn measure(self: Arc<Self>, warm: Duration, measured: Duration) -> Result<Found> {
        let counts = Arc::new(Counts::default());
        let consumers = if self.consumes { self.queues.consume(counts.letters.clone()).await? } else { JoinSet::new() };
        let begin = Instant::now() + warm;
        let end = begin + measured;
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            lanes.spawn(self.clone().lane(counts.clone(), end));
        }
        let (before, orders_before) = at(begin, &counts).await?;
        let letters_before = counts.letters.load(Ordering::Relaxed);
        let (after, orders_after) = at(end, &counts).await?;
        let letters = counts.letters.load(Ordering::Relaxed) - letters_before;
        while let Some(ended) = lanes.join_next().await {
            ended??;
        }
        drop(consumers);
        self.queues.purge().await?;
        let written = orders_after - orders_before;
        let consumed = (letters as f64 / self.letters_each()) as u64;
        let done = if self.consumes { written.min(consumed) } else { written };
        Ok(Found { measured, done, cost: after.since(&before) })
    }

    fn letters_each(&self) -> f64 {
        let orders = &self.queues.envelopes;
        orders.iter().map(Vec::len).sum::<usize>() as f64 / orders.len() as f64
    }

    async fn lane(self: Arc<Self>, counts: Arc<Counts>, end: Instant) -> Result<()> {
        let mut connection = rows::options(&self.database)?.connect().await?;
        let mut publisher = self.queues.publisher(WINDOW).await?;
        while Instant::now() < end {
            self.group(&mut connection, &mut publisher).await?;
            counts.orders.fetch_add(self.group as u64, Ordering::Relaxed);
        }
        publisher.confirmed(0).await
    }

    /// Its rows and its messages at the same time.
    async fn group(&self, connection: &mut PgConnection, publisher: &mut Publisher) -> Result<()> {
        let group = self.rows.group(&self.copies, self.group);
        let publish = async {
            for envelope in group.iter().flat_map(|(n, _)| &self.queues.envelopes[*n]) {
                publisher.publish(envelope).await?;
            }
            Ok(())
        };
        tokio::try_join!(self.rows.write(connection, &group), publish)?;
        Ok(())
    }
}

/// The floor of messages alone, on queues of its own.
pub(crate) struct Posts {
    specimen: Specimen,
    queue: String,
}

impl Posts {
    pub(crate) async fn lay(specimen: Specimen, queue: String) -> Result<Self> {
        Queues::declare(&queue, &letters(&specimen)).await?;
        Ok(Self { specimen, queue })
    }

    /// So many messages, until the last is confirmed, by connections of their own: the broker may have been away.
    pub(crate) async fn measure(&self, messages: u64) -> Result<Found> {
        let queues = Arc::new(Queues::declare(&self.queue, &letters(&self.specimen)).await?);
        let share = messages as usize / LANES;
        let (begun, before) = (Instant::now(), Reading::take()?);
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            lanes.spawn(publish(queues.clone(), share));
        }
        while let Some(ended) = lanes.join_next().await {
            ended??;
        }
        let (measured, after) = (begun.elapsed(), Reading::take()?);
        queues.purge().await?;
        Ok(Found { measured, done: (share * LANES) as u64, cost: after.since(&before) })
    }
}

async fn publish(queues: Arc<Queues>, messages: usize) -> Result<()> {
    let mut publisher = queues.publisher(WINDOW).await?;
    for envelope in queues.envelopes.iter().flatten().cycle().take(messages) {
        publisher.publish(envelope).await?;
    }
    publisher.confirmed(0).await
}

/// Of each order.
fn letters(specimen: &Specimen) -> Vec<Vec<Letter>> {
    specimen.orders.iter().map(|trace| trace.letters.clone()).collect()
}

/// What was spent and done by then.
async fn at(moment: Instant, counts: &Counts) -> Result<(Reading, u64)> {
    sleep_until(moment).await;
    Ok((Reading::take()?, counts.orders.load(Ordering::Relaxed)))
}
