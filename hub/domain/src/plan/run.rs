//! The compact state of a running order: what the head row keeps, so that most decisions read no old Task.

use std::ops::{Deref, DerefMut};

use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::steps::Steps;
use crate::workflows::Record;

/// Where one order stands. Short names: this is written with every change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Run {
    /// Hash of the plan it started with; none for a Task that stands alone.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The requests of the order, `Type/id`.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<String>,
    /// The request is on hold: nothing is released.
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The request was revoked: when the last started Task ends, so does the fulfilment Task, as cancelled.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// The placer declared it complete: what is started may end, nothing else begins.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Who is to be called when it has ended: an address.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
    /// When the points were that its plan counts from; none: nobody knows, and nothing counts from it.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Option<Timestamp>>,
    /// The order as a national service knows it, when it is one of its.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// The newest Task of each step, by the step's number; 0 is the fulfilment Task. Behind the plan's own follow the
    /// Tasks that ask a started one to stop, pause or go on, and those that others wrote about one of them.
    #[serde(rename = "t", default)]
    pub tasks: Steps,
}

/// Where the newest Task of a step stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskState {
    pub status: Option<TaskStatus>,
    /// Which offer of the step: 1 is the first.
    pub occurrence: u32,
    /// How often the step was refused by someone who had claimed it.
    pub refused: u32,
    /// Nobody is named as its owner: anyone entitled may claim it, and it is offered again when refused.
    pub open: bool,
    /// The highest sequence number of its reports.
    pub sequence: u32,
    /// The last report that had an effect, as long as it has not ended.
    pub report: Option<String>,
    /// Its request was withdrawn: the plan goes on without it.
    pub withdrawn: bool,
    /// It ended with a reason given.
    pub documented: bool,
    /// Until when its claim holds, the last report counted; [`Timestamp::MAX`]: for ever, since it was given back.
    pub lease: Option<Timestamp>,
    /// The version of its Task at which it was last given back, or put on offer anew: claims of an earlier one come too late.
    pub offered: Option<u32>,
    /// What it is to another Task of the order, when somebody wrote it about that one.
    pub joined: Option<Joined>,
    /// It tells whoever asked for the whole how that ended.
    pub calls: bool,
    /// What few steps have.
    pub rare: Rare,
    /// When it may begin, as long as that is all it waits for: a timer is set.
    pub due: Option<Timestamp>,
    /// By when it is to be done.
    pub until: Option<Timestamp>,
    /// That time has passed, and it was said.
    pub late: bool,
    /// Somebody had taken an earlier offer of it.
    pub begun: bool,
    pub released: Option<Timestamp>,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
}

/// Elsewhere, so that the states of a thousand steps are read and dropped sooner.
#[derive(Debug, Clone, Default)]
pub struct Rare(Option<Box<Few>>);

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Few {
    /// Of a part of the plan that one service of the directory is to do: whom it was offered to, the last one last.
    pub asked: Vec<String>,
    /// It chose among branches, and this is what it chose: their numbers.
    pub chosen: Vec<u32>,
    /// By when the service that it is offered to has to answer.
    pub answer: Option<Timestamp>,
}

impl Deref for Rare {
    type Target = Few;

    fn deref(&self) -> &Few {
        static NOTHING: Few = Few { asked: Vec::new(), chosen: Vec::new(), answer: None };
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Rare {
    fn deref_mut(&mut self) -> &mut Few {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for Rare {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl TaskState {
    /// Nothing has happened to it yet: it was never on offer, and is still wanted.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.status, None | Some(TaskStatus::Draft))
            && self.released.is_none()
            && !self.withdrawn
            && !self.begun
    }

    /// Somebody has claimed it and has not ended it.
    pub(crate) fn is_engaged(&self) -> bool {
        match self.status {
            // It was given back, and somebody has it again.
            Some(TaskStatus::Ready) => self.report.is_some(),
            Some(status) => status.is_started() || matches!(status, TaskStatus::Received | TaskStatus::Accepted),
            None => false,
        }
    }
}

/// The Task that one is about which joined the order: its step, and which offer of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    pub to: u32,
    pub occurrence: u32,
    pub tie: Tie,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// Asks its owner to stop it, pause it or go on.
    Ask,
    /// Asks for what its owner has to know.
    Question,
    /// The same work, as its filler has it in a system of its own.
    Twin,
}

impl Tie {
    /// As they are numbered where they are written.
    pub(super) const ALL: [Self; 3] = [Self::Ask, Self::Question, Self::Twin];
}
