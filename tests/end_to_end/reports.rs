//! Reports come twice, late, in the wrong order, and from whoever has no business with it.

use reqwest::Method;
use schemas::message::{Act, Answer, STATUS_REPORT};
use serde_json::json;
use tests::bodies::laboratory;
use tests::{Report, World, stories, until};

stories![
    a_report_that_overtook_another_goes_through_the_skipped_steps,
    a_report_that_comes_twice_is_done_once,
    a_claim_that_comes_twice_has_one_answer,
    a_late_report_of_who_gave_up_changes_nothing,
    a_report_for_an_unknown_task_is_parked,
    a_report_that_cannot_be_read_is_parked_with_its_reason,
    what_was_parked_is_sent_again_or_dropped,
    what_the_outcome_of_one_order_is_touches_no_other,
];

async fn a_report_that_overtook_another_goes_through_the_skipped_steps(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let job = worker.claims_next().await;

    let completed = worker.reports(Report::new(&job, Act::Completed, 3).output("Specimen", "S-1")).await;
    assert_eq!(completed.answer, Answer::Granted, "{completed:?}");
    let task = order.task_is("collect", "completed").await;
    assert_eq!(task["meta"]["versionId"], "4", "requested, accepted, in-progress, completed");
    let overtaken = worker.reports(Report::new(&job, Act::InProgress, 2).output("Late", "no")).await;
    assert_eq!(overtaken.answer, Answer::Granted, "taken, without effect: {overtaken:?}");
    assert_eq!(order.task("collect").await, task);
    order.walked_legally().await;
    hub.closes().await;
}

async fn a_report_that_comes_twice_is_done_once(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let job = worker.claims_next().await;
    let progress = Report::new(&job, Act::InProgress, 2).output("Specimen", "S-1");
    for _ in 0..3 {
        assert_eq!(worker.reports(progress.clone()).await.answer, Answer::Granted);
    }
    let task = order.task("collect").await;
    assert_eq!(task["output"].as_array().unwrap().len(), 1);
    assert_eq!(task["meta"]["versionId"], "3");
    hub.closes().await;
}

async fn a_claim_that_comes_twice_has_one_answer(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let job = worker.takes().await;
    let claim = Report::new(&job.order, Act::Claim, 1);
    let (first, second) = (worker.reports(claim.clone()).await, worker.reports(claim).await);
    assert_eq!((first.answer, first.task_version), (Answer::Granted, Some(2)));
    assert_eq!((second.answer, second.task_version), (Answer::Granted, Some(2)));
    assert_eq!(order.task("collect").await["meta"]["versionId"], "2");
    job.acknowledged().await;
    hub.closes().await;
}

async fn a_late_report_of_who_gave_up_changes_nothing(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let mut old = hub.worker("laboratory", "Organization/old").await;
    let given_up = old.claims_next().await;
    old.reports(Report::new(&given_up, Act::Rejected, 2)).await;
    let offered = old.takes().await;
    old.performer = "Organization/new".to_owned();
    assert_eq!(old.claims(&offered.order).await.answer, Answer::Granted);
    let new = offered.acknowledged().await;
    let before = order.tasks().await;

    let late = Report::new(&given_up, Act::Completed, 3).by("Organization/old");
    assert_eq!(old.reports(late).await.answer, Answer::Refused);
    let meddling = Report::new(&new, Act::Completed, 9).by("Organization/old");
    assert_eq!(old.reports(meddling).await.answer, Answer::Refused);
    assert_eq!(order.tasks().await, before);
    hub.closes().await;
}

async fn a_report_for_an_unknown_task_is_parked(world: World) {
    let hub = world.hub().await;
    hub.submits(laboratory()).await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let job = worker.takes().await;
    let unknown = "0198f3a2-7c11-7d0a-9a55-0c6f2a1b9e01.2";
    let refused = worker.reports(Report::new(&job.order, Act::Claim, 1).of_task(unknown)).await;
    assert_eq!(refused.answer, Answer::Refused);
    let parked = hub.finds_parked().await;
    assert_eq!(parked["why"], "there is no such Task");
    assert!(parked["body"].as_str().unwrap().contains(unknown));
    job.acknowledged().await;
    hub.closes().await;
}

async fn a_report_that_cannot_be_read_is_parked_with_its_reason(world: World) {
    let hub = world.hub().await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let event = |kind: &str, data| {
        json!({
            "specversion": "1.0", "id": "1", "source": "urn:story", "type": kind, "subject": "Task/1", "time": "",
            "datacontenttype": "application/json", "data": data,
        })
    };
    let whole =
        json!({ "report_id": "1", "task_id": "1", "sequence": 1, "performer": "Organization/x", "act": "claim" });
    let mut unknown_field = whole.clone();
    unknown_field["colour"] = json!("blue");
    let cases = [
        ("not json".to_owned(), "not JSON"),
        ("{}".to_owned(), "not the shape"),
        (event(STATUS_REPORT, json!({ "report_id": "1" })).to_string(), "not the shape"),
        (event(STATUS_REPORT, unknown_field).to_string(), "not the shape"),
        (event("something.else.v1", whole).to_string(), "type is not"),
    ];
    for (body, reason) in cases {
        worker.posts("bad", body.clone().into_bytes()).await;
        let parked = hub.finds_parked().await;
        assert!(parked["why"].as_str().unwrap().contains(reason), "{parked}");
        assert_eq!(parked["body"], body, "it is kept as it came");
        hub.delete(&format!("/parked/{}", parked["id"])).await.is(204);
    }
    hub.closes().await;
}

async fn what_was_parked_is_sent_again_or_dropped(world: World) {
    let hub = world.hub().await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    worker.posts("lost", b"not json".to_vec()).await;
    let parked = hub.finds_parked().await;
    assert_eq!((&parked["message_id"], &parked["queue"]), (&json!("lost"), &json!("reports")));
    hub.request(Method::POST, &format!("/parked/{}/retry", parked["id"])).await.is(200);
    let again = until("it is parked again", async || hub.finds_parked().await, |it| it["id"] != parked["id"]).await;
    assert_eq!((&again["body"], &again["why"]), (&parked["body"], &parked["why"]), "nothing has changed for it");
    hub.delete(&format!("/parked/{}", again["id"])).await.is(204);
    hub.get(&format!("/parked/{}", again["id"])).await.is(404);
    assert_eq!(hub.get("/parked").await.is(200).body["parked"], json!([]));
    hub.closes().await;
}

async fn what_the_outcome_of_one_order_is_touches_no_other(world: World) {
    let hub = world.hub_with(&[("offers_max", "1")]).await;
    let bad = hub.submits(laboratory()).await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    let first = worker.claims_next().await;
    let good = hub.submits(laboratory()).await;
    worker.reports(Report::new(&first, Act::Rejected, 2)).await;
    for _ in 0..3 {
        worker.fulfils_next().await;
    }
    bad.is("rejected").await;
    good.is("completed").await;
    hub.closes().await;
}
