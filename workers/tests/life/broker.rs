//! The same hub at a RabbitMQ: one worker of ours and the one in Python, which knows the contract and none of our code.
//!
//! `HUB_TEST_AMQP=amqp://... cargo test -p workers --test life -- --ignored`, with a broker that nobody else uses, and
//! `WORKER_PYTHON` naming a Python that has what `examples/requirements.txt` lists.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hub_transport::{Place, Routing, Tier};
use schemas::message::{Act, WorkOrder};
use tokio::process::{Child, Command};
use workers::{Options, Shutdown, fillers, run};

use crate::hub::{Heard, Hub, order};

const PERFORMER: &str = "Organization/lab-1";
/// One at a time: both workers would take from the same queues.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn url() -> String {
    std::env::var("HUB_TEST_AMQP").expect("HUB_TEST_AMQP names a RabbitMQ")
}

#[tokio::test]
#[ignore = "needs a RabbitMQ"]
async fn our_worker_keeps_the_contract_at_a_broker() {
    let _alone = ALONE.lock().await;
    let mut hub = Hub::at(&url()).await;
    fill(&hub).await;
    let options = hub_transport::Options::worker();
    let transport = hub_transport::open(&url(), options).await.unwrap();
    let laboratory = fillers::simulated("laboratory", Duration::from_millis(50)).unwrap();
    let options = Options { performer: Some(PERFORMER.into()), concurrency: 1, ..Options::default() };
    let shutdown = Shutdown::default();
    let running = tokio::spawn(run(Arc::clone(&transport), laboratory, options, shutdown.clone()));
    empty(&mut hub).await;
    shutdown.drain.cancel();
    running.await.unwrap().unwrap();
    left(&hub).await;
}

#[tokio::test]
#[ignore = "needs a RabbitMQ and a Python with pika"]
async fn python_worker_keeps_the_contract_at_a_broker() {
    let _alone = ALONE.lock().await;
    let mut hub = Hub::at(&url()).await;
    fill(&hub).await;
    let mut worker = python(&["--count", "2"]);
    empty(&mut hub).await;
    assert!(worker.wait().await.unwrap().success());
    // It ended with its second Task, and left what waited behind that.
    let mut worker = python(&["--idle-seconds", "1"]);
    worker.wait().await.unwrap();
    left(&hub).await;
}

fn python(more: &[&str]) -> Child {
    let interpreter = std::env::var("WORKER_PYTHON").unwrap_or_else(|_| "python3".into());
    Command::new(interpreter)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/worker.py"))
        .args(["--url", &url(), "--work", "laboratory", "--performer", PERFORMER])
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
    // The broker counts a moment later.
    for _ in 0..50 {
        if hub.waiting().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} work orders are left", hub.waiting().await);
}
