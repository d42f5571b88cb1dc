//! The compact state of a running order: what the head row keeps, so that most decisions read no old Task.

use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// The order as a national service knows it, when it is one of its.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// The newest Task of each step, by the step's number; 0 is the fulfilment Task. Behind the plan's own follow the
    /// Tasks that ask a started one to stop, pause or go on, and those that others wrote about one of them.
    #[serde(rename = "t")]
    pub tasks: Vec<TaskState>,
}

/// Where the newest Task of a step stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskState {
    #[serde(rename = "s", with = "status_code")]
    pub status: Option<TaskStatus>,
    /// Which offer of the step: 1 is the first.
    #[serde(rename = "o")]
    pub occurrence: u32,
    /// How often the step was refused by someone who had claimed it.
    #[serde(rename = "z", default, skip_serializing_if = "is_zero")]
    pub refused: u32,
    /// Nobody is named as its owner: anyone entitled may claim it, and it is offered again when refused.
    #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// The highest sequence number of its reports.
    #[serde(rename = "q", default, skip_serializing_if = "is_zero")]
    pub sequence: u32,
    /// The last report that had an effect.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Its request was withdrawn: the plan goes on without it.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// It ended with a reason given.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub documented: bool,
    /// Until when its claim holds, the last report counted; [`Timestamp::MAX`]: for ever, since it was given back.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Timestamp>,
    /// The version of its Task at which it was last given back, or put on offer anew: claims of an earlier one come too late.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<u32>,
    /// What it is to another Task of the order, when somebody wrote it about that one.
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Joined>,
    /// It tells whoever asked for the whole how that ended.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub calls: bool,
    /// Of a part of the plan that one service of the directory is to do: whom it was offered to, the last one last.
    #[serde(rename = "k", default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<String>,
    /// By when it is to be done.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// That time has passed, and it was said.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Timestamp>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl TaskState {
    /// Somebody has claimed it and has not ended it.
    pub(crate) fn is_engaged(&self) -> bool {
        self.status.is_some_and(|s| s.is_started() || matches!(s, TaskStatus::Received | TaskStatus::Accepted))
    }
}

/// The Task that one is about which joined the order: its step, and which offer of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    #[serde(rename = "t")]
    pub to: u32,
    #[serde(rename = "o")]
    pub occurrence: u32,
    #[serde(rename = "i")]
    pub tie: Tie,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tie {
    /// Asks its owner to stop it, pause it or go on.
    Ask,
    /// Asks for what its owner has to know.
    Question,
    /// The same work, as its filler has it in a system of its own.
    Twin,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

mod status_code {
    use schemas::task::TaskStatus;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Empty for a step that has no Task: a group, or a choice not offered.
    pub(super) fn serialize<S: Serializer>(status: &Option<TaskStatus>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(status.map_or("", TaskStatus::code))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TaskStatus>, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        if code.is_empty() {
            return Ok(None);
        }
        let unknown = || serde::de::Error::custom(format!("{code} is no Task status"));
        TaskStatus::parse(&code).map(Some).ok_or_else(unknown)
    }
}
