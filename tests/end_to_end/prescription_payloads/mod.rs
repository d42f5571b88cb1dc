//! Real payloads of the Electronic Prescription Service: each family of published messages is walked in the order in
//! which a user would send them, at its own date. What came of each step is one table.

mod family;
mod message;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tests::prescription::Prescription;
use tests::{Client, World, leave_out_for_want_of, say_once, stories};
use uuid::Uuid;

use self::family::{Family, families};
pub(crate) use self::message::shared;
use self::message::{files, read};
use self::walk::{Row, Walk};

stories![
    published_prescriptions_are_walked_through,
    published_status_updates_are_taken,
    what_is_tracked_has_the_published_shape,
];

/// Tells the table, and what is wrong in it.
fn tells_table(title: &str, rows: &[Row]) {
    let lines: Vec<String> =
        rows.iter().map(|row| format!("{}{}", row.text, if row.is_right { "" } else { "  <- WRONG" })).collect();
    let count = |is_counted: fn(&Row) -> bool| rows.iter().filter(|row| is_counted(row)).count();
    let (right, refused) = (count(|row| row.is_right), count(|row| row.is_right && row.is_refusal));
    let sum = format!("{} rows, {right} as expected, {refused} of them refused by rule", rows.len());
    say_once(&format!("\n{title}: {sum}\n{}", lines.join("\n")));
    let wrong: Vec<&Row> = rows.iter().filter(|row| !row.is_right).collect();
    let wrong: Vec<&str> = wrong.iter().map(|row| row.text.as_str()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn published_prescriptions_are_walked_through(world: World) {
    let families = families();
    if families.is_empty() {
        let why = "published prescriptions (no folder of payloads; HUB_SHARED names its parent)";
        return leave_out_for_want_of("payloads", why);
    }
    assert!(families.len() >= 25, "the families are there: {}", families.len());
    let mut days: BTreeMap<&str, Vec<&Family>> = BTreeMap::new();
    for family in &families {
        days.entry(&family.day).or_default().push(family);
    }
    let mut rows = Vec::new();
    for (day, families) in days {
        let hub = world.hub_with(&[("now", &format!("{day}T20:00:00Z"))]).await;
        let service = Client::new(format!("{}/eps/FHIR/R4", hub.base.strip_suffix("/fhir/R4").unwrap()));
        for family in families {
            for (name, messages) in family.walks() {
                let mut walk = Walk::new(&service, family);
                for message in messages {
                    walk.takes(&name, message).await;
                }
                walk.is_tracked(&name).await;
                rows.extend(walk.rows);
            }
        }
        hub.closes().await;
    }
    tells_table("published prescriptions (family, step, expected, got)", &rows);
}

/// The elements of the newer tracker's answers that the service writes itself; the others are the order's own.
async fn what_is_tracked_has_the_published_shape(world: World) {
    let folder = shared().join("payloads/eps-tracker");
    if !folder.is_dir() {
        let why = "published answers of the tracker (no folder of payloads; HUB_SHARED names its parent)";
        return leave_out_for_want_of("payloads", why);
    }
    let published = |name: &str| read(&folder.join(format!("{name}.json"))).unwrap();
    let hub = world.hub().await;
    let service = Client::new(hub.base.replace("/fhir/R4", "/eps/FHIR/R4"));
    let prescription = Prescription::new(2).nominated("FA565");
    let sends = async |message: Value| drop(service.post("$process-message", &message).await.is(200));
    let looks = async |name: &str| {
        let view = service.get(&format!("RequestGroup/{}", prescription.escaped())).await.is(200);
        has_shape(&published(&format!("clinicalView/{name}")), &view.body, name);
    };
    sends(prescription.order()).await;
    looks("200_AcuteWithMultipleItems_Created").await;
    let list = service.get(&format!("RequestGroup?prescriptionId={}", prescription.escaped())).await.is(200);
    has_shape(&published("prescriptionSearch/200_WithSingleAcute"), &list.body, "search");
    service.post("Task/$release", &prescription.release_by("FA565")).await.is(200);
    sends(prescription.notification("FA565", "0003", &["0001", "0004"])).await;
    looks("200_AcuteWithMultipleItems_PartiallyDispensed").await;
    sends(prescription.notification("FA565", "0006", &["0001", "0001"])).await;
    looks("200_AcuteWithMultipleItems_Dispensed").await;
    let repeats = Prescription::new(1).repeat_dispensing(3, "2026-11-01");
    sends(repeats.order()).await;
    let view = service.get(&format!("RequestGroup/{}", repeats.escaped())).await.is(200);
    has_shape(&published("clinicalView/200_ErdWithSingleItem_Created"), &view.body, "repeat dispensing");
    hub.closes().await;
}

/// What an order, or a notification, may bring or leave out.
const OF_THE_SENDER: [&str; 4] = ["dosageInstruction", "quantity", "PrescriptionType", "whenHandedOver"];

fn has_shape(published: &Value, answer: &Value, name: &str) {
    let elements = |bundle: &Value| {
        let mut elements = BTreeSet::new();
        for entry in bundle["entry"].as_array().unwrap() {
            let kind = entry["resource"]["resourceType"].as_str().unwrap();
            if matches!(kind, "RequestGroup" | "MedicationDispense") {
                shape(&entry["resource"], kind, &mut elements);
            }
        }
        elements.retain(|element: &String| !OF_THE_SENDER.iter().any(|part| element.contains(part)));
        elements
    };
    let (wanted, told) = (elements(published), elements(answer));
    assert!(wanted.len() > 10, "{name}: {wanted:?}");
    assert!(told.is_superset(&wanted), "{name}: {:#?}", wanted.difference(&told).collect::<Vec<_>>());
}

/// The paths of all values; an extension is named by its url.
pub(crate) fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let url = members.get("url").and_then(Value::as_str).filter(|_| path.ends_with("xtension"));
            let path = url.map_or(path.to_owned(), |url| format!("{path}[{}]", url.rsplit('/').next().unwrap_or(url)));
            for (name, value) in members {
                shape(value, &format!("{path}.{name}"), into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| shape(value, path, into)),
        _ => drop(into.insert(path.to_owned())),
    }
}

/// What pharmacies push, with ids of its own: the published requests come twice with the same.
async fn published_status_updates_are_taken(world: World) {
    let mut paths = files(&shared().join("payloads/eps-status-update"));
    paths.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("request-"));
    if paths.is_empty() {
        let why = "published status updates (no folder of payloads; HUB_SHARED names its parent)";
        return leave_out_for_want_of("payloads", why);
    }
    let hub = world.hub().await;
    let service = Client::new(format!("{}/psu", hub.base.strip_suffix("/fhir/R4").unwrap()));
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut bundle = read(&path).unwrap();
        for entry in bundle["entry"].as_array_mut().unwrap() {
            if entry["resource"]["id"].is_string() {
                let id = Uuid::new_v4();
                entry["fullUrl"] = format!("urn:uuid:{id}").into();
                entry["resource"]["id"] = id.to_string().into();
            }
        }
        let reply = service.post("", &bundle).header("x-request-id", Uuid::new_v4().to_string()).await;
        let expected = if name.contains("missing") { 400 } else { 201 };
        assert_eq!(reply.status, expected, "{name}: {}", reply.text);
        assert_eq!(reply.resources().len(), bundle["entry"].as_array().unwrap().len(), "an answer to each");
        if expected == 400 {
            assert!(reply.text.contains("Missing required field(s) - PharmacyODSCode, TaskID."), "{}", reply.text);
        }
    }
    hub.closes().await;
}
