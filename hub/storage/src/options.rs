//! How a registry is opened.

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
    pub clock_offset_us: i64,
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
            clock_offset_us: 0,
        }
    }
}
