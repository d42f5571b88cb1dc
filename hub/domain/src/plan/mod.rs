//! The plan engine: which Tasks exist, which are released, which wait, which are cancelled, and when all is done.

pub mod advance;
mod bind;
pub mod check;
pub mod drawing;
pub mod graph;
pub mod kept;
mod known;
mod notation;
mod offsets;
pub mod run;
pub mod simulate;
pub mod steps;
mod undo;
pub(crate) mod variables;
