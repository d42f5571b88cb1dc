//! Whether all that was promised was kept.
//!
//! It reads what the clients wrote down ([`Entry`]) and what lies in the database and in the broker, and shares nothing
//! with the hub: neither its types, nor its reading of a plan, nor its state machine. Of the hub's files it reads three,
//! as data: its table of transitions, and those of the prescription and the referral service.
//!
//! The history is streamed once ([`history`]), in one snapshot with all else. What is kept of it ([`ledger`]) grows with
//! the number of Tasks, not with their bodies. Then it is asked: of each order, whether it is whole ([`orders`]) and its steps came in their time ([`waits`]); of
//! each answer, whether it holds ([`promises`]); both of the prescription service, by its own table ([`prescriptions`]),
//! and of referrals and the slots that they are booked into ([`bookings`]); and what is left lying about
//! ([`leftovers`], [`queues`]).
//!
//! To look for another fault: a heading in [`verdict`], the place that sees it, and a way to make it in [`tests`].

mod body;
mod bookings;
mod history;
mod ledger;
mod leftovers;
mod matrix;
mod orders;
mod plan;
mod prescriptions;
mod promises;
mod queues;
mod services;
#[cfg(test)]
mod tests;
mod verdict;
mod waits;

use anyhow::{Context, Result};
use sqlx::{Connection, Executor, PgConnection};

pub(crate) use verdict::Verdict;

use crate::diary::Entry;
use crate::orchestrators::ORCHESTRATION;
use ledger::Ledger;
use verdict::Fact;

/// States in which nobody works on a Task any more.
const TERMINAL: [&str; 5] = ["completed", "cancelled", "failed", "rejected", "entered-in-error"];

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What still moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settling {
    pub(crate) open_tasks: i64,
    pub(crate) outbox: i64,
}

impl Settling {
    pub(crate) fn is_still(self) -> bool {
        self.open_tasks == 0 && self.outbox == 0
    }
}

/// A look that costs little, for whoever waits.
pub(crate) async fn is_settled(database_url: &str) -> Result<Settling> {
    let mut database = open(database_url).await?;
    let counts = "SELECT (SELECT count(*) FROM task WHERE status <> ALL ($1)), (SELECT count(*) FROM outbox)";
    let (open_tasks, outbox) = sqlx::query_as(counts).bind(TERMINAL.as_slice()).fetch_one(&mut database).await?;
    database.close().await?;
    Ok(Settling { open_tasks, outbox })
}

/// Judges a system in which nothing moves any more.
pub(crate) async fn judge(database_url: &str, amqp_url: &str, diary: &[Entry]) -> Result<Verdict> {
    let mut database = open(database_url).await?;
    database.execute(SNAPSHOT).await?;
    let mut verdict = judge_database(&mut database, diary).await?;
    queues::look(amqp_url, &plan::works(&mut database).await?, &mut verdict).await?;
    database.close().await?;
    Ok(verdict)
}

async fn open(url: &str) -> Result<PgConnection> {
    PgConnection::connect(url).await.context("the database cannot be reached")
}

async fn judge_database(database: &mut PgConnection, diary: &[Entry]) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    tell(diary, &mut verdict);
    let mut ledger = Ledger::of(diary);
    history::read(database, &mut ledger, &mut verdict).await?;
    orders::judge(database, &ledger, &mut verdict).await?;
    promises::judge(diary, &ledger, &mut verdict);
    prescriptions::judge(diary, &ledger, &mut verdict);
    bookings::judge(diary, &ledger, &mut verdict);
    leftovers::look(database, diary, &ledger, &mut verdict).await?;
    Ok(verdict)
}

/// What the diary says of itself.
fn tell(diary: &[Entry], verdict: &mut Verdict) {
    for entry in diary {
        match entry {
            Entry::Submitted { kind, request, .. } => {
                verdict.saw(Fact::Submitted, 1);
                verdict.saw(Fact::Orchestrations, usize::from(kind == ORCHESTRATION && !request.is_empty()));
                verdict.saw(if request.is_empty() { Fact::Unanswered } else { Fact::Acknowledged }, 1);
            }
            Entry::Claimed { won, .. } => verdict.saw(if *won { Fact::Won } else { Fact::NotWon }, 1),
            Entry::Moved { raced, done, .. } => {
                verdict.saw(Fact::Moved, 1);
                let first = if *done { Fact::CompletedFirst } else { Fact::RevokedFirst };
                verdict.saw(first, usize::from(*raced));
            }
            Entry::Cancelled { done, .. } => verdict.saw(Fact::Cancelled, usize::from(*done)),
            Entry::Prescribed { done, .. } => {
                verdict.saw(if *done { Fact::Prescribed } else { Fact::Unanswered }, 1);
            }
            Entry::Unprescribed { .. } => verdict.saw(Fact::Unprescribed, 1),
            Entry::Released { numbers, .. } => verdict.saw(Fact::Released, numbers.len()),
            Entry::Told { done, .. } => verdict.saw(Fact::Told, usize::from(*done)),
            Entry::Referred { request, .. } => {
                verdict.saw(if request.is_empty() { Fact::Unanswered } else { Fact::Referred }, 1);
            }
            Entry::Booked { appointment, .. } => {
                verdict.saw(if appointment.is_empty() { Fact::NotBooked } else { Fact::Booked }, 1);
            }
            Entry::Appointed { done, .. } => verdict.saw(Fact::Appointed, usize::from(*done)),
            Entry::Poisoned { .. } => verdict.saw(Fact::Poisoned, 1),
            Entry::Duplicated { copies, .. } => verdict.saw(Fact::Duplicated, *copies as usize),
        }
    }
}
