//! The hub, or a worker, dies just between two effects: at each place where one was made and the next was not. The same
//! story ends well, once.

use tests::bodies::laboratory;
use tests::{Order, Parts, Program, Queue, World, stories, until};

/// What dies with its claim is offered again when the claim's lease ends; what a dead hub took, when the outbox's does.
const SETTINGS: [&str; 6] = ["--set", "lease=default=1s", "--set", "outbox_lease_ms=500", "--set", "offers_max=20"];

stories![
    after_the_commit_and_before_the_publish,
    after_the_publish_and_before_the_confirm_is_heard,
    after_the_confirm_and_before_the_outbox_forgets,
    after_the_work_and_before_the_report,
    after_a_claim_is_committed_and_before_it_is_answered,
    after_a_claim_is_answered_and_before_it_is_acknowledged,
    after_a_report_is_committed_and_before_it_is_acknowledged,
];

async fn after_the_commit_and_before_the_publish(world: World) {
    the_hub_dies(world, "crash:after-commit").await;
}

async fn after_the_publish_and_before_the_confirm_is_heard(world: World) {
    the_hub_dies(world, "crash:after-publish").await;
}

async fn after_the_confirm_and_before_the_outbox_forgets(world: World) {
    the_hub_dies(world, "crash:after-confirm").await;
}

/// The first report is the claim.
async fn after_a_claim_is_committed_and_before_it_is_answered(world: World) {
    the_hub_dies(world, "crash:after-report:1").await;
}

async fn after_a_claim_is_answered_and_before_it_is_acknowledged(world: World) {
    the_hub_dies(world, "crash:after-answer:1").await;
}

/// The last of the first work item says that it is completed.
async fn after_a_report_is_committed_and_before_it_is_acknowledged(world: World) {
    the_hub_dies(world, "crash:after-report:4").await;
}

async fn after_the_work_and_before_the_report(world: World) {
    let fault = "crash:before-completed";
    if world.parts.queue == Queue::Embedded {
        return the_hub_dies(world, fault).await;
    }
    if !Program::are_built() || !Program::are_built_faulty() {
        return;
    }
    let hub = world.hub_program(&SETTINGS).await;
    let worker = Program::faulty_worker(&world, fault, &["--filler", "laboratory"]);
    let order = hub.submits(laboratory()).await;
    assert!(!worker.finishes().await, "it died");
    let _another = Program::worker(&world, &["--filler", "laboratory"]);
    ends_well(&order).await;
    let offers = order.offers("collect").await;
    assert_eq!(offers[0]["statusReason"]["coding"][0]["code"], "lease-expired", "{offers:#?}");
}

/// Whatever it was doing, a placer that was not answered asks the next hub.
async fn the_hub_dies(world: World, fault: &str) {
    if !Program::are_built() || !Program::are_built_faulty() {
        return;
    }
    let fillers: &[&str] = if world.parts.queue == Queue::Embedded { &["--fillers"] } else { &[] };
    let arguments = [&SETTINGS, fillers].concat();
    let hub = Program::faulty_hub(&world, fault, &arguments).await;
    let _worker = (world.parts.queue == Queue::RabbitMq).then(|| Program::worker(&world, &["--filler", "laboratory"]));
    let first = hub.post("ServiceRequest", &laboratory()).header("idempotency-key", "once").attempt().await;
    assert!(!hub.finishes().await, "it died at {fault}");

    let hub = world.hub_program(&arguments).await;
    let again = hub.post("ServiceRequest", &laboratory()).header("idempotency-key", "once").await.is(201);
    if let Some(first) = first {
        assert_eq!(first.reference(), again.reference(), "what was answered is there");
    }
    ends_well(&hub.order_of(&again)).await;
    assert_eq!(hub.finds("ServiceRequest").await.len(), 1, "submitted once");
}

async fn ends_well(order: &Order) {
    order.is("completed").await;
    for step in ["collect", "analyse", "report"] {
        let offers = until("one is completed", async || order.offers(step).await, |offers| !offers.is_empty()).await;
        let done = offers.iter().filter(|task| task["status"] == "completed").count();
        assert_eq!(done, 1, "{step} is done once: {offers:#?}");
    }
    order.walked_legally().await;
}

/// What a user runs cannot be told to die.
#[test]
fn what_is_shipped_has_no_faults() {
    tests::tell(Parts::SQLITE_EMBEDDED, |world| async move {
        if !Program::are_built() {
            return;
        }
        let hub = Program::hub_in(&world, &[("HUB_FAULT", "crash:after-commit".into())], &["--fillers"]).await;
        hub.submits(laboratory()).await.is("completed").await;
    });
}
