//! Worklists: the service's own, and the same found by plain searches for Tasks.

use serde_json::{Value, json};
use tests::{World, stories};

use super::{
    CLINIC, Desk, PRACTICE, books, clinic, clinic_office, coded, directory, parameters, practice, referral,
    referral_of, shortlist, slots, text,
};

stories![each_side_finds_what_waits_for_it, a_clinic_filters_what_it_is_to_book];

async fn list(desk: &Desk, list: &str, filters: Value) -> Value {
    let mut all = vec![json!({ "name": "listType", "valueCodeableConcept": { "coding": [{ "code": list }] } })];
    all.extend(filters.as_array().cloned().unwrap_or_default());
    desk.post("ServiceRequest/$worklist", &parameters(all.into())).await.is(200).body
}

/// The referrals on a list.
fn items(list: &Value) -> Vec<&str> {
    let entries = list["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|entry| entry["item"]["reference"].as_str().unwrap()).collect()
}

fn told(list: &Value, n: usize, url: &str) -> Value {
    let all = list["entry"][n]["extension"][0]["extension"].as_array().unwrap();
    all.iter().find(|extension| extension["url"] == url).cloned().unwrap_or_default()
}

async fn each_side_finds_what_waits_for_it(world: World) {
    let hub = world.hub().await;
    let (practice, clinic, office) = (practice(&hub), clinic(&hub), clinic_office(&hub));
    let (review, bookable) = (directory(&hub, "REVIEW").await, directory(&hub, "BOOKABLE").await);
    let free = slots(&hub, &bookable, 1).await;
    let waiting = practice.refers(&[&bookable]).await;
    let path = "ServiceRequest/$ers.createReferralAndSendForTriage";
    let routine = practice.post(path, &referral(&[&review])).await.is(201).reference();
    let urgent = practice.post(path, &referral_of(&[&review], "TWO_WEEK_WAIT")).await.is(201).reference();
    let booked = practice.refers(&[&bookable]).await;
    books(&practice, &booked, &free[0]).await.is(201);

    let for_review = list(&clinic, "REFERRALS_FOR_REVIEW", json!([])).await;
    assert_eq!(items(&for_review), [urgent.as_str(), &routine, &booked], "the most urgent first, then the oldest");
    assert_eq!(
        for_review["entry"][0]["extension"][0]["url"],
        "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-eRS-ReferralsforReview-WorkListItem-1"
    );
    assert_eq!(told(&for_review, 0, "priority")["valueCodeableConcept"]["coding"][0]["code"], "TWO_WEEK_WAIT");
    assert_eq!(told(&for_review, 2, "referralType")["valueCodeableConcept"]["coding"][0]["code"], "APPOINTMENT");
    assert_eq!(told(&for_review, 2, "referralRequestVersion")["valueInteger"], 2);
    let of_service = json!([{ "name": "service", "valueReference": { "reference": bookable } }]);
    assert_eq!(items(&list(&clinic, "REFERRALS_FOR_REVIEW", of_service).await), [booked.as_str()]);
    let plain =
        format!("Task?owner=Organization/{CLINIC}&business-status=AWAITING_TRIAGE,BOOKED&_sort=priority,authored-on");
    let found: Vec<Value> =
        hub.finds(&plain).await.into_iter().map(|task| task["focus"]["reference"].clone()).collect();
    assert_eq!(found, items(&for_review), "the same as a plain search");
    let stranger = Desk { organization: "X99", ..clinic.clone() };
    let of_clinic = async |desk: &Desk| desk.get(&plain).await.is(200).resources().len();
    assert_eq!((of_clinic(&clinic).await, of_clinic(&stranger).await, of_clinic(&practice).await), (3, 0, 3));

    let letters = list(&practice, "LETTERS_OUTSTANDING", json!([])).await;
    assert_eq!(items(&letters).len(), 4);
    assert!(told(&letters, 0, "letterDue")["valueDate"].is_string());
    let plain = format!("Task?requester=Organization/{PRACTICE}&code=letter&status=requested");
    assert_eq!(hub.finds(&plain).await.len(), 4);
    let awaiting = list(&practice, "AWAITING_BOOKING", json!([])).await;
    assert_eq!(items(&awaiting).len(), 3);
    assert!(items(&awaiting).contains(&waiting.as_str()));
    let advice = parameters(json!([
        coded("reviewOutcome", "RETURN_TO_REFERRER_WITH_ADVICE"),
        text("reviewComments", "Not for us"),
    ]));
    clinic.acts(&routine, "$ers.recordReviewOutcome", &advice).await.is(200);
    assert_eq!(items(&list(&practice, "REJECTED_TRIAGE_RESPONSE", json!([])).await), [routine.as_str()]);
    let missed = parameters(json!([coded("nonAttendanceReason", "UNKNOWN")]));
    office.acts(&booked, "$recordNonAttendance", &missed).await.is(200);
    assert_eq!(items(&list(&practice, "ASSESSMENT_RETURNED_CANCELLED_DNA", json!([])).await), [booked.as_str()]);
    let none = list(&clinic, "APPOINTMENT_SLOT_ISSUES", json!([])).await;
    assert!(none.get("entry").is_none());
    assert!(items(&list(&stranger, "REFERRALS_FOR_REVIEW", json!([])).await).is_empty());

    let question = parameters(json!([
        super::patient(),
        coded("providerConversionAuthorisation", "AUTHORISED_TO_CONVERT"),
        text("adviceRequest", "?"),
        shortlist(&[&directory(&hub, "ADVICE_AND_GUIDANCE").await], "ROUTINE"),
    ]));
    let asked = practice.post("ServiceRequest/$ers.createAdviceAndGuidance", &question).await.is(201).reference();
    assert_eq!(items(&list(&clinic, "ADVICE_AND_GUIDANCE_REQUESTS", json!([])).await), [asked.as_str()]);

    let services = format!(
        "HealthcareService?_id={},{}",
        &review["HealthcareService/".len()..],
        &bookable["HealthcareService/".len()..]
    );
    let services = practice.get(&services).await.is(200);
    assert_eq!(services.body["total"], 2);
    assert_eq!(practice.get(&review).await.is(200).header("etag"), "W/\"1\"");
    clinic.get("HealthcareService?_id=1").await.is(403);
    practice.get("HealthcareService").await.is(400);
    hub.closes().await;
}

/// No slot was to be had, and each filter tells one of them from the others.
async fn a_clinic_filters_what_it_is_to_book(world: World) {
    let hub = world.hub().await;
    let (practice, office) = (practice(&hub), clinic_office(&hub));
    let mut deferred = Vec::new();
    for (specialty, clinician) in [("CARDIOLOGY", "1001"), ("DERMATOLOGY", "1001"), ("CARDIOLOGY", "1002")] {
        let service = directory(&hub, "BOOKABLE").await;
        let mut wanted = referral(&[&service]).to_string();
        wanted = wanted.replace("CARDIOLOGY", specialty);
        let mut wanted: Value = serde_json::from_str(&wanted).unwrap();
        let by = json!({ "name": "referringClinician", "valueIdentifier": { "value": clinician } });
        wanted["parameter"].as_array_mut().unwrap().push(by);
        let made = practice.post("ServiceRequest/$ers.createReferral", &wanted).await.is(201).reference();
        let body = json!({
            "resourceType": "Appointment",
            "status": "proposed",
            "reasonCode": [{ "coding": [{ "code": "BOOKING_ATTEMPT_PROBLEM" }] }],
            "basedOn": [{ "reference": format!("{made}/_history/1") }],
            "participant": [{ "actor": { "reference": service }, "status": "accepted" }],
        });
        practice.post("Appointment", &body).await.is(200);
        deferred.push((made, service));
    }
    let on_list = async |filters: Value| {
        let found = list(&office, "APPOINTMENT_SLOT_ISSUES", filters).await;
        items(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let made = |n: usize| deferred[n].0.clone();
    let specialty =
        |code: &str| json!({ "name": "specialty", "valueCodeableConcept": { "coding": [{ "code": code }] } });
    let clinician = |id: &str| json!({ "name": "clinician", "valueIdentifier": { "value": id } });
    let service = |n: usize| json!({ "name": "service", "valueReference": { "reference": deferred[n].1 } });
    assert_eq!(on_list(json!([])).await, [made(0), made(1), made(2)]);
    assert_eq!(on_list(json!([specialty("CARDIOLOGY")])).await, [made(0), made(2)]);
    assert_eq!(on_list(json!([clinician("1001")])).await, [made(0), made(1)]);
    assert_eq!(on_list(json!([clinician("1001"), specialty("CARDIOLOGY")])).await, [made(0)]);
    assert_eq!(on_list(json!([service(1)])).await, [made(1)]);
    assert!(on_list(json!([service(1), specialty("CARDIOLOGY")])).await.is_empty());
    let all = list(&office, "APPOINTMENT_SLOT_ISSUES", json!([])).await;
    assert_eq!(told(&all, 0, "reason")["valueCodeableConcept"]["coding"][0]["code"], "BOOKING_ATTEMPT_PROBLEM");
    assert_eq!(told(&all, 0, "clinicalInformationStatus")["valueCodeableConcept"]["coding"][0]["code"], "NOT_PRESENT");
    hub.closes().await;
}
