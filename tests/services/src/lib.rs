//! Throw-away PostgreSQL and RabbitMQ for tests, which a test may also kill.
//!
//! Each has a folder, ports and processes of its own and listens on 127.0.0.1 only; when it is dropped, its processes
//! end and its folder goes. The calls block: in an async test they belong into `spawn_blocking`.
//!
//! `services run -- COMMAND` runs a command beside one of each; see `main.rs`. `./install` brings the programs.
//!
//! To add a service: one file beside these two, and its variable in `main.rs`.

mod ports;
mod postgres;
mod rabbitmq;
mod server;

pub use postgres::{Postgres, postgres_program};
pub use rabbitmq::RabbitMq;

/// Names the URL of a PostgreSQL server (database `postgres`) that tests may use.
pub const POSTGRES_VARIABLE: &str = "HUB_TEST_POSTGRES";
/// Names the URL of a RabbitMQ that tests may use.
pub const AMQP_VARIABLE: &str = "HUB_TEST_AMQP";
