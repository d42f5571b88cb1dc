//! Carries work orders to workers and their reports back, over RabbitMQ or inside one process.
//!
//! `queue` says what a transport is; `rabbitmq` and `in_process` are the two there are; `tests/contract.rs` says of
//! both that they behave alike. The hub and the workers use it; it knows neither FHIR nor JSON, only bytes.
//!
//! To add a broker: a folder beside `rabbitmq` that keeps the traits of `queue`, one arm in [`open`], and one line
//! in the contract suite, which says when it is done.
//!
//! What it promises: a publish is `Ok` only when confirmed and routed; a delivery comes until it is answered, so it
//! may come twice; two tiers are two queues, so there is no order between them, nor after a retry.
//!
//! Metrics (counters): `hub_transport_published_total`, `hub_transport_unroutable_total`,
//! `hub_transport_retried_total`, `hub_transport_parked_total`, `hub_transport_reconnects_total`.
//!
//! A warning for whoever sets up the logs: `lapin` logs a returned message *with its body* at `warn`. The target
//! `lapin::returned_messages` must be off, whatever else a filter says ([`QUIET_TARGET`]).

mod counters;
#[cfg(feature = "faults")]
mod faults;
mod in_process;
mod place;
pub mod queue;
mod rabbitmq;
mod resting;
mod turns;

use std::sync::Arc;

pub use queue::*;

/// The log target that would print bodies, and with them patients. Switch it off.
pub const QUIET_TARGET: &str = "lapin::returned_messages";

/// Who opens the transport.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shown by the broker as the connection's name.
    pub name: String,
    /// The hub declares exchanges and queues; a worker finds them, and so needs no right to make any but its replies.
    pub declares: bool,
    /// How many messages one queue may hold in memory. RabbitMQ's limits are the operator's policies.
    pub memory_limit_messages: usize,
}

impl Options {
    pub fn hub() -> Options {
        Options { name: "hub".to_owned(), declares: true, memory_limit_messages: 1_000_000 }
    }

    pub fn worker() -> Options {
        Options { name: "worker".to_owned(), declares: false, ..Options::hub() }
    }
}

/// Opens `embedded` (in this process, in memory) or `amqp://...` and `amqps://...` (RabbitMQ).
///
/// A broker that is away is no error, since it will come; one that refuses us is.
pub async fn open(url: &str, options: Options) -> Result<Arc<dyn Transport>, Trouble> {
    let transport = if url == "embedded" {
        in_process::open(&options)
    } else if url.starts_with("amqp://") || url.starts_with("amqps://") {
        rabbitmq::open(url, options).await?
    } else {
        return Err(Trouble::BadUrl("expected embedded, amqp://... or amqps://...".to_owned()));
    };
    #[cfg(feature = "faults")]
    let transport = faults::armed(transport);
    Ok(transport)
}

/// The queues that a broker at `amqp://...` should have for these places, as they are. Makes none.
pub async fn look(url: &str, places: &[Place]) -> Result<Vec<Seen>, Trouble> {
    rabbitmq::look(url, places).await
}
