//! Rows of the outbox and of the timers, and what is counted of them.

use std::time::Duration;

use hub_domain::decision::{Message, Outgoing, OutgoingId, Timer, TimerId};
use hub_domain::registry::{Figures, Trouble};
use schemas::resource::Key;
use schemas::task::Priority;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::errors::corrupt;

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
            "oldest" => {
                let age_us = row.number.map_or(0, |since| now_us.saturating_sub(since));
                figures.outbox_age = Duration::from_micros(u64::try_from(age_us).unwrap_or(0));
            }
            "now" => {}
            "overdue" => figures.overdue_timers = number.unwrap_or(0),
            _ => figures.open_tasks.push((row.work, row.status, number.unwrap_or(0))),
        }
    }
    figures
}

pub(crate) fn lease_us(lease: Duration) -> i64 {
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 4)
}
