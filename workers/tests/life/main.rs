//! The life of work orders, on the transport of one process, with a hub as small as a worker can see it.

#![allow(clippy::unwrap_used, reason = "what a test cannot have, ends it")]

mod broker;
mod fenced;
mod filler;
mod hands;
mod handshake;
mod hub;
mod put_off;
mod reports;
mod unsteady;

use std::sync::Arc;
use std::time::Duration;

use filler::{Ending, Script, scripted};
use hub::Hub;
use hub_transport::Transport;
use tokio::task::JoinHandle;
use workers::{Limits, Options, Shutdown, run};

/// Long enough for anything that should not happen to happen.
const A_WHILE: Duration = Duration::from_millis(100);

struct Worker {
    running: JoinHandle<anyhow::Result<()>>,
    shutdown: Shutdown,
    script: Script,
}

impl Worker {
    fn start(transport: &Arc<dyn Transport>, options: Options) -> Worker {
        let (filler, script) = scripted();
        let shutdown = Shutdown::default();
        let running = tokio::spawn(run(transport.clone(), Arc::new(filler), options, shutdown.clone()));
        Worker { running, shutdown, script }
    }

    fn at(hub: &Hub) -> Worker {
        Worker::start(&hub.transport, options())
    }

    /// The next Task that is begun.
    async fn begins(&mut self) -> String {
        self.script.begun.recv().await.unwrap()
    }

    fn ends(&self, ending: Ending) {
        self.script.endings.send(ending).unwrap();
    }

    fn has_begun_nothing(&mut self) -> bool {
        self.script.begun.try_recv().is_err()
    }

    async fn stop(self) {
        self.shutdown.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

fn options() -> Options {
    Options { performer: Some("Organization/lab-1".into()), concurrency: 1, limits: Limits::default() }
}

fn impatient() -> Options {
    let limits = Limits { answer: Duration::from_millis(20), silence: Duration::from_secs(1), ..Limits::default() };
    Options { limits, ..options() }
}
