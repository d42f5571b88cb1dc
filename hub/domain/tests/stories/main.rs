//! Decisions as stories: commands in, the states of Tasks out. No runtime, no database: a world in memory gives each
//! decision exactly the scene that it asked for, and keeps what it decided.

#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

mod again;
mod applying;
mod brokered;
mod built_in;
mod called_back;
mod changed;
mod conditions;
mod counted;
mod defined;
mod handed;
mod linked;
mod matrix;
mod offered;
mod orchestrations;
mod orders;
mod participants;
mod plans;
mod proof;
mod refused;
mod repeated;
mod simulated;
mod timed;
mod world;
