//! The port to the Task registry. Deep and narrow: load a batch, commit a batch, read, search.
//!
//! `decide` never sees this; the engine does. Both back ends pass one contract suite.

use std::time::Duration;

use async_trait::async_trait;
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use thiserror::Error;
use uuid::Uuid;

pub use crate::decision::Method;
use crate::decision::{Decision, Outgoing, OutgoingId, Timer};
use crate::query::{Param, Query};
use crate::scene::{Needs, Scene};

/// A machine failed. Logged with its cause where it is handled; a caller gets 5xx and an id.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The database cannot be reached, or is going down. Trying again later is right.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The query read more than it may.
    #[error("the query would read too much")]
    TooCostly,
    /// Behind a link of the query stand more resources than are carried on, or finding them would read too much.
    #[error(
        "too many resources of type {kind} are behind {by:?}: no more than {limit} are carried on, and finding them may \
         not read too much either; narrow that part of the search"
    )]
    TooWide { kind: Kind, by: &'static str, limit: u32 },
    /// The page token was not written by this registry.
    #[error("the page token cannot be read")]
    BadPage,
    /// The schema has gone on without what this program relies on: the newest migration it knows, and the one that it
    /// must know here.
    #[error(
        "this database is for newer hubs: its schema has given up what hubs relied on before migration {needed}, and this \
         one knows migrations up to {known}; start a hub of the release that the others run, or restore a backup from \
         before the upgrade"
    )]
    Outdated { known: i64, needed: i64 },
    /// What is stored cannot be read: table, row, and what is wrong with it.
    #[error("corrupt row {row} in {table}: {why}")]
    Corrupt { table: &'static str, row: String, why: String },
    #[error("{0}")]
    Failed(String),
}

/// What became of one decision of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    Done,
    /// Somebody else moved one of its heads, or took one of its keys: decide again.
    Stale,
    /// Committed alone after its batch had failed, it failed again.
    Failed(String),
}

/// One version as it is stored: the body is the JSON text to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: Key,
    pub version: u32,
    pub last_updated: Timestamp,
    /// How this version came to be.
    pub method: Method,
    /// The JSON text; empty when deleted.
    pub body: Vec<u8>,
}

/// One page of a search or a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Stored>,
    /// Opaque; given back to read on. None at the end.
    pub next: Option<String>,
    /// Rows looked at to fill the page, for tests and metrics.
    pub rows_read: u64,
}

/// A resource that points to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// By which of its elements.
    pub by: &'static Param,
    pub from: Key,
    pub status: Option<String>,
}

/// What `_history` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryOf {
    /// None: of all types.
    pub kind: Option<Kind>,
    /// None: of all resources of the type.
    pub id: Option<String>,
    pub since: Option<Timestamp>,
    /// Only versions that were the current one at some time from the first to the second.
    pub at: Option<(Timestamp, Timestamp)>,
    pub count: u32,
    pub page: Option<String>,
}

impl HistoryOf {
    /// The types it is of.
    pub fn kinds(&self) -> &[Kind] {
        self.kind.as_ref().map_or(Kind::ALL, std::slice::from_ref)
    }
}

/// A message that could not be handled, kept until a person has looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Given by the registry.
    pub id: i64,
    /// When it was put here.
    pub at: Timestamp,
    /// Where it was, and would go again: the transport's routing key.
    pub queue: String,
    pub why: String,
    pub message_id: String,
    pub content_type: String,
    /// How often it was tried before it was parked.
    pub attempts: u32,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Numbers for `/metrics`, counted by the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// (kind of work, status, how many) over open Tasks.
    pub open_tasks: Vec<(String, String, u64)>,
    /// (kind of work, how long the oldest Task on offer has not moved): what nobody takes shows here.
    pub oldest_offers: Vec<(String, Duration)>,
    pub outbox_depth: u64,
    /// Age of the oldest message not yet sent.
    pub outbox_age: Duration,
    /// Timers overdue.
    pub overdue_timers: u64,
    /// Messages that wait for a person.
    pub parked: u64,
}

#[async_trait]
pub trait Registry: Send + Sync {
    /// The scenes for a batch of needs, one for each, as of one moment, read in one round trip.
    /// The moment is the database's time.
    async fn load(&self, needs: &[Needs]) -> Result<(Vec<Scene>, Timestamp), Trouble>;

    /// Commits a batch in one transaction and answers for each decision. One that is stale changes nothing and does
    /// not touch its neighbours; one that is done is durable when this returns. With it come the ids of its outgoing
    /// messages, in their order.
    async fn commit(&self, decisions: &[Decision]) -> Result<Vec<(Committed, Vec<OutgoingId>)>, Trouble>;

    /// Current versions; deleted and unknown ones are absent.
    async fn read(&self, keys: &[Key]) -> Result<Vec<Stored>, Trouble>;

    /// One version, also a deletion. `version` None: the newest.
    async fn version(&self, key: &Key, version: Option<u32>) -> Result<Option<Stored>, Trouble>;

    async fn search(&self, query: &Query) -> Result<Page, Trouble>;

    /// How many resources a search finds on all its pages. It reads no more than a search may.
    async fn count(&self, query: &Query) -> Result<u64, Trouble>;

    /// The current resources that point to one of these by one of the parameters, in the order of the parameters: the
    /// newest of each target, at most `limit`.
    async fn pointing(&self, to: &[Key], by: &[&'static Param], limit: u32) -> Result<Vec<Pointer>, Trouble>;

    /// Newest first. Holds back what an open transaction may still precede.
    async fn history(&self, of: &HistoryOf) -> Result<Page, Trouble>;

    /// The order (or, of what is no order, the resource itself) that a resource belongs to.
    async fn root_of(&self, key: &Key) -> Result<Option<Uuid>, Trouble>;

    /// What one order is now: its requests, and then its Tasks in the order of their steps.
    async fn parts_of(&self, root: Uuid) -> Result<Vec<Stored>, Trouble>;

    /// Messages not yet sent, most urgent and oldest first, and not handed to anybody for `lease`.
    async fn outgoing(&self, limit: u32, lease: Duration) -> Result<Vec<Outgoing>, Trouble>;

    /// Forget these: they reached their queue, or are no longer wanted.
    async fn sent(&self, ids: &[OutgoingId]) -> Result<(), Trouble>;

    /// Puts a message for every Task that is on offer back into the outbox; how many.
    /// For a transport that came up empty.
    async fn republish(&self) -> Result<u64, Trouble>;

    /// Timers that are due at `now` plus the clock's offset, not handed to anybody for `lease`.
    async fn due(&self, limit: u32, lease: Duration) -> Result<Vec<Timer>, Trouble>;

    /// Keeps messages that were parked. Their ids and times are the registry's.
    async fn park(&self, messages: &[Parked]) -> Result<(), Trouble>;

    /// Parked messages in the order they came, from behind the id `after`.
    async fn parked(&self, after: i64, limit: u32) -> Result<Vec<Parked>, Trouble>;

    /// Forgets a parked message: it was sent again, or is not wanted. False when it is not there.
    async fn unpark(&self, id: i64) -> Result<bool, Trouble>;

    /// Forgets receipts that are older than `kept`, the oldest first and at most `limit`; how many. For any number of
    /// hubs at once.
    async fn prune(&self, kept: Duration, limit: u32) -> Result<u64, Trouble>;

    /// Indexes up to `limit` resources by search parameters that were not there when they were stored; how many, none when
    /// there is nothing to do, or not now. For any number of hubs at once, beside others that commit.
    async fn index_anew(&self, limit: u32) -> Result<Option<u64>, Trouble>;

    /// How many messages are not yet sent, counted no further than `limit`. One that counts them without all the other
    /// figures is quicker.
    async fn outbox_depth(&self, limit: u64) -> Result<u64, Trouble> {
        Ok(self.figures().await?.outbox_depth.min(limit))
    }

    async fn figures(&self) -> Result<Figures, Trouble>;

    /// A direct look at the database, for `/health/ready`.
    async fn health(&self) -> Result<(), Trouble>;

    /// Finishes what is under way and closes connections.
    async fn close(&self);
}
