//! Rows of the outbox and of the timers, and what is counted of them.

use std::time::Duration;

use hub_domain::decision::{Message, Outgoing, OutgoingId, Timer, TimerId};
use hub_domain::registry::{Figures, Parked, Trouble};
use schemas::resource::Key;
use schemas::task::Priority;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::errors::corrupt;
use crate::{body, values};

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct OutgoingRow {
    id: i64,
    task: String,
    version: i32,
    work: String,
    step: String,
    owner: Option<String>,
    priority: i16,
    traceparent: Option<String>,
    since: i64,
}

impl OutgoingRow {
    /// Urgent first, then oldest: the database returns changed rows in no order.
    pub(crate) fn in_order(mut rows: Vec<Self>) -> Result<Vec<Outgoing>, Trouble> {
        rows.sort_unstable_by_key(|row| (row.priority, row.id));
        rows.into_iter().map(Self::outgoing).collect()
    }

    fn outgoing(self) -> Result<Outgoing, Trouble> {
        let version = u32::try_from(self.version).map_err(|_| corrupt("outbox", self.id, "negative version"))?;
        let priority = match self.priority {
            0 => Priority::Stat,
            1 => Priority::Asap,
            2 => Priority::Urgent,
            3 => Priority::Routine,
            _ => return Err(corrupt("outbox", self.id, "unknown priority")),
        };
        let (task, work, step) = (Key::task(self.task), self.work, self.step);
        let (owner, traceparent) = (self.owner, self.traceparent);
        let message = Message { task, version, work, step, owner, priority, traceparent };
        Ok(Outgoing { id: OutgoingId(self.id), message, since: Timestamp(self.since) })
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct TimerRow {
    root: Uuid,
    name: String,
    due: i64,
}

impl TimerRow {
    pub(crate) fn in_order(mut rows: Vec<Self>) -> Vec<Timer> {
        rows.sort_unstable_by_key(|row| row.due);
        let timer = |row: Self| Timer { id: TimerId { root: row.root, name: row.name }, due: Timestamp(row.due) };
        rows.into_iter().map(timer).collect()
    }
}

pub(crate) const PARKED: &str = "-- parked
    SELECT id, at, queue, why, message_id, content_type, attempts, headers, body
      FROM parked WHERE id > $1 ORDER BY id LIMIT $2";
pub(crate) const UNPARK: &str = "-- unpark\nDELETE FROM parked WHERE id = $1";

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct ParkedRow {
    id: i64,
    at: i64,
    pub(crate) queue: String,
    pub(crate) why: String,
    pub(crate) message_id: String,
    pub(crate) content_type: String,
    pub(crate) attempts: i32,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl ParkedRow {
    /// As it is to be stored; its id and time are the database's.
    pub(crate) fn of(parked: &Parked) -> Self {
        // It may be anything that came over a queue; PostgreSQL's text holds no NUL.
        let text = |text: &str| text.replace('\0', "\u{fffd}");
        Self {
            id: 0,
            at: 0,
            queue: text(&parked.queue),
            why: text(&parked.why),
            message_id: text(&parked.message_id),
            content_type: text(&parked.content_type),
            attempts: i32::try_from(parked.attempts).unwrap_or(i32::MAX),
            // Pairs of strings: writing them cannot fail.
            headers: serde_json::to_string(&parked.headers).unwrap_or_default(),
            body: body::pack(&parked.body),
        }
    }

    /// Tells a message that is parked once more.
    pub(crate) fn digest(&self) -> i64 {
        values::fnv64(&self.body) as i64
    }

    pub(crate) fn parked(self) -> Result<Parked, Trouble> {
        let unreadable = |_| corrupt("parked", self.id, "the headers are not JSON");
        Ok(Parked {
            id: self.id,
            at: Timestamp(self.at),
            headers: serde_json::from_str(&self.headers).map_err(unreadable)?,
            body: body::unpack(&self.body).map_err(|why| corrupt("parked", self.id, why))?,
            queue: self.queue,
            why: self.why,
            message_id: self.message_id,
            content_type: self.content_type,
            attempts: u32::try_from(self.attempts).unwrap_or(0),
        })
    }
}

pub(crate) const DEPTH: &str = "-- outbox_depth\nSELECT count(*) FROM (SELECT 1 FROM outbox LIMIT $1) AS waiting";

/// One number: of open Tasks by work and status, or of the queues.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct FigureRow {
    what: String,
    work: String,
    status: String,
    number: Option<i64>,
}

pub(crate) fn figures(rows: Vec<FigureRow>) -> Figures {
    let mut figures = Figures::default();
    let now_us = rows.iter().find(|row| row.what == "now").and_then(|row| row.number).unwrap_or(0);
    for row in rows {
        let number = row.number.map(|number| u64::try_from(number).unwrap_or(0));
        match row.what.as_str() {
            "depth" => figures.outbox_depth = number.unwrap_or(0),
            "oldest" => figures.outbox_age = age(row.number, now_us),
            "offered" => figures.oldest_offers.push((row.work, age(row.number, now_us))),
            "overdue" => figures.overdue_timers = number.unwrap_or(0),
            "parked" => figures.parked = number.unwrap_or(0),
            "task" => figures.open_tasks.push((row.work, row.status, number.unwrap_or(0))),
            _ => {}
        }
    }
    figures
}

fn age(since_us: Option<i64>, now_us: i64) -> Duration {
    let age_us = since_us.map_or(0, |since| now_us.saturating_sub(since));
    Duration::from_micros(u64::try_from(age_us).unwrap_or(0))
}

pub(crate) fn lease_us(lease: Duration) -> i64 {
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 4)
}
