//! A hub in the process of the test.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hub::app::App;
use hub::config::{Config, Flags};
use hub_transport::{Options, Transport};
use workers::{Shutdown, fillers};

use crate::by_hand::ByHand;
use crate::rest::Client;
use crate::world::World;

/// So fast do simulated fillers work in stories.
const PACE: Duration = Duration::from_millis(5);

/// Speaks as its [`Client`].
pub struct Hub {
    client: Client,
    app: App,
    queue: String,
    fillers: Shutdown,
}

impl Deref for Hub {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Hub {
    pub(crate) async fn open(world: &World, fields: &[(&str, &str)]) -> Result<Self, String> {
        let config = config(world, fields).map_err(|faults| faults.to_string())?;
        let app = App::open(config).await.map_err(|why| format!("{why:#}"))?;
        let hub =
            Self { client: Client::new(app.base_url()), app, queue: world.queue.clone(), fillers: Shutdown::default() };
        Ok(hub)
    }

    /// Simulated fillers of every kind start to work.
    pub async fn has_fillers(&self) {
        for kind in fillers::kinds() {
            self.has_filler(kind, PACE, workers::Options::default()).await;
        }
    }

    /// One simulated filler, which takes so long for each stage of its work.
    pub async fn has_filler(&self, kind: &str, pace: Duration, options: workers::Options) {
        let filler = fillers::simulated(kind, pace).unwrap();
        tokio::spawn(workers::run(self.worker_transport().await, filler, options, self.fillers.clone()));
    }

    /// A worker that does what the story tells it to. It takes open work of this kind.
    pub async fn worker(&self, work: &str, performer: &str) -> ByHand {
        ByHand::at(self.worker_transport().await, work, performer).await
    }

    /// What a worker has: the embedded transport is the hub's own, at a broker each has a connection.
    pub async fn worker_transport(&self) -> Arc<dyn Transport> {
        match self.queue.as_str() {
            "embedded" => self.app.service.transport.clone(),
            url => hub_transport::open(url, Options::worker()).await.unwrap(),
        }
    }

    /// Ends in order: what is under way finishes.
    pub async fn closes(self) {
        self.fillers.drain.cancel();
        self.fillers.stop.cancel();
        self.app.close().await;
    }
}

/// As a site would configure it, on a free port.
pub(crate) fn config(world: &World, fields: &[(&str, &str)]) -> Result<Config, hub::config::ConfigError> {
    let flags = Flags {
        listen: Some("127.0.0.1:0".to_owned()),
        database: Some(world.database.clone()),
        queue: Some(world.queue.clone()),
        set: fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect(),
        ..Flags::default()
    };
    Config::from_sources(&flags, [])
}
