//! Whoever stalls past its lease loses the Task, is refused from then on, and is told so.

use std::sync::{Arc, Mutex, mpsc};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use schemas::message::{Act, Answer, WorkOrder};
use serde_json::Value;
use tests::bodies::laboratory;
use tests::{Hub, Order, Report, World, eventually, stories, until};
use tokio::sync::oneshot;
use workers::{Filler, Options, Outcome, Progress, Shutdown, output, run};

stories![
    a_late_report_of_the_old_owner_is_refused_and_told_so,
    what_was_begun_and_stalled_has_failed,
    a_worker_that_stalls_stops_when_it_is_told,
];

async fn a_late_report_of_the_old_owner_is_refused_and_told_so(world: World) {
    let hub = world.hub_with(&[("lease", "laboratory=2s")]).await;
    let order = hub.submits(laboratory()).await;
    let mut stalls = hub.worker("laboratory", "Organization/stalls").await;
    let lost = stalls.claims_next().await;
    lapses(&hub, &order, &lost, "cancelled").await;
    // What it lost is on offer, and comes back to whoever takes the next.
    let offered = stalls.takes().await;
    let mut other = hub.worker("laboratory", "Organization/other").await;
    assert_eq!(other.claims(&offered.order).await.answer, Answer::Granted);
    let offered = offered.acknowledged().await;
    other.ends(&offered).await;
    let before = order.task_is("collect", "completed").await;
    let history = histories(&hub, &order).await;

    for (sequence, act) in [(2, Act::InProgress), (3, Act::Completed)] {
        let late = stalls.reports(Report::new(&lost, act, sequence).output("Specimen", "late")).await;
        assert_eq!((late.answer, late.task_id.as_str()), (Answer::Refused, lost.task_id.as_str()));
        assert!(late.reason.unwrap().contains("cancelled"), "it is told why");
    }
    assert_eq!(histories(&hub, &order).await[..history.len()], history, "it changed nothing");
    assert_eq!(order.offers("collect").await[1], before);
    assert_eq!(before["owner"]["reference"], "Organization/other");
    let statuses: Vec<Value> = order.offers("collect").await.iter().map(|task| task["status"].clone()).collect();
    assert_eq!(statuses, ["cancelled", "completed"], "both are told");
    order.walked_legally().await;
    hub.closes().await;
}

async fn what_was_begun_and_stalled_has_failed(world: World) {
    let hub = world.hub_with(&[("lease", "laboratory=2s")]).await;
    let order = hub.submits(laboratory()).await;
    let mut stalls = hub.worker("laboratory", "Organization/stalls").await;
    let lost = stalls.claims_next().await;
    stalls.reports(Report::new(&lost, Act::InProgress, 2)).await;
    lapses(&hub, &order, &lost, "failed").await;
    let late = stalls.reports(Report::new(&lost, Act::Completed, 3)).await;
    assert_eq!(late.answer, Answer::Refused);
    assert!(late.reason.unwrap().contains("failed"), "it is told why");
    order.walked_legally().await;
    hub.closes().await;
}

async fn lapses(hub: &Hub, order: &Order, lost: &WorkOrder, to: &str) {
    let offers = until("a second offer", async || order.offers("collect").await, |offers| offers.len() == 2).await;
    assert_eq!(offers[1]["status"], "requested");
    let lapsed = hub.reads(&format!("Task/{}", lost.task_id)).await;
    assert_eq!(lapsed["status"], to);
    assert_eq!(lapsed["statusReason"]["coding"][0]["code"], "lease-expired");
}

/// All versions of all offers of the first step.
async fn histories(hub: &Hub, order: &Order) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for task in order.offers("collect").await {
        all.push(hub.finds(&format!("Task/{}/_history", task["id"].as_str().unwrap())).await);
    }
    all
}

/// Begins, and then hangs: neither itself nor the worker's own renewals get any further until the story lets go.
struct Stalls {
    begun: mpsc::Sender<String>,
    let_go: Mutex<mpsc::Receiver<()>>,
    /// Dropped with the work.
    dropped: Mutex<Option<oneshot::Sender<()>>>,
}

impl Filler for Stalls {
    fn work(&self) -> &str {
        "laboratory"
    }

    fn fulfil<'a, 'b, 'c, 'all>(&'a self, order: &'b WorkOrder, progress: &'c Progress) -> BoxFuture<'all, Outcome>
    where
        'a: 'all,
        'b: 'all,
        'c: 'all,
    {
        let work = async move {
            let _dropped = self.dropped.lock().unwrap().take();
            progress.in_progress(output::business_status("in-analysis", "In analysis"), Vec::new()).await;
            self.begun.send(order.task_id.clone()).unwrap();
            tokio::task::block_in_place(|| self.let_go.lock().unwrap().recv()).unwrap();
            std::future::pending().await
        };
        work.boxed()
    }
}

async fn a_worker_that_stalls_stops_when_it_is_told(world: World) {
    let hub = world.hub_with(&[("lease", "laboratory=2s")]).await;
    let order = hub.submits(laboratory()).await;
    let (begun, hears_begun) = mpsc::channel();
    let (lets_go, let_go) = mpsc::channel();
    let (dropped, hears_dropped) = oneshot::channel();
    let filler = Arc::new(Stalls { begun, let_go: let_go.into(), dropped: Some(dropped).into() });
    let options = Options { concurrency: 1, ..Options::default() };
    let shutdown = Shutdown::default();
    let running = tokio::spawn(run(hub.worker_transport().await, filler, options, shutdown.clone()));
    let lost = eventually("the work has begun", async || hears_begun.try_recv().ok()).await;
    // Its one hand is full: it takes no more, and another does what it loses.
    shutdown.drain.cancel();
    until("the step is offered again", async || order.offers("collect").await, |offers| offers.len() == 2).await;
    let mut other = hub.worker("laboratory", "Organization/other").await;
    let offered = other.fulfils_next().await;
    assert_ne!(offered.task_id, lost);
    let before = hub.reads(&format!("Task/{lost}")).await;

    lets_go.send(()).unwrap();
    assert!(hears_dropped.await.is_err(), "the filler is dropped, and not asked");
    running.await.unwrap().unwrap();
    assert_eq!(hub.reads(&format!("Task/{lost}")).await, before);
    assert_eq!((&before["status"], &order.task("collect").await["status"]), (&"failed".into(), &"completed".into()));
    assert!(hub.get("/metrics").await.is(200).text.contains(r#"outcome="fenced""#), "and it is counted");
    order.walked_legally().await;
    hub.closes().await;
}
