//! The language that both sides of a queue speak: ids, resources, orders, Tasks, plans, outcomes and messages.
//! No I/O happens here, and this package knows no other.

pub mod gate;
pub mod ids;
pub mod message;
pub mod order;
pub mod outcome;
pub mod plan;
pub mod resource;
pub mod task;
pub mod time;
