//! Stories over the whole system: what comes in by REST goes out by queue, is worked on, and comes back.
//!
//! Each runs on all four combinations of database and queue; see `tests::stories`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod bad_input;
mod changes;
mod claims;
mod crashes;
mod fulfilment;
mod outages;
mod payloads;
mod processes;
mod repeats;
mod reports;
mod searching;
mod traces;
