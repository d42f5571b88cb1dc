//! A prescriber cancels.

use serde_json::Value;
use tests::prescription::{Prescription, response_of};
use tests::{Client, Reply, World, stories};

use super::{PHARMACY, refuses, releases, sends, service};

stories![a_cancellation_is_answered_by_its_code,];

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
    the_pharmacy_reads_why(&service, &prescription).await;
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
    let mut nameless = prescription.cancellation(Some(1), None);
    nameless.as_object_mut().unwrap().remove("identifier");
    answers(&service, &nameless, 400, "R-5888").await;
    hub.closes().await;
}

/// The first item was cancelled before the release: what is released says so, and why.
async fn the_pharmacy_reads_why(service: &Client, prescription: &Prescription) {
    let again = service.post("Task/$release", &prescription.release_by(PHARMACY)).await.is(200);
    let message = &again.body["parameter"][0]["resource"]["entry"][0]["resource"];
    let parts = message["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let items: Vec<&Value> = parts.filter(|part| part["resourceType"] == "MedicationRequest").collect();
    let history = |item: &Value| -> Vec<String> {
        let told = item["extension"].as_array().unwrap().iter().flat_map(|told| told["extension"].as_array()).flatten();
        told.filter_map(|told| Some(told["valueCoding"]["code"].as_str()?.to_owned())).collect()
    };
    assert_eq!(items[0]["statusReason"]["coding"][0]["code"], "0001", "{}", items[0]);
    assert_eq!(history(items[0]), ["R-0001", "0005"], "cancelled");
    assert_eq!(items[1]["statusReason"], Value::Null);
    assert_eq!(history(items[1]), ["0008"], "with the dispenser");
}
