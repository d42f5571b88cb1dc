//! Prescriptions as gematik's E-Rezept does them: a second national service on the same engine.

use serde_json::{Value, json};
use tests::{Client, Hub, Parts, Reply, World, stories, tell, until};

stories![
    an_e_rezept_lives_from_creation_to_receipt,
    whoever_lacks_the_code_or_comes_at_the_wrong_time_is_refused,
    a_lost_answer_comes_again_to_who_proves_itself_again,
];

pub(crate) const FLOW: &str = "https://gematik.de/fhir/erp/CodeSystem/GEM_ERP_CS_FlowType";
const NUMBER: &str = "https://gematik.de/fhir/erp/NamingSystem/GEM_ERP_NS_PrescriptionId";

pub(crate) fn service(hub: &Hub) -> Client {
    Client::new(format!("{}/erp", hub.base.strip_suffix("/fhir/R4").unwrap()))
}

pub(crate) fn parameters(name: &str, member: &str, value: Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [{ "name": name, member: value }] })
}

async fn creates(service: &Client) -> (String, String) {
    let wanted = parameters("workflowType", "valueCoding", json!({ "system": FLOW, "code": "160" }));
    let task = service.post("Task/$create", &wanted).await.is(201).body;
    assert_eq!(task["status"], "draft");
    (task["id"].as_str().unwrap().to_owned(), code(&task, "AccessCode").unwrap())
}

/// A code that a Task shows.
pub(crate) fn code(task: &Value, name: &str) -> Option<String> {
    let all = task["identifier"].as_array().unwrap().iter();
    let mut named = all.filter(|identifier| identifier["system"].as_str().unwrap().ends_with(name));
    Some(named.next()?["value"].as_str().unwrap().to_owned())
}

/// The signed prescription of this number, its envelope as plain as can be.
fn signed(number: &str) -> Value {
    let text = format!(
        "<Bundle><identifier><system value=\"{NUMBER}\"/><value value=\"{number}\"/></identifier>\
         <identifier><system value=\"http://fhir.de/sid/gkv/kvid-10\"/><value value=\"X110465770\"/></identifier></Bundle>"
    );
    signed_text(&text)
}

pub(crate) fn signed_text(text: &str) -> Value {
    let data = base64_of(text.as_bytes());
    let binary = json!({ "resourceType": "Binary", "contentType": "application/pkcs7-mime", "data": data });
    parameters("ePrescription", "resource", binary)
}

fn base64_of(bytes: &[u8]) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for n in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * n) & 63) as usize] as char;
            text.push(if n <= three.len() { sign } else { '=' });
        }
    }
    text
}

async fn activates(service: &Client, number: &str, access: &str) -> Reply {
    service.post(&format!("Task/{number}/$activate"), &signed(number)).header("x-accesscode", access).await
}

pub(crate) async fn calls(service: &Client, path: &str) -> Reply {
    service.post_text(path, "").header("x-telematik-id", "3-2-APO-1").await
}

fn dispense(number: &str) -> Value {
    json!({
        "resourceType": "MedicationDispense",
        "identifier": [{ "system": NUMBER, "value": number }],
        "status": "completed",
        "medicationCodeableConcept": { "text": "Sumatriptan 100 mg" },
        "subject": { "identifier": { "system": "http://fhir.de/sid/gkv/kvid-10", "value": "X110465770" } },
        "whenHandedOver": "2026-11-23",
    })
}

async fn a_lost_answer_comes_again_to_who_proves_itself_again(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let (number, access) = creates(&service).await;
    activates(&service, &number, &access).await.is(200);
    let id = uuid::Uuid::new_v4().to_string();
    let asks =
        async |wish: String| service.post_text(&format!("Task/{number}/{wish}"), "").header("x-request-id", &id).await;
    let accepts = async |code: &str| asks(format!("$accept?ac={code}")).await;
    let secret = |reply: &Reply| code(&reply.resources()[0], "Secret").unwrap();
    let first = secret(&accepts(&access).await.is(200));
    assert_eq!(secret(&accepts(&access).await.is(200)), first);
    accepts("guessed").await.is(422);
    // Another wish under the same id is not taken for the first one.
    asks(format!("$reject?secret={first}")).await.is(422);
    calls(&service, &format!("Task/{number}/$reject?secret={first}")).await.is(204);
    hub.closes().await;
}

async fn an_e_rezept_lives_from_creation_to_receipt(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let (number, access) = creates(&service).await;
    let ready = activates(&service, &number, &access).await.is(200).body;
    assert_eq!(
        (ready["status"].as_str(), ready["for"]["identifier"]["value"].as_str()),
        (Some("ready"), Some("X110465770"))
    );

    let accepted = calls(&service, &format!("Task/{number}/$accept?ac={access}")).await.is(200);
    let [task, binary] = &accepted.resources()[..] else { panic!("{}", accepted.text) };
    assert_eq!((task["status"].as_str(), binary["resourceType"].as_str()), (Some("in-progress"), Some("Binary")));
    let secret = code(task, "Secret").unwrap();
    calls(&service, &format!("Task/{number}/$reject?secret={secret}")).await.is(204);

    let accepted = calls(&service, &format!("Task/{number}/$accept?ac={access}")).await.is(200);
    let fresh = code(&accepted.resources()[0], "Secret").unwrap();
    assert_ne!(fresh, secret, "each who accepts has a secret of its own");
    let seen = service.get(&format!("Task/{number}?ac={access}")).await.is(200);
    assert_eq!(code(&seen.resources()[0], "Secret"), None, "a secret is the pharmacy's alone");
    service.post(&format!("Task/{number}/$dispense?secret={fresh}"), &dispense(&number)).await.is(200);
    let told =
        parameters("rxDispensation", "part", json!([{ "name": "medicationDispense", "resource": dispense(&number) }]));
    let receipt = service.post(&format!("Task/{number}/$close?secret={fresh}"), &told).await.is(200);
    assert_eq!(receipt.body["identifier"]["value"], number.as_str());

    let tasks = hub.finds(&format!("Task?group-identifier={number}")).await;
    assert_eq!((tasks.len(), tasks[0]["status"].as_str()), (1, Some("completed")));
    assert!(!tasks[0].to_string().contains(&access), "no code of anybody in the registry's own Task");
    assert_eq!(hub.finds("MedicationDispense").await.len(), 2);
    hub.closes().await;
}

async fn whoever_lacks_the_code_or_comes_at_the_wrong_time_is_refused(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let text = |reply: &Reply| reply.body["issue"][0]["details"]["text"].as_str().unwrap().to_owned();
    let wrong = parameters("workflowType", "valueCoding", json!({ "system": FLOW, "code": "1" }));
    service.post("Task/$create", &wrong).await.is(400);
    let (number, access) = creates(&service).await;
    let early = calls(&service, &format!("Task/{number}/$accept?ac={access}")).await.is(409);
    assert_eq!(text(&early), "Task has invalid status draft");
    activates(&service, &number, "guessed").await.is(403);
    let (other, _) = creates(&service).await;
    service.post(&format!("Task/{number}/$activate"), &signed(&other)).header("x-accesscode", &access).await.is(400);
    activates(&service, &number, &access).await.is(200);
    activates(&service, &number, &access).await.is(409);

    // Many pharmacies at once: one gets it.
    let path = format!("Task/{number}/$accept?ac={access}");
    let all = futures_util::future::join_all((0..8).map(|_| calls(&service, &path))).await;
    let mut statuses: Vec<u16> = all.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    let winner = all.iter().find(|reply| reply.status == 200).unwrap();
    let secret = code(&winner.resources()[0], "Secret").unwrap();
    let abort = service.post_text(&format!("Task/{number}/$abort"), "").header("x-accesscode", &access).await.is(403);
    assert_eq!(abort.body["issue"][0]["code"], "forbidden", "while a pharmacy has it, only that may");
    calls(&service, &format!("Task/{number}/$close?secret={secret}")).await.is(400);
    calls(&service, &format!("Task/{number}/$abort?secret={secret}")).await.is(204);
    service.get(&format!("Task/{number}?ac={access}")).await.is(410);
    service.get("Task/160.123.456.789.123.58?ac=1").await.is(404);
    service.post_text("Task/160.123.456.789.123.59/$reject?secret=1", "").await.is(404);
    hub.closes().await;
}

/// A draft is kept for five days, what was cancelled for ten.
async fn what_is_over_is_deleted(world: World) {
    let hub = world.hub_with(&[("now", "2026-01-01T10:00:00Z")]).await;
    let (number, access) = creates(&service(&hub)).await;
    let (kept, opens) = creates(&service(&hub)).await;
    activates(&service(&hub), &kept, &opens).await.is(200);
    hub.closes().await;
    let hub = world.hub_with(&[("now", "2026-01-07T10:00:00Z")]).await;
    let client = service(&hub);
    let look = async || client.get(&format!("Task/{number}?ac={access}")).await.status;
    until("the draft is deleted", look, |status| *status == 410).await;
    client.get(&format!("Task/{kept}?ac={opens}")).await.is(200);
    assert_eq!(hub.finds("Task").await.len(), 1);
    hub.closes().await;
}

#[test]
fn what_is_over_is_deleted_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, what_is_over_is_deleted);
}

#[test]
fn what_is_over_is_deleted_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, what_is_over_is_deleted);
}
