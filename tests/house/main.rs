//! What the house promises about itself, checked by machine.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod codes;
mod graph;
mod licences;
mod migrations;
mod walls;
