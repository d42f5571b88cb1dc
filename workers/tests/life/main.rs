//! The life of work orders, on the transport of one process, with a hub as small as a worker can see it.

#![allow(clippy::unwrap_used, reason = "what a test cannot have, ends it")]

mod broker;
mod filler;
mod hub;
mod unsteady;

use std::sync::Arc;
use std::time::Duration;

use filler::{Ending, Script, scripted};
use hub::{Hub, order};
use hub_transport::{Place, Routing, Tier, Transport};
use schemas::message::{Act, WorkOrder};
use tokio::task::JoinHandle;
use unsteady::Unsteady;
use workers::{Limits, Options, Shutdown, fillers, run};

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
    let limits = Limits { answer: Duration::from_millis(20), ..Limits::default() };
    Options { limits, ..options() }
}

#[tokio::test]
async fn granted_work_is_done_and_reported_in_order() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;

    let claim = hub.grant_next().await.report;
    assert_eq!((claim.task_version, claim.sequence, claim.performer.as_str()), (Some(2), 1, "Organization/lab-1"));
    assert_eq!(worker.begins().await, "a");
    worker.ends(Ending::Complete);

    let begun = hub.hear_act(Act::InProgress).await.report;
    let completed = hub.hear_act(Act::Completed).await.report;
    assert_eq!((begun.sequence, completed.sequence), (2, 3));
    assert_eq!((begun.task_version, completed.task_version), (Some(3), Some(3)));
    assert_eq!(begun.business_status.unwrap()["text"], "In analysis");
    assert_eq!(completed.output[0]["valueString"], "done");
    assert_ne!(begun.report_id, completed.report_id);
}

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
async fn report_is_tried_until_it_is_confirmed() {
    let mut hub = Hub::open().await;
    let unsteady = Arc::new(Unsteady { steady: hub.transport.clone(), losses: 0.into(), lost_confirms: 0.into() });
    let transport: Arc<dyn Transport> = unsteady.clone();
    let mut worker = Worker::start(&transport, options());
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    unsteady.losses.store(2, std::sync::atomic::Ordering::SeqCst);
    unsteady.lost_confirms.store(1, std::sync::atomic::Ordering::SeqCst);
    worker.ends(Ending::Complete);

    let first = hub.hear_act(Act::InProgress).await.report;
    let repeat = hub.hear_act(Act::InProgress).await.report;
    assert_eq!(first, repeat, "a repeat is the same report, by which the hub knows it");
    assert_eq!(hub.hear_act(Act::Completed).await.report.sequence, 3);
}

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
async fn lease_is_renewed_while_the_work_lasts() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;
    let claim = hub.hear_act(Act::Claim).await;
    // 0.2 s after what the hub's clock says in the answer.
    hub.grant(&claim, Some("2026-03-01T10:00:00.200Z")).await;
    worker.begins().await;
    let first = hub.hear_act(Act::InProgress).await.report;
    let second = hub.hear_act(Act::InProgress).await.report;
    assert_eq!((first.sequence, second.sequence), (2, 3));
    assert_eq!(second.business_status, None, "it says nothing new");
}

#[tokio::test]
async fn begun_work_cannot_be_declined() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    worker.ends(Ending::BeginAndReject);
    hub.hear_act(Act::InProgress).await;
    assert_eq!(hub.hear_act(Act::Failed).await.report.status_reason.unwrap()["text"], "No");
}

#[tokio::test]
async fn filler_that_panics_fails_its_task_and_nothing_else() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    for (task, ending, act) in [("a", Ending::Panic, Act::Failed), ("b", Ending::Reject, Act::Rejected)] {
        hub.order(order(task, 2, "routine")).await;
        hub.grant_next().await;
        assert_eq!(worker.begins().await, task);
        worker.ends(ending);
        assert_eq!(hub.hear_act(act).await.report.task_id, task);
    }
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

#[tokio::test]
async fn simulated_laboratory_goes_through_its_step() {
    let mut hub = Hub::open().await;
    let laboratory = fillers::simulated("laboratory", Duration::ZERO).unwrap();
    let shutdown = Shutdown::default();
    tokio::spawn(run(hub.transport.clone(), laboratory, Options::default(), shutdown.clone()));
    hub.order(WorkOrder { step: "analyse".into(), ..order("a", 2, "urgent") }).await;
    assert_eq!(hub.grant_next().await.report.performer, "Organization/simulated-laboratory");
    for status in ["specimen-received", "in-analysis"] {
        let report = hub.hear_act(Act::InProgress).await.report;
        assert_eq!(report.business_status.unwrap()["coding"][0]["code"], status);
    }
    let completed = hub.hear_act(Act::Completed).await.report;
    assert_eq!(completed.output.len(), 3);
    assert_eq!(completed.output[0]["valueQuantity"]["value"].to_string(), "13.80");
}
