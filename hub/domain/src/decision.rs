//! What was decided: everything that one transaction is to make true, and the answer to give when it has.

use std::sync::Arc;

use schemas::resource::{Key, Resource};
use schemas::task::Priority;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::plan::kept::KeptPlan;
use crate::scene::{Head, Identifier, Receipt};
use crate::workflows::Answer;

#[derive(Debug, Clone, Default)]
pub struct Decision {
    pub heads: Vec<HeadWrite>,
    pub writes: Vec<Write>,
    pub outbox: Vec<Message>,
    pub timers: Vec<Timer>,
    /// Timers that fired or are no longer wanted.
    pub timers_done: Vec<TimerId>,
    pub receipts: Vec<Receipt>,
    /// Identifiers now held by these ids: the unique rows behind If-None-Exist.
    pub claims: Vec<(Identifier, String)>,
    /// Plans to keep, by the hash of their content, if they are new.
    pub plans: Vec<(String, Arc<KeptPlan>, String)>,
    pub reply: Reply,
}

/// A head's new state. `expected` is the version it was decided on; None when it is new.
#[derive(Debug, Clone)]
pub struct HeadWrite {
    pub root: Uuid,
    pub expected: Option<u64>,
    pub head: Head,
}

/// A new version of a resource; its history is every version written.
#[derive(Debug, Clone)]
pub struct Write {
    pub root: Uuid,
    pub method: Method,
    /// For a deletion: nothing but the version and time of the deletion.
    pub resource: Resource,
    /// The version that it follows; none for a creation.
    pub before: Option<Resource>,
}

/// How a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Create,
    Update,
    Delete,
}

impl Method {
    /// The HTTP method that a history entry shows.
    pub fn http(self) -> &'static str {
        match self {
            Self::Create => "POST",
            Self::Update => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A Task version to be told to its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub task: Key,
    pub version: u32,
    /// The kind of work: names the queue.
    pub work: String,
    /// The step of the plan.
    pub step: String,
    pub owner: Option<String>,
    pub priority: Priority,
    /// W3C trace context of the command that caused it.
    pub traceparent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutgoingId(pub i64);

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub id: OutgoingId,
    pub message: Message,
    /// When it was committed.
    pub since: Timestamp,
}

/// One timer of an order: a second one with the same name replaces the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TimerId {
    pub root: Uuid,
    /// `lease.3.1` (step, occurrence), `wait.4` (step).
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    pub id: TimerId,
    pub due: Timestamp,
}

/// The answer to a command. Kept in receipts, so that a repeat is answered alike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reply {
    pub entries: Vec<ReplyEntry>,
    /// For a report: what came of it.
    pub report: Option<ReportReply>,
    /// What a national service answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// What became of one resource of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyEntry {
    /// `Type/id`
    pub reference: String,
    pub version: u32,
    pub last_updated: i64,
    pub outcome: EntryOutcome,
    /// `Task/id` of the fulfilment Task, when the resource is part of an order.
    pub fulfilment: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryOutcome {
    Created,
    Updated,
    Deleted,
    /// Was there already: a conditional create, an update without a change.
    Found,
    /// Was to be deleted, and is not there.
    Absent,
    /// Is there, to be read when all is done.
    Looked,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportReply {
    pub task_version: u32,
    pub lease_until: Option<i64>,
    /// The registry's time of the answer, by which a lease is measured.
    pub at: i64,
    /// False when it was late or a repeat, and changed nothing.
    pub effect: bool,
}
