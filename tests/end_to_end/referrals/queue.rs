//! A clinic that works off its queue: its claims and reports move the referral.

use hub_transport::Place;
use schemas::message::{Act, Answer};
use tests::{ByHand, Report, World, stories};

use super::advising::question;
use super::{CLINIC, books, clinic, directory, practice, referral, slots, state, steps};

stories![a_clinic_works_off_its_queue];

async fn a_clinic_works_off_its_queue(world: World) {
    let performer = format!("Organization/{CLINIC}");
    let hub = world.hub_with(&[("performers", performer.as_str())]).await;
    let (practice, clinic) = (practice(&hub), clinic(&hub));
    let places = vec![Place::performer(&performer).unwrap()];
    let mut worker = ByHand::of(hub.worker_transport().await, places, &performer).await;
    let (review, bookable) = (directory(&hub, "REVIEW").await, directory(&hub, "BOOKABLE").await);
    let free = slots(&hub, &bookable, 1).await;
    let is_at = async |id: &str| state(&practice.get(id).await.is(200).body);
    let step = async |id: &str, step: &str| {
        steps(&hub, id).await.into_iter().find(|(name, _)| name == step).map(|(_, status)| status).unwrap_or_default()
    };

    // Advice is given over REST: it is on no queue, and the first to be claimed is the referral that comes next.
    let advises = directory(&hub, "ADVICE_AND_GUIDANCE").await;
    let asks = question(&advises, "NOT_AUTHORISED_TO_CONVERT");
    practice.post("ServiceRequest/$ers.createAdviceAndGuidance", &asks).await.is(201);
    let path = "ServiceRequest/$ers.createReferralAndSendForTriage";
    let sent = practice.post(path, &referral(&[&review])).await.is(201).reference();
    let work = worker.claims_next().await;
    assert_eq!(step(&sent, "triage").await, "accepted");
    worker.reports(Report::new(&work, Act::InProgress, 2)).await;
    assert_eq!(step(&sent, "triage").await, "in-progress");
    let done = Report::new(&work, Act::Completed, 3);
    assert_eq!(worker.reports(done.clone()).await.answer, Answer::Granted);
    assert_eq!(worker.reports(done).await.answer, Answer::Granted, "the same once more");
    assert_eq!(
        (is_at(&sent).await.as_str(), step(&sent, "triage").await.as_str()),
        ("TRIAGED_PROVIDER_TO_ACTION", "completed")
    );

    let booked = practice.refers(&[&bookable]).await;
    books(&practice, &booked, &free[0]).await.is(201);
    let work = worker.claims_next().await;
    worker.reports(Report::new(&work, Act::Completed, 2)).await;
    assert_eq!(step(&booked, "attend").await, "requested", "who completes the review accepts the referral");
    let work = worker.claims_next().await;
    worker.reports(Report::new(&work, Act::InProgress, 2)).await;
    worker.reports(Report::new(&work, Act::Completed, 3)).await;
    assert_eq!(is_at(&booked).await, "ASSESSMENT_RESULT");
    // What was done over REST is not on offer any more.
    let job = worker.takes().await;
    let task = clinic.get(&job.task()).await.is(200);
    let (mut report, version) = (task.body.clone(), task.header("etag").to_owned());
    report["status"] = "completed".into();
    clinic.put(&job.task(), &report).header("if-match", "W/\"9\"").await.is(412);
    let closed = clinic.put(&job.task(), &report).header("if-match", version).await.is(200);
    assert_eq!(closed.body["status"], "completed", "by its Task a referral is closed, too");
    assert_eq!(worker.claims(&job.order).await.answer, Answer::Refused);
    job.acknowledged().await;
    assert_eq!(is_at(&booked).await, "COMPLETED");
    hub.closes().await;
}
