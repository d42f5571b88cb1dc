//! Work that was taken away: the hub refuses a later report, and the worker stops.

use schemas::message::Act;

use crate::filler::Ending;
use crate::hub::{Heard, Hub, order};
use crate::{A_WHILE, Worker, options};

/// Until a lease that the hub grants here is renewed for the first time.
const LEASE_UNTIL: &str = "2026-03-01T10:00:00.200Z";

#[tokio::test]
async fn work_stops_when_a_later_report_is_refused() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    let renewal = begun_and_renewed(&mut hub, &mut worker, "a").await;
    hub.refuse(&renewal).await;
    // The hand is free again, and nothing more was said about what it had.
    hub.order(order("b", 2, "routine")).await;
    assert_eq!(next_of_another(&mut hub, "a").await.report.task_id, "b");
}

#[tokio::test]
async fn a_yes_and_a_no_to_others_leave_work_alone() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    let mut renewal = begun_and_renewed(&mut hub, &mut worker, "a").await;
    // A repeat, or one that was overtaken, is taken without effect.
    hub.grant(&renewal, None).await;
    renewal.report.report_id = "of whoever had this Task before".to_owned();
    hub.refuse(&renewal).await;
    hub.hear_act(Act::InProgress).await;
    worker.ends(Ending::Complete);
    while hub.hear().await.report.act != Act::Completed {}
}

#[tokio::test]
async fn a_last_word_that_is_refused_leaves_the_worker_at_work() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::at(&hub);
    hub.order(order("a", 2, "routine")).await;
    hub.grant_next().await;
    worker.begins().await;
    worker.ends(Ending::Reject);
    let last = hub.hear_act(Act::Rejected).await;
    hub.refuse(&last).await;
    hub.order(order("b", 2, "routine")).await;
    hub.grant_next().await;
    assert_eq!(worker.begins().await, "b");
    hub.hears_nothing_for(A_WHILE).await;
}

#[tokio::test]
async fn every_report_says_where_its_answer_goes() {
    let mut hub = Hub::open().await;
    let mut worker = Worker::start(&hub.transport, options());
    hub.order(order("a", 2, "routine")).await;
    let claim = hub.grant_next().await;
    worker.begins().await;
    worker.ends(Ending::Complete);
    for act in [Act::InProgress, Act::Completed] {
        assert_eq!(hub.hear_act(act).await.message.reply_to, claim.message.reply_to);
    }
}

async fn begun_and_renewed(hub: &mut Hub, worker: &mut Worker, task: &str) -> Heard {
    hub.order(order(task, 2, "routine")).await;
    let claim = hub.hear_act(Act::Claim).await;
    hub.grant(&claim, Some(LEASE_UNTIL)).await;
    worker.begins().await;
    hub.hear_act(Act::InProgress).await
}

/// The first report about another Task. What was under way about this one may come before it.
async fn next_of_another(hub: &mut Hub, task: &str) -> Heard {
    loop {
        let heard = hub.hear().await;
        if heard.report.task_id != task {
            return heard;
        }
    }
}
