//! The same hub at a RabbitMQ: our worker, and the one in Python, which knows the contract and none of our code.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hub_transport::{Place, Routing, Tier, Transport};
use schemas::message::{Act, WorkOrder};
use services::RabbitMq;
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use workers::{Options, Shutdown, fillers, run};

use crate::filler::Ending;
use crate::hub::{Heard, Hub, order};
use crate::{Worker, options};

const PERFORMER: &str = "Organization/lab-1";
/// A queue that is killed before its second is over does not come back.
const SETTLING: Duration = Duration::from_secs(2);

async fn broker() -> RabbitMq {
    spawn_blocking(RabbitMq::start).await.unwrap()
}

async fn killed(mut broker: RabbitMq) -> RabbitMq {
    let killing = move || {
        broker.kill();
        broker
    };
    spawn_blocking(killing).await.unwrap()
}

async fn restarted(mut broker: RabbitMq) -> RabbitMq {
    let restarting = move || {
        broker.restart();
        broker
    };
    spawn_blocking(restarting).await.unwrap()
}

async fn worker_at(broker: &RabbitMq) -> Arc<dyn Transport> {
    hub_transport::open(&broker.url(), hub_transport::Options::worker()).await.unwrap()
}

#[tokio::test]
async fn our_worker_keeps_the_contract_at_a_broker() {
    let broker = broker().await;
    let mut hub = Hub::at(&broker.url()).await;
    fill(&hub).await;
    let laboratory = fillers::simulated("laboratory", Duration::from_millis(50)).unwrap();
    let shutdown = Shutdown::default();
    let running = tokio::spawn(run(worker_at(&broker).await, laboratory, options(), shutdown.clone()));
    empty(&mut hub).await;
    shutdown.drain.cancel();
    running.await.unwrap().unwrap();
    left(&hub).await;
}

#[tokio::test]
async fn granted_work_outlives_the_broker() {
    let broker = broker().await;
    let mut hub = Hub::at(&broker.url()).await;
    let transport = worker_at(&broker).await;
    let mut worker = Worker::start(&transport, Options { concurrency: 2, ..options() });
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    tokio::time::sleep(SETTLING).await;

    let broker = killed(broker).await;
    worker.ends(Ending::Complete);
    let _broker = restarted(broker).await;

    let begun = hub.hear_act(Act::InProgress).await.report;
    let completed = hub.hear_act(Act::Completed).await.report;
    assert_eq!((begun.sequence, completed.sequence), (2, 3));
    // And the worker takes and claims as before, with its old reply address.
    hub.order(order("b", 1, "routine")).await;
    hub.grant_next().await;
    assert_eq!(worker.begins().await, "b");
}

#[tokio::test]
#[ignore = "needs a Python, HUB_TEST_PYTHON or python3, with what examples/requirements.txt lists"]
async fn python_worker_keeps_the_contract_at_a_broker() {
    let broker = broker().await;
    let mut hub = Hub::at(&broker.url()).await;
    fill(&hub).await;
    let mut worker = python(&broker, &["--count", "2"]);
    empty(&mut hub).await;
    assert!(worker.wait().await.unwrap().success());
    // It ended with its second Task; whatever waited behind that is no work.
    let mut worker = python(&broker, &["--idle-seconds", "1"]);
    worker.wait().await.unwrap();
    left(&hub).await;
}

#[tokio::test]
#[ignore = "needs a Python, HUB_TEST_PYTHON or python3, with what examples/requirements.txt lists"]
async fn granted_work_in_python_outlives_the_broker() {
    let broker = broker().await;
    let mut hub = Hub::at(&broker.url()).await;
    let mut worker = python(&broker, &["--count", "2"]);
    tokio::time::sleep(SETTLING).await;
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    hub.hear_act(Act::InProgress).await;
    let _broker = restarted(killed(broker).await).await;
    let completed = hub.hear_act_after_repeats(Act::Completed).await.report;
    assert_eq!((completed.task_id.as_str(), completed.sequence), ("a", 3));

    hub.order(order("b", 1, "routine")).await;
    hub.grant_next().await;
    hub.hear_act(Act::InProgress).await;
    hub.hear_act(Act::Completed).await;
    assert!(worker.wait().await.unwrap().success());
}

fn python(broker: &RabbitMq, more: &[&str]) -> Child {
    let interpreter = std::env::var("HUB_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    Command::new(interpreter)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/worker.py"))
        .args(["--url", &broker.url(), "--work", "laboratory", "--performer", PERFORMER])
        .args(more)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// One of each kind: routine and urgent, directed, withdrawn, and nonsense.
async fn fill(hub: &Hub) {
    let nonsense = Routing::work(Place::open("laboratory").unwrap(), Tier::Urgent);
    hub.put(nonsense, "nonsense", b"{}".to_vec()).await;
    hub.order(order("refused", 2, "routine")).await;
    hub.order(order("urgent", 2, "stat")).await;
    hub.order(WorkOrder { task_status: "cancelled".into(), ..order("withdrawn", 3, "urgent") }).await;
    hub.order_at(Place::performer(PERFORMER).unwrap(), order("directed", 2, "routine")).await;
}

/// Answers each claim as its order wants it. They come in no certain order: a broker delivers from all queues at once.
async fn empty(hub: &mut Hub) {
    for _ in 0..3 {
        let claim = hub.hear_act(Act::Claim).await;
        match claim.report.task_id.as_str() {
            "refused" => hub.refuse(&claim).await,
            "urgent" => {
                hub.grant(&claim, Some("2026-03-01T10:00:00.200Z")).await;
                assert!(until_completed(hub, &claim).await >= 1, "progress, or a renewed lease");
            }
            _ => {
                hub.grant(&claim, None).await;
                until_completed(hub, &claim).await;
            }
        }
    }
}

/// How often progress was reported on the way.
async fn until_completed(hub: &mut Hub, claim: &Heard) -> u32 {
    let mut sequence = 1;
    loop {
        let report = hub.hear().await.report;
        sequence += 1;
        let expected = (&claim.report.task_id, sequence, Some(3), PERFORMER);
        assert_eq!((&report.task_id, report.sequence, report.task_version, report.performer.as_str()), expected);
        if report.act == Act::Completed {
            return sequence - 2;
        }
        assert_eq!(report.act, Act::InProgress);
    }
}

async fn left(hub: &Hub) {
    let parked = hub.parked().await;
    let why = parked.parked_why.as_deref().unwrap();
    assert!(why.starts_with("not a work order"), "{why}");
    parked.done().await;
    // An acknowledgement takes a moment.
    for _ in 0..50 {
        if hub.waiting().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} work orders are left", hub.waiting().await);
}
