//! Prescriptions as the Electronic Prescription Service does them: sent, released, dispensed, given back, cancelled,
//! claimed for, and what time does to them.

use hub_transport::Place;
use schemas::message::{Act, Answer};
use serde_json::{Value, json};
use tests::prescription::{PATIENT, Prescription, code_of, nominated_release, response_of, stands_in, status_updates};
use tests::{ByHand, Client, Hub, Parts, Reply, Report, World, eventually, stories, tell, until};

stories![
    a_prescription_lives_from_signature_to_claim,
    each_nominated_prescription_is_downloaded_once,
    the_messages_of_the_tutorial_do_what_it_says,
    what_a_dispenser_may_not_do_is_refused,
    claims_are_amended_one_after_the_other,
    what_was_amended_is_struck_out_and_deleted_with_the_rest,
    a_return_and_a_withdrawal_add_tasks,
    a_cancellation_is_answered_by_its_code,
    a_broken_rule_is_told_and_leaves_nothing,
    a_message_that_comes_again_is_answered_alike,
    where_roots_are_known_signatures_are_verified,
    releasing_off_a_queue_is_the_claim,
    the_simulated_pharmacy_supplies_in_parts_and_gives_back,
    what_a_pharmacy_pushes_is_kept_once,
];

const PHARMACY: &str = "FA565";
const OTHER: &str = "VNFKT";

fn service(hub: &Hub) -> Client {
    let root = hub.base.strip_suffix("/fhir/R4").unwrap();
    Client::new(format!("{root}/eps/FHIR/R4"))
}

async fn sends(service: &Client, message: &Value) {
    service.post("$process-message", message).await.is(200);
}

async fn releases(service: &Client, prescription: &Prescription, pharmacy: &str) -> String {
    let reply = service.post("Task/$release", &prescription.release_by(pharmacy)).await.is(200);
    assert_eq!(passed(&reply.body).len(), 1, "{}", reply.text);
    reply.body["id"].as_str().unwrap().to_owned()
}

/// The numbers of the prescriptions that an answer to a release brings.
fn passed(answer: &Value) -> Vec<String> {
    let bundle = &answer["parameter"][0]["resource"];
    let messages = bundle["entry"].as_array().cloned().unwrap_or_default();
    assert_eq!(bundle["total"], messages.len());
    let number = |message: &Value| {
        let entries = message["resource"]["entry"].as_array().unwrap();
        let request = entries.iter().find(|e| e["resource"]["resourceType"] == "MedicationRequest").unwrap();
        request["resource"]["groupIdentifier"]["value"].as_str().unwrap().to_owned()
    };
    messages.iter().map(number).collect()
}

async fn refuses(service: &Client, path: &str, body: &Value, code: &str) {
    let reply = service.post(path, body).await.is(400);
    assert_eq!(code_of(&reply), code, "{}", reply.text);
}

async fn a_prescription_lives_from_signature_to_claim(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let prescription = Prescription::new(2).nominated(PHARMACY);

    let prepared = service.post("$prepare", &prescription.unsigned()).await.is(200);
    let again = hub.post("$prepare", &prescription.unsigned()).await.is(200);
    let digest = |reply: &Value| reply["parameter"][0]["valueString"].as_str().unwrap().to_owned();
    assert_eq!(digest(&prepared.body), digest(&again.body), "on either base, of the same prescription");
    let other = service.post("$prepare", &Prescription::new(2).unsigned()).await.is(200);
    assert_ne!(digest(&prepared.body), digest(&other.body));

    sends(&service, &prescription.order()).await;
    assert_eq!(prescription.stands(&service).await, [("0001".into(), vec!["0007".into(), "0007".into()])]);
    let tasks = hub.finds(&format!("Task?group-identifier={}", prescription.escaped())).await;
    assert_eq!(tasks.len(), 3, "the prescription and its items");
    let requests = hub.finds("MedicationRequest?status=active").await;
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["subject"]["identifier"]["value"], PATIENT, "found by the patient's number");

    let reply = service.post("Task/$release", &prescription.release_by(PHARMACY)).await.is(200);
    assert_eq!(passed(&reply.body), std::slice::from_ref(&prescription.number));
    assert_eq!(prescription.stands(&service).await, [("0002".into(), vec!["0008".into(), "0008".into()])]);

    sends(&service, &prescription.notification(PHARMACY, "0003", &["0003", "0004"])).await;
    assert_eq!(prescription.stands(&service).await, [("0003".into(), vec!["0003".into(), "0004".into()])]);
    refuses(&service, "Claim", &prescription.claim_by(PHARMACY), "CLAIM_INVALID_NOT_DISPENSED").await;
    sends(&service, &prescription.notification(PHARMACY, "0006", &["0001", "0002"])).await;
    service.post("Claim", &prescription.claim_by(PHARMACY)).await.is(200);
    assert_eq!(prescription.stands(&service).await, [("0008".into(), vec!["0001".into(), "0002".into()])]);

    let tracked = service.get(&format!("Task?patient:identifier={PATIENT}&business-status=0008")).await.is(200);
    assert_eq!(tracked.resources().len(), 1);
    assert_eq!(tracked.resources()[0]["status"], "completed");
    let listed = service.get(&format!("RequestGroup?nhsNumber={PATIENT}")).await.is(200);
    assert_eq!((listed.body["total"].as_u64(), listed.resources().len()), (Some(1), 2), "with its patient");
    let viewed = service.get(&format!("RequestGroup/{}", prescription.escaped())).await.is(200);
    let kinds: Vec<String> =
        viewed.resources().iter().map(|r| r["resourceType"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "MedicationDispense").count(), 4);
    let group = viewed.resources().pop().unwrap();
    let steps = group["action"][1]["action"].as_array().unwrap().clone();
    let codes: Vec<&str> = steps.iter().map(|step| step["code"][0]["coding"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["0001", "0002", "0003", "0006", "0008"], "all that happened, in order");
    service.get("RequestGroup").await.is(400);
    service.get(&format!("RequestGroup?nhsNumber={PATIENT}&prescriptionId=1")).await.is(400);
    service.get("RequestGroup/24F5DA-A83008-7EFE6Z").await.is(404);
    let dispenses = hub.finds("MedicationDispense").await;
    assert_eq!(dispenses.len(), 4);
    for dispense in dispenses {
        let request = dispense["authorizingPrescription"][0]["reference"].as_str().unwrap();
        hub.reads(request).await;
    }
    let status = hub.get(&format!("$order-status?identifier={}", prescription.escaped())).await.is(200);
    assert_eq!(status.body["parameter"][0]["valueCode"], "completed");
    hub.closes().await;
}

async fn each_nominated_prescription_is_downloaded_once(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let mut sent = Vec::new();
    for n in 0..28 {
        let pharmacy = if n < 27 { PHARMACY } else { OTHER };
        let prescription = Prescription::new(1).nominated(pharmacy);
        sends(&service, &prescription.order()).await;
        sent.push(prescription.number);
    }
    let ask = async || service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    let (one, other) = tokio::join!(ask(), ask());
    let mut all: Vec<String> = Vec::new();
    for reply in [one, other, ask().await] {
        if reply.body["resourceType"] == "Parameters" {
            let numbers = passed(&reply.body);
            assert!((1..=25).contains(&numbers.len()), "{}", numbers.len());
            all.extend(numbers);
        } else {
            assert_eq!(code_of(&reply), "NO_MORE_PRESCRIPTIONS");
        }
    }
    all.sort();
    sent.truncate(27);
    sent.sort();
    assert_eq!(all, sent, "each once, and none of another pharmacy");
    assert_eq!(code_of(&ask().await), "NO_MORE_PRESCRIPTIONS");

    let mut by_urgency = Vec::new();
    for priority in ["routine", "urgent", "stat"] {
        let prescription = Prescription::new(2).nominated(PHARMACY);
        let order = with_items(prescription.order(), |n, item| {
            if n == 1 {
                item["priority"] = priority.into();
            }
        });
        sends(&service, &order).await;
        by_urgency.insert(0, prescription.number);
    }
    assert_eq!(passed(&ask().await.body), by_urgency, "urgent ones first");
    hub.closes().await;
}

/// Nothing that was told of a patient is left when its time is over, though it was replaced or taken back.
async fn what_was_amended_is_struck_out_and_deleted_with_the_rest(world: World) {
    let hub = world.hub_with(&[("now", "2026-01-01T10:00:00Z")]).await;
    let client = service(&hub);
    let prescription = Prescription { authored: Some("2026-01-01".into()), ..Prescription::new(2) };
    sends(&client, &prescription.order()).await;
    releases(&client, &prescription, PHARMACY).await;
    sends(&client, &prescription.notification_at(PHARMACY, "0003", &["0001", "0004"], "2026-01-01T08:00:00Z")).await;
    let second = prescription.notification_at(PHARMACY, "0003", &["0001", "0003"], "2026-01-01T09:00:00Z");
    sends(&client, &second).await;
    // What it was in truth was handed over before all of that.
    let mut amended = prescription.amendment(&second, PHARMACY, "0006", &["0001", "0001"]);
    for n in 1..=2 {
        amended["entry"][n]["resource"]["whenHandedOver"] = "2026-01-01T07:00:00Z".into();
    }
    sends(&client, &amended).await;
    assert_eq!(prescription.stands(&client).await, [("0006".into(), vec!["0001".into(), "0001".into()])]);
    let mut back = prescription.withdrawal_by(PHARMACY, &amended);
    back["focus"]["identifier"]["value"] = amended["identifier"]["value"].as_str().unwrap().to_uppercase().into();
    client.post("Task", &back).await.is(200);
    sends(&client, &prescription.notification(PHARMACY, "0006", &["0001", "0001"])).await;
    let dispenses = hub.finds("MedicationDispense?_lastUpdated=gt2000-01-01").await;
    let struck = dispenses.iter().filter(|dispense| dispense["status"] == "entered-in-error").count();
    assert_eq!((dispenses.len(), struck), (8, 4), "of the second, and of what came instead of it");
    let claim = prescription.claim_by(PHARMACY);
    client.post("Claim", &claim).await.is(200);
    let id = claim["identifier"][0]["value"].as_str().unwrap();
    client.post("Claim", &amends(prescription.claim_by(PHARMACY), id)).await.is(200);
    hub.closes().await;

    let hub = world.hub_with(&[("now", "2026-03-01T10:00:00Z")]).await;
    let client = service(&hub);
    until("it is deleted", async || prescription.stands(&client).await, Vec::is_empty).await;
    for kind in ["MedicationDispense", "Claim", "MedicationRequest", "Bundle", "Task"] {
        let left = hub.finds(&format!("{kind}?_lastUpdated=gt2000-01-01")).await;
        assert!(left.is_empty(), "{kind}: {left:?}");
    }
    hub.closes().await;
}

/// Without the code of an organisation anywhere.
fn of_nobody(mut order: Value) -> Value {
    for entry in order["entry"].as_array_mut().unwrap() {
        match entry["resource"]["resourceType"].as_str() {
            Some("Organization") => drop(entry["resource"].as_object_mut().unwrap().remove("identifier")),
            Some("MessageHeader") => drop(entry["resource"].as_object_mut().unwrap().remove("sender")),
            _ => {}
        }
    }
    order
}

/// A claim that amends the one with this id.
fn amends(mut claim: Value, id: &str) -> Value {
    claim["extension"] = json!([{
        "url": "https://fhir.nhs.uk/StructureDefinition/Extension-replacementOf",
        "valueIdentifier": { "system": "https://tools.ietf.org/html/rfc4122", "value": id },
    }]);
    claim
}

async fn claims_are_amended_one_after_the_other(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let day = "2026-11-01";
    let prescription = Prescription::new(1).repeat_dispensing(3, day);
    sends(&service, &prescription.order()).await;
    releases(&service, &prescription, PHARMACY).await;
    let mut told = prescription.notification(PHARMACY, "0006", &["0001"]);
    told["entry"][1]["resource"]["extension"].as_array_mut().unwrap().push(json!({
        "url": "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-RepeatInformation",
        "extension": [
            { "url": "numberOfRepeatsIssued", "valueInteger": 1 },
            { "url": "numberOfRepeatsAllowed", "valueInteger": 9 },
        ],
    }));
    refuses(&service, "$process-message", &told, "MISMATCH_AUTHORISED_REPEAT_COUNT").await;
    told["entry"][1]["resource"]["extension"][1]["extension"][1]["valueInteger"] = 2.into();
    sends(&service, &told).await;

    let id = |claim: &Value| claim["identifier"][0]["value"].as_str().unwrap().to_owned();
    let claim = prescription.claim_by(PHARMACY);
    let early = amends(prescription.claim_by(PHARMACY), &id(&claim));
    refuses(&service, "Claim", &early, "CLAIM_AMEND_PERIOD_ISSUE").await;
    service.post("Claim", &claim).await.is(200);
    refuses(&service, "Claim", &prescription.claim_by(PHARMACY), "CLAIM_INVALID_NOT_DISPENSED").await;
    let amended = amends(prescription.claim_by(PHARMACY), &id(&claim));
    service.post("Claim", &amended).await.is(200);
    let outdated = amends(prescription.claim_by(PHARMACY), &id(&claim));
    refuses(&service, "Claim", &outdated, "CLAIM_AMEND_PERIOD_ISSUE").await;
    let mut unendorsed = amends(prescription.claim_by(PHARMACY), &id(&amended));
    unendorsed.as_object_mut().unwrap().remove("item");
    let reply = service.post("Claim", &unendorsed).await.is(400);
    assert_eq!(reply.says(), "The claim is missing the required endorsement code.");
    let other = amends(prescription.claim_by(OTHER), &id(&amended));
    refuses(&service, "Claim", &other, "CLAIM_AMEND_PERIOD_ISSUE").await;
    assert_eq!(prescription.state(&service).await, "0008");
    assert_eq!(hub.finds("Claim?_lastUpdated=gt2000-01-01").await.len(), 2, "those that were taken");
    hub.closes().await;
}

/// What `docs/api/prescriptions/tutorial.md` does with the messages beside it, and what it leaves to the reader.
async fn the_messages_of_the_tutorial_do_what_it_says(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let read = |name: &str| -> Value {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api/prescriptions/examples");
        serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    let order = read("order.json");
    let number = order["entry"][1]["resource"]["groupIdentifier"].clone();
    let stands = async || -> (String, Vec<String>) {
        let page = service.get(&format!("Task?identifier={}", number["value"].as_str().unwrap())).await.is(200);
        stands_in(&page).remove(0)
    };
    let is = |state: &str, items: [&str; 2]| (state.to_owned(), items.map(str::to_owned).to_vec());
    service.post("$prepare", &order).await.is(200);
    sends(&service, &order).await;
    sends(&service, &order).await;
    let released = service.post("Task/$release", &read("release.json")).await.is(200);
    assert_eq!(passed(&released.body).len(), 1);
    let none = service.post("Task/$release", &read("release.json")).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS");

    let mut back = read("return.json");
    back["focus"]["identifier"]["value"] = released.body["id"].clone();
    service.post("Task", &back).await.is(200);
    assert_eq!(stands().await, is("0001", ["0007", "0007"]));
    let mut again = read("release.json");
    let one = json!({ "name": "group-identifier", "valueIdentifier": number });
    again["parameter"].as_array_mut().unwrap().push(one);
    service.post("Task/$release", &again).await.is(200);

    sends(&service, &read("notification-1.json")).await;
    assert_eq!(stands().await, is("0003", ["0001", "0004"]));
    let late = service.post("$process-message", &read("cancel-item.json")).await.is(400);
    assert_eq!(response_of(&late), "R-0003");
    refuses(&service, "Claim", &read("claim.json"), "CLAIM_INVALID_NOT_DISPENSED").await;
    let mut last = read("notification-2.json");
    sends(&service, &last).await;
    service.post("Task", &read("withdraw.json")).await.is(200);
    assert_eq!(stands().await, is("0003", ["0001", "0004"]));
    last["identifier"]["value"] = uuid::Uuid::new_v4().to_string().into();
    sends(&service, &last).await;
    service.post("Claim", &read("claim.json")).await.is(200);
    assert_eq!(stands().await, is("0008", ["0001", "0001"]));

    let pushes = Client::new(hub.base.replace("/fhir/R4", "/psu"));
    let id = uuid::Uuid::new_v4().to_string();
    pushes.post("", &read("status-push.json")).header("x-request-id", id).await.is(201);
    hub.closes().await;
}

async fn what_a_dispenser_may_not_do_is_refused(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let prescription = Prescription::new(2);
    let told = |pharmacy: &str, state: &str, items: &[&str]| prescription.notification(pharmacy, state, items);
    refuses(&service, "Task/$release", &prescription.release_by(PHARMACY), "RESOURCE_NOT_FOUND").await;
    refuses(&service, "$process-message", &told(PHARMACY, "0006", &["0001", "0001"]), "PRESCRIPTION_NOT_FOUND").await;
    sends(&service, &prescription.order()).await;

    let not_yet = "PRESCRIPTION_INVALID_STATE_TRANSITION";
    refuses(&service, "$process-message", &told(PHARMACY, "0006", &["0001", "0001"]), not_yet).await;
    refuses(&service, "Task", &prescription.return_by(PHARMACY, "none"), not_yet).await;
    let release = releases(&service, &prescription, PHARMACY).await;
    releases(&service, &prescription, PHARMACY).await;

    let taken = service.post("Task/$release", &prescription.release_by(OTHER)).await.is(400);
    assert_eq!(code_of(&taken), "PRESCRIPTION_WITH_ANOTHER_DISPENSER");
    assert_eq!(taken.body["contained"][0]["identifier"][0]["value"], PHARMACY);
    let another = "PRESCRIPTION_WITH_ANOTHER_DISPENSER";
    refuses(&service, "$process-message", &told(OTHER, "0006", &["0001", "0001"]), another).await;
    refuses(&service, "Task", &prescription.return_by(OTHER, &release), another).await;

    let one_item = Prescription { items: prescription.items[..1].to_vec(), ..prescription.clone() };
    let short = one_item.notification(PHARMACY, "0006", &["0001"]);
    refuses(&service, "$process-message", &short, "MEDICATIONREQUEST_NOT_FOUND").await;
    let unfit = told(PHARMACY, "0006", &["0001", "0004"]);
    refuses(&service, "$process-message", &unfit, "MEDICATIONREQUEST_INVALID_STATE_TRANSITION").await;
    let patient = Prescription { patient: "9449304130".into(), ..prescription.clone() };
    let mixed_up = patient.notification(PHARMACY, "0006", &["0001", "0001"]);
    refuses(&service, "$process-message", &mixed_up, "FAILURE_TO_PROCESS_MESSAGE").await;

    let first = told(PHARMACY, "0003", &["0001", "0004"]);
    sends(&service, &first).await;
    let back = told(PHARMACY, "0003", &["0004", "0004"]);
    refuses(&service, "$process-message", &back, "MEDICATIONREQUEST_INVALID_STATE_TRANSITION").await;
    let last = told(PHARMACY, "0003", &["0001", "0003"]);
    sends(&service, &last).await;
    let early = prescription.amendment(&first, PHARMACY, "0006", &["0001", "0001"]);
    refuses(&service, "$process-message", &early, "DISPENSE_AMEND_IDENTIFIER_MISMATCH").await;
    let amended = prescription.amendment(&last, PHARMACY, "0006", &["0001", "0001"]);
    sends(&service, &amended).await;
    assert_eq!(prescription.stands(&service).await, [("0006".into(), vec!["0001".into(), "0001".into()])]);
    refuses(&service, "Task/$release", &prescription.release_by(OTHER), "PRESCRIPTION_DISPENSED").await;
    refuses(&service, "Claim", &prescription.claim_by(OTHER), another).await;
    refuses(&service, "$process-message", &prescription.order(), "DUPLICATE_PRESCRIPTION_ID").await;

    // The hub's own Tasks and requests follow the service's messages alone.
    let tasks = hub.finds(&format!("Task?group-identifier={}", prescription.escaped())).await;
    let task = format!("Task/{}", tasks[0]["id"].as_str().unwrap());
    hub.sets(&task, "status", "cancelled").await.refuses(422, "business-rule", "");
    hub.closes().await;
}

async fn a_return_and_a_withdrawal_add_tasks(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let prescription = Prescription::new(1).nominated(PHARMACY);
    sends(&service, &prescription.order()).await;
    let release = releases(&service, &prescription, PHARMACY).await;
    service.post("Task", &prescription.return_by(PHARMACY, &release)).await.is(200);
    assert_eq!(prescription.stands(&service).await, [("0001".into(), vec!["0007".into()])]);
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS", "a return clears the nomination");

    releases(&service, &prescription, OTHER).await;
    let stale = prescription.return_by(OTHER, &release);
    refuses(&service, "Task", &stale, "PRESCRIPTION_INVALID_STATE_TRANSITION").await;
    let told = prescription.notification(OTHER, "0006", &["0001"]);
    sends(&service, &told).await;
    service.post("Task", &prescription.withdrawal_by(OTHER, &told)).await.is(200);
    assert_eq!(prescription.stands(&service).await, [("0002".into(), vec!["0008".into()])]);
    let again = service.post("Task", &prescription.withdrawal_by(OTHER, &told)).await.is(400);
    assert_eq!(code_of(&again), "DISPENSE_AMEND_IDENTIFIER_MISMATCH");
    sends(&service, &prescription.notification(OTHER, "0007", &["0002"])).await;

    let mut tasks = hub.finds(&format!("Task?group-identifier={}", prescription.escaped())).await;
    tasks.retain(|task| !task.as_object().unwrap().contains_key("partOf"));
    let mut statuses: Vec<(String, String)> = tasks
        .iter()
        .map(|task| (task["id"].as_str().unwrap()[36..].to_owned(), task["status"].as_str().unwrap().to_owned()))
        .collect();
    statuses.sort();
    let expected = [(".0", "cancelled"), (".0.2", "completed"), (".0.3", "completed")];
    assert_eq!(statuses, expected.map(|(id, status)| (id.to_owned(), status.to_owned())));
    for task in tasks {
        let history = hub.finds(&format!("Task/{}/_history", task["id"].as_str().unwrap())).await;
        let ended = |task: &&Value| matches!(task["status"].as_str().unwrap(), "cancelled" | "completed" | "failed");
        let left = history.iter().skip_while(|task| !ended(task)).find(ended).is_some();
        assert!(left && history.iter().take_while(ended).count() >= 1, "what has ended stays so");
    }
    let dispenses = hub.finds("MedicationDispense").await;
    let statuses: Vec<&str> = dispenses.iter().map(|dispense| dispense["status"].as_str().unwrap()).collect();
    assert!(statuses.contains(&"entered-in-error") && statuses.contains(&"completed"), "{statuses:?}");
    hub.closes().await;
}

async fn answers(service: &Client, cancellation: &Value, status: u16, code: &str) -> Reply {
    let reply = service.post("$process-message", cancellation).await.is(status);
    assert_eq!(response_of(&reply), code, "{}", reply.text);
    reply
}

async fn a_cancellation_is_answered_by_its_code(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let prescription = Prescription::new(2);
    sends(&service, &prescription.order()).await;
    answers(&service, &prescription.cancellation(Some(0), None), 200, "R-0001").await;
    answers(&service, &prescription.cancellation(Some(0), None), 400, "R-0006").await;
    assert_eq!(prescription.stands(&service).await, [("0001".into(), vec!["0005".into(), "0007".into()])]);
    let unknown = Prescription { items: vec![uuid::Uuid::new_v4()], ..prescription.clone() };
    answers(&service, &unknown.cancellation(Some(0), None), 400, "R-0008").await;
    let patient = Prescription { patient: "9449304130".into(), ..prescription.clone() };
    answers(&service, &patient.cancellation(Some(1), None), 400, "R-5000").await;

    // With a dispenser it waits, each target for itself, and is done when the prescription comes back.
    let release = releases(&service, &prescription, PHARMACY).await;
    let waits = answers(&service, &prescription.cancellation(Some(1), None), 400, "R-0002").await;
    let holder = waits.resources().into_iter().find(|part| part["identifier"][0]["value"] == PHARMACY);
    assert_eq!(holder.unwrap()["telecom"][0]["value"], "01632 960001", "whom to call");
    answers(&service, &prescription.cancellation(Some(1), Some("B81001")), 400, "R-0007").await;
    answers(&service, &prescription.cancellation(None, Some("B81001")), 400, "R-0002").await;
    service.post("Task", &prescription.return_by(PHARMACY, &release)).await.is(200);
    assert_eq!(prescription.stands(&service).await, [("0005".into(), vec!["0005".into(), "0005".into()])]);
    refuses(&service, "Task/$release", &prescription.release_by(PHARMACY), "PRESCRIPTION_CANCELLED").await;

    // Partly and wholly dispensed.
    let dispensed = Prescription::new(2);
    sends(&service, &dispensed.order()).await;
    releases(&service, &dispensed, PHARMACY).await;
    sends(&service, &dispensed.notification(PHARMACY, "0003", &["0001", "0004"])).await;
    answers(&service, &dispensed.cancellation(Some(0), None), 400, "R-0004").await;
    answers(&service, &dispensed.cancellation(Some(1), None), 400, "R-0003").await;
    answers(&service, &dispensed.cancellation(None, None), 400, "R-0003").await;
    sends(&service, &dispensed.notification(PHARMACY, "0006", &["0001", "0002"])).await;
    answers(&service, &dispensed.cancellation(None, None), 400, "R-0004").await;
    answers(&service, &dispensed.cancellation(Some(1), None), 400, "R-0010").await;

    // Before the order: it is told that there is none, and the order comes cancelled.
    let ahead = Prescription::new(2);
    answers(&service, &ahead.cancellation(Some(0), None), 400, "R-0008").await;
    sends(&service, &ahead.order()).await;
    assert_eq!(ahead.stands(&service).await, [("0001".into(), vec!["0005".into(), "0007".into()])]);
    let whole = Prescription::new(1);
    answers(&service, &whole.cancellation(None, None), 400, "R-0008").await;
    sends(&service, &whole.order()).await;
    assert_eq!(whole.stands(&service).await, [("0005".into(), vec!["0005".into()])]);

    let mut vague = prescription.cancellation(Some(1), None);
    let request =
        vague["entry"].as_array_mut().unwrap().iter_mut().find(|e| !e["resource"]["groupIdentifier"].is_null());
    request.unwrap()["resource"].as_object_mut().unwrap().remove("groupIdentifier");
    answers(&service, &vague, 400, "R-5888").await;
    hub.closes().await;
}

/// An element of every item of an order, changed.
fn with_items(mut order: Value, change: impl Fn(usize, &mut Value)) -> Value {
    let entries = order["entry"].as_array_mut().unwrap();
    let requests = entries.iter_mut().filter(|entry| entry["resource"]["resourceType"] == "MedicationRequest");
    requests.enumerate().for_each(|(n, entry)| change(n, &mut entry["resource"]));
    order
}

async fn a_broken_rule_is_told_and_leaves_nothing(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let two = Prescription::new(2);
    let bad: Vec<(Value, &str, &str)> = vec![
        (Prescription::new(5).order(), "INVALID_NUMBER_MEDICATIONREQUESTS", ""),
        (
            Prescription { number: "24F5DA-A83008-7EFE6Y".into(), ..two.clone() }.order(),
            "FAILURE_TO_PROCESS_MESSAGE",
            "checksum",
        ),
        (Prescription { number: "24F5DA".into(), ..two.clone() }.order(), "FAILURE_TO_PROCESS_MESSAGE", "format"),
        (
            Prescription { patient: "9990548600".into(), ..two.clone() }.order(),
            "FAILURE_TO_PROCESS_MESSAGE",
            "nhsNumber",
        ),
        (two.unsigned(), "MISSING_DIGITAL_SIGNATURE", ""),
        (Prescription { items: vec![two.items[0]; 2], ..two.clone() }.order(), "DUPLICATE_MEDICATIONREQUEST_ID", ""),
        (Prescription::new(1).repeat_dispensing(200, "2026-11-01").order(), "INVALID_REPEAT_COUNT", ""),
        (
            with_items(two.order(), |n, item| {
                if n == 1 {
                    item["courseOfTherapyType"]["coding"][0]["code"] = "continuous-repeat-dispensing".into();
                }
            }),
            "INVALID_VALUE",
            "acute",
        ),
        (
            with_items(two.order(), |n, item| {
                if n == 1 {
                    item["groupIdentifier"]["value"] = "another".into();
                }
            }),
            "",
            "groupIdentifier",
        ),
        (
            with_items(two.order(), |_, item| drop(item.as_object_mut().unwrap().remove("groupIdentifier"))),
            "MISSING_VALUE",
            "groupIdentifier",
        ),
        (
            with_items(two.order(), |_, item| item["medicationReference"] = json!({ "reference": "Medication/1" })),
            "CONFLICTING_VALUES",
            "",
        ),
        (
            with_items(two.order(), |_, item| {
                item["dispenseRequest"]["validityPeriod"] = json!({ "start": "2026-02-01", "end": "2026-01-01" })
            }),
            "INVALID_DATE_FORMAT",
            "before",
        ),
        (with_items(two.order(), |_, item| item["intent"] = "plan".into()), "", "intent"),
        (of_nobody(two.order()), "INVALID_MESSAGE", ""),
    ];
    for (order, code, words) in bad {
        let reply = service.post("$process-message", &order).await.is(400);
        let issues = reply.body["issue"].as_array().unwrap();
        let told = |issue: &Value| {
            let named = issue["details"]["coding"][0]["code"].as_str().unwrap_or_default();
            named == code && issue["diagnostics"].as_str().unwrap().contains(words)
        };
        assert!(issues.iter().any(told), "{code} {words}: {}", reply.text);
        assert!(!reply.text.contains(PATIENT), "no patient in an answer about faults");
    }
    let mut unknown = two.order();
    unknown["entry"][0]["resource"]["eventCoding"]["code"] = "prescription-order-response".into();
    let reply = service.post("$process-message", &unknown).await.is(400);
    assert_eq!(reply.body["issue"][0]["severity"], "fatal");
    assert!(
        reply.says().contains("prescription-order, prescription-order-update, dispense-notification"),
        "{}",
        reply.text
    );
    let mut several = with_items(two.order(), |_, item| item["status"] = "draft".into());
    several["entry"].as_array_mut().unwrap().retain(|entry| entry["resource"]["resourceType"] != "Provenance");
    let reply = service.post("$process-message", &several).await.is(400);
    assert_eq!(reply.body["issue"].as_array().unwrap().len(), 2, "every broken rule: {}", reply.text);

    for query in ["", "identifier=http://a.example|1", "identifier=1&authored-on=2026", "identifier=1&identifier=2"] {
        service.get(&format!("Task?{query}")).await.is(400);
    }
    for kind in ["Task", "MedicationRequest", "Bundle", "MedicationDispense"] {
        assert_eq!(hub.finds(kind).await.len(), 0, "nothing is half done: {kind}");
    }
    let lenient = world.hub_with(&[("eps_check_character", "lenient")]).await;
    let wrong = Prescription { number: "24F5DA-A83008-7EFE6Y".into(), ..two };
    sends(&self::service(&lenient), &wrong.order()).await;
    lenient.closes().await;
    hub.closes().await;
}

async fn a_message_that_comes_again_is_answered_alike(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let prescription = Prescription::new(1).nominated(PHARMACY);
    let order = prescription.order();
    let all =
        futures_util::future::join_all((0..8).map(|_| async { service.post("$process-message", &order).await })).await;
    for reply in &all {
        assert_eq!((reply.status, &reply.text), (200, &all[0].text), "also while the first is under way");
    }
    let mut forged = order.clone();
    forged["entry"][0]["resource"]["sender"]["display"] = "SOMEBODY ELSE".into();
    service.post("$process-message", &forged).await.is(400);

    let id = uuid::Uuid::new_v4().to_string();
    let ask = async || {
        let request = service.post("Task/$release", &nominated_release(PHARMACY));
        request.header("x-request-id", &id).header("x-correlation-id", "a thread").await.is(200)
    };
    let first = ask().await;
    assert_eq!(passed(&first.body).len(), 1);
    assert_eq!((first.header("x-request-id"), first.header("x-correlation-id")), (id.as_str(), "a thread"));
    assert_eq!(ask().await.body, first.body, "a lost answer comes again");
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS");

    let told = prescription.notification(PHARMACY, "0006", &["0001"]);
    sends(&service, &told).await;
    sends(&service, &told).await;
    assert_eq!(hub.finds("MedicationDispense").await.len(), 1);
    // An earlier word that comes after the last one is kept, and changes nothing.
    let late = Prescription::new(1);
    sends(&service, &late.order()).await;
    releases(&service, &late, OTHER).await;
    sends(&service, &late.notification_at(OTHER, "0006", &["0001"], "2026-11-23T12:00:00Z")).await;
    sends(&service, &late.notification_at(OTHER, "0003", &["0004"], "2026-11-23T11:00:00Z")).await;
    assert_eq!(late.stands(&service).await, [("0006".into(), vec!["0001".into()])]);
    hub.closes().await;
}

async fn where_roots_are_known_signatures_are_verified(world: World) {
    let hub = world.hub().await;
    let unverified = Prescription::new(1).nominated(PHARMACY);
    let reply = service(&hub).post("$process-message", &unverified.order()).await.is(200);
    assert!(reply.says().contains("no verifier is configured"), "{}", reply.text);
    hub.closes().await;

    let roots = concat!(env!("CARGO_MANIFEST_DIR"), "/../hub/tests/keys/prescribers-root.pem");
    let hub = world.hub_with(&[("eps_signature_roots", roots)]).await;
    let service = service(&hub);
    let prescription = Prescription::new(2).nominated(PHARMACY);
    let prepared = service.post("$prepare", &prescription.unsigned()).await.is(200);
    let refused = |message: Value, why: &'static str| {
        let service = service.clone();
        async move {
            let reply = service.post("$process-message", &message).await.is(400);
            assert_eq!(code_of(&reply), "INVALID_VALUE", "{}", reply.text);
            assert!(reply.says().starts_with("Signature is invalid.") && reply.says().contains(why), "{}", reply.text);
        }
    };
    refused(prescription.order(), "names no digest").await;
    let mut changed = prescription.signed(&prepared);
    changed["entry"][1]["resource"]["dosageInstruction"][0]["text"] = "Ten, four times a day".into();
    refused(changed, "another prescription").await;
    assert!(prescription.stands(&service).await.is_empty(), "nothing of it was kept");
    let reply = service.post("$process-message", &prescription.signed(&prepared)).await.is(200);
    assert!(reply.says().contains("Its signature was verified"), "{}", reply.text);

    // What was taken in before is looked at when it is released, and given back at once.
    let reply = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(passed(&reply.body), std::slice::from_ref(&prescription.number));
    let failed = &reply.body["parameter"][1]["resource"];
    assert_eq!((&failed["total"], failed["entry"].as_array().unwrap().len()), (&json!(2), 2), "{failed}");
    let outcome = &failed["entry"][0]["resource"];
    assert_eq!(outcome["issue"][0]["details"]["coding"][0]["code"], "INVALID_VALUE");
    assert_eq!(outcome["issue"][0]["expression"][0], "Provenance.signature.data");
    let bundle = &failed["entry"][1]["resource"];
    assert_eq!(outcome["extension"][0]["valueReference"]["identifier"], bundle["identifier"]);
    assert_eq!(unverified.state(&service).await, "0001");
    let tasks = hub.finds(&format!("Task?group-identifier={}&status=cancelled", unverified.escaped())).await;
    assert!(tasks.iter().all(|task| task["statusReason"]["coding"][0]["code"] == "0005") && !tasks.is_empty());
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS", "it nominates nobody any more");
    hub.closes().await;
}

async fn releasing_off_a_queue_is_the_claim(world: World) {
    let hub = world.hub_with(&[("performers", &format!("Organization/{PHARMACY}"))]).await;
    let service = service(&hub);
    let performer = format!("Organization/{PHARMACY}");
    let places = vec![Place::performer(&performer).unwrap()];
    let mut pharmacy = ByHand::of(hub.worker_transport().await, places, &performer).await;

    let prescription = Prescription::new(2).nominated(PHARMACY);
    sends(&service, &prescription.order()).await;
    let work = pharmacy.claims_next().await;
    assert_eq!(work.resources.len(), 2, "with its items");
    assert_eq!(prescription.state(&service).await, "0002");
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS", "the claim was the release");
    pharmacy.reports(Report::new(&work, Act::InProgress, 2)).await;
    assert_eq!(prescription.state(&service).await, "0003");
    let part = Report::new(&work, Act::InProgress, 4).of_items(&work, &["0001", "0004"]);
    assert_eq!(pharmacy.reports(part).await.answer, Answer::Granted);
    assert_eq!(prescription.stands(&service).await, [("0003".into(), vec!["0001".into(), "0004".into()])]);
    let late = Report::new(&work, Act::InProgress, 3).of_items(&work, &["0001", "0003"]);
    pharmacy.reports(late).await;
    let unknown = Report::new(&work, Act::InProgress, 5).of_items(&work, &["0001", "0099"]);
    assert_eq!(pharmacy.reports(unknown).await.answer, Answer::Refused);
    assert_eq!(prescription.stands(&service).await, [("0003".into(), vec!["0001".into(), "0004".into()])]);
    let done = Report::new(&work, Act::Completed, 6);
    assert_eq!(pharmacy.reports(done.clone()).await.answer, Answer::Granted);
    assert_eq!(pharmacy.reports(done).await.answer, Answer::Granted, "the same once more");
    assert_eq!(prescription.stands(&service).await, [("0006".into(), vec!["0001".into(), "0001".into()])]);

    // Released over REST before: the claim comes too late.
    let other = Prescription::new(1).nominated(PHARMACY);
    sends(&service, &other.order()).await;
    let job = pharmacy.takes().await;
    releases(&service, &other, OTHER).await;
    assert_eq!(pharmacy.claims(&job.order).await.answer, Answer::Refused);
    job.acknowledged().await;

    // Released and given back over REST: it waits for anybody, but not by the message of a Task that has ended.
    let third = Prescription::new(1).nominated(PHARMACY);
    sends(&service, &third.order()).await;
    let job = pharmacy.takes().await;
    let release = releases(&service, &third, PHARMACY).await;
    service.post("Task", &third.return_by(PHARMACY, &release)).await.is(200);
    assert_eq!(pharmacy.claims(&job.order).await.answer, Answer::Refused);
    assert_eq!(third.state(&service).await, "0001");
    job.acknowledged().await;
    hub.closes().await;
}

async fn the_simulated_pharmacy_supplies_in_parts_and_gives_back(world: World) {
    let performer = format!("Organization/{PHARMACY}");
    let hub = world.hub_with(&[("performers", &performer)]).await;
    let service = service(&hub);
    let prescription = Prescription::new(3).nominated(PHARMACY);
    let single = Prescription::new(1).nominated(PHARMACY);
    let declined = Prescription::new(1).nominated(PHARMACY);
    let mut order = declined.order();
    order["entry"][1]["resource"]["note"] = json!([{ "text": "simulate: reject" }]);
    for message in [prescription.order(), single.order(), order] {
        sends(&service, &message).await;
    }
    let options = workers::Options { performer: Some(performer), ..workers::Options::default() };
    hub.has_filler("pharmacy", std::time::Duration::from_millis(5), options).await;

    let ends = async |prescription: &Prescription, state: &str| {
        eventually("it has ended", async || (prescription.state(&service).await == state).then_some(())).await;
    };
    ends(&prescription, "0006").await;
    ends(&single, "0006").await;
    ends(&declined, "0001").await;
    assert_eq!(
        went(&hub, &prescription).await,
        [["0007", "0008", "0001"], ["0007", "0008", "0001"], ["0007", "0008", "0004"]]
    );
    assert_eq!(went(&hub, &single).await, [["0007", "0008", "0003"]]);
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS", "what was given back nominates nobody");
    hub.closes().await;
}

/// The first three states of each item.
async fn went(hub: &Hub, prescription: &Prescription) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let search = format!("Task?group-identifier={}&part-of:missing=false", prescription.escaped());
    let mut tasks = hub.finds(&search).await;
    tasks.sort_by_key(|task| task["id"].as_str().unwrap().to_owned());
    for task in tasks {
        let history = hub.get(&format!("Task/{}/_history", task["id"].as_str().unwrap())).await.is(200);
        let codes = history.resources().into_iter().rev();
        let mut codes: Vec<String> =
            codes.map(|task| task["businessStatus"]["coding"][0]["code"].as_str().unwrap().to_owned()).collect();
        codes.dedup();
        codes.truncate(3);
        all.push(codes);
    }
    all
}

async fn what_a_pharmacy_pushes_is_kept_once(world: World) {
    let hub = world.hub().await;
    let service = Client::new(format!("{}/psu", hub.base.strip_suffix("/fhir/R4").unwrap()));
    let pushes =
        async |bundle: &Value| service.post("", bundle).header("x-request-id", uuid::Uuid::new_v4().to_string()).await;
    let prescription = Prescription::new(2);
    let both = status_updates(&[
        prescription.status_update(0, "Ready to collect"),
        prescription.status_update(1, "Dispatched"),
    ]);
    let created = pushes(&both).await.is(201);
    let statuses = |reply: &Value| -> Vec<String> {
        let entries = reply["entry"].as_array().unwrap();
        entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap()[..3].to_owned()).collect()
    };
    assert_eq!(statuses(&created.body), ["201", "201"]);
    let mixed = status_updates(&[both["entry"][0]["resource"].clone(), prescription.status_update(1, "Collected")]);
    assert_eq!(statuses(&pushes(&mixed).await.is(409).body), ["409", "200"], "and nothing of it is kept");
    let kept = hub.finds(&format!("Task?based-on:identifier={}", prescription.escaped())).await;
    assert_eq!(kept.len(), 2);

    let mut lacking = prescription.status_update(0, "With Pharmacy");
    lacking.as_object_mut().unwrap().remove("owner");
    let reply = pushes(&status_updates(&[lacking, prescription.status_update(0, "Lost")])).await.is(400);
    let told = |n: usize| reply.body["entry"][n]["response"]["outcome"]["issue"][0]["diagnostics"].clone();
    assert_eq!(told(0), "Missing required field(s) - PharmacyODSCode.");
    assert_eq!(told(1), "Invalid business status.");
    let mut ends = prescription.status_update(0, "Collected");
    ends["status"] = "in-progress".into();
    ends["lastModified"] = "2090-01-01T00:00:00Z".into();
    let reply = pushes(&status_updates(&[ends])).await.is(400);
    assert!(
        reply.text.contains("no possible follow up action") && reply.text.contains("Invalid lastModified"),
        "{}",
        reply.text
    );
    service.post("", &both).await.is(400);
    pushes(&json!({ "resourceType": "Bundle", "type": "batch" })).await.is(400);
    hub.closes().await;
}

/// Issues open one after another, at their dates; the dates come as the clock is set on.
async fn repeat_dispensing_lives_through_its_issues(world: World) {
    let at = async |now: &str| world.hub_with(&[("now", now)]).await;
    let hub = at("2026-01-01T10:00:00Z").await;
    let client = service(&hub);
    let prescription = Prescription::new(1).repeat_dispensing(3, "2026-01-01").nominated(PHARMACY);
    sends(&client, &prescription.order()).await;
    let states = async |client: &Client| -> Vec<String> {
        prescription.stands(client).await.into_iter().map(|(state, _)| state).collect()
    };
    assert_eq!(states(&client).await, ["0001", "9000", "9000"]);
    releases(&client, &prescription, PHARMACY).await;
    sends(&client, &prescription.notification(PHARMACY, "0006", &["0001"])).await;
    assert_eq!(
        states(&client).await,
        ["0006", "0000", "9000"],
        "the next may be had a week before this one is used up"
    );
    refuses(&client, "Task/$release", &prescription.release_by(PHARMACY), "PRESCRIPTION_INVALID_STATE_TRANSITION")
        .await;
    hub.closes().await;

    let hub = at("2026-01-23T10:00:00Z").await;
    let client = service(&hub);
    until("the second issue is ready", async || states(&client).await, |all| all[..] == ["0006", "0001", "9000"]).await;
    let reply = client.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(passed(&reply.body).len(), 1);
    sends(&client, &prescription.notification(PHARMACY, "0007", &["0002"])).await;
    assert_eq!(states(&client).await, ["0006", "0007", "0000"]);
    let answer = client.post("$process-message", &prescription.cancellation(None, None)).await.is(200);
    assert_eq!(response_of(&answer), "R-0001");
    assert_eq!(states(&client).await, ["0006", "0007", "0005"]);
    hub.closes().await;

    // Nobody claimed for the first issue in half a year; then all of it is over, and forgotten in time.
    let hub = at("2026-07-05T10:00:00Z").await;
    let client = service(&hub);
    until("nobody claims any more", async || states(&client).await, |all| all[0] == "0009").await;
    hub.closes().await;
    let hub = at("2027-01-15T10:00:00Z").await;
    let client = service(&hub);
    until("the record is deleted", async || states(&client).await, Vec::is_empty).await;
    for kind in ["Task", "MedicationRequest", "Bundle", "MedicationDispense"] {
        assert_eq!(hub.finds(kind).await.len(), 0, "{kind}");
    }
    refuses(&client, "$process-message", &prescription.order(), "DUPLICATE_PRESCRIPTION_ID").await;
    hub.closes().await;
}

#[test]
fn repeat_dispensing_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, repeat_dispensing_lives_through_its_issues);
}

#[test]
fn repeat_dispensing_on_postgres() {
    tell(Parts::POSTGRES_RABBITMQ, repeat_dispensing_lives_through_its_issues);
}

/// What is not acted upon ends: unreleased as expired, partly dispensed as dispensed.
async fn time_ends_what_nobody_ends(world: World) {
    let hub = world.hub_with(&[("now", "2026-01-01T10:00:00Z")]).await;
    let client = service(&hub);
    let dated = |day: &str| Prescription { authored: Some(day.into()), ..Prescription::new(2) };
    let (unreleased, active, ahead) = (dated("2026-01-01"), dated("2026-01-01"), dated("2026-03-01"));
    for prescription in [&unreleased, &active, &ahead] {
        sends(&client, &prescription.order()).await;
    }
    assert_eq!(ahead.state(&client).await, "9001", "dated ahead");
    releases(&client, &active, PHARMACY).await;
    let told = active.notification_at(PHARMACY, "0003", &["0003", "0004"], "2026-01-02T10:00:00Z");
    sends(&client, &told).await;
    hub.closes().await;
    let hub = world.hub_with(&[("now", "2026-07-02T10:00:00Z")]).await;
    let client = service(&hub);
    until("it expires", async || unreleased.state(&client).await, |state| state == "0004").await;
    assert_eq!(unreleased.stands(&client).await, [("0004".into(), vec!["0006".into(), "0006".into()])]);
    until("it counts as dispensed", async || active.state(&client).await, |state| state == "0006").await;
    assert_eq!(active.stands(&client).await, [("0006".into(), vec!["0001".into(), "0002".into()])]);
    until("its day has come", async || ahead.state(&client).await, |state| state == "0001").await;
    refuses(&client, "Task/$release", &unreleased.release_by(PHARMACY), "PRESCRIPTION_EXPIRED").await;
    let late = client.post("$process-message", &unreleased.cancellation(None, None)).await.is(400);
    assert_eq!(response_of(&late), "R-0005");
    let past = dated("2020-01-01");
    sends(&client, &past.order()).await;
    until("what is long past is taken in, and expires", async || past.state(&client).await, |s| s == "0004").await;
    hub.closes().await;
}

#[test]
fn time_ends_what_nobody_ends_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, time_ends_what_nobody_ends);
}

#[test]
fn time_ends_what_nobody_ends_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, time_ends_what_nobody_ends);
}
