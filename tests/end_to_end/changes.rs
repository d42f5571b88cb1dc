//! The placer changes its mind.

use std::time::Duration;

use schemas::message::{Act, Answer};
use serde_json::{Value, json};
use tests::bodies::{With, laboratory, medication_request, prescription, referral, task};
use tests::{ByHand, Hub, Order, Report, World, stories};

stories![
    what_is_revoked_before_a_start_is_cancelled,
    what_is_revoked_in_progress_is_asked_to_stop_and_stops,
    what_is_revoked_in_progress_may_go_on,
    a_filler_that_is_asked_to_stop_stops,
    who_works_is_told_what_its_request_says_now,
    nobody_begins_with_what_a_request_said_before,
    on_hold_nothing_begins_and_active_again_it_does,
    who_works_is_asked_to_pause_and_to_go_on,
    what_the_placer_declares_complete_begins_nothing_more,
    what_was_entered_in_error_ends,
    of_two_items_one_is_revoked,
    what_is_in_a_live_order_is_not_deleted,
    a_task_of_a_placer_is_queued_and_spawns_nothing,
    what_is_no_order_is_stored_and_spawns_nothing,
    a_draft_becomes_an_order_when_an_update_makes_it_so,
];

/// An order whose first step is under way, and who works on it.
async fn begun(hub: &Hub) -> (Order, ByHand, schemas::message::WorkOrder) {
    let order = hub.submits(laboratory()).await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let job = worker.claims_next().await;
    worker.reports(Report::new(&job, Act::InProgress, 2)).await;
    order.task_is("collect", "in-progress").await;
    (order, worker, job)
}

async fn what_is_revoked_before_a_start_is_cancelled(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    hub.sets(order.request(), "status", "revoked").await.is(200);
    let whole = order.is("cancelled").await;
    assert_eq!(whole["statusReason"]["coding"][0]["code"], "request-revoked");
    assert!(order.statuses().await.iter().all(|status| status == "cancelled"));
    let mut late = hub.worker("clinic", "Organization/clinic-1").await;
    let claim = late.claims(&offered(&order)).await;
    assert_eq!(claim.answer, Answer::Refused, "whoever had the work order in hand is told");
    order.walked_legally().await;
    hub.closes().await;
}

/// The work order that somebody may still have of the first step.
fn offered(order: &Order) -> schemas::message::WorkOrder {
    let id = order.step(2);
    let data = json!({
        "task_id": id.strip_prefix("Task/"), "task_version": 1, "task_status": "requested", "work": "clinic",
        "step": "triage", "priority": "routine", "payload": "id-only",
    });
    serde_json::from_value(data).unwrap()
}

async fn what_is_revoked_in_progress_is_asked_to_stop_and_stops(world: World) {
    let hub = world.hub().await;
    let (order, _, job) = begun(&hub).await;
    hub.sets(order.request(), "status", "revoked").await.is(200);
    let asking = order.asks_to("abort").await;
    assert_eq!(asking["focus"]["reference"], format!("Task/{}", job.task_id));
    assert_eq!(asking["owner"]["reference"], "Organization/lab-1", "it is for whoever works");
    assert_eq!(order.statuses().await[..4], ["in-progress", "in-progress", "cancelled", "cancelled"]);

    agrees(&hub, &asking).await;
    order.is("cancelled").await;
    assert_eq!(order.task("collect").await["status"], "cancelled");
    order.walked_legally().await;
    hub.closes().await;
}

/// The owner does as it was asked.
async fn agrees(hub: &Hub, asking: &Value) {
    let task = format!("Task/{}", asking["id"].as_str().unwrap());
    for status in ["accepted", "in-progress", "completed"] {
        hub.sets(&task, "status", status).await.is(200);
    }
}

async fn what_is_revoked_in_progress_may_go_on(world: World) {
    let hub = world.hub().await;
    let (order, mut worker, job) = begun(&hub).await;
    hub.sets(order.request(), "status", "revoked").await.is(200);
    let asking = order.asks_to("abort").await;
    hub.sets(&format!("Task/{}", asking["id"].as_str().unwrap()), "status", "rejected").await.is(200);
    assert_eq!(hub.reads(&order.fulfilment).await["status"], "in-progress", "too late to stop");
    worker.reports(Report::new(&job, Act::Completed, 3)).await;
    order.is("cancelled").await;
    assert_eq!(order.task("collect").await["status"], "completed", "what was done is done");
    order.walked_legally().await;
    hub.closes().await;
}

/// A registered performer hears of it by its queue; another finds the Task that asks it by asking, as all its work.
async fn a_filler_that_is_asked_to_stop_stops(world: World) {
    let hub = world.hub_with(&[("performers", "Organization/registered")]).await;
    let registered = workers::Options { performer: Some("Organization/registered".to_owned()), ..Default::default() };
    hub.has_filler("laboratory", Duration::from_secs(600), registered).await;
    let order = hub.submits(laboratory()).await;
    order.task_is("collect", "in-progress").await;
    hub.sets(order.request(), "status", "revoked").await.is(200);
    order.is("cancelled").await;
    assert_eq!(order.task("abort").await["status"], "completed");
    order.walked_legally().await;
    hub.closes().await;
}

/// By its queue, if it is registered; and it says that it cannot heed it.
async fn who_works_is_told_what_its_request_says_now(world: World) {
    let hub = world.hub_with(&[("performers", "Organization/registered")]).await;
    let registered = workers::Options { performer: Some("Organization/registered".to_owned()), ..Default::default() };
    hub.has_filler("laboratory", Duration::from_secs(600), registered).await;
    let order = hub.submits(laboratory()).await;
    order.task_is("collect", "in-progress").await;
    hub.sets(order.request(), "note", json!([{ "text": "Fasting since noon" }])).await.is(200);
    let told = order.asks_to("change").await;
    assert_eq!(told["focus"]["reference"], format!("{}/_history/2", order.request()));
    assert_eq!(told["partOf"][0]["reference"], order.step(2));
    let answered = order.task_is("change", "failed").await;
    assert_eq!(answered["statusReason"]["coding"][0]["code"], "cannot-change");
    let found = hub.finds(&format!("Task?focus={}&code=change", order.request())).await;
    assert_eq!(found.len(), 1, "found by the request, of whatever version");
    assert_eq!(order.task("collect").await["status"], "in-progress");
    order.walked_legally().await;
    hub.closes().await;
}

async fn nobody_begins_with_what_a_request_said_before(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let early = worker.takes().await;
    hub.sets(order.request(), "note", json!([{ "text": "Fasting since noon" }])).await.is(200);
    let refused = worker.claims(&early.order).await;
    assert!(refused.reason.is_some_and(|why| why.contains("offered anew")));
    let early = early.acknowledged().await;
    let now = worker.takes().await;
    let said = |order: &schemas::message::WorkOrder| order.resources.iter().any(|one| one.contains_key("note"));
    assert!(said(&now.order) && !said(&early), "the message has the request as it is");
    assert_eq!(worker.claims(&now.order).await.answer, Answer::Granted);
    now.acknowledged().await;
    order.walked_legally().await;
    hub.closes().await;
}

async fn on_hold_nothing_begins_and_active_again_it_does(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    hub.sets(order.request(), "status", "on-hold").await.is(200);
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let early = worker.takes().await;
    let refused = worker.claims(&early.order).await;
    assert!(refused.reason.is_some_and(|why| why.contains("on hold")));
    early.acknowledged().await;
    hub.takes(&order.step(2), "Organization/lab-2").await.is(409);

    hub.sets(order.request(), "status", "active").await.is(200);
    for _ in 0..3 {
        worker.fulfils_next().await;
    }
    order.is("completed").await;
    order.walked_legally().await;
    hub.closes().await;
}

async fn who_works_is_asked_to_pause_and_to_go_on(world: World) {
    let hub = world.hub().await;
    let (order, mut worker, job) = begun(&hub).await;
    hub.sets(order.request(), "status", "on-hold").await.is(200);
    order.is("on-hold").await;
    agrees(&hub, &order.asks_to("suspend").await).await;
    order.task_is("collect", "on-hold").await;
    hub.sets(order.request(), "status", "active").await.is(200);
    order.is("in-progress").await;
    agrees(&hub, &order.asks_to("resume").await).await;
    order.task_is("collect", "in-progress").await;
    worker.reports(Report::new(&job, Act::Completed, 3)).await;
    order.task_is("analyse", "requested").await;
    order.walked_legally().await;
    hub.closes().await;
}

async fn what_the_placer_declares_complete_begins_nothing_more(world: World) {
    let hub = world.hub().await;
    let (order, mut worker, job) = begun(&hub).await;
    hub.sets(order.request(), "status", "completed").await.is(200);
    assert_eq!(order.statuses().await, ["in-progress", "in-progress", "cancelled", "cancelled"]);
    worker.reports(Report::new(&job, Act::Completed, 3)).await;
    order.is("completed").await;
    order.walked_legally().await;
    hub.closes().await;
}

async fn what_was_entered_in_error_ends(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    hub.sets(order.request(), "status", "entered-in-error").await.is(200);
    let whole = order.is("cancelled").await;
    assert_eq!(whole["statusReason"]["coding"][0]["code"], "entered-in-error");
    hub.sets(order.request(), "status", "active").await.refuses(422, "business-rule", "ServiceRequest.status");
    order.walked_legally().await;
    hub.closes().await;
}

async fn of_two_items_one_is_revoked(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(prescription()).await;
    hub.sets(&order.requests[0], "status", "cancelled").await.is(200);
    assert_eq!(order.statuses().await, ["requested", "cancelled", "requested", "draft"]);
    hub.has_fillers().await;
    order.is("completed").await;
    assert_eq!(order.statuses().await, ["completed", "cancelled", "completed", "completed"]);
    assert_eq!(hub.reads(&order.requests[0]).await["status"], "cancelled");
    assert_eq!(hub.reads(&order.requests[1]).await["status"], "completed");
    assert_eq!(order.standing().await.total, 2, "what was cancelled does not count");
    order.walked_legally().await;
    hub.closes().await;
}

async fn what_is_in_a_live_order_is_not_deleted(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    for reference in [order.request(), &order.fulfilment, &order.step(2)] {
        hub.delete(reference).await.refuses(409, "conflict", "");
    }
    hub.sets(order.request(), "status", "revoked").await.is(200);
    order.is("cancelled").await;
    hub.delete(order.request()).await.is(204);
    hub.get(order.request()).await.refuses(410, "deleted", "");
    hub.delete(order.request()).await.is(204);
    hub.closes().await;
}

async fn a_task_of_a_placer_is_queued_and_spawns_nothing(world: World) {
    let hub = world.hub().await;
    let created = hub.post("Task", &task()).await.is(201);
    assert_eq!(created.header("link"), "", "it is nobody's order");
    assert_eq!(hub.finds("Task").await.len(), 1);
    let mut worker = hub.worker("general", "Organization/anybody").await;
    assert_eq!(worker.takes_task().await, created.reference());

    let owned = task().with(json!({ "owner": { "reference": "Organization/somebody" } }));
    let owned = hub.post("Task", &owned).await.is(201).reference();
    let open = hub.post("Task", &task().with(json!({ "priority": "stat" }))).await.is(201).reference();
    assert_eq!(worker.takes_task().await, open, "what has an owner is not on offer");
    assert_eq!(hub.finds("Task").await.len(), 3);
    assert_ne!(owned, open);
    hub.closes().await;
}

async fn what_is_no_order_is_stored_and_spawns_nothing(world: World) {
    let hub = world.hub_with(&[("require_actionable", "false")]).await;
    let no_orders = [
        referral().with(json!({ "status": "draft" })),
        referral().with(json!({ "status": "on-hold" })),
        referral().with(json!({ "status": "completed" })),
        referral().with(json!({ "intent": "plan" })),
        referral().with(json!({ "intent": "proposal" })),
        referral().with(json!({ "intent": "directive" })),
        referral().with(json!({ "doNotPerform": true })),
        medication_request().with(json!({ "intent": "option" })),
    ];
    for body in no_orders {
        let path = body["resourceType"].as_str().unwrap();
        let stored = hub.post(path, &body).await.is(201);
        assert_eq!(stored.header("link"), "", "{body}");
    }
    assert_eq!(hub.finds("Task").await, Vec::<Value>::new());
    for intent in ["order", "original-order", "reflex-order", "filler-order", "instance-order"] {
        let order = hub.submits(referral().with(json!({ "intent": intent }))).await;
        assert!(order.fulfilment.starts_with("Task/"), "{intent} is an order");
    }
    hub.closes().await;
}

async fn a_draft_becomes_an_order_when_an_update_makes_it_so(world: World) {
    let hub = world.hub_with(&[("require_actionable", "true")]).await;
    let draft = hub.post("ServiceRequest", &referral().with(json!({ "status": "draft" }))).await.is(201);
    let request = draft.reference();
    let active = hub.sets(&request, "status", "active").await.is(200);
    assert_eq!(active.header("link"), "", "here an order says that it is one");
    let tag = json!({ "system": "http://terminology.hl7.org/CodeSystem/common-tags", "code": "actionable" });
    let tagged = active.body.clone().with(json!({ "meta": { "tag": [tag] } }));
    let order = hub.put(&request, &tagged).await.is(200);
    assert!(order.header("link").contains("/Task/"), "{:?}", order.headers);
    assert_eq!(hub.finds(&format!("Task?based-on={request}")).await.len(), 5);
    hub.put(&request, &order.body).await.is(200);
    assert_eq!(hub.finds(&format!("Task?based-on={request}")).await.len(), 5, "once");
    hub.closes().await;
}
