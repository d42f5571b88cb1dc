//! 200 fillers race for open Tasks, over REST: each Task is asked for by four of them at about the same time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hyper::HeaderMap;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::Settings;
use crate::drive::{Call, Caller, Pace};
use crate::loader::Loader;
use crate::orders::Orders;
use crate::report::{Point, Report};
use crate::specimen::{Specimen, Until, owner};
use crate::stand::Stand;

const FILLERS: usize = 200;
const RIVALS: u64 = 4;
const TASKS: u64 = 200_000;
/// A loser's answers: it is taken, it changed meanwhile, it may not be.
const ANSWERS: [u16; 4] = [200, 409, 412, 422];

const OPEN: &str = "SELECT id FROM task WHERE status = 'requested' AND id NOT LIKE '%.0' ORDER BY seq";

/// Everybody takes the next, and some take the same.
struct Race {
    tasks: Vec<String>,
    turn: AtomicU64,
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Caller for Race {
    fn call(&self) -> Option<Call> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let task = self.tasks.get((turn / RIVALS) as usize)?;
        let claim = json!([
            { "op": "add", "path": "/status", "value": "accepted" },
            { "op": "add", "path": "/owner", "value": { "reference": owner(1 + turn % FILLERS as u64) } },
        ]);
        Some(Call::patch("claim", &format!("/fhir/R4/Task/{task}"), &claim, &ANSWERS))
    }

    fn answered(&self, _what: &'static str, status: u16, _headers: &HeaderMap, _took: Duration) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let stand = Stand::build(settings.programs.clone()).await?;
    let orders = Orders::new(settings.seed)?;
    let specimen = Specimen::record(&stand, &orders, Until::Submitted).await?;
    let mut report = Report::new("claim");
    report.notes = settings.notes(&stand, Some(&specimen))?;
    report.notes.push(format!("{FILLERS} fillers, over REST, {RIVALS} of them at each Task"));
    let database = stand.database("hub").await?;
    let hub = stand.hub("hub", &database, &stand.queue()).await?;
    let loader = Loader::new(specimen);
    for round in 1..=settings.rounds {
        loader.load(&hub, &orders, &database, settings.orders.unwrap_or(TASKS)).await?;
        let mut connection = PgConnection::connect(&database).await?;
        let tasks = sqlx::query_scalar(OPEN).fetch_all(&mut connection).await?;
        let race = Arc::new(Race { tasks, turn: AtomicU64::new(0), answers: Mutex::default() });
        let (tally, cost) = settings.drive(&hub, FILLERS, Pace::Closed, race.clone()).await?;
        let answers = race.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all: u64 = answers.values().sum();
        let won = answers.get(&200).copied().unwrap_or(0) as f64 / all.max(1) as f64;
        report.point(Point::of("fillers", format!("round {round}, {FILLERS} connections"), "answers", &tally, cost));
        report.notes.push(format!("round {round}: answers by status, warming up included: {answers:?}"));
        report.figure("claims granted", "1/s", tally.rate() * won, None);
        report.figure("claims answered", "1/s", tally.rate(), None);
    }
    Ok(report)
}
