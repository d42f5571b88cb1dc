//! Workers: they take work off a queue, claim it of the hub, do it, and report. A worker never sees the database; all
//! it knows of the hub are the messages of `schemas::message`, and that is all a worker in another language needs.
//!
//! `runner` takes work and keeps order, `claim` is the handshake, `job` the life of one work order, `reporter` what is
//! said about it, `fillers` who does it. `docs/messages.md` tells the same story for other languages.
//!
//! **To add a filler:**
//! 1. Write `fillers/<kind>.rs`: a type with [`Filler`], which turns a work order into an [`Outcome`].
//! 2. Add its line to the list in `fillers/mod.rs`.
//! 3. Let a plan have a step of that kind of work: the hub makes the queue.
//!
//! A filler of your own need not live here: hand it to [`run`].
//!
//! What holds, whatever fails:
//! - Nothing is worked on before the hub granted it *and* the work order is acknowledged, so no broker's patience
//!   limits how long the work takes.
//! - A report is tried until the broker confirms it. The hub does each one once, however often it comes.
//! - Of a Task that another worker got, or that moved on, nothing is done; and what is under way stops when the hub
//!   says so.
//! - A work order is never dropped: it is put off while the hub is away, and after so many other failures parked.

mod claim;
mod filler;
pub mod fillers;
mod job;
pub mod output;
mod post;
mod reporter;
mod runner;
mod shutdown;
mod stops;
mod trace;
mod versions;

pub use filler::{Filler, Outcome};
pub use reporter::Progress;
pub use runner::{Limits, Options, run};
pub use shutdown::Shutdown;
