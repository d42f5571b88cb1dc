//! Referrals as the e-Referral Service does them: made with a shortlist, triaged, booked, accepted, attended, closed; and
//! all that can go otherwise.

mod advising;
mod booking;
mod desk;
mod listing;
mod queue;
mod refusing;
mod roles;
mod time;
mod tutorial;

use serde_json::{Value, json};
use tests::{World, stories};

pub(crate) use self::desk::*;

stories![
    a_referral_lives_from_practice_to_clinic,
    a_triaged_referral_comes_back_with_advice_and_goes_on,
    a_shortlist_has_up_to_twenty_services,
    a_referral_is_closed_by_the_task_of_the_whole,
];

async fn a_referral_lives_from_practice_to_clinic(world: World) {
    let hub = world.hub().await;
    let (practice, clinic) = (practice(&hub), clinic(&hub));
    let service = directory(&hub, "BOOKABLE").await;
    let free = slots(&hub, &service, 2).await;

    let begins = async || {
        let request = practice.post("ServiceRequest/$ers.createReferral", &referral(&[&service]));
        request.header("idempotency-key", "referral-1").await.is(201)
    };
    let created = begins().await;
    assert_eq!(begins().await.body, created.body, "the same once more is the same referral");
    let referral = created.reference();
    assert_eq!((created.header("etag"), state(&created.body).as_str()), ("W/\"1\"", "NOT_BOOKED"));
    assert!(created.header("location").ends_with(&format!("/ers/{referral}/_history/1")));
    let number = created.body["identifier"][0]["value"].as_str().unwrap().to_owned();
    assert_eq!(number.len(), 12);
    let found = practice.get(&format!("ServiceRequest?identifier={UBRN}|{number}")).await.is(200);
    assert_eq!(found.resources()[0]["id"], created.body["id"]);
    assert_eq!(clinic.get(&format!("ServiceRequest?identifier={UBRN}|{number}")).await.is(200).body["total"], 0);
    clinic.get(&referral).await.is(403);

    let may = practice.may(&referral).await;
    assert!(may.contains(&"CREATE_APPOINTMENT".to_owned()) && may.contains(&"CANCEL_REFERRAL".to_owned()), "{may:?}");
    assert!(clinic.may(&referral).await.is_empty(), "it was not sent there yet");

    let attached = parameters(json!([letter(&practice, "referralLetterFile", "letter.txt").await]));
    let with_letter = practice.acts(&referral, "$ers.maintainReferralLetter", &attached).await.is(200);
    assert_eq!(with_letter.header("etag"), "W/\"2\"");
    let document = with_letter.body["supportingInfo"][0]["reference"].as_str().unwrap();
    practice.get(document).await.is(200);
    assert_eq!(named(&steps(&hub, &referral).await, "letter"), "completed");

    let booked = books(&practice, &referral, &free[0]).await.is(201);
    assert_eq!(
        (booked.body["status"].as_str(), booked.body["start"].as_str()),
        (Some("booked"), Some("2090-01-01T10:00:00Z"))
    );
    assert_eq!(hub.reads(&free[0]).await["status"], "busy");
    let moved = books(&practice, &referral, &free[1]).await.is(201);
    assert_eq!(hub.reads(&free[0]).await["status"], "free", "who books anew gives back what was booked before");
    let old = practice.get(&booked.reference()).await.is(200);
    assert_eq!((old.body["status"].as_str(), moved.body["status"].as_str()), (Some("cancelled"), Some("booked")));

    assert_eq!(named(&steps(&hub, &referral).await, "triage"), "requested", "the clinic is to say yes or no");
    let stale = clinic.post(&format!("{referral}/$ers.acceptReferral"), &nothing()).header("if-match", "W/\"2\"").await;
    stale.refuses(412, "conflict", "If-Match");
    clinic.acts(&referral, "$ers.acceptReferral", &nothing()).await.is(200);
    let seen = clinic.get(&referral).await.is(200);
    assert_eq!(state(&seen.body), "BOOKED");
    clinic.acts(&referral, "$recordAttendance", &nothing()).await.is(200);
    let report = |kind: &str, more: Value| {
        let mut event = json!({ "resourceType": kind });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let visit = report(
        "Encounter",
        json!({
            "status": "finished", "class": { "code": "AMB" }, "basedOn": [{ "reference": referral }],
        }),
    );
    clinic.post("Encounter", &visit).await.is(201);
    let result = report(
        "DiagnosticReport",
        json!({
            "status": "final", "code": { "text": "ECG" }, "basedOn": [{ "reference": referral }],
        }),
    );
    clinic.post("DiagnosticReport", &result).await.is(201);
    let discharge = report(
        "DocumentReference",
        json!({
            "status": "current", "content": [{ "attachment": { "title": "discharge.txt" } }],
            "context": { "related": [{ "reference": referral }] },
        }),
    );
    let discharge = clinic.post("DocumentReference", &discharge).await.is(201).reference();
    let status = hub.get(&format!("{referral}/$order-status")).await.is(200);
    assert!(status.text.contains(&discharge), "what was reported shows in the overall status");
    clinic.acts(&referral, "$close", &nothing()).await.is(200);

    let closed = practice.get(&referral).await.is(200).body;
    assert_eq!((closed["status"].as_str(), state(&closed).as_str()), (Some("completed"), "COMPLETED"));
    let steps = steps(&hub, &referral).await;
    assert!(steps.iter().all(|(_, status)| status == "completed"), "{steps:?}");
    assert!(practice.may(&referral).await.is_empty() && clinic.may(&referral).await.is_empty());
    let first = practice.get(&format!("{referral}/_history/1")).await.is(200).body;
    assert_eq!(state(&first), "NOT_BOOKED");
    assert_eq!(hub.finds(&format!("ServiceRequest?identifier={UBRN}|{number}&status=completed")).await.len(), 1);
    hub.sets(&referral, "status", "active").await.is(422);
    hub.closes().await;
}

async fn a_triaged_referral_comes_back_with_advice_and_goes_on(world: World) {
    let hub = world.hub().await;
    let (practice, clinic, office) = (practice(&hub), clinic(&hub), clinic_office(&hub));
    let (triage, bookable) = (directory(&hub, "REVIEW").await, directory(&hub, "BOOKABLE").await);
    let free = slots(&hub, &bookable, 1).await;

    let wanted = referral_of(&[&triage], "URGENT");
    let sent = practice.post("ServiceRequest/$ers.createReferralAndSendForTriage", &wanted).await.is(201);
    let referral = sent.reference();
    assert_eq!((state(&sent.body).as_str(), sent.body["priority"].as_str()), ("AWAITING_TRIAGE", Some("urgent")));
    assert_eq!(clinic.may(&referral).await, ["RECORD_REVIEW_OUTCOME", "CANCEL_REFERRAL"]);
    let tasks = hub.finds(&format!("Task?owner=Organization/{CLINIC}&code=triage&status=requested")).await;
    assert_eq!(tasks.len(), 1, "on the plain worklist of the clinic");

    let advice = parameters(json!([
        coded("reviewOutcome", "RETURN_TO_REFERRER_WITH_ADVICE"),
        text("reviewComments", "Try a beta blocker first"),
    ]));
    let back = clinic.acts(&referral, "$ers.recordReviewOutcome", &advice).await.is(200);
    assert_eq!(state(&back.body), "TRIAGE_RESPONSE");
    assert!(back.text.contains("Try a beta blocker first"));
    let again = parameters(json!([shortlist(&[&triage], "URGENT")]));
    practice.acts(&referral, "$ers.changeShortlistAndSendForTriage", &again).await.is(200);
    assert_eq!(named(&steps(&hub, &referral).await, "triage"), "requested", "by another Task");

    let later = parameters(json!([
        coded("reviewOutcome", "ACCEPT_REFER_BOOK_LATER"),
        coded("reviewPriority", "TWO_WEEK_WAIT"),
        text("reviewComments", "To be seen soon"),
        letter(&clinic, "providerAttachmentFile", "plan.txt").await,
    ]));
    let accepted = clinic.acts(&referral, "$ers.recordReviewOutcome", &later).await.is(200);
    assert_eq!(
        (state(&accepted.body).as_str(), accepted.body["priority"].as_str()),
        ("TRIAGED_PROVIDER_TO_ACTION", Some("asap"))
    );
    assert_eq!(office.may(&referral).await, ["CHANGE_SHORTLIST", "CREATE_APPOINTMENT"]);
    let own = parameters(json!([shortlist(&[&bookable], "TWO_WEEK_WAIT")]));
    office.acts(&referral, "$ers.changeShortlist", &own).await.is(200);
    books(&office, &referral, &free[0]).await.is(201);
    assert_eq!(named(&steps(&hub, &referral).await, "attend"), "requested", "the clinic need not look again");

    let missed = parameters(json!([coded("nonAttendanceReason", "PATIENT_FORGOT")]));
    let missed = office.acts(&referral, "$recordNonAttendance", &missed).await.is(200);
    assert_eq!(state(&missed.body), "DID_NOT_ATTEND");
    assert_eq!(named(&steps(&hub, &referral).await, "attend"), "failed");
    let mut request = practice.get(&referral).await.is(200).body;
    request["status"] = "completed".into();
    let version = practice.version(&referral).await;
    let closed = practice.put(&referral, &request).header("if-match", version).await.is(200);
    assert_eq!((state(&closed.body).as_str(), closed.body["status"].as_str()), ("CLOSED", Some("completed")));
    hub.closes().await;
}

async fn a_shortlist_has_up_to_twenty_services(world: World) {
    let hub = world.hub().await;
    let practice = practice(&hub);
    let mut services = Vec::new();
    for _ in 0..21 {
        services.push(directory(&hub, "BOOKABLE").await);
    }
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let create =
        async |services: &[&str]| practice.post("ServiceRequest/$ers.createReferral", &referral(services)).await;
    let made = create(&services[..20]).await.is(201);
    let free = slots(&hub, services[19], 1).await;
    books(&practice, &made.reference(), &free[0]).await.is(201);
    for too in [&services[..], &[]] {
        create(too).await.is(422);
    }
    assert_eq!(hub.finds("ServiceRequest").await.len(), 1, "of what was refused nothing is kept");
    hub.closes().await;
}

async fn a_referral_is_closed_by_the_task_of_the_whole(world: World) {
    let hub = world.hub().await;
    let (practice, clinic) = (practice(&hub), clinic(&hub));
    let service = directory(&hub, "BOOKABLE").await;
    let slot = slots(&hub, &service, 1).await.remove(0);
    let referral = practice.refers(&[&service]).await;
    let whole = format!("Task/{}.0", referral.strip_prefix("ServiceRequest/r.").unwrap());
    let closes = async |desk: &Desk| {
        let mut task = hub.reads(&whole).await;
        task["status"] = "completed".into();
        let version = desk.version(&whole).await;
        desk.put(&whole, &task).header("if-match", version).await
    };
    let early = closes(&practice).await.is(422);
    assert!(early.text.contains("INVALID_REQUEST_STATE"), "{}", early.text);
    books(&practice, &referral, &slot).await.is(201);
    clinic.acts(&referral, "$ers.acceptReferral", &nothing()).await.is(200);
    clinic.acts(&referral, "$recordAttendance", &nothing()).await.is(200);
    closes(&practice).await.is(422);
    assert_eq!(closes(&clinic).await.is(200).body["status"], "completed");
    assert_eq!(state(&hub.reads(&referral).await), "COMPLETED");
    let steps = steps(&hub, &referral).await;
    assert!(steps.iter().all(|(_, status)| status == "completed" || status == "cancelled"), "{steps:?}");
    hub.closes().await;
}
