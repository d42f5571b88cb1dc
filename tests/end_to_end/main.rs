//! Stories over the whole system: what comes in by REST goes out by queue, is worked on, and comes back.
//!
//! Each runs on all four combinations of database and queue; see `tests::stories`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod changes;
mod claims;
mod fulfilment;
mod repeats;
mod reports;
