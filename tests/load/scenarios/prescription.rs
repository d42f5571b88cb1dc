//! Prescriptions as a national service has them: sent, released by 500 pharmacies, told of twice, and asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use bytes::Bytes;
use hub_domain::workflows::eps::root_of;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tests::prescription::{Prescription, nominated_release, number};
use uuid::Uuid;

use super::{Settings, tidy};
use crate::drive::{Call, Caller, Pace};
use crate::report::{Line, Point, Report};
use crate::stand::Stand;

const CONNECTIONS: usize = 64;
const PHARMACIES: usize = 500;
const ITEMS: usize = 2;

const MESSAGE: &str = "/eps/FHIR/R4/$process-message";
const RELEASED: &str = "SELECT id FROM task WHERE status = 'accepted' AND id LIKE '%.0'";

fn pharmacy(n: usize) -> String {
    format!("PH{:03}", n % PHARMACIES)
}

/// A message as text, and what in it is another's in each.
struct Template {
    text: String,
    of: Prescription,
}

impl Template {
    fn new(of: &Prescription, message: Value) -> Self {
        Self { text: message.to_string(), of: of.clone() }
    }

    /// The same about another prescription, with an id of its own.
    fn about(&self, other: &Prescription) -> Bytes {
        let mut text = self.text.replace(&self.of.number, &other.number);
        let replaced = |text: String, from: &str, to: &str| text.replace(from, to);
        text = replaced(text, &self.of.long_number.to_string(), &other.long_number.to_string());
        for (from, to) in self.of.items.iter().zip(&other.items) {
            text = replaced(text, &from.to_string(), &to.to_string());
        }
        text = replaced(text, &nominee(&self.of), &nominee(other));
        text.replace(MESSAGE_ID, &Uuid::new_v4().to_string()).into()
    }
}

/// Stands in a template where the message's id goes.
const MESSAGE_ID: &str = "00000000-0000-0000-0000-000000000000";

fn nominee(prescription: &Prescription) -> String {
    prescription.nominated.clone().unwrap_or_default()
}

fn with_id(mut message: Value) -> Value {
    message["identifier"]["value"] = MESSAGE_ID.into();
    message
}

/// Orders, each of a prescription of its own.
struct Sending {
    order: Template,
    sent: Mutex<Vec<Prescription>>,
}

impl Caller for Sending {
    fn call(&self) -> Option<Call> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let items = (0..ITEMS).map(|_| Uuid::new_v4()).collect();
        let nominated = Some(pharmacy(sent.len()));
        let next =
            Prescription { number: number(), long_number: Uuid::new_v4(), items, nominated, ..self.order.of.clone() };
        let body = self.order.about(&next);
        sent.push(next);
        Some(Call::operation("send", MESSAGE, body))
    }
}

/// Pharmacies that take what nominates them, up to 25 a call.
struct Releasing {
    turn: AtomicUsize,
}

impl Caller for Releasing {
    fn call(&self) -> Option<Call> {
        let ask = nominated_release(&pharmacy(self.turn.fetch_add(1, Ordering::Relaxed)));
        Some(Call::operation("release", "/eps/FHIR/R4/Task/$release", ask.to_string().into()))
    }
}

/// Each released prescription is told of twice: partly dispensed, then all.
struct Telling {
    released: Vec<Prescription>,
    partly: Template,
    wholly: Template,
    turn: AtomicUsize,
}

impl Caller for Telling {
    fn call(&self) -> Option<Call> {
        // The second word on one comes when the first is long answered.
        const BEHIND: usize = 4 * CONNECTIONS;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (group, place) = (turn / (2 * BEHIND), turn % (2 * BEHIND));
        let template = if place < BEHIND { &self.partly } else { &self.wholly };
        let prescription = self.released.get(group * BEHIND + place % BEHIND)?;
        Some(Call::operation("notify", MESSAGE, template.about(prescription)))
    }
}

struct Tracking {
    sent: Vec<Prescription>,
    turn: AtomicUsize,
}

impl Caller for Tracking {
    fn call(&self) -> Option<Call> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let number = self.sent[turn * 7 % self.sent.len()].number.replace('+', "%2B");
        Some(Call::get("track", &format!("/eps/FHIR/R4/Task?identifier={number}")))
    }
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let stand = Stand::build(settings.programs.clone()).await?;
    let mut report = Report::new("prescription");
    report.notes = settings.notes(&stand, None)?;
    let like = Prescription::new(ITEMS).nominated(&pharmacy(0));
    let order = with_id(like.order());
    report
        .notes
        .push(format!("order messages of {} bytes, {ITEMS} items; {PHARMACIES} pharmacies", order.to_string().len()));
    for round in 1..=settings.rounds {
        let database = stand.database("hub").await?;
        let hub = stand.hub("hub", &database, &stand.queue()).await?;
        let load = format!("round {round}, {CONNECTIONS} connections");

        let sending = Arc::new(Sending { order: Template::new(&like, order.clone()), sent: Mutex::default() });
        let (tally, cost) = settings.drive(&hub, CONNECTIONS, Pace::Closed, sending.clone()).await?;
        report.point(Point::of("send", load.clone(), "messages", &tally, cost));
        report.figure("order messages", "1/s", tally.rate(), Line::at_least(1000.0, 2000.0));
        let sent = sending.sent.lock().unwrap_or_else(PoisonError::into_inner).clone();

        tidy(&stand, &database).await?;
        let releasing = Arc::new(Releasing { turn: AtomicUsize::new(0) });
        let (tally, cost) = settings.drive(&hub, CONNECTIONS, Pace::Closed, releasing).await?;
        report.point(Point::of("release", load.clone(), "calls", &tally, cost));

        let released = released(&database, &sent).await?;
        report.figure(
            "prescriptions released",
            "1/s",
            released.len() as f64 / (settings.measured + settings.warm).as_secs_f64(),
            None,
        );
        tidy(&stand, &database).await?;
        let told = |state: &str, items: [&str; ITEMS]| {
            Template::new(&like, with_id(like.notification(&pharmacy(0), state, &items)))
        };
        let telling = Telling {
            released,
            partly: told("0003", ["0003", "0004"]),
            wholly: told("0006", ["0001", "0001"]),
            turn: AtomicUsize::new(0),
        };
        let (tally, cost) = settings.drive(&hub, CONNECTIONS, Pace::Closed, Arc::new(telling)).await?;
        report.point(Point::of("notify", load.clone(), "messages", &tally, cost));
        report.figure("dispense notifications", "1/s", tally.rate(), Line::at_least(1000.0, 2000.0));

        let tracking = Arc::new(Tracking { sent, turn: AtomicUsize::new(0) });
        let (tally, cost) = settings.drive(&hub, CONNECTIONS, Pace::Closed, tracking).await?;
        report.point(Point::of("track", load, "queries", &tally, cost));
        report.figure("tracker queries", "1/s", tally.rate(), None);
    }
    Ok(report)
}

/// Those that a pharmacy has now.
async fn released(database: &str, sent: &[Prescription]) -> Result<Vec<Prescription>> {
    let mut connection = PgConnection::connect(database).await?;
    let tasks: Vec<String> = sqlx::query_scalar(RELEASED).fetch_all(&mut connection).await?;
    let by_root: HashMap<Uuid, &Prescription> =
        sent.iter().map(|prescription| (root_of(&prescription.number), prescription)).collect();
    let root = |task: &String| Uuid::try_parse(task.strip_suffix(".0")?).ok();
    let found: Vec<Prescription> =
        tasks.iter().filter_map(|task| Some((*by_root.get(&root(task)?)?).clone())).collect();
    ensure!(!found.is_empty(), "no prescription was released");
    Ok(found)
}
