//! Orchestrations of 50 actions, all of them under way at once, on PostgreSQL: how many come to their end in a second, and
//! how late what waits for a time is.
//!
//! Each has five groups of ten steps; a group begins a while after the one before has ended. All are submitted while
//! nobody works, then workers do everything. By the database's own clock a timer is late by what lies between when a
//! group might begin and when its first step was on offer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::TryStreamExt;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::Settings;
use super::in_flight::{InFlight, workers};
use crate::drive::{Call, Caller, Drive, Pace, histogram, quantile};
use crate::meter::Reading;
use crate::report::{Latency, Line, Point, Report};
use crate::say;
use crate::stand::Stand;

const ORCHESTRATIONS: u64 = 10_000;
const CONNECTIONS: usize = 32;
const GROUPS: usize = 5;
const STEPS_EACH: usize = 10;
/// A group begins so long after the one before has ended.
const PAUSE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// As long as some are submitted, they are in a time of so much.
const SUBMITTING: Duration = Duration::from_secs(1);
const NONE: Option<Line> = Line::at_most(0.0, 0.0);

/// A group stands before its steps, all are numbered as they come, and what waits is first written when it is placed and
/// then when it is on offer. Of each group but the first: how long after it might begin (microseconds).
const LATE: &str = "WITH task AS (
        SELECT root, version, updated, split_part(id, '.', 2)::int - 1 AS place FROM version
        WHERE kind = 'Task' AND split_part(id, '.', 2) <> '0'),
     offered AS (
        SELECT root, place / $1 AS number, min(updated) AS at FROM task WHERE version = 2 GROUP BY 1, 2),
     ended AS (SELECT root, place / $1 AS number, max(updated) AS at FROM task GROUP BY 1, 2)
     SELECT offered.at - ended.at - $2 FROM offered
     JOIN ended ON ended.root = offered.root AND ended.number + 1 = offered.number";

/// So many, and then no more.
struct Placers {
    left: AtomicU64,
    body: Bytes,
}

impl Caller for Placers {
    fn call(&self) -> Option<Call> {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.ok().map(|_| Call::post("submit", "/fhir/R4/RequestGroup", self.body.clone()))
    }
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let wanted = settings.orders.unwrap_or(ORCHESTRATIONS);
    let stand = Stand::build(settings.programs.clone()).await?;
    let database = stand.database("hub").await?;
    let hub = stand.hub("hub", &database, &stand.queue()).await?;
    let mut report = Report::new("orchestration");
    report.notes = settings.notes(&stand, None)?;
    report.notes.push(format!(
        "{wanted} orchestrations of {} actions in {GROUPS} groups, {} s between one group and the next; nobody works \
         until all are there; at most {:.0} minutes",
        GROUPS * STEPS_EACH,
        PAUSE.as_secs(),
        settings.minutes.as_secs_f64() / 60.0
    ));
    let body = Bytes::from(orchestration().to_string());
    let placers = Arc::new(Placers { left: AtomicU64::new(wanted), body });
    let in_flight = Arc::new(InFlight::new(placers.clone(), None));

    let begun = Instant::now();
    while placers.left.load(Ordering::Relaxed) > 0 {
        let (pace, warm) = (Pace::Closed, Duration::ZERO);
        let drive = Drive { to: hub.address, connections: CONNECTIONS, pace, warm, measured: SUBMITTING };
        let (tally, _) = drive.run(in_flight.clone()).await?;
        ensure!(tally.faults.is_empty(), "orchestrations were not taken: {:?}", tally.faults);
        ensure!(begun.elapsed() < settings.minutes, "{wanted} orchestrations are not submitted in time");
    }
    let submitted = in_flight.all().len();
    report.figure("orchestrations submitted", "orders/s", submitted as f64 / begun.elapsed().as_secs_f64(), None);
    say(&format!("{submitted} orchestrations are there, and work begins"));
    stand.settle(&database).await?;

    let (begun, before) = (Instant::now(), Reading::take()?);
    let at_work = workers(&stand)?;
    let mut connection = PgConnection::connect(&database).await?;
    while in_flight.pending() > 0 && begun.elapsed() < settings.minutes {
        in_flight.look(&mut connection).await?;
        sleep(LOOK_EVERY).await;
    }
    let (seconds, cost) = (begun.elapsed().as_secs_f64(), Reading::take()?.since(&before));
    drop(at_work);
    let completed = submitted - in_flight.pending();
    let rate = completed as f64 / seconds;
    let point = Point::new("hub and workers", "all at once", "workflows", rate, cost.each(completed as u64));
    let (late, early) = lateness(&mut connection).await?;
    report.figure("CPU of one orchestration, over everything", "ms", point.cost_of_all(), None);
    report.point(point);
    let timers = Point::new("timers", "all at once", "timers", late.len() as f64 / seconds, Default::default());
    report.point(Point { latency: Some(Latency::of(&late)), ..timers });
    report.figure("orchestrations completed", "orders/s", rate, None);
    let steps = (GROUPS * STEPS_EACH) as f64;
    report.figure("their steps completed, end to end", "Tasks/s", rate * steps, None);
    report.figure("lateness of a timer, p50", "ms", quantile(&late, 0.5), None);
    report.figure("lateness of a timer, p99", "ms", quantile(&late, 0.99), None);
    report.figure("timers that fired too early", "timers", early.into(), NONE);
    report.figure("orchestrations without an end", "orders", in_flight.pending() as f64, NONE);
    Ok(report)
}

/// How late, and how many were too early.
async fn lateness(connection: &mut PgConnection) -> Result<(Histogram<u64>, u32)> {
    let (mut late, mut early) = (histogram(), 0);
    let mut rows = sqlx::query_scalar::<_, i64>(LATE)
        .bind(i32::try_from(STEPS_EACH + 1)?)
        .bind(i64::try_from(PAUSE.as_micros())?)
        .fetch(connection);
    while let Some(late_us) = rows.try_next().await? {
        match u64::try_from(late_us) {
            Ok(late_us) => late.saturating_record(late_us),
            Err(_) => early += 1,
        }
    }
    Ok((late, early))
}

/// What they ask for is the same panel of the laboratory's, each time.
fn orchestration() -> Value {
    let subject = json!({ "reference": "Patient/000000271828" });
    let category = json!([{ "coding": [{ "system": "http://snomed.info/sct", "code": "108252007" }] }]);
    let panel = json!({
        "resourceType": "ServiceRequest", "id": "panel", "status": "active", "intent": "option", "category": category,
        "code": { "coding": [{ "system": "http://loinc.org", "code": "58410-2" }] }, "subject": subject,
    });
    let pause = json!({ "value": PAUSE.as_secs(), "unit": "s", "system": "http://unitsofmeasure.org", "code": "s" });
    let group = |number: usize| {
        let step = |n: usize| json!({ "id": format!("step-{number}-{n}"), "resource": { "reference": "#panel" } });
        let steps: Vec<Value> = (0..STEPS_EACH).map(step).collect();
        let mut group = json!({ "id": format!("group-{number}"), "action": steps });
        if let Some(before) = number.checked_sub(1) {
            let target = format!("group-{before}");
            group["relatedAction"] =
                json!([{ "actionId": target, "relationship": "after-end", "offsetDuration": pause }]);
        }
        group
    };
    json!({
        "resourceType": "RequestGroup", "status": "active", "intent": "order", "subject": subject,
        "contained": [panel], "action": (0..GROUPS).map(group).collect::<Vec<_>>(),
    })
}
