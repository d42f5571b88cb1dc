//! The business of the hub, pure: no clock, no network, no database. [`decide`](decide::decide) is all of it.
//!
//! A [`command`] names what it needs to see ([`scene`]); the engine loads it; `decide` answers with a [`decision`] or a
//! [`refusal`]; the [`registry`] makes it true.

pub mod apply;
pub mod command;
pub mod decide;
pub mod decision;
pub mod directory;
pub mod plan;
pub mod query;
pub mod refusal;
pub mod registry;
pub mod scene;
pub mod task_machine;
pub mod workflow;
pub mod workflows;
