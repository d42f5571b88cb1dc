//! The plan engine: which Tasks exist, which are released, which wait, which are cancelled, and when all is done.

pub mod advance;
pub mod check;
pub mod drawing;
pub mod graph;
mod known;
pub mod run;
pub mod simulate;
mod undo;
