//! How much work is taken, which first, and when no more.

use std::time::Duration;

use schemas::message::Act;
use workers::{Limits, Options};

use crate::filler::Ending;
use crate::hub::{Hub, order};
use crate::{A_WHILE, Worker, options};

#[tokio::test]
async fn urgent_work_is_claimed_first() {
    let mut hub = Hub::open().await;
    for (task, priority) in [("a", "routine"), ("b", "routine"), ("c", "stat"), ("d", "asap")] {
        hub.order(order(task, 1, priority)).await;
    }
    let mut worker = Worker::at(&hub);
    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.push(hub.grant_next().await.report.task_id);
        worker.begins().await;
        worker.ends(Ending::Reject);
        hub.hear_act(Act::Rejected).await;
    }
    assert_eq!(claimed, ["c", "d", "a", "b"]);
}

#[tokio::test]
async fn concurrency_is_a_limit() {
    let mut hub = Hub::open().await;
    for task in ["a", "b", "c"] {
        hub.order(order(task, 1, "routine")).await;
    }
    let mut worker = Worker::start(&hub.transport, Options { concurrency: 2, ..options() });
    for _ in 0..2 {
        hub.grant_next().await;
        worker.begins().await;
    }
    hub.hears_nothing_for(A_WHILE).await;
    worker.ends(Ending::Reject);
    hub.hear_act(Act::Rejected).await;
    hub.grant_next().await;
}

#[tokio::test]
async fn worker_with_full_hands_gives_back_what_it_prefetched() {
    let mut hub = Hub::open().await;
    let limits = Limits { hoarding: Duration::from_millis(20), ..Limits::default() };
    let mut worker = Worker::start(&hub.transport, Options { limits, ..options() });
    for task in ["a", "b"] {
        hub.order(order(task, 1, "routine")).await;
    }
    hub.grant_next().await;
    worker.begins().await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(hub.waiting().await, 1);
    worker.ends(Ending::Reject);
    hub.hear_act(Act::Rejected).await;
    assert_eq!(hub.grant_next().await.report.task_id, "b", "with a free hand it takes work again");
}

#[tokio::test]
async fn draining_finishes_what_was_granted_and_takes_no_more() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    worker.shutdown.drain.cancel();
    hub.order(order("b", 2, "routine")).await;
    worker.ends(Ending::Complete);
    hub.hear_act(Act::InProgress).await;
    hub.hear_act(Act::Completed).await;
    worker.running.await.unwrap().unwrap();
    assert_eq!(hub.waiting().await, 1);
}
