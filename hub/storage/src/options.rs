//! How a registry is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Limits and sizes, each with its unit.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections that load and commit: one for each lane, and some for the relay and the clock. SQLite has one.
    pub write_connections: u32,
    /// Connections for reads and searches.
    pub read_connections: u32,
    /// How long to wait for a connection before the database counts as unavailable.
    pub acquire_timeout_ms: u64,
    /// A search that takes longer is too costly.
    pub search_timeout_ms: u64,
    /// A search that looks at more rows for one page is too costly.
    pub search_rows_limit: u32,
    /// For so long the messages of a commit are left to the hub that committed them.
    pub fresh_lease_ms: u64,
    /// Added to the database's time; for tests and the demo.
    pub clock_offset: ClockOffset,
}

/// How far the clock of a rehearsal is ahead of the database's. A clone is the same clock: who sets it on sets it on for
/// all.
#[derive(Debug, Clone, Default)]
pub struct ClockOffset(Arc<AtomicI64>);

impl ClockOffset {
    pub fn of_us(us: i64) -> Self {
        Self(Arc::new(AtomicI64::new(us)))
    }

    pub fn us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Leases that are held grow older by as much.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            write_connections: 8,
            read_connections: 8,
            acquire_timeout_ms: 2_500,
            search_timeout_ms: 5_000,
            search_rows_limit: 10_000,
            fresh_lease_ms: 10_000,
            clock_offset: ClockOffset::default(),
        }
    }
}
