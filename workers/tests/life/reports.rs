//! What is said about granted work.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hub_transport::Transport;
use schemas::message::{Act, WorkOrder};
use workers::{Options, Shutdown, fillers, run};

use crate::filler::Ending;
use crate::hub::{Hub, order};
use crate::unsteady::Unsteady;
use crate::{Worker, options};

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
async fn report_is_tried_until_it_is_confirmed() {
    let mut hub = Hub::open().await;
    let unsteady = Arc::new(Unsteady { steady: hub.transport.clone(), losses: 0.into(), lost_confirms: 0.into() });
    let transport: Arc<dyn Transport> = unsteady.clone();
    let mut worker = Worker::start(&transport, options());
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    unsteady.losses.store(2, Ordering::SeqCst);
    unsteady.lost_confirms.store(1, Ordering::SeqCst);
    worker.ends(Ending::Complete);

    let first = hub.hear_act(Act::InProgress).await.report;
    let repeat = hub.hear_act(Act::InProgress).await.report;
    assert_eq!(first, repeat, "a repeat is the same report, by which the hub knows it");
    assert_eq!(hub.hear_act(Act::Completed).await.report.sequence, 3);
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
async fn simulated_laboratory_goes_through_its_step() {
    let mut hub = Hub::open().await;
    let laboratory = fillers::simulated("laboratory", Duration::from_millis(1)).unwrap();
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
    assert!(completed.quiet, "that it was taken is no news");
}

#[tokio::test]
async fn simulated_work_that_takes_no_time_tells_only_its_end() {
    let mut hub = Hub::open().await;
    let laboratory = fillers::simulated("laboratory", Duration::ZERO).unwrap();
    tokio::spawn(run(hub.transport.clone(), laboratory, Options::default(), Shutdown::default()));
    hub.order(WorkOrder { step: "analyse".into(), ..order("a", 2, "urgent") }).await;
    hub.grant_next().await;
    assert_eq!(hub.hear_act(Act::Completed).await.report.output.len(), 3);
}
