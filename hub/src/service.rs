//! What the interfaces work with.

use std::sync::Arc;

use hub_domain::registry::Registry;
use hub_telemetry::Recorder;
use hub_transport::Transport;

use crate::auth::Authenticator;
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
    /// How far the rehearsal clock is from this machine's.
    pub clock_offset_us: i64,
}
