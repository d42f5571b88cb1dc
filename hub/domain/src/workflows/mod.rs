//! National services: what their realms have beyond plans. Each has its own messages, its own table of states, and a
//! record of each order in that order's head; the hub's Tasks follow the record.
//!
//! To add one: a module here with its rules, an arm in [`Ask`] and in [`Record`], its events in [`EVENTS`], what a site
//! may settle for it in [`Reading`], and its surface in the hub's interfaces.

pub mod bundle;
pub mod eps;
pub mod erp;
pub mod ers;
mod follow;
pub mod psu;
mod wake;

use schemas::message::StatusReport;
use schemas::resource::{Body, Resource};
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::command::Command;
use crate::decide::draft::{Draft, repeated};
use crate::decide::{Moment, Stop};
use crate::decision::Decision;
use crate::refusal::Refusal;
use crate::scene::{Needs, Scene};

/// What somebody asks of a service, read and checked.
#[derive(Debug, Clone)]
pub enum Ask {
    Eps(Box<eps::Ask>),
    Erp(Box<erp::Ask>),
    Ers(Box<ers::Ask>),
    Psu(psu::Ask),
}

/// An order as its service knows it: kept in its head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    #[serde(rename = "eps")]
    Eps(Box<eps::Record>),
    #[serde(rename = "erp")]
    Erp(Box<erp::Record>),
    #[serde(rename = "ers")]
    Ers(Box<ers::Record>),
}

/// What a service answers in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub outcome: Outcome,
    pub body: Value,
}

/// How an answer is meant. A no may have changed something, too: a cancellation that waits, for instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    Created,
    No,
    /// It is here already.
    Conflict,
    /// Done, and there is nothing to say.
    Empty,
    /// Somebody took it: the body is its Task, and what belongs to that is to be put beside it.
    Accepted,
    /// Prescriptions were released: the body names them, and they are to be put in.
    Released,
}

/// When something is read, and by which of the site's rules: those of each realm that has some.
#[derive(Debug, Clone)]
pub struct Reading {
    pub now: Timestamp,
    pub eps: eps::Policy,
}

/// An event of FHIR messaging that some workflow understands.
pub struct Event {
    pub code: &'static str,
    /// The types of those who send it.
    pub from_placer: bool,
    pub read: fn(&Body, &Reading) -> Result<Ask, Refusal>,
}

/// All of them: the message interface refuses any other by name.
pub const EVENTS: &[Event] = &[
    Event { code: "prescription-order", from_placer: true, read: eps::read_order },
    Event { code: "prescription-order-update", from_placer: true, read: eps::read_update },
    Event { code: "dispense-notification", from_placer: false, read: eps::read_notice },
];

pub(crate) fn needs(command: Uuid, ask: &Ask) -> Needs {
    match ask {
        Ask::Eps(ask) => eps::needs(ask),
        Ask::Erp(ask) => erp::needs(command, ask),
        Ask::Ers(ask) => ers::needs(command, ask),
        Ask::Psu(ask) => psu::needs(ask),
    }
}

/// The order in whose lane it runs.
pub(crate) fn lane(command: Uuid, ask: &Ask) -> Uuid {
    match ask {
        Ask::Eps(ask) => eps::lane(ask),
        Ask::Erp(ask) => erp::lane(command, ask),
        Ask::Ers(ask) => ers::lane(command, ask),
        Ask::Psu(ask) => psu::lane(ask),
    }
}

/// Whether it may bring an order that is not here yet.
pub fn brings_work(ask: &Ask) -> bool {
    match ask {
        Ask::Eps(ask) => matches!(**ask, eps::Ask::Order(_)),
        Ask::Erp(ask) => matches!(ask.wish, erp::Wish::Create { .. }),
        Ask::Ers(ask) => ers::brings_work(ask),
        Ask::Psu(_) => false,
    }
}

pub(crate) fn decide(scene: &Scene, command: &Command, ask: &Ask, moment: &Moment) -> Result<Decision, Stop> {
    if let Some(decision) = repeated(scene, command)? {
        return Ok(decision);
    }
    let mut draft = Draft::new(scene, command, moment);
    let answer = match ask {
        Ask::Eps(ask) => eps::decide(&mut draft, ask)?,
        Ask::Erp(ask) => erp::decide(&mut draft, ask)?,
        Ask::Ers(ask) => ers::decide(&mut draft, ask)?,
        Ask::Psu(ask) => psu::decide(&mut draft, ask)?,
    };
    draft.decision.reply.answer = Some(answer);
    Ok(draft.finish())
}

/// A timer of such an order.
pub(crate) fn fire(draft: &mut Draft, root: Uuid, record: &Record) -> Result<(), Stop> {
    match record {
        Record::Eps(_) => eps::fire(draft, root),
        Record::Erp(_) => erp::fire(draft, root),
        Record::Ers(_) => ers::fire(draft, root),
    }
}

/// What a worker reports of a Task of such an order, off a queue.
pub(crate) fn report(draft: &mut Draft, report: &StatusReport, root: Uuid, task: &Resource) -> Result<(), Stop> {
    match draft.run_of(root).and_then(|run| run.record.clone()) {
        Some(Record::Eps(_)) => eps::report(draft, report, root, task),
        Some(Record::Ers(_)) => ers::report(draft, report, root, task),
        Some(Record::Erp(_)) => Err(Refusal::conflict("an E-Rezept is taken over REST, with its codes").into()),
        None => Ok(()),
    }
}

/// What belongs to such an order is changed by its service alone.
pub(crate) fn check_own(draft: &Draft, root: Uuid) -> Result<(), Stop> {
    match draft.run_of(root).and_then(|run| run.record.as_ref()) {
        Some(_) => {
            let text = "this belongs to an order of a national service: only what that service offers changes it";
            Err(Refusal::rule("", text).into())
        }
        None => Ok(()),
    }
}
