//! Prescriptions as the Electronic Prescription Service does them: sent, released, dispensed, given back, cancelled,
//! claimed for, and what time does to them.

mod cancelling;
mod dispensing;
mod queue;
mod refusing;
mod time;

use serde_json::{Value, json};
use tests::prescription::{PATIENT, Prescription, code_of, nominated_release, response_of, stands_in, status_updates};
use tests::{Client, Hub, World, stories};

stories![
    a_prescription_lives_from_signature_to_claim,
    each_nominated_prescription_is_downloaded_once,
    the_messages_of_the_tutorial_do_what_it_says,
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
    assert_eq!(tracked.resources()[0]["requester"]["display"], "A SURGERY");
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

/// An element of every item of an order, changed.
fn with_items(mut order: Value, change: impl Fn(usize, &mut Value)) -> Value {
    let entries = order["entry"].as_array_mut().unwrap();
    let requests = entries.iter_mut().filter(|entry| entry["resource"]["resourceType"] == "MedicationRequest");
    requests.enumerate().for_each(|(n, entry)| change(n, &mut entry["resource"]));
    order
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
    ends["owner"]["identifier"]["value"] = "fa 565".into();
    let reply = pushes(&status_updates(&[ends])).await.is(400);
    assert!(
        reply.text.contains("no possible follow up action") && reply.text.contains("Invalid lastModified"),
        "{}",
        reply.text
    );
    assert!(reply.text.contains("Received invalid ODS codes."), "{}", reply.text);
    service.post("", &both).await.is(400);
    pushes(&json!({ "resourceType": "Bundle", "type": "batch" })).await.is(400);
    let nothing = json!({ "resourceType": "Bundle", "type": "transaction" });
    let reply = pushes(&nothing).await.is(200);
    assert_eq!(reply.body, json!({ "resourceType": "Bundle", "type": "transaction-response" }));
    hub.closes().await;
}
