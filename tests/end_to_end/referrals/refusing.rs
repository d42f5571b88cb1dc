//! Every no of the service, by its code.

use std::collections::BTreeSet;
use std::sync::Mutex;

use hub_domain::workflows::ers::codes::NAMES;
use serde_json::{Value, json};
use tests::{Hub, Issuer, Reply, World, stories};

use super::{
    CLINIC, Desk, booking, books, clinic, clinic_office, coded, directory, document, letter, nothing, parameters,
    patient, practice, referral, referral_of, shortlist, slots, text,
};

stories![every_code_of_the_service_is_raised, a_token_says_who_calls];

/// The codes that were heard.
#[derive(Default)]
struct Heard(Mutex<BTreeSet<String>>);

impl Heard {
    #[track_caller]
    fn no(&self, reply: &Reply, status: u16, code: &str) {
        let issues = reply.body["issue"].as_array().cloned().unwrap_or_default();
        let codes: Vec<String> = issues
            .iter()
            .map(|issue| issue["details"]["coding"][0]["code"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(reply.status, status, "{}", reply.text);
        assert!(codes.iter().any(|heard| heard == code), "{code} is not in {}", reply.text);
        self.0.lock().unwrap().extend(codes);
    }
}

/// A service like another, changed.
async fn service_with(hub: &Hub, kind: &str, name: &str, value: Value) -> String {
    let service = directory(hub, kind).await;
    let mut body = hub.reads(&service).await;
    body[name] = value;
    hub.put(&service, &body).await.is(200);
    service
}

async fn every_code_of_the_service_is_raised(world: World) {
    let hub = world.hub().await;
    let heard = Heard::default();
    of_creating(&hub, &heard).await;
    of_acting(&hub, &heard).await;
    of_reviewing(&hub, &heard).await;
    of_booking(&hub, &heard).await;
    of_reading(&hub, &heard).await;
    let heard = heard.0.into_inner().unwrap();
    let silent: Vec<&&str> = NAMES.iter().filter(|name| !heard.contains(**name)).collect();
    assert!(silent.is_empty(), "nobody heard {silent:?}");
    hub.closes().await;
}

async fn of_creating(hub: &Hub, heard: &Heard) {
    let desk = practice(hub);
    let service = directory(hub, "BOOKABLE").await;
    let create = async |body: &Value| desk.post("ServiceRequest/$ers.createReferral", body).await;
    let right = referral(&[&service]);
    let with = |n: usize, parameter: Value| {
        let mut body = right.clone();
        body["parameter"][n] = parameter;
        body
    };
    let several = create(&parameters(json!([{ "name": "patients", "valueString": "1" }]))).await;
    heard.no(&several, 422, "MISSING_VALUE");
    heard.no(&several, 422, "UNEXPECTED_FIELD");
    let number = json!({ "name": "patient", "valueIdentifier": { "system": "x", "value": "1" } });
    heard.no(&create(&with(0, number)).await, 422, "INVALID_VALUE");
    heard.no(&create(&with(0, text("patient", "9912003888"))).await, 422, "INVALID_FHIR_STRUCTURE");
    heard.no(&create(&with(1, coded("intentionToAddReferralLetter", "PERHAPS"))).await, 422, "INVALID_CODE");
    heard.no(
        &create(&with(1, coded("intentionToAddReferralLetter", "NOT_INTENDING_TO_ADD"))).await,
        422,
        "FIELD_NOT_PERMITTED",
    );
    let mut no_days = right.clone();
    no_days["parameter"].as_array_mut().unwrap().remove(2);
    heard.no(&create(&no_days).await, 422, "VALUE_IS_REQUIRED");
    let long_ago = json!({ "name": "eReferralPathwayStart", "valueInstant": "2020-01-01T00:00:00Z" });
    let mut old = right.clone();
    old["parameter"].as_array_mut().unwrap().push(long_ago);
    heard.no(&create(&old).await, 422, "INAPPROPRIATE_VALUE");
    let many: Vec<String> = (0..21).map(|n| format!("HealthcareService/{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    heard.no(&create(&referral(&many)).await, 422, "TOO_MANY_ITEMS");
    heard.no(&create(&referral(&[&service, &service])).await, 422, "DUPLICATE_SERVICE");
    heard.no(&create(&referral(&["HealthcareService/none"])).await, 422, "REFERENCE_NOT_FOUND");
    let shut = service_with(hub, "BOOKABLE", "active", json!(false)).await;
    heard.no(&create(&referral(&[&shut])).await, 422, "SERVICE_UNAVAILABLE");
    let skin = service_with(hub, "BOOKABLE", "specialty", json!([{ "coding": [{ "code": "DERMATOLOGY" }] }])).await;
    heard.no(&create(&referral(&[&skin])).await, 422, "SHORTLISTED_SERVICE_NOT_IN_RESULTS");
    let priority =
        json!([{ "coding": [{ "system": "https://fhir.nhs.uk/CodeSystem/eRS-Priority", "code": "ROUTINE" }] }]);
    let slow = service_with(hub, "BOOKABLE", "characteristic", priority).await;
    heard.no(&create(&referral_of(&[&slow], "URGENT")).await, 422, "UNSUPPORTED_PRIORITY");
    let nobody = service_with(hub, "BOOKABLE", "providedBy", json!({ "display": "somebody" })).await;
    heard.no(&create(&referral(&[&nobody])).await, 422, "INAPPROPRIATE_VALUE");
    let question = parameters(json!([
        patient(),
        coded("providerConversionAuthorisation", "AUTHORISED_TO_CONVERT"),
        text("adviceRequest", "?"),
        shortlist(&[&service, &directory(hub, "BOOKABLE").await], "ROUTINE"),
    ]));
    heard.no(&desk.post("ServiceRequest/$ers.createAdviceAndGuidance", &question).await, 422, "TOO_MANY_ITEMS");
    heard.no(&clinic(hub).post("ServiceRequest/$ers.createReferral", &right).await, 403, "REC_FORBIDDEN");
    let mut stu3 = right.clone();
    stu3["meta"] =
        json!({ "profile": ["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-CreateReferral-Parameters-1"] });
    heard.no(&create(&stu3).await, 400, "REC_BAD_REQUEST");
}

async fn of_acting(hub: &Hub, heard: &Heard) {
    let (desk, clinic) = (practice(hub), clinic(hub));
    let service = directory(hub, "BOOKABLE").await;
    let id = desk.refers(&[&service]).await;
    let unnamed = desk.post(
        &format!("{id}/$ers.cancelReferral"),
        &parameters(json!([coded("cancellationReason", "INTEND_PRIVATE")])),
    );
    heard.no(&unnamed.await, 412, "MISSING_VALUE");
    let stale = desk.post(&format!("{id}/$close"), &nothing()).header("if-match", "W/\"7\"").await;
    heard.no(&stale, 412, "REC_CONFLICT");
    let missing = format!("ServiceRequest/r.{}", uuid::Uuid::new_v4());
    let missing = desk.post(&format!("{missing}/$close"), &nothing()).header("if-match", "W/\"1\"").await;
    heard.no(&missing, 404, "REC_NOT_FOUND");
    heard.no(&desk.acts(&id, "$ers.acceptReferral", &nothing()).await, 403, "REC_FORBIDDEN");
    heard.no(&clinic.acts(&id, "$ers.acceptReferral", &nothing()).await, 422, "NO_RELATIONSHIP");
    let other = Desk { organization: "X99", ..desk.clone() };
    heard.no(&other.acts(&id, "$close", &nothing()).await, 422, "NO_RELATIONSHIP");
    heard.no(&desk.acts(&id, "$close", &nothing()).await, 422, "INVALID_REQUEST_STATE");
    let reply = parameters(json!([text("information", "more")]));
    heard.no(&desk.acts(&id, "$sendCommunicationToProvider", &reply).await, 422, "INVALID_REQUEST_TYPE");
    let same = parameters(json!([shortlist(&[&service], "ROUTINE")]));
    heard.no(&desk.acts(&id, "$ers.changeShortlist", &same).await, 422, "NO_CHANGES_DETECTED");
    let why = parameters(json!([coded("cancellationReason", "TRIAGE_ENDED")]));
    heard.no(&desk.acts(&id, "$ers.cancelReferral", &why).await, 422, "INVALID_CODE");
    let two = parameters(json!([shortlist(&[&service, &directory(hub, "BOOKABLE").await], "ROUTINE")]));
    heard.no(&desk.acts(&id, "$ers.changeShortlistAndSendForTriage", &two).await, 422, "INAPPROPRIATE_VALUE");

    let file = letter(&desk, "referralLetterFile", "letter.txt").await;
    let nowhere = document("referralLetterFile", "letter.txt", "Binary/none");
    let attach = async |all: Value| desk.acts(&id, "$ers.maintainReferralLetter", &parameters(all)).await;
    heard.no(&attach(json!([nowhere])).await, 422, "REFERENCE_NOT_FOUND");
    let twin = letter(&desk, "referralLetterFile", "letter.txt").await;
    heard.no(&attach(json!([file, twin])).await, 422, "DUPLICATE_FILENAME");
    attach(json!([file])).await.is(200);
    heard.no(&attach(json!([file])).await, 422, "NO_CHANGES_DETECTED");
    let unbased = json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" } });
    heard.no(&clinic.post("Encounter", &unbased).await, 422, "MISSING_VALUE");
    let based = json!({
        "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" }, "basedOn": [{ "reference": id }],
    });
    heard.no(&clinic.post("Encounter", &based).await, 422, "NO_RELATIONSHIP");
    heard.no(&desk.post("Encounter", &based).await, 403, "REC_FORBIDDEN");
    let mut request = desk.get(&id).await.is(200).body;
    request["status"] = "on-hold".into();
    let version = desk.version(&id).await;
    heard.no(&desk.put(&id, &request).header("if-match", &version).await, 422, "INVALID_VALUE");
    request["status"] = "revoked".into();
    heard.no(&desk.put(&id, &request).header("if-match", &version).await, 422, "INVALID_CODE");
    request["reasonCode"] = json!([{ "coding": [{ "code": "RAISED_IN_ERROR" }] }]);
    desk.put(&id, &request).header("if-match", &version).await.is(200);
    heard.no(&desk.acts(&id, "$close", &nothing()).await, 422, "INVALID_REQUEST_STATE");
}

async fn of_reviewing(hub: &Hub, heard: &Heard) {
    let (desk, clinic, office) = (practice(hub), clinic(hub), clinic_office(hub));
    let review = directory(hub, "REVIEW").await;
    let path = "ServiceRequest/$ers.createReferralAndSendForTriage";
    let id = desk.post(path, &referral(&[&review])).await.is(201).reference();
    let no_letter = parameters(json!([
        patient(),
        coded("intentionToAddReferralLetter", "NOT_INTENDING_TO_ADD"),
        shortlist(&[&review], "ROUTINE"),
    ]));
    heard.no(&desk.post(path, &no_letter).await, 422, "INAPPROPRIATE_VALUE");
    let says = |outcome: &str, comments: &str, priority: Option<&str>| {
        let mut all = vec![coded("reviewOutcome", outcome), text("reviewComments", comments)];
        all.extend(priority.map(|priority| coded("reviewPriority", priority)));
        parameters(all.into())
    };
    let operation = "$ers.recordReviewOutcome";
    let raised = says("RETURN_TO_REFERRER_WITH_ADVICE", "why", Some("URGENT"));
    heard.no(&clinic.acts(&id, operation, &raised).await, 422, "PRIORITY_NOT_CURRENT");
    let wordless = says("ACCEPT_REFER_BOOK_LATER", " ", None);
    heard.no(&clinic.acts(&id, operation, &wordless).await, 422, "MISSING_VALUE");
    let unbooked = says("CANCEL_APPOINTMENT_ACTION_LATER", "why", None);
    heard.no(&clinic.acts(&id, operation, &unbooked).await, 422, "INVALID_REQUEST_STATE");
    heard.no(&office.acts(&id, operation, &unbooked).await, 403, "REC_FORBIDDEN");
    clinic.acts(&id, operation, &says("ACCEPT_REFER_BOOK_LATER", "why", None)).await.is(200);
    let theirs = service_with(hub, "BOOKABLE", "providedBy", json!({ "reference": "Organization/X99" })).await;
    let theirs = parameters(json!([shortlist(&[&theirs], "ROUTINE")]));
    heard.no(&office.acts(&id, "$ers.changeShortlist", &theirs).await, 422, "INAPPROPRIATE_VALUE");
    let ended = parameters(json!([coded("cancellationReason", "STRAIGHT_TO_TEST")]));
    heard.no(&clinic.acts(&id, "$ers.cancelReferral", &ended).await, 422, "MISSING_VALUE");

    let advice = directory(hub, "ADVICE_AND_GUIDANCE").await;
    let question = parameters(json!([
        patient(),
        coded("providerConversionAuthorisation", "NOT_AUTHORISED_TO_CONVERT"),
        text("adviceRequest", "?"),
        shortlist(&[&advice], "ROUTINE"),
    ]));
    let asked = desk.post("ServiceRequest/$ers.createAdviceAndGuidance", &question).await.is(201).reference();
    let convert = clinic.acts(&asked, "$ers.createFromCommunicationRequestActionLater", &nothing()).await;
    heard.no(&convert, 422, "INAPPROPRIATE_VALUE");
    heard.no(&clinic.acts(&asked, "$ers.acceptReferral", &nothing()).await, 422, "INVALID_REQUEST_TYPE");
}

async fn of_booking(hub: &Hub, heard: &Heard) {
    let desk = practice(hub);
    let (service, other) = (directory(hub, "BOOKABLE").await, directory(hub, "BOOKABLE").await);
    let (free, foreign) = (slots(hub, &service, 2).await, slots(hub, &other, 1).await);
    let id = desk.refers(&[&service]).await;
    heard.no(&books(&desk, &id, "Slot/none").await, 422, "REFERENCE_NOT_FOUND");
    heard.no(&books(&desk, &id, &foreign[0]).await, 422, "INAPPROPRIATE_SLOT");
    hub.sets(&free[1], "start", "2020-01-01T10:00:00Z").await.is(200);
    heard.no(&books(&desk, &id, &free[1]).await, 422, "INAPPROPRIATE_SLOT");
    let deferral = json!({
        "resourceType": "Appointment",
        "status": "proposed",
        "reasonCode": [{ "coding": [{ "code": "NO_SLOTS_AT_SERVICE" }] }],
        "basedOn": [{ "reference": format!("{id}/_history/1") }],
        "participant": [{ "actor": { "reference": service }, "status": "accepted" }],
    });
    heard.no(&desk.post("Appointment", &deferral).await, 422, "SLOTS_CURRENTLY_AVAILABLE");
    let mut with_slot = deferral.clone();
    with_slot["slot"] = json!([{ "reference": free[0] }]);
    heard.no(&desk.post("Appointment", &with_slot).await, 422, "THIS_SLOT_IS_AVAILABLE");
    let mut elsewhere = deferral.clone();
    elsewhere["participant"][0]["actor"]["reference"] = other.as_str().into();
    heard.no(&desk.post("Appointment", &elsewhere).await, 422, "INAPPROPRIATE_VALUE");
    let mut aimless = deferral.clone();
    aimless["basedOn"] = json!([{ "display": "that one" }]);
    heard.no(&desk.post("Appointment", &aimless).await, 422, "MISSING_VALUE");

    let first = books(&desk, &id, &free[0]).await.is(201);
    heard.no(&books(&desk, &id, &free[0]).await, 422, "CONFLICTING_VALUES");
    let second = desk.refers(&[&service]).await;
    heard.no(&books(&desk, &second, &free[0]).await, 422, "SLOT_NOT_AVAILABLE");
    let ended =
        parameters(json!([coded("cancellationReason", "STRAIGHT_TO_TEST"), text("cancellationComments", "why")]));
    heard.no(&clinic(hub).acts(&id, "$ers.cancelReferral", &ended).await, 422, "INAPPROPRIATE_VALUE");
    let mut cancelled = first.body.clone();
    cancelled["status"] = "cancelled".into();
    cancelled["cancelationReason"] = json!({ "coding": [{ "code": "PATIENT_ILL" }] });
    let path = first.reference();
    desk.put(&path, &cancelled).header("if-match", "W/\"1\"").await.is(200);
    books(&desk, &id, &free[0]).await.is(201);
    heard.no(&desk.put(&path, &cancelled).header("if-match", "W/\"2\"").await, 422, "INVALID_STATE");
    let both = booking(&format!("{id}/_history/1"), &free[0]);
    desk.post("Appointment", &both).header("if-match", "W/\"2\"").await.is(400);
}

async fn of_reading(hub: &Hub, heard: &Heard) {
    let desk = practice(hub);
    let id = desk.refers(&[&directory(hub, "BOOKABLE").await]).await;
    let asks = async |query: String| desk.get(&format!("Task?{query}")).await;
    heard.no(&asks("intent=proposal".into()).await, 400, "MISSING_PARAMETER");
    heard.no(&asks(format!("intent=proposal&status=ready&focus={id}")).await, 400, "INVALID_VALUE");
    heard.no(&asks(format!("intent=proposal&status=ready&focus={id}/_history/2")).await, 400, "HISTORY_NOT_SUPPORTED");
    heard.no(&desk.get("ServiceRequest?identifier=1").await, 400, "REC_BAD_REQUEST");
    heard.no(&desk.get("ServiceRequest/r.1").await, 404, "REC_NOT_FOUND");
    heard.no(&clinic(hub).get(&id).await, 403, "NO_RELATIONSHIP");
    heard.no(&desk.service.get(&id).await, 403, "REC_FORBIDDEN");
    heard.no(
        &desk.service.get(&id).header("nhsd-ers-business-function", "REFERRING_CLINICIAN").await,
        403,
        "REC_FORBIDDEN",
    );
    let plain = desk.service.request(reqwest::Method::POST, "ServiceRequest/$worklist").body("text/plain", "x");
    heard.no(&desk.with(plain).await, 415, "REC_UNSUPPORTED_MEDIA_TYPE");
    let list = |code: &str| {
        parameters(json!([{ "name": "listType", "valueCodeableConcept": { "coding": [{ "code": code }] } }]))
    };
    heard.no(&desk.post("ServiceRequest/$worklist", &list("ALL")).await, 422, "INVALID_CODE");
    heard.no(&desk.post("ServiceRequest/$worklist", &nothing()).await, 422, "MISSING_VALUE");
    heard.no(&desk.post("ServiceRequest/$worklist", &list("REFERRALS_FOR_REVIEW")).await, 403, "REC_FORBIDDEN");
    let mut filtered = list("AWAITING_BOOKING");
    let filter = json!({ "name": "service", "valueReference": { "reference": "HealthcareService/1" } });
    filtered["parameter"].as_array_mut().unwrap().push(filter);
    heard.no(&desk.post("ServiceRequest/$worklist", &filtered).await, 422, "FIELD_NOT_PERMITTED");
    desk.post("ServiceRequest/$ers.unknown", &nothing()).await.is(404);
}

/// With tokens the organisation is the token's, and the role has to be one that it entitles to.
async fn a_token_says_who_calls(world: World) {
    let issuer = Issuer::at(world.folder());
    let hub = world.hub_with(&issuer.fields()).await;
    let as_of = |organization: &str, roles: &[&str]| issuer.token(organization, roles);
    let admin = hub.with_token(as_of("Organization/admin", &["operator"]));
    let service = json!({
        "resourceType": "HealthcareService", "name": "Cardiology", "providedBy": { "reference": format!("Organization/{CLINIC}") },
    });
    let service = admin.post("HealthcareService", &service).await.is(201).reference();
    let base = super::service(&hub);
    let practice = base.with_token(as_of("Organization/R68", &["placer"]));
    let create = |client: &tests::Client, role: &str| {
        client
            .post("ServiceRequest/$ers.createReferral", &referral(&[&service]))
            .header("nhsd-ers-business-function", role)
    };
    let created = create(&practice, "REFERRING_CLINICIAN").await.is(201);
    assert_eq!(created.body["requester"]["identifier"]["value"], "R68", "without the header, too");
    create(&practice, "SERVICE_PROVIDER_CLINICIAN").await.is(403);
    create(&practice, "REFERRING_CLINICIAN").header("nhsd-end-user-organisation-ods", "R70").await.is(403);
    let clinic = base.with_token(as_of("Organization/R69", &["filler"]));
    create(&clinic, "REFERRING_CLINICIAN").await.is(403);
    create(&base, "REFERRING_CLINICIAN").await.is(401);
    base.get("metadata").await.is(200);
    hub.closes().await;
}
