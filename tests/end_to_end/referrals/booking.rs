//! Slots: one is had by one; what is given back is free again; what is not to be had is left to the clinic.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Hub, Parts, Reply, World, stories, tell};

use super::{Desk, books, clinic, clinic_office, coded, directory, parameters, practice, referral, slots, state, text};

stories![
    a_slot_that_many_want_is_booked_once,
    an_appointment_is_cancelled_and_booked_anew,
    what_has_no_slot_is_deferred,
    a_clinic_cancels_an_appointment
];

/// Callers at once.
const CALLERS: usize = 32;

fn code(reply: &Reply) -> &str {
    reply.body["issue"][0]["details"]["coding"][0]["code"].as_str().unwrap_or_default()
}

async fn a_slot_that_many_want_is_booked_once(world: World) {
    let hub = world.hub().await;
    race(&[&hub]).await;
    hub.closes().await;
}

async fn a_clinic_cancels_an_appointment(world: World) {
    let hub = world.hub().await;
    let (practice, office) = (practice(&hub), clinic_office(&hub));
    let service = directory(&hub, "BOOKABLE").await;
    let slot = slots(&hub, &service, 1).await.remove(0);
    let referral = practice.refers(&[&service]).await;
    let booked = books(&practice, &referral, &slot).await.is(201);
    let mut cancelled = booked.body.clone();
    cancelled["status"] = "cancelled".into();
    cancelled["cancelationReason"] = json!({ "coding": [{ "code": "PROVIDER_CANCELLATION" }] });
    cancelled["comment"] = "The doctor is ill".into();
    let path = booked.reference();
    office.put(&path, &cancelled).header("if-match", "W/\"1\"").await.is(200);
    let seen = practice.get(&referral).await.is(200);
    assert_eq!(state(&seen.body), "APPT_CANCELLED_BY_PROVIDER");
    assert!(seen.text.contains("The doctor is ill"));
    assert_eq!(hub.reads(&slot).await["status"], "free");
    assert!(practice.may(&referral).await.contains(&"CREATE_APPOINTMENT".to_owned()));
    hub.closes().await;
}

/// Two hubs on one database know nothing of each other.
async fn a_slot_is_booked_once_on_two_hubs(world: World) {
    let (one, other) = (world.hub().await, world.hub().await);
    race(&[&one, &other]).await;
    one.closes().await;
    other.closes().await;
}

#[test]
fn a_slot_is_booked_once_on_two_hubs_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, a_slot_is_booked_once_on_two_hubs);
}

/// Many want one slot at once, each for a referral of its own.
async fn race(hubs: &[&Hub]) {
    let hub = hubs[0];
    let service = directory(hub, "BOOKABLE").await;
    let slot = slots(hub, &service, 1).await.remove(0);
    let wanted = referral(&[&service]);
    let desks: Vec<Desk> = (0..CALLERS).map(|n| practice(hubs[n % hubs.len()])).collect();
    let create = desks.iter().map(async |desk| desk.post("ServiceRequest/$ers.createReferral", &wanted).await.is(201));
    let referrals: Vec<Reply> = join_all(create).await;
    let mut numbers: Vec<String> =
        referrals.iter().map(|created| created.body["identifier"][0]["value"].to_string()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), CALLERS, "each has a number of its own");

    let book = desks.iter().zip(&referrals).map(async |(desk, made)| books(desk, &made.reference(), &slot).await);
    let replies: Vec<Reply> = join_all(book).await;
    let (won, lost): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!((won.len(), lost.len()), (1, CALLERS - 1));
    for reply in lost {
        assert_eq!((reply.status, code(reply)), (422, "SLOT_NOT_AVAILABLE"), "{}", reply.text);
    }
    assert_eq!(hub.finds("Appointment?status=booked").await.len(), 1);
    assert_eq!(hub.reads(&slot).await["meta"]["versionId"], "2", "it was taken once");
}

async fn an_appointment_is_cancelled_and_booked_anew(world: World) {
    let hub = world.hub().await;
    let (practice, clinic) = (practice(&hub), clinic(&hub));
    let service = directory(&hub, "BOOKABLE").await;
    let free = slots(&hub, &service, 2).await;
    let referral = practice.refers(&[&service]).await;
    let booked = books(&practice, &referral, &free[0]).await.is(201);
    let cancelled = |code: &str| {
        let mut body = booked.body.clone();
        body["status"] = "cancelled".into();
        body["cancelationReason"] = json!({ "coding": [{ "code": code }] });
        body
    };
    let path = booked.reference();
    let cancels = async |body: &Value| practice.put(&path, body).header("if-match", "W/\"1\"").await;
    assert_eq!(
        code(&cancels(&cancelled("INTEND_PRIVATE")).await),
        "INVALID_CODE",
        "that is a reason to cancel the whole"
    );
    assert_eq!(code(&cancels(&cancelled("PATIENT_OTHER_ENGAGEMENT")).await), "MISSING_VALUE", "it needs a comment");
    cancels(&cancelled("PATIENT_ILL")).await.is(200);
    assert_eq!(state(&practice.get(&referral).await.is(200).body), "APPT_CANCELLED_BY_PATIENT");
    assert_eq!(hub.reads(&free[0]).await["status"], "free");
    cancels(&cancelled("PATIENT_ILL")).await.refuses(412, "conflict", "If-Match");

    books(&practice, &referral, &free[0]).await.is(201);
    let no = parameters(json!([coded("rejectionReason", "SERVICE_INAPPROPRIATE"), text("rejectionComments", "No")]));
    let rejected = clinic.acts(&referral, "$ers.rejectReferral", &no).await.is(200);
    assert_eq!(state(&rejected.body), "REJECTED");
    assert_eq!(hub.reads(&free[0]).await["status"], "free");
    let whole = practice.get(&referral).await.is(200).body;
    let other = directory(&hub, "BOOKABLE").await;
    let more = slots(&hub, &other, 1).await;
    let changed = parameters(json!([super::shortlist(&[&other], "ROUTINE")]));
    practice.acts(&referral, "$ers.changeShortlist", &changed).await.is(200);
    books(&practice, &referral, &more[0]).await.is(201);
    let later = parameters(json!([text("comments", "Another clinic fits better")]));
    let later = clinic.acts(&referral, "$ers.cancelAppointmentActionLater", &later).await.is(200);
    assert_eq!(state(&later.body), "TRIAGED_PROVIDER_TO_ACTION");
    assert_eq!(hub.reads(&more[0]).await["status"], "free");
    let office = clinic_office(&hub);
    books(&office, &referral, &more[0]).await.is(201);
    let reason = parameters(json!([coded("cancellationReason", "PATIENT_DIED")]));
    let ended = practice.acts(&referral, "$ers.cancelReferral", &reason).await.is(200);
    assert_eq!((ended.body["status"].as_str(), state(&ended.body).as_str()), (Some("revoked"), "CANCELLED_REFERRAL"));
    assert_eq!(hub.reads(&more[0]).await["status"], "free", "with the referral goes its appointment");
    assert_eq!(whole["status"], "active");
    hub.closes().await;
}

async fn what_has_no_slot_is_deferred(world: World) {
    let hub = world.hub().await;
    let (practice, clinic, office) = (practice(&hub), clinic(&hub), clinic_office(&hub));
    let service = directory(&hub, "BOOKABLE").await;
    let free = slots(&hub, &service, 1).await;
    let (first, second) = (practice.refers(&[&service]).await, practice.refers(&[&service]).await);
    let deferral = |referral: &str, slot: Option<&str>| {
        let mut body = json!({
            "resourceType": "Appointment",
            "status": "proposed",
            "reasonCode": [{ "coding": [{ "code": "NO_SLOTS_AT_SERVICE" }] }],
            "comment": "There are no slots",
            "basedOn": [{ "reference": format!("{referral}/_history/1") }],
            "participant": [{ "actor": { "reference": service }, "status": "accepted" }],
        });
        if let Some(slot) = slot {
            body["slot"] = json!([{ "reference": slot }]);
        }
        body
    };
    let early = practice.post("Appointment", &deferral(&second, None)).await.is(422);
    assert_eq!(code(&early), "SLOTS_CURRENTLY_AVAILABLE");
    let early = practice.post("Appointment", &deferral(&second, Some(&free[0]))).await.is(422);
    assert_eq!(code(&early), "THIS_SLOT_IS_AVAILABLE");
    books(&practice, &first, &free[0]).await.is(201);
    let deferred = practice.post("Appointment", &deferral(&second, Some(&free[0]))).await.is(200);
    assert_eq!(deferred.body["status"], "proposed");
    assert_eq!(state(&practice.get(&second).await.is(200).body), "DEFERRED_TO_PROVIDER");

    assert!(office.may(&second).await.contains(&"CREATE_APPOINTMENT".to_owned()));
    assert!(clinic.may(&second).await.contains(&"RECORD_REVIEW_OUTCOME".to_owned()));
    let more = slots(&hub, &service, 1).await;
    books(&office, &second, &more[0]).await.is(201);
    assert_eq!(state(&practice.get(&second).await.is(200).body), "BOOKED");
    let found = practice
        .get(&format!("Slot?schedule.actor:HealthcareService={}&status=free", &service["HealthcareService/".len()..]));
    assert_eq!(found.await.is(200).body["total"], 0);
    let taken = format!(
        "Slot?schedule.actor:HealthcareService={}&status=busy&_include=Slot:schedule",
        &service["HealthcareService/".len()..]
    );
    let taken = practice.get(&taken).await.is(200);
    assert_eq!((taken.body["total"].as_u64(), taken.resources().len()), (Some(2), 4), "with their schedules");
    hub.closes().await;
}
