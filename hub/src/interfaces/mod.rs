//! Where outside bytes become a `Command`, and an answer bytes again. To add an interface: a folder here, a line here.

pub mod fhir;
pub mod operations;
