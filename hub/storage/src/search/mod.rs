//! Searches, the same for both databases.
//!
//! A query is answered by a `Plan`: one of its filters *drives*, that is, names candidates through an index in
//! the order of the answer, and every filter is tested on each candidate. So a search reads what it returns and what
//! its other filters reject, never the whole table, and there is a hard bound on how much. Where the index says less
//! than the filter, the resource itself is asked (`exact`). Filters that look at other resources are settled first
//! (`links`). What points to an order is no search, but one statement of its own (`pointing`).
//!
//! Without `_sort`, the newest resource comes first, by creation: an order that nothing changes, so that paging skips
//! nothing. A search driven by a date is in the order of that date, oldest first: a resource that changes meanwhile
//! moves ahead, and is met again. `_sort=-_lastUpdated` is the one order that runs against changes: what moved past it
//! is appended at its end. Pages in another mutable order (`_sort=status`) show the state of each page's own moment.

mod dates;
mod exact;
mod links;
mod plan;
mod pointing;
mod read;
mod sort;
mod sql;
mod values;

pub(crate) use pointing::{PointerRow, pointing};
pub(crate) use read::{Limits, count, search};
pub(crate) use sql::{Arg, Statement};

use async_trait::async_trait;
use hub_domain::registry::Trouble;
use schemas::resource::Kind;
use uuid::Uuid;

use crate::indexed::Behind;
use crate::rows::VersionRow;

/// A database, as far as searching goes.
#[async_trait]
pub(crate) trait Source: Sync {
    /// Whether each part of a UNION ALL is planned by itself.
    fn plans_arms_alone(&self) -> bool;

    async fn candidates(&self, statement: Statement) -> Result<Vec<Candidate>, Trouble>;

    /// These versions, in any order.
    async fn versions(&self, kind: Kind, wanted: &[(String, i32)]) -> Result<Vec<VersionRow>, Trouble>;

    /// The resources that have an index row with one of these links by one of these elements: of each link the newest
    /// `limit`.
    async fn pointers(&self, links: &[Uuid], elements: &[i64], limit: u32) -> Result<Vec<PointerRow>, Trouble>;

    /// What the indexes do not know yet.
    fn behind(&self) -> &Behind;

    /// Up to where the type may be read in the order of time.
    async fn horizon_us(&self, kind: Kind) -> Result<i64, Trouble>;
}

/// A row that was looked at.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Candidate {
    /// Its place in the order of the drive: two keys, and the number of its row.
    a: i64,
    b: i64,
    seq: i64,
    id: String,
    version: i32,
    updated: i64,
    status: Option<String>,
    priority: i16,
    authored: i64,
    modified: Option<i64>,
    /// Whether it passes what the database can test.
    passes: i32,
    /// Of the version, where it passes and was asked for.
    method: Option<i16>,
    body: Option<Vec<u8>>,
}
