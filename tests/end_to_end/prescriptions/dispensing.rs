//! What dispensers tell, tell otherwise, give back and claim for; and what they may not.

use serde_json::{Value, json};
use tests::prescription::{Prescription, code_of, nominated_release};
use tests::{World, stories, until};

use super::{OTHER, PHARMACY, refuses, releases, sends, service};

stories![
    what_a_dispenser_may_not_do_is_refused,
    claims_are_amended_one_after_the_other,
    what_was_amended_is_struck_out_and_deleted_with_the_rest,
    a_return_and_a_withdrawal_add_tasks,
];

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
    let mut itself = amends(prescription.claim_by(PHARMACY), &id(&amended));
    itself["identifier"] = claim["identifier"].clone();
    refuses(&service, "Claim", &itself, "INVALID_VALUE").await;
    let other = amends(prescription.claim_by(OTHER), &id(&amended));
    refuses(&service, "Claim", &other, "CLAIM_AMEND_PERIOD_ISSUE").await;
    assert_eq!(prescription.state(&service).await, "0008");
    assert_eq!(hub.finds("Claim?_lastUpdated=gt2000-01-01").await.len(), 2, "those that were taken");
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

    let mut of_two = told(PHARMACY, "0006", &["0001", "0001"]);
    let another_number = json!({ "value": Prescription::new(1).number });
    let brought = of_two["entry"][2]["resource"]["contained"].as_array_mut().unwrap();
    let request = brought.iter_mut().find(|part| part["resourceType"] == "MedicationRequest").unwrap();
    request["groupIdentifier"] = another_number;
    let reply = service.post("$process-message", &of_two).await.is(400);
    assert!(reply.says().contains("the same value for authorizingPrescription.groupIdentifier"), "{}", reply.text);

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
