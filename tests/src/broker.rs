//! The RabbitMQ that stories share. Its queues have fixed names, so one story is told on it at a time.

use std::sync::{Mutex, MutexGuard};

use hub_transport::{Place, Routing, Tier};
use lapin::options::QueuePurgeOptions;
use lapin::{Channel, Connection, ConnectionProperties};

/// While it is held, the broker is this story's.
pub(crate) type Turn = MutexGuard<'static, ()>;

pub(crate) fn take_turn() -> Turn {
    static BROKER: Mutex<()> = Mutex::new(());
    // A story that failed leaves no more behind than one that did not: all is purged before the next.
    BROKER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Kinds of work that a story may meet, and performers that stories register.
const WORKS: [&str; 4] = ["clinic", "laboratory", "pharmacy", "general"];
pub(crate) const REGISTERED: &str = "Organization/registered";

/// Empties every queue that an earlier story may have left something in.
pub(crate) async fn purge(url: &str) {
    let (mut connection, mut channel) = connect(url).await;
    for queue in queues() {
        let purged = channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await;
        if purged.is_err() {
            // There is no such queue until the first hub has been here, and the question costs the channel.
            (connection, channel) = connect(url).await;
        }
    }
    connection.close(200, "purged".into()).await.unwrap();
}

async fn connect(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

fn queues() -> Vec<String> {
    let open = WORKS.map(|work| Place::open(work).unwrap());
    let places = open.into_iter().chain([Place::performer(REGISTERED).unwrap()]);
    let work = places.flat_map(|place| Tier::BOTH.map(|tier| Routing::work(place.clone(), tier).key()));
    let retry = ["1s", "5s", "30s", "300s", "3600s"].map(|step| format!("retry.{step}"));
    let others = ["reports", "parked"].map(str::to_owned);
    work.chain(retry).chain(others).map(|name| format!("hub.v1.{name}")).collect()
}
