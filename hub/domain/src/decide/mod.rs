//! The whole business of the hub: what a command needs to see, and what follows from it.
//!
//! Pure. The engine loads what [`needs`] names, calls [`decide`], and commits the [`Decision`]. A command that learns
//! only while deciding what it must see answers [`Verdict::More`], and is decided again.

mod again;
mod asking;
pub(crate) mod bodies;
mod bound;
mod broker;
mod callback;
mod change;
mod choice;
mod condition;
mod criteria;
mod definitions;
pub(crate) mod draft;
mod entries;
mod fate;
mod handover;
mod join;
mod joined;
mod notice;
mod offering;
mod orchestration;
mod order;
mod part;
mod patch;
mod points;
mod rearranging;
mod references;
mod report;
mod request;
mod sight;
mod submit;
mod task;
mod timer;
mod withdraw;

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::ids::{TaskId, is_id};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::command::{Act, Command, Condition, Found, Interaction, On};
use crate::decision::Decision;
use crate::refusal::Refusal;
use crate::scene::{Needs, Scene};
use crate::workflow::Catalogue;
use crate::workflows;

pub use bodies::work_of;
pub use callback::{CALLBACK, CALLBACK_WORK};
pub use draft::after;
pub use entries::stamp;
pub use orchestration::remarks;
pub use references::is_conditional;

/// The queue of Tasks that name no kind of work.
pub const GENERAL_WORK: &str = bodies::GENERAL_WORK;

/// How a site wants things done.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Only requests with the `actionable` tag ask for work.
    pub require_actionable: bool,
    /// References to things that are not here are refused.
    pub strict_references: bool,
    /// Callers may create by an update, under an id of their own.
    pub update_create: bool,
    /// Updates must say which version they are of.
    pub require_if_match: bool,
    /// A request is completed when its fulfilment Task is.
    pub auto_complete_request: bool,
    /// How often an open step is offered, the first time included.
    pub offers_max: u32,
    /// How long a claim holds without a report, by kind of work, and of the kinds not named. None: for ever.
    pub leases: (BTreeMap<String, Option<Duration>>, Option<Duration>),
    /// Whoever asked for it is called when the order has ended.
    pub calls_back: bool,
    pub catalogue: Catalogue,
}

impl Policy {
    fn lease(&self, work: &str) -> Option<Duration> {
        self.leases.0.get(work).copied().unwrap_or(self.leases.1)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            require_actionable: false,
            strict_references: false,
            update_create: false,
            require_if_match: false,
            auto_complete_request: true,
            offers_max: 3,
            leases: Default::default(),
            calls_back: false,
            catalogue: Catalogue::default(),
        }
    }
}

/// When a command is decided, and under which rules.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The database's time.
    pub now: Timestamp,
    pub policy: &'a Policy,
}

/// What came of looking at a scene.
#[derive(Debug)]
pub enum Verdict {
    Decided(Box<Decision>),
    /// Load these as well, and ask again.
    More(Needs),
}

/// Why a decision stops: for a no, or to see more.
#[derive(Debug)]
pub(crate) enum Stop {
    No(Refusal),
    More(Box<Needs>),
}

impl Stop {
    pub(crate) fn more(needs: Needs) -> Self {
        Self::More(Box::new(needs))
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::No(refusal)
    }
}

/// What a command certainly needs to see.
pub fn needs(command: &Command, policy: &Policy) -> Needs {
    let mut needs = match &command.act {
        Act::Change(entries) => entries::needs(command, entries, policy),
        Act::Report(report) => resource(&Key::task(&report.task_id)),
        Act::Fire(timer) => Needs { roots: vec![timer.root], ..Needs::default() },
        Act::Ask(ask) => workflows::needs(command.id, ask),
    };
    needs.receipts.extend(command.repeat.iter().map(|repeat| repeat.key.clone()));
    needs
}

/// A resource and, when it is a Task of a plan, what its change is likely to touch: the fulfilment Task and the step
/// that follows in a sequence.
fn resource(key: &Key) -> Needs {
    // What is no id names nothing, and some of it no database would take.
    if !is_id(&key.id) {
        return Needs::default();
    }
    let mut resources = vec![key.clone()];
    if let Some(id) = task_id(key)
        && id.step != 0
    {
        resources.push(Key::task(TaskId { step: 0, occurrence: 1, ..id }));
        resources.push(Key::task(TaskId { step: id.step.saturating_add(1), occurrence: 1, ..id }));
    }
    Needs { resources, ..Needs::default() }
}

/// The order and the step, when a key's id names them.
pub fn task_id(key: &Key) -> Option<TaskId> {
    if key.kind == Kind::TASK { key.id.parse().ok() } else { None }
}

/// The order in whose lane a command runs.
pub fn lane_of(command: &Command) -> Uuid {
    let of_key = |key: &Key| match task_id(key) {
        Some(id) => id.root,
        None => Uuid::try_parse(&key.id).unwrap_or(command.id),
    };
    match &command.act {
        Act::Change(entries) => match entries.as_slice() {
            [one] => match &one.interaction {
                Interaction::Create { unless: Some(condition), .. } => condition.lane(),
                Interaction::Create { unless: None, .. } => command.id,
                Interaction::Update { on, .. } | Interaction::Patch { on, .. } | Interaction::Delete { on, .. } => {
                    match on {
                        On::The(Condition::Search { found: Found::One { key, .. }, .. }) | On::Key(key) => of_key(key),
                        On::The(condition) => condition.lane(),
                    }
                }
                Interaction::Read { key } => of_key(key),
            },
            _ => command.id,
        },
        Act::Report(report) => of_key(&Key::task(&report.task_id)),
        Act::Fire(timer) => timer.root,
        Act::Ask(ask) => workflows::lane(command.id, ask),
    }
}

/// Decides one command on what was found. A clock that was set back is not followed: time is never behind what
/// has happened to the orders that are seen.
pub fn decide(scene: &Scene, command: &Command, moment: &Moment) -> Result<Verdict, Refusal> {
    let now = scene.heads.values().map(|head| head.last).fold(moment.now, Timestamp::max);
    let moment = &Moment { now, ..*moment };
    let decided = match &command.act {
        Act::Change(entries) => entries::decide(scene, command, entries, moment),
        Act::Report(report) => report::decide(scene, command, report, moment),
        Act::Fire(timer) => timer::decide(scene, command, timer, moment),
        Act::Ask(ask) => workflows::decide(scene, command, ask, moment),
    };
    match decided {
        Ok(decision) => Ok(Verdict::Decided(Box::new(decision))),
        Err(Stop::More(needs)) => Ok(Verdict::More(*needs)),
        Err(Stop::No(refusal)) => Err(refusal),
    }
}
