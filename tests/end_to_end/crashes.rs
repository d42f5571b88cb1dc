//! The hub is killed in the middle, starts again, and the same story ends, once.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tests::bodies::{laboratory, referral};
use tests::{Client, Order, Parts, Program, Queue, World, eventually, stories};
use tokio::sync::watch;

use crate::processes::at_work;

stories![a_hub_that_is_killed_ends_the_same_story_once, orders_survive_a_hub_that_is_killed_again_and_again];

/// Killed between two steps and while one is under way; whoever works is not disturbed.
async fn a_hub_that_is_killed_ends_the_same_story_once(world: World) {
    if !Program::are_built() {
        return;
    }
    let hub = world.hub_program(&[]).await;
    let order = hub.submits(laboratory()).await;
    let task = order.step(2);
    hub.takes(&task, "Organization/lab-1").await.is(200);
    hub.sets(&task, "status", "in-progress").await.is(200);
    let before = order.tasks().await;
    hub.killed().await;

    let (hub, _workers) = at_work(&world).await;
    let order = order.at(&hub);
    assert_eq!(order.tasks().await, before, "what was answered was safe");
    hub.sets(&task, "status", "completed").await.is(200);
    order.is("completed").await;
    assert_eq!(order.statuses().await, ["completed"; 4], "no Task twice");
    order.walked_legally().await;
    is_done_once(&order).await;
}

/// Each step was done once: a second time would have left a second Task, or a second set of outputs.
async fn is_done_once(order: &Order) {
    for step in ["collect", "analyse", "report"] {
        let offers = order.offers(step).await;
        let completed: Vec<&Value> = offers.iter().filter(|task| task["status"] == "completed").collect();
        assert_eq!(completed.len(), 1, "{step}: {offers:#?}");
        let kinds = completed[0]["output"].as_array().cloned().unwrap_or_default();
        let mut types: Vec<String> = kinds.iter().map(|output| output["type"].to_string()).collect();
        let all = types.len();
        types.sort();
        types.dedup();
        assert_eq!(types.len(), all, "{step} has no output twice");
    }
}

/// Placers repeat what was not answered; the hub is killed three times, wherever it is at that moment.
async fn orders_survive_a_hub_that_is_killed_again_and_again(world: World) {
    if !Program::are_built() {
        return;
    }
    // A filler in the hub dies with it: its lease ends, and the step is offered again.
    let lease = ["--set", "lease=default=2s", "--set", "offers_max=20"];
    let arguments: &[&str] = match world.parts.queue {
        Queue::Embedded => &["--fillers", "--set", "lease=default=2s", "--set", "offers_max=20"],
        Queue::RabbitMq => &lease,
    };
    let workers: Vec<Program> = match world.parts.queue {
        Queue::Embedded => Vec::new(),
        Queue::RabbitMq => vec![Program::worker(&world, &["--filler", "laboratory"])],
    };
    let mut hub = world.hub_program(arguments).await;
    let (tell, told) = watch::channel((*hub).clone());
    let placers = join_all((0..8).map(|n| submits_until_answered(told.clone(), format!("order {n}"))));
    let killing = async {
        for pause_ms in [15, 60, 150] {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            hub.killed().await;
            hub = world.hub_program(arguments).await;
            tell.send((*hub).clone()).unwrap();
        }
        hub
    };
    let (orders, hub) = tokio::join!(placers, killing);
    for order in orders {
        let order = order.at(&hub);
        order.is("completed").await;
        order.walked_legally().await;
        is_done_once(&order).await;
    }
    assert_eq!(hub.finds("ServiceRequest").await.len(), 8, "each was submitted once");
    drop(workers);
}

async fn submits_until_answered(hub: watch::Receiver<Client>, key: String) -> Order {
    eventually("an answer", async || {
        let client = hub.borrow().clone();
        let reply = client.post("ServiceRequest", &laboratory()).header("idempotency-key", &key).attempt().await?;
        (reply.status == 201).then(|| client.order_of(&reply))
    })
    .await
}

/// What was released and not claimed lay in the queue; an embedded one is gone, and filled again.
#[test]
fn what_was_on_offer_is_on_offer_again() {
    for parts in [Parts::SQLITE_EMBEDDED, Parts::POSTGRES_EMBEDDED] {
        tests::tell(parts, |world| async move {
            let hub = world.hub().await;
            let order = hub.submits(referral()).await;
            hub.closes().await;
            let hub = world.hub().await;
            let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
            assert_eq!(format!("Task/{}", clinic.fulfils_next().await.task_id), order.step(2));
            hub.closes().await;
        });
    }
}
