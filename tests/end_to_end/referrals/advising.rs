//! Advice and guidance: asked, asked back, answered; and a referral with the same number comes of it.

use serde_json::{Value, json};
use tests::{World, stories};

use super::{UBRN, clinic, coded, directory, letter, parameters, patient, practice, shortlist, state, text};

stories![advice_is_asked_for_and_given, a_question_becomes_a_referral];

pub(super) fn question(service: &str, authorisation: &str) -> Value {
    parameters(json!([
        patient(),
        coded("providerConversionAuthorisation", authorisation),
        text("adviceRequest", "Is an ECG needed?"),
        shortlist(&[service], "ROUTINE"),
    ]))
}

async fn advice_is_asked_for_and_given(world: World) {
    let hub = world.hub().await;
    let (practice, clinic) = (practice(&hub), clinic(&hub));
    let service = directory(&hub, "ADVICE_AND_GUIDANCE").await;
    let path = "ServiceRequest/$ers.createAdviceAndGuidance";
    let asked = practice.post(path, &question(&service, "NOT_AUTHORISED_TO_CONVERT")).await.is(201);
    let advice = asked.reference();
    assert!(advice.starts_with("ServiceRequest/a."));
    assert_eq!(state(&asked.body), "PROVIDER_RESPONSE_REQUIRED");
    assert_eq!(asked.body["code"]["coding"][0]["code"], "advice-and-guidance");
    assert_eq!(clinic.may(&advice).await, ["SEND_GUIDANCE"], "the referrer did not allow more");

    let guidance =
        |outcome: &str, said: &str| parameters(json!([coded("guidanceOutcome", outcome), text("guidance", said)]));
    let operation = "$ers.sendCommunicationToRequester";
    let back = guidance("REQUIRE_FURTHER_INFORMATION", "What is the pulse?");
    let back = clinic.acts(&advice, operation, &back).await.is(200);
    assert_eq!(state(&back.body), "REFERRER_TO_SUBMIT_FURTHER_INFORMATION");
    let file = letter(&practice, "informationAttachmentFile", "ecg.txt").await;
    let reply = parameters(json!([text("information", "Seventy"), file]));
    practice.acts(&advice, "$sendCommunicationToProvider", &reply).await.is(200);
    let answer = guidance("RETURN_TO_REFERRER_WITH_ADVICE", "No ECG is needed");
    let answered = clinic.acts(&advice, operation, &answer).await.is(200);
    assert_eq!(state(&answered.body), "REFERRER_TO_REVIEW_RESPONSE");

    let said = practice.get(&format!("Communication?based-on={advice}")).await.is(200);
    let texts: Vec<Value> = said.resources().iter().map(|one| one["payload"][0]["contentString"].clone()).collect();
    assert_eq!(texts, ["No ECG is needed", "Seventy", "What is the pulse?", "Is an ECG needed?"], "the newest first");
    let by = |n: usize| said.resources()[n]["category"][0]["coding"][0]["code"].clone();
    assert_eq!((by(0), by(1)), (json!("RESPONDER"), json!("REQUESTER")));
    let attached = said.resources()[1]["payload"][1]["contentReference"]["reference"].as_str().unwrap().to_owned();
    clinic.get(&attached).await.is(200);

    let closed = practice.acts(&advice, "$close", &super::nothing()).await.is(200);
    assert_eq!(
        (closed.body["status"].as_str(), state(&closed.body).as_str()),
        (Some("completed"), "CONVERSATION_ENDED_CLOSED")
    );
    let tasks = hub.finds(&format!("Task?based-on={advice}&_sort=authored-on")).await;
    assert!(tasks.iter().all(|task| task["status"] == "completed") && tasks.len() == 3, "the whole, and two answers");
    hub.closes().await;
}

async fn a_question_becomes_a_referral(world: World) {
    let hub = world.hub().await;
    let (practice, clinic) = (practice(&hub), clinic(&hub));
    let service = directory(&hub, "ADVICE_AND_GUIDANCE").await;
    let path = "ServiceRequest/$ers.createAdviceAndGuidance";
    let asked = practice.post(path, &question(&service, "AUTHORISED_TO_CONVERT")).await.is(201);
    let (advice, number) = (asked.reference(), asked.body["identifier"][0]["value"].as_str().unwrap().to_owned());
    assert_eq!(clinic.may(&advice).await, ["SEND_GUIDANCE", "CONVERT_TO_REFERRAL"]);
    let operation = "$ers.createFromCommunicationRequestActionLater";
    let convert = parameters(json!([
        text("guidance", "We will see the patient"),
        coded("newReferralPriority", "URGENT"),
        text("reviewComments", "Book an ECG"),
    ]));
    let made = clinic.acts(&advice, operation, &convert).await.is(201);
    assert!(made.reference().starts_with("ServiceRequest/r."));
    assert_eq!(
        (state(&made.body).as_str(), made.body["priority"].as_str()),
        ("TRIAGED_PROVIDER_TO_ACTION", Some("urgent"))
    );
    assert_eq!(state(&practice.get(&advice).await.is(200).body), "ADVICE_CONVERTED");
    let found = practice.get(&format!("ServiceRequest?identifier={UBRN}|{number}")).await.is(200);
    assert_eq!(found.body["total"], 2, "one number, a request for advice and a referral");

    let asked = practice.post(path, &question(&service, "NOT_AUTHORISED_TO_CONVERT")).await.is(201).reference();
    let guidance = parameters(json!([
        coded("guidanceOutcome", "RETURN_TO_REFERRER_WITH_ADVICE"),
        text("guidance", "Refer the patient"),
    ]));
    clinic.acts(&asked, "$ers.sendCommunicationToRequester", &guidance).await.is(200);
    let own = practice.acts(&asked, operation, &super::nothing()).await.is(201);
    assert_eq!(state(&own.body), "NOT_BOOKED", "the referrer chooses services for it");

    let needless = practice.post(path, &question(&service, "NOT_AUTHORISED_TO_CONVERT")).await.is(201).reference();
    let cancelled = parameters(json!([coded("cancellationReason", "RAISED_IN_ERROR")]));
    let ended = practice.acts(&needless, "$ers.cancelReferral", &cancelled).await.is(200);
    assert_eq!(
        (ended.body["status"].as_str(), state(&ended.body).as_str()),
        (Some("revoked"), "CONVERSATION_ENDED_CANCELLED")
    );
    hub.closes().await;
}
