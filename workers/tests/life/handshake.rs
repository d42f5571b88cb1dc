//! What is claimed, what is acknowledged, and what is begun.

use std::time::Duration;

use hub_transport::{Place, Routing, Tier};
use schemas::message::{Act, WorkOrder};

use crate::filler::Ending;
use crate::hub::{Hub, order};
use crate::{A_WHILE, Worker, impatient};

#[tokio::test]
async fn work_order_is_acknowledged_before_its_work_begins() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    // What a worker that ends has not acknowledged would go back to its queue.
    worker.stop().await;
    assert_eq!(hub.waiting().await, 0);
}

#[tokio::test]
async fn without_an_answer_the_work_order_is_not_lost() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;
    hub.hear_act(Act::Claim).await;
    assert!(worker.has_begun_nothing());
    worker.stop().await;
    assert_eq!(hub.waiting().await, 1);
}

#[tokio::test]
async fn refused_work_is_forgotten() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;
    let claim = hub.hear_act(Act::Claim).await;
    hub.refuse(&claim).await;
    hub.order(order("b", 2, "routine")).await;
    hub.grant_next().await;
    assert_eq!(worker.begins().await, "b");
    worker.stop().await;
    assert_eq!(hub.waiting().await, 0);
}

#[tokio::test]
async fn late_version_is_dropped() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 5, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    worker.ends(Ending::Reject);
    hub.hear_act(Act::Rejected).await;

    hub.order(order("a", 3, "routine")).await;
    hub.order(order("a", 5, "routine")).await;
    hub.order(order("b", 1, "routine")).await;
    assert_eq!(hub.grant_next().await.report.task_id, "b");
}

#[tokio::test]
async fn withdrawn_work_is_not_claimed() {
    let mut hub = Hub::open().await;
    let _worker = Worker::at(&hub);
    hub.order(WorkOrder { task_status: "cancelled".into(), ..order("a", 4, "routine") }).await;
    hub.order(order("a", 3, "routine")).await;
    hub.hears_nothing_for(A_WHILE).await;
    assert_eq!(hub.waiting().await, 0);
}

#[tokio::test]
async fn unanswered_claim_is_asked_again_and_is_the_same_claim() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::start(&hub.transport, impatient());
    hub.order(order("a", 2, "routine")).await;
    let first = hub.hear_act(Act::Claim).await;
    let second = hub.hear_act(Act::Claim).await;
    assert_eq!(first.report, second.report);
    // A hub that was slow answers both; the work is done once all the same.
    hub.grant(&first, None).await;
    hub.grant(&second, None).await;
    worker.begins().await;
    worker.ends(Ending::Reject);
    hub.hear_act(Act::Rejected).await;
    hub.hears_nothing_for(A_WHILE).await;
    assert!(worker.has_begun_nothing());
}

#[tokio::test]
async fn grant_that_comes_late_is_honoured() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::start(&hub.transport, impatient());
    hub.order(order("a", 2, "routine")).await;
    let claim = hub.hear_act(Act::Claim).await;
    tokio::time::sleep(A_WHILE).await;
    hub.grant(&claim, None).await;
    assert_eq!(worker.begins().await, "a");
    worker.ends(Ending::Reject);
    hub.hear_act(Act::Rejected).await;
    // And the copy of the order that was put off finds nothing left to do.
    hub.hears_nothing_for(Duration::from_millis(1200)).await;
    assert_eq!(hub.waiting().await, 0);
}

#[tokio::test]
async fn what_is_no_work_order_is_parked_without_a_word_of_it() {
    let hub = Hub::open().await;
    let _worker = Worker::at(&hub);
    let routing = Routing::work(Place::open("laboratory").unwrap(), Tier::Routine);
    hub.put(routing, "bad", br#"{"specversion": {"patient": "Smith"}}"#.to_vec()).await;
    let parked = hub.parked().await;
    let why = parked.parked_why.as_deref().unwrap();
    assert!(why.starts_with("not a work order") && !why.contains("Smith"), "{why}");
    parked.done().await;
}

#[tokio::test]
async fn another_kind_of_work_of_the_same_performer_is_left_to_its_worker() {
    let mut hub = Hub::open().await;
    let _worker = Worker::at(&hub);
    let place = Place::performer("Organization/lab-1").unwrap();
    hub.order_at(place.clone(), WorkOrder { work: "clinic".into(), ..order("a", 1, "routine") }).await;
    hub.order_at(place, order("b", 1, "routine")).await;
    assert_eq!(hub.grant_next().await.report.task_id, "b");
}
