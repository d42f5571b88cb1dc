//! A nation at its peak: 2,390 calls a second, of which one in ten submits, two in ten change the status of a Task, and
//! seven ask. In proportion to what this machine can do, as many fewer as its floor is lower, and then all of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::floored::{Floored, speed};
use super::registry::{Asking, Grown};
use super::{Settings, tidy};
use crate::drive::{Call, Caller, Drive, Pace, Tally, quantile};
use crate::meter::Cost;
use crate::orders::Orders;
use crate::report::{Latency, Line, Point, Report};
use crate::specimen::{Specimen, Until};
use crate::stand::Stand;

const CALLS_PER_SECOND: f64 = 2390.0;
const CONNECTIONS: usize = 256;
const TASKS: u64 = 1_000_000;

const ACCEPTED: &str = "SELECT id FROM task WHERE status = 'accepted' AND id NOT LIKE '%.0' ORDER BY seq";

/// The next status of a Task, after the one that it has.
const STEPS: [&str; 3] = ["in-progress", "on-hold", "in-progress"];

struct Nation {
    orders: Arc<Orders>,
    asking: Arc<Asking>,
    /// Tasks that are worked on, and how many steps each has gone.
    tasks: Mutex<VecDeque<(String, usize)>>,
    turn: AtomicU64,
}

impl Nation {
    fn change(&self) -> Option<Call> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let (task, step) = tasks.pop_front()?;
        let call = change(&task, STEPS.get(step).copied().unwrap_or("completed"));
        if step < STEPS.len() {
            // By the time that all others had their turn it is long answered.
            tasks.push_back((task, step + 1));
        }
        Some(call)
    }
}

fn change(task: &str, status: &str) -> Call {
    let patch: Value = json!([{ "op": "add", "path": "/status", "value": status }]);
    Call::patch("change", &format!("/fhir/R4/Task/{task}"), &patch, &[200])
}

impl Caller for Nation {
    fn call(&self) -> Option<Call> {
        match self.turn.fetch_add(1, Ordering::Relaxed) % 10 {
            0 => self.orders.call(),
            1 | 2 => self.change(),
            _ => Some(self.asking.next()),
        }
    }
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let stand = Stand::build(settings.programs.clone()).await?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let submitted = Specimen::record(&stand, &orders, Until::Submitted).await?;
    let specimen = Specimen::record(&stand, &orders, Until::Accepted).await?;
    let mut report = Report::new("national");
    report.notes = settings.notes(&stand, Some(&specimen))?;
    let floor = Floored::of_orders(&stand, submitted).await?;
    report.notes.push(floor.note());
    let mut grown = Grown::new(&stand, "hub", specimen).await?;
    grown.grow(&orders, settings.orders.unwrap_or(TASKS)).await?;
    let mut connection = PgConnection::connect(&grown.database).await?;
    let tasks: Vec<String> = sqlx::query_scalar(ACCEPTED).fetch_all(&mut connection).await?;
    let nation = Nation {
        orders,
        asking: grown.asking(None),
        tasks: Mutex::new(tasks.into_iter().map(|task| (task, 0)).collect()),
        turn: AtomicU64::new(0),
    };
    let nation = Arc::new(nation);
    let address = grown.hub()?.address;
    let at = async |calls_per_second: f64| {
        let (warm, measured) = (settings.warm, settings.minutes);
        let drive = Drive { to: address, connections: CONNECTIONS, pace: Pace::Open(calls_per_second), warm, measured };
        tidy(&stand, &grown.database).await?;
        drive.run(nation.clone()).await
    };
    let first = floor.measure(settings, &stand).await?;
    let as_many = CALLS_PER_SECOND * speed(&first);
    let in_proportion = at(as_many).await?;
    let plain = first.and(floor.measure(settings, &stand).await?);
    report.point(plain.point(1, "orders"));
    judge("national mix in proportion", as_many, speed(&plain), in_proportion, settings, &mut report);
    let whole = at(CALLS_PER_SECOND).await?;
    judge("national mix", CALLS_PER_SECOND, 1.0, whole, settings, &mut report);
    Ok(report)
}

/// What came of so many calls, held against the nation's bars: a time multiplied by the machine's speed.
fn judge(
    what: &str,
    calls_per_second: f64,
    speed: f64,
    (tally, cost): (Tally, Cost),
    settings: &Settings,
    report: &mut Report,
) {
    let load = format!("{calls_per_second:.0} calls/s for {:.1} minutes", settings.minutes.as_secs_f64() / 60.0);
    report.point(Point::of("hub", load, "calls", &tally, cost));
    for (of, latencies) in tally.each() {
        let rate = latencies.len() as f64 / settings.minutes.as_secs_f64();
        let point = Point::new("of these", of, "calls", rate, Default::default());
        report.point(Point { latency: Some(Latency::of(latencies)), ..point });
    }
    let all = tally.whole();
    let (p99, line) = (quantile(&all, 0.99), Line::at_most(50.0, 20.0));
    report.scaled(&format!("{what}, p99"), "ms", p99, speed, line);
    report.figure(&format!("{what}, p99.9"), "ms", quantile(&all, 0.999), None);
    let errors = tally.faults.values().sum::<u64>() as f64;
    report.figure(&format!("{what}, errors"), "calls", errors, Line::at_most(0.0, 0.0));
}
