//! What is said twice is done once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use tests::bodies::{With, laboratory, prescription, referral};
use tests::{Reply, World, stories};

stories![
    a_repeat_with_the_same_key_is_answered_as_the_first_was,
    a_key_is_good_for_one_body,
    of_thirty_two_repeats_at_once_one_is_done,
    of_thirty_two_who_want_the_only_one_one_creates_it,
    a_condition_of_an_entry_of_a_transaction_finds_what_is_there,
    in_a_batch_each_stands_alone,
];

async fn a_repeat_with_the_same_key_is_answered_as_the_first_was(world: World) {
    let hub = world.hub().await;
    let submit = async || hub.post("", &prescription()).header("idempotency-key", "prescription 1").await.is(200);
    let (first, second) = (submit().await, submit().await);
    assert_eq!(first.body, second.body);
    assert_eq!(hub.finds("Task").await.len(), 4, "one order");
    assert_eq!(hub.finds("Patient").await.len(), 1);

    let order = hub.finds("MedicationRequest").await[0].clone();
    let request = format!("MedicationRequest/{}", order["id"].as_str().unwrap());
    let patch = json!([{ "op": "add", "path": "/note", "value": [{ "text": "once" }] }]);
    let patched = async || hub.patch(&request, patch.clone()).header("idempotency-key", "note").await.is(200);
    assert_eq!(patched().await.header("etag"), patched().await.header("etag"));
    hub.closes().await;
}

async fn a_key_is_good_for_one_body(world: World) {
    let hub = world.hub().await;
    let submit = async |body| hub.post("ServiceRequest", &body).header("idempotency-key", "k").await;
    submit(referral()).await.is(201);
    submit(laboratory()).await.refuses(422, "business-rule", "");
    assert_eq!(hub.finds("ServiceRequest").await.len(), 1);
    hub.post("ServiceRequest", &referral()).header("idempotency-key", "").await.refuses(400, "value", "");
    hub.closes().await;
}

async fn of_thirty_two_repeats_at_once_one_is_done(world: World) {
    let hub = world.hub().await;
    let submit = async |_| hub.post("ServiceRequest", &referral()).header("idempotency-key", "k").await.is(201);
    let replies = join_all((0..32).map(submit)).await;
    assert_eq!(distinct(&replies, |reply| reply.text.clone()), 1, "32 equal answers");
    assert_eq!(distinct(&replies, |reply| reply.header("link").to_owned()), 1);
    assert_eq!((hub.finds("ServiceRequest").await.len(), hub.finds("Task").await.len()), (1, 5));
    hub.closes().await;
}

fn distinct(replies: &[Reply], of: impl Fn(&Reply) -> String) -> usize {
    replies.iter().map(of).collect::<BTreeSet<_>>().len()
}

async fn of_thirty_two_who_want_the_only_one_one_creates_it(world: World) {
    let hub = world.hub().await;
    let condition = "identifier=urn:oid:1.2.826.0.1.3680043.10.2|LAB-2026-0001";
    let submit = async |_| hub.post("ServiceRequest", &laboratory()).header("if-none-exist", condition).await;
    let replies = join_all((0..32).map(submit)).await;
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    let found = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!((created, found), (1, 31), "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert_eq!(distinct(&replies, |reply| reply.header("location").to_owned()), 1);
    assert_eq!((hub.finds("ServiceRequest").await.len(), hub.finds("Task").await.len()), (1, 4));

    hub.submits(laboratory()).await;
    assert_eq!(hub.finds("ServiceRequest").await.len(), 2, "without the condition a number repeats legally");
    let several = hub.post("ServiceRequest", &laboratory()).header("if-none-exist", condition).await;
    several.refuses(412, "multiple-matches", "");
    let misplaced = hub.post(&format!("ServiceRequest?{condition}"), &laboratory()).await;
    assert!(misplaced.refuses(400, "not-supported", "").says().contains("If-None-Exist"), "it is not ignored");
    assert_eq!(hub.finds("ServiceRequest").await.len(), 2);
    hub.closes().await;
}

async fn a_condition_of_an_entry_of_a_transaction_finds_what_is_there(world: World) {
    let hub = world.hub().await;
    let mut bundle = prescription();
    bundle["entry"][0]["request"]["ifNoneExist"] = json!("identifier=https://fhir.nhs.uk/Id/nhs-number|9000000009");
    let first = hub.post("", &bundle).await.is(200);
    let second = hub.post("", &bundle).await.is(200);
    let status = |reply: &Reply| reply.body["entry"][0]["response"]["status"].as_str().unwrap().to_owned();
    assert!(status(&first).starts_with("201") && status(&second).starts_with("200"));
    assert_eq!(hub.finds("Patient").await.len(), 1);
    let patients: BTreeSet<String> = hub
        .finds("MedicationRequest")
        .await
        .iter()
        .map(|request| request["subject"]["reference"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(patients.len(), 1, "both orders are for the one that was found");
    hub.closes().await;
}

async fn in_a_batch_each_stands_alone(world: World) {
    let hub = world.hub().await;
    let bad = referral().with(json!({ "subject": { "reference": "urn:uuid:00000000-0000-4000-8000-000000000000" } }));
    let batch = tests::bodies::bundle("batch", &[referral(), bad.clone(), laboratory()]);
    let reply = hub.post("", &batch).await.is(200);
    let statuses: Vec<&str> =
        reply.body["entry"].as_array().unwrap().iter().map(|e| e["response"]["status"].as_str().unwrap()).collect();
    assert!(statuses[0].starts_with("201") && statuses[1].starts_with("422") && statuses[2].starts_with("201"));
    assert_eq!(reply.body["entry"][1]["response"]["outcome"]["issue"][0]["code"], "not-found");
    assert_eq!(hub.finds("ServiceRequest").await.len(), 2, "its neighbours are untouched");

    let all_or_nothing = tests::bodies::transaction(&[referral(), bad]);
    let path = "Bundle.entry[1].resource.subject.reference";
    hub.post("", &all_or_nothing).await.refuses(422, "not-found", path);
    assert_eq!(hub.finds("ServiceRequest").await.len(), 2);
    hub.closes().await;
}
