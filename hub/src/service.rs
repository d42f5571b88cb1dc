//! What the interfaces work with.

use std::sync::Arc;

use hub_domain::registry::Registry;
use hub_domain::workflows::{Reading, eps};
use hub_storage::ClockOffset;
use hub_telemetry::Recorder;
use hub_transport::Transport;
use schemas::time::Timestamp;

use crate::auth::Authenticator;
use crate::clock;
use crate::config::Config;
use crate::engine::Engine;
use crate::interfaces::fhir::Capacity;

/// The opened parts, shared by all requests.
pub struct Service {
    pub config: Config,
    pub engine: Engine,
    pub registry: Arc<dyn Registry>,
    pub transport: Arc<dyn Transport>,
    pub authenticator: Authenticator,
    pub capacity: Capacity,
    pub metrics: Recorder,
    /// How this site takes the messages of prescriptions.
    pub eps: eps::Policy,
    /// When they were.
    pub opened: Timestamp,
    /// How far the rehearsal clock is from this machine's.
    pub clock_offset: ClockOffset,
}

impl Service {
    /// The time by which the registry decides, as this machine's clock has it.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(clock::now().0.saturating_add(self.clock_offset.us()))
    }

    /// By what is read now what somebody sends.
    pub(crate) fn reading(&self) -> Reading {
        Reading { now: self.now(), eps: self.eps.clone() }
    }
}
