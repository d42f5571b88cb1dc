//! Clients that only submit, and the count of what they were answered in each moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tests::Client;
use tests::bodies::{With, laboratory};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

const CLIENTS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(5);
/// Who was refused waits for so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Submissions by 32 clients. They end when this is dropped.
pub(crate) struct Load {
    accepted: Arc<Mutex<Vec<Instant>>>,
    refused: Arc<AtomicU64>,
    _clients: JoinSet<()>,
}

impl Load {
    /// Each client submits as soon as it was answered.
    pub(crate) fn closed(hubs: &[Client]) -> Self {
        Self::of(hubs, None)
    }

    /// So many orders in a second, whatever the answers; late ones are made up for.
    pub(crate) fn open(hubs: &[Client], orders_per_second: f64) -> Self {
        Self::of(hubs, Some(orders_per_second))
    }

    fn of(hubs: &[Client], orders_per_second: Option<f64>) -> Self {
        let (accepted, refused): (Arc<Mutex<Vec<Instant>>>, Arc<AtomicU64>) = Default::default();
        let mut clients = JoinSet::new();
        for n in 0..CLIENTS {
            let (hub, accepted, refused) = (hubs[n % hubs.len()].clone(), accepted.clone(), refused.clone());
            let pause = orders_per_second.map(|rate| Duration::from_secs_f64(CLIENTS as f64 / rate));
            clients.spawn(async move {
                let mut next = Instant::now() + pause.unwrap_or_default().mul_f64(n as f64 / CLIENTS as f64);
                loop {
                    if let Some(pause) = pause {
                        sleep_until(next).await;
                        next += pause;
                    }
                    if submits(&hub).await {
                        accepted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                    } else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        sleep(PAUSE).await;
                    }
                }
            });
        }
        Self { accepted, refused, _clients: clients }
    }

    /// Orders accepted in a second, between two moments.
    pub(crate) fn rate(&self, from: Instant, until: Instant) -> f64 {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let among = accepted.iter().filter(|at| (from..until).contains(at)).count();
        among as f64 / until.saturating_duration_since(from).as_secs_f64()
    }

    /// The rate of the next while.
    pub(crate) async fn rate_of(&self, time: Duration) -> f64 {
        let from = Instant::now();
        sleep(time).await;
        self.rate(from, Instant::now())
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

async fn submits(hub: &Client) -> bool {
    let identifier = Uuid::new_v4().to_string();
    let order = laboratory().with(json!({
        "identifier": [{ "system": "urn:chaos", "value": identifier }],
        "subject": { "reference": format!("Patient/{identifier}") },
    }));
    let submission = hub.post("ServiceRequest", &order).header("idempotency-key", &identifier).attempt();
    timeout(PATIENCE, submission).await.ok().flatten().is_some_and(|reply| reply.status == 201)
}
