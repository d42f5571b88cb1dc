//! Orders that were submitted and are not completed yet, and how many come to their end in a second.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use hyper::HeaderMap;
use hyper::header::LOCATION;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::Settings;
use crate::drive::{Call, Caller, Drive, Pace, micros};
use crate::meter::{Cost, Reading};
use crate::orders::Orders;
use crate::report::Point;
use crate::stand::{Listening, Process, Stand};

/// Looked for at once; they are completed in about the order in which they came.
const LOOK_AT: usize = 256;

const CONNECTIONS: usize = 64;
/// Orders that are submitted and not yet completed, at full load: enough that nobody waits for work.
pub(super) const IN_FLIGHT: usize = 512;
/// So many times as long as others it warms up: the last steps begin to end only when many first ones have.
const RAMP: u32 = 3;
/// Work orders in hand of one worker.
const CONCURRENCY: u16 = 256;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LAST_ONES: Duration = Duration::from_secs(60);

/// Each by its own key, whatever the planner thinks of a table that has just grown: it costs what is measured.
const COMPLETED: &str = "SELECT w.id FROM unnest($1::text[]) AS w (id)
     CROSS JOIN LATERAL (SELECT status FROM task WHERE id = w.id LIMIT 1) AS t WHERE t.status = 'completed'";

/// What was completed in the measured time.
pub(super) struct Completed {
    number: u64,
    rate: f64,
    cost: Cost,
    faults: BTreeMap<String, u64>,
}

impl Completed {
    pub(super) fn point(self, load: String) -> Point {
        let each = self.cost.each(self.number);
        Point { faults: self.faults, ..Point::new("hub and workers", load, "workflows", self.rate, each) }
    }
}

/// One of each kind that the orders need.
pub(super) fn workers(stand: &Stand) -> Result<Vec<Process>> {
    Ok(vec![stand.worker("laboratory", CONCURRENCY)?, stand.worker("pharmacy", CONCURRENCY)?])
}

/// Submits as many orders as are completed.
pub(super) async fn throughput(
    settings: &Settings,
    hub: &Listening,
    database: &str,
    orders: Arc<Orders>,
) -> Result<Completed> {
    let in_flight = Arc::new(InFlight::new(orders, Some(IN_FLIGHT)));
    let (warm, measured) = (settings.warm * RAMP, settings.measured);
    let drive = Drive { to: hub.address, connections: CONNECTIONS, pace: Pace::Closed, warm, measured };
    let driving = async {
        let driven = drive.run(in_flight.clone()).await?;
        in_flight.is_over.store(true, Ordering::Relaxed);
        Ok(driven)
    };
    let watching = in_flight.until_completed(database);
    let ((tally, _), (), (number, cost)) = tokio::try_join!(driving, watching, count(drive, &in_flight))?;
    Ok(Completed { number, rate: number as f64 / measured.as_secs_f64(), cost, faults: tally.faults })
}

/// How many are completed in the measured time, and at what cost.
async fn count(drive: Drive, in_flight: &InFlight) -> Result<(u64, Cost)> {
    sleep(drive.warm).await;
    let (before, cost_before) = (in_flight.completed(), Reading::take()?);
    sleep(drive.measured).await;
    Ok((in_flight.completed() - before, Reading::take()?.since(&cost_before)))
}

/// Submits, with at most so many under way.
pub(super) struct InFlight {
    orders: Arc<dyn Caller>,
    limit: usize,
    /// Sent, and not yet answered.
    asked: AtomicUsize,
    completed: AtomicU64,
    /// No more are submitted.
    is_over: AtomicBool,
    /// Tasks of the whole, with what the answer took in microseconds.
    pending: Mutex<Vec<(String, u64)>>,
}

impl InFlight {
    pub(super) fn new(orders: Arc<dyn Caller>, limit: Option<usize>) -> Self {
        Self {
            orders,
            limit: limit.unwrap_or(usize::MAX),
            asked: AtomicUsize::new(0),
            completed: AtomicU64::new(0),
            // Without a limit, who waits for the end comes after it.
            is_over: AtomicBool::new(limit.is_none()),
            pending: Mutex::default(),
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.list().len()
    }

    fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// All that are pending, in their order.
    pub(super) fn all(&self) -> Vec<(String, u64)> {
        self.list().clone()
    }

    /// Looks for what is completed, until nothing more is submitted and all of it was.
    pub(super) async fn until_completed(&self, database: &str) -> Result<()> {
        let mut connection = PgConnection::connect(database).await?;
        sqlx::raw_sql("SET enable_seqscan = off").execute(&mut connection).await?;
        let mut limit = Instant::now() + LAST_ONES;
        loop {
            let (is_over, pending) = (self.is_over.load(Ordering::Relaxed), self.pending());
            if is_over && pending == 0 {
                return Ok(());
            }
            if self.look(&mut connection).await? > 0 {
                limit = Instant::now() + LAST_ONES;
            }
            ensure!(Instant::now() < limit, "{pending} orders are not completed");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Forgets those that are completed, and counts them.
    pub(super) async fn look(&self, connection: &mut PgConnection) -> Result<u64> {
        let mut oldest: Vec<String> = self.list().iter().take(LOOK_AT).map(|(task, _)| task.clone()).collect();
        let mut found = 0;
        while !oldest.is_empty() {
            let query = sqlx::query_scalar(COMPLETED).bind(&oldest);
            let completed: HashSet<String> = query.fetch_all(&mut *connection).await?.into_iter().collect();
            self.list().retain(|(task, _)| !completed.contains(task));
            found += completed.len() as u64;
            // When all were, so may be the next.
            let is_all = completed.len() == oldest.len();
            oldest = self.list().iter().take(if is_all { LOOK_AT } else { 0 }).map(|(task, _)| task.clone()).collect();
        }
        self.completed.fetch_add(found, Ordering::Relaxed);
        Ok(found)
    }

    fn list(&self) -> MutexGuard<'_, Vec<(String, u64)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller for InFlight {
    fn call(&self) -> Option<Call> {
        if self.pending() + self.asked.load(Ordering::Relaxed) >= self.limit {
            return None;
        }
        let call = self.orders.call()?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        Some(call)
    }

    fn answered(&self, _what: &'static str, _status: u16, headers: &HeaderMap, took: Duration) {
        self.asked.fetch_sub(1, Ordering::Relaxed);
        if let Some(task) = headers.get(LOCATION).and_then(|location| task_of(location.to_str().ok()?)) {
            self.list().push((task, micros(took)));
        }
    }
}

/// The Task of the whole has the id of the request: `.../ServiceRequest/<id>/_history/1`.
fn task_of(location: &str) -> Option<String> {
    let id = location.rsplit('/').nth(2)?;
    Some(format!("{id}.0"))
}
