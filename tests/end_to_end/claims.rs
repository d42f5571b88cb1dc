//! Who gets a Task, and what happens when whoever got it will not do it.

use futures_util::future::join_all;
use hub_transport::Place;
use schemas::message::{Act, Answer};
use serde_json::{Value, json};
use tests::bodies::{With, laboratory, medication_request, referral};
use tests::{ByHand, Client, Hub, Order, Reply, Report, World, stories, until};

stories![
    of_two_who_claim_one_task_by_queue_one_gets_it,
    of_eight_who_take_one_task_by_rest_one_gets_it,
    what_one_refuses_is_offered_to_the_next,
    what_everybody_refuses_ends_the_order,
    what_fails_everywhere_after_a_start_fails_the_order,
    the_refusal_of_the_named_performer_ends_the_step,
    a_step_is_claimed_and_done_in_fhirs_own_words,
    a_step_is_claimed_and_done_by_what_changes,
    a_registered_performer_has_a_queue_of_its_own,
    an_unregistered_performer_finds_its_tasks_by_asking,
    a_claim_without_a_sign_of_life_lapses,
];

async fn of_two_who_claim_one_task_by_queue_one_gets_it(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut first = hub.worker("laboratory", "Organization/lab-1").await;
    let mut second = hub.worker("laboratory", "Organization/lab-2").await;
    let job = tokio::select! { job = first.takes() => job, job = second.takes() => job };
    let (one, other) = tokio::join!(first.claims(&job.order), second.claims(&job.order));
    let mut answers = [one.answer, other.answer];
    answers.sort_by_key(|answer| *answer == Answer::Refused);
    assert_eq!(answers, [Answer::Granted, Answer::Refused]);
    let refused = if one.answer == Answer::Refused { one } else { other };
    assert!(refused.reason.is_some_and(|why| why.contains("accepted")), "the other is told why");
    assert_eq!(order.task("collect").await["meta"]["versionId"], "2", "one claim is one version");
    job.acknowledged().await;
    hub.closes().await;
}

async fn of_eight_who_take_one_task_by_rest_one_gets_it(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let task = order.step(2);
    let replies = join_all((0..8).map(|n| take(&hub, &task, n))).await;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.0.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    let winner = replies.iter().find(|reply| reply.0.status == 200).unwrap();
    assert_eq!(hub.reads(&task).await["owner"]["reference"], winner.1.as_str());
    hub.closes().await;
}

async fn take(hub: &Client, task: &str, n: usize) -> (Reply, String) {
    let owner = format!("Organization/lab-{n}");
    (hub.takes(task, &owner).await, owner)
}

async fn what_one_refuses_is_offered_to_the_next(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut first = hub.worker("laboratory", "Organization/lab-1").await;
    let refused = first.claims_next().await;
    first.reports(Report::new(&refused, Act::Rejected, 2).because("No capacity")).await;

    let offered = until("a second offer", async || order.offers("collect").await, |offers| offers.len() == 2).await;
    assert_eq!(offered[0]["statusReason"]["text"], "No capacity");
    assert_eq!((&offered[1]["status"], &offered[1]["owner"]), (&json!("requested"), &Value::Null));
    let again = first.takes().await;
    assert_eq!(again.task(), format!("Task/{}", offered[1]["id"].as_str().unwrap()));
    first.claims(&again.order).await;
    let again = again.acknowledged().await;
    first.ends(&again).await;
    order.task_is("analyse", "requested").await;
    assert_eq!(order.standing().await.total, 3, "a step that was offered twice counts once");
    order.walked_legally().await;
    hub.closes().await;
}

async fn what_everybody_refuses_ends_the_order(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut laboratory = hub.worker("laboratory", "Organization/lab-1").await;
    for _ in 0..3 {
        refuses(&mut laboratory, "No such test here").await;
    }
    let whole = order.is("rejected").await;
    assert_eq!(whole["statusReason"]["text"], "No such test here", "the placer sees why");
    assert_eq!(order.offers("collect").await.len(), 3, "as often as offers_max says, and not once more");
    assert_eq!(hub.reads(order.request()).await["status"], "active", "what to do now is the placer's to say");
    let nothing_began = ["rejected", "failed", "failed", "failed", "cancelled", "cancelled"];
    assert_eq!(order.statuses().await, nothing_began, "who had claimed it could not reject it any more, and failed");
    order.walked_legally().await;
    hub.closes().await;
}

/// Has claimed it, and gives it back before anything began.
async fn refuses(worker: &mut ByHand, why: &str) {
    let order = worker.claims_next().await;
    worker.reports(Report::new(&order, Act::Rejected, 2).because(why)).await;
}

async fn what_fails_everywhere_after_a_start_fails_the_order(world: World) {
    let hub = world.hub_with(&[("offers_max", "2")]).await;
    let order = hub.submits(laboratory()).await;
    let mut laboratory = hub.worker("laboratory", "Organization/lab-1").await;
    for _ in 0..2 {
        let job = laboratory.claims_next().await;
        laboratory.reports(Report::new(&job, Act::InProgress, 2)).await;
        laboratory.reports(Report::new(&job, Act::Failed, 3).because("The specimen clotted")).await;
    }
    assert_eq!(order.is("failed").await["statusReason"]["text"], "The specimen clotted");
    order.walked_legally().await;
    hub.closes().await;
}

async fn the_refusal_of_the_named_performer_ends_the_step(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral().with(json!({ "performer": [{ "reference": "Organization/asked" }] }))).await;
    assert_eq!(hub.reads(&order.fulfilment).await["owner"]["reference"], "Organization/asked");
    let declined = json!([
        { "op": "add", "path": "/status", "value": "rejected" },
        { "op": "add", "path": "/statusReason", "value": { "text": "Not our region" } },
    ]);
    hub.patch(&order.step(2), declined).await.is(200);
    assert_eq!(order.is("rejected").await["statusReason"]["text"], "Not our region");
    assert_eq!(order.offers("triage").await.len(), 1, "nobody else was asked for");
    order.walked_legally().await;
    hub.closes().await;
}

/// By the few elements that become others, as fhirpy sends them: plain JSON.
async fn a_step_is_claimed_and_done_by_what_changes(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    let changes = async |elements: Value| {
        let patch = hub.request(reqwest::Method::PATCH, &order.step(2)).body("application/json", elements.to_string());
        patch.await.is(200).body
    };
    let owner = json!({ "reference": "Organization/clinic-1" });
    changes(json!({ "status": "accepted", "owner": owner, "businessStatus": { "text": "On the desk" } })).await;
    let begun = changes(json!({ "status": "in-progress", "businessStatus": null })).await;
    assert_eq!((&begun["owner"], begun.get("businessStatus")), (&owner, None), "what is not named stays, null goes");
    let back = hub.merge_patch(&order.step(2), &json!({ "status": "ready" })).await.is(200).body;
    assert_eq!((&back["status"], back.get("owner")), (&json!("ready"), None), "the rules are those of any change");
    let skips = hub.merge_patch(&order.step(2), &json!({ "status": "completed", "owner": owner })).await;
    skips.refuses(422, "business-rule", "Task.status");
    order.walked_legally().await;
    hub.closes().await;
}

async fn a_step_is_claimed_and_done_in_fhirs_own_words(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    let operation = |kind: &str, path: &str, more: Value| {
        let parts = json!([{ "name": "type", "valueCode": kind }, { "name": "path", "valueString": path }]);
        let all: Vec<Value> = [parts, more].iter().flat_map(|parts| parts.as_array().cloned()).flatten().collect();
        json!({ "name": "operation", "part": all })
    };
    let replaces =
        |path: &str, value: Value| operation("replace", path, json!([value.with(json!({ "name": "value" }))]));
    let patch = async |operations: Value| {
        let parameters = json!({ "resourceType": "Parameters", "parameter": operations });
        hub.fhirpath_patch(&order.step(2), &parameters).await
    };
    let owner = json!([
        { "name": "name", "valueString": "owner" },
        { "name": "value", "valueReference": { "reference": "Organization/clinic-1" } },
    ]);
    let claim = [
        operation("add", "Task.where(owner.empty())", owner),
        replaces("Task.status", json!({ "valueCode": "accepted" })),
    ];
    patch(json!(claim)).await.is(200);
    patch(json!(claim)).await.refuses(422, "processing", "Parameters.parameter[0]");
    patch(json!([replaces("Task.where(status = 'accepted').status", json!({ "valueCode": "in-progress" }))]))
        .await
        .is(200);
    let output = json!([
        { "name": "name", "valueString": "output" },
        { "name": "value", "part": [
            { "name": "type", "valueCodeableConcept": { "text": "outcome" } },
            { "name": "value", "valueString": "Seen, and to be booked" },
        ] },
    ]);
    let done = [operation("add", "Task", output), replaces("Task.status", json!({ "valueCode": "completed" }))];
    let task = patch(json!(done)).await.is(200);
    assert_eq!(task.body["output"][0]["valueString"], "Seen, and to be booked");
    patch(json!([replaces("Task.status", json!({ "valueCode": "in-progress" }))])).await.refuses(
        422,
        "business-rule",
        "Task.status",
    );
    order.walked_legally().await;
    hub.closes().await;
}

async fn a_registered_performer_has_a_queue_of_its_own(world: World) {
    let hub = world.hub_with(&[("performers", "Organization/registered")]).await;
    let performer = json!({ "performer": [{ "reference": "Organization/registered" }] });
    let order = hub.submits(referral().with(performer)).await;
    let place = vec![Place::performer("Organization/registered").unwrap()];
    let mut asked = ByHand::of(hub.worker_transport().await, place, "Organization/registered").await;
    let mut stranger = hub.worker("clinic", "Organization/stranger").await;
    let job = asked.takes().await;
    assert_eq!(job.order.owner.as_deref(), Some("Organization/registered"));
    let refused = stranger.claims(&job.order).await;
    assert_eq!(refused.answer, Answer::Refused, "what is directed to one is no other's");
    assert_eq!(asked.claims(&job.order).await.answer, Answer::Granted);
    let job = job.acknowledged().await;
    asked.ends(&job).await;
    for _ in 0..3 {
        asked.fulfils_next().await;
    }
    order.is("completed").await;
    order.walked_legally().await;
    hub.closes().await;
}

async fn an_unregistered_performer_finds_its_tasks_by_asking(world: World) {
    let hub = world.hub().await;
    let dispenser = json!({ "dispenseRequest": { "performer": { "reference": "Organization/corner-shop" } } });
    let order = hub.submits(medication_request().with(dispenser)).await;
    for (step, left) in [(3, 1), (4, 0)] {
        let mine = hub.finds("Task?owner=Organization/corner-shop&status=requested&code:missing=false").await;
        let work: Vec<&Value> = mine.iter().filter(|task| !task["partOf"].is_null()).collect();
        assert_eq!(work.len(), 1, "{work:?}");
        assert_eq!(format!("Task/{}", work[0]["id"].as_str().unwrap()), order.step(step));
        fulfils_by_rest(&hub, &order.step(step), "Organization/corner-shop").await;
        assert_eq!(order.standing().await.waiting_for.len(), left);
    }
    order.is("completed").await;
    order.walked_legally().await;
    let metrics = hub.get("/metrics").await.is(200).text;
    assert!(metrics.contains("hub_unroutable_polled_total"), "and it is counted");
    hub.closes().await;
}

async fn fulfils_by_rest(hub: &Client, task: &str, owner: &str) {
    hub.takes(task, owner).await.is(200);
    hub.sets(task, "status", "in-progress").await.is(200);
    hub.sets(task, "status", "completed").await.is(200);
}

async fn a_claim_without_a_sign_of_life_lapses(world: World) {
    let hub = world.hub_with(&[("lease", "laboratory=1s")]).await;
    let order = hub.submits(laboratory()).await;
    let mut silent = hub.worker("laboratory", "Organization/silent").await;
    let lost = silent.claims_next().await;
    lapses(&hub, &order, &lost.task_id).await;
    let late = silent.reports(Report::new(&lost, Act::Completed, 3)).await;
    assert_eq!(late.answer, Answer::Refused, "what lapsed is not its own any more");
    order.walked_legally().await;
    hub.closes().await;
}

async fn lapses(hub: &Hub, order: &Order, task: &str) {
    let offers = until("a second offer", async || order.offers("collect").await, |offers| offers.len() == 2).await;
    assert_eq!(offers[1]["status"], "requested");
    let lapsed = hub.reads(&format!("Task/{task}")).await;
    assert_eq!(
        (&lapsed["status"], &lapsed["statusReason"]["coding"][0]["code"]),
        (&json!("cancelled"), &json!("lease-expired"))
    );
}
