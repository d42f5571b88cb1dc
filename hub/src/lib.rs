//! The hub: its edges, and putting the house together. What is decided is decided in `hub-domain`.

pub mod app;
pub mod auth;
pub mod backlog;
mod callbacks;
pub mod cli;
mod clock;
pub mod config;
pub mod engine;
mod housekeeping;
pub mod interfaces;
mod listener;
mod parking;
mod plans;
mod relay;
pub mod service;
mod signatures;
mod waiting;
