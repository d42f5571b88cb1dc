//! Real payloads: every published resource (HL7's examples of R4, and what the e-Referral Service publishes) is stored and
//! read back as it was sent, or refused for a reason named here; and what is stored is found by all that it says.

mod questions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use hub_domain::query::{index, params};
use schemas::resource::{Key, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tests::{Hub, World, leave_out_for_want_of, say_once, stories};
use tokio::process::Command;

use crate::prescription_payloads::shared;
use questions::{of_head, questions, questions_of_all};

stories![every_example_is_stored_or_refused_for_a_reason];

/// Refused, and why: the file, the code of the first issue and its place.
///
/// The Tasks point to orders and Tasks that are not among the examples, and a Task must not be about nothing. In the Bundle
/// a list is written as a single value.
const REFUSED: [(&str, &str, &str); 9] = [
    ("Task-example1.json", "not-found", "Task.focus.reference"),
    ("Task-example2.json", "not-found", "Task.partOf[0].reference"),
    ("Task-example3.json", "not-found", "Task.focus.reference"),
    ("Task-example4.json", "not-found", "Task.partOf[0].reference"),
    ("Task-example5.json", "not-found", "Task.focus.reference"),
    ("retrieveOboUsers/responses/PractitionerBundle.json", "structure", "Bundle.entry[0].resource.identifier"),
    // Named events start orders, and this hub speaks no CQL.
    (
        "PlanDefinition-exclusive-breastfeeding-intervention-01.json",
        "not-supported",
        "PlanDefinition.action[0].condition[0].expression.language",
    ),
    (
        "PlanDefinition-exclusive-breastfeeding-intervention-03.json",
        "not-supported",
        "PlanDefinition.action[0].condition[0].expression.language",
    ),
    (
        "PlanDefinition-zika-virus-intervention-initial.json",
        "not-supported",
        "PlanDefinition.action[0].condition[0].expression.language",
    ),
];

/// Types of published files that the hub does not keep: answers, and what is of no order.
const NOT_KEPT: [&str; 11] = [
    "AppointmentResponse",
    "CapabilityStatement",
    "CodeSystem",
    "CompartmentDefinition",
    "Consent",
    "GraphDefinition",
    "List",
    "MessageDefinition",
    "OperationOutcome",
    "Parameters",
    "ReferralRequest",
];

/// The published resources below a folder, in order.
fn published(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { published(&path) } else { vec![path] });
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
    files.sort();
    files
}

async fn every_example_is_stored_or_refused_for_a_reason(world: World) {
    let [examples, referrals] = ["examples/r4", "payloads/ers"].map(|folder| published(&shared().join(folder)));
    if examples.is_empty() {
        let why = "real payloads (no folder of examples; HUB_SHARED names the one that holds it)";
        return leave_out_for_want_of("payloads", why);
    }
    assert!(examples.len() >= 100 && referrals.len() >= 100, "the examples are there");
    let hub = world.hub().await;
    let (mut rows, mut published) = (Vec::new(), BTreeSet::new());
    for file in examples.iter().chain(&referrals) {
        let (row, stored) = row(&hub, file).await;
        rows.push(row);
        published.extend(stored);
    }
    let stored = rows.iter().filter(|row| row.contains("| stored")).count();
    // Once for all combinations, unless one of them tells another story.
    say_once(&format!("\nreal payloads: {stored} of {} stored\n{}", rows.len(), rows.join("\n")));
    for resource in beside_them() {
        let stored = hub.post(resource["resourceType"].as_str().unwrap(), &resource).await.is(201);
        published.insert(stored.reference());
    }
    let asked = finds_all_by_what_they_say(&hub).await;
    asks_by_all_that_is_said(&world, &hub, &published, &asked).await;
    let unnamed: Vec<&String> = rows.iter().filter(|row| row.contains("| WRONG")).collect();
    assert!(unnamed.is_empty(), "{unnamed:#?}");
    hub.closes().await;
}

/// With the kinds of values that no published resource of a type that is kept has.
fn beside_them() -> [Value; 5] {
    let amount = |value: f64, unit: &str| json!({ "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit });
    let concept =
        |code: &str| json!({ "coding": [{ "system": "http://loinc.org", "code": code, "display": "What it is" }] });
    [
        json!({
            "resourceType": "Observation", "status": "final", "code": concept("29463-7"), "valueQuantity": amount(72.5, "kg"),
            "meta": { "tag": [{ "code": "t" }], "source": "http://source.example/a", "profile": ["http://p.example/o|1"] },
        }),
        json!({
            "resourceType": "Observation", "status": "final", "code": concept("85354-9"), "component": [
                { "code": concept("8480-6"), "valueQuantity": amount(107.0, "mm[Hg]") },
                { "code": concept("8462-4"), "valueCodeableConcept": concept("low") },
            ],
        }),
        json!({
            "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" },
            "length": { "value": 56, "unit": "minutes", "comparator": "<" },
        }),
        json!({
            "resourceType": "Condition", "subject": { "reference": "Patient/a" },
            "onsetRange": { "low": amount(38.0, "a"), "high": amount(40.0, "a") },
        }),
        json!({
            "resourceType": "DocumentReference", "status": "current", "content": [{ "attachment": { "url": "Binary/1" } }],
            "relatesTo": [{ "code": "replaces", "target": { "reference": "DocumentReference/old" } }],
        }),
    ]
}

/// By which parameters a resource was asked for.
type Asked = HashMap<String, BTreeSet<&'static str>>;

/// Of everything that is stored, each value of each search parameter finds it: the query is made from the resource.
async fn finds_all_by_what_they_say(hub: &Hub) -> Asked {
    let (mut asked, mut lost) = (BTreeMap::<String, usize>::new(), Vec::new());
    let mut by = Asked::new();
    for kind in Kind::ALL {
        for body in hub.finds(&format!("{kind}?_count=200")).await {
            let id = body["id"].as_str().unwrap().to_owned();
            let stored = Resource::new(Key::new(*kind, &id), 1, Timestamp(0), body.as_object().unwrap().clone());
            let of_values = index(&stored).into_iter().map(|(param, value)| (param, questions(param, &value)));
            let of_all = params(*kind).map(|param| (param, questions_of_all(param, &stored)));
            let questions = of_values.chain(of_all).flat_map(|(param, all)| all.into_iter().map(move |it| (param, it)));
            let by = by.entry(format!("{kind}/{id}")).or_default();
            for (name, question) in of_head(&body) {
                by.insert(name);
                is_found(hub, &format!("{kind}?{question}"), &id, &mut lost).await;
            }
            for (param, question) in questions {
                by.insert(param.name);
                *asked.entry(format!("{:?}", param.kind)).or_default() += 1;
                is_found(hub, &format!("{kind}?{question}"), &id, &mut lost).await;
            }
        }
    }
    assert!(lost.is_empty(), "{} of {asked:?}: {lost:#?}", lost.len());
    say_once(&format!("\nsearches made of what is stored: {asked:?}"));
    assert!(asked.values().sum::<usize>() > 2_000, "{asked:?}");
    // Of no type that is kept a number is searched by.
    let kinds = ["Token", "Reference", "Date", "Uri", "String", "Quantity", "Composite"];
    assert!(kinds.iter().all(|kind| asked.contains_key(*kind)), "{asked:?}");
    by
}

async fn is_found(hub: &Hub, search: &str, id: &str, lost: &mut Vec<String>) {
    if !hub.finds(&format!("{search}&_count=200")).await.iter().any(|body| body["id"] == id) {
        lost.push(format!("{id} is not found by {search}"));
    }
}

/// Parameters that FHIR publishes and the hub has not: no standard says what sounds alike.
const NOT_ASKED: [&str; 1] = ["phonetic"];

/// What the hub's own reading finds nothing to ask by must say nothing in the eyes of another engine either, by the
/// expression that FHIR publishes.
async fn asks_by_all_that_is_said(world: &World, hub: &Hub, published: &BTreeSet<String>, asked: &Asked) {
    let Some(python) = std::env::var_os("HUB_TEST_PYTHON") else {
        let why =
            "what published resources say in the eyes of fhirpathpy (HUB_TEST_PYTHON is not set; ./tests/run sets it)";
        return leave_out_for_want_of("python", why);
    };
    let mut lines = String::new();
    for reference in published {
        lines += &format!("{}\n", hub.reads(reference).await);
    }
    let resources = world.folder().join("published.jsonl");
    std::fs::write(&resources, lines).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/extracts.py");
    let definitions = shared().join("reference/definitions/r4/SearchParameter.ndjson.gz");
    let told = Command::new(python).arg(script).args([definitions, resources]).output().await.unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).unwrap();
    let (mut said, mut silent) = (0, Vec::new());
    for (reference, line) in published.iter().zip(told.lines()) {
        let names: BTreeSet<String> = serde_json::from_str(line).unwrap();
        let asked = &asked[reference];
        said += names.len();
        let is_asked = |name: &&String| asked.contains(name.as_str()) || NOT_ASKED.contains(&name.as_str());
        silent.extend(names.iter().filter(|name| !is_asked(name)).map(|name| format!("{reference} by {name}")));
    }
    assert!(silent.is_empty(), "{} of {said} are never asked for: {silent:#?}", silent.len());
    assert!(told.lines().count() == published.len() && said >= 1_000, "{said}");
}

/// Posts one resource and says what became of it, and what it is called if it was stored.
async fn row(hub: &Hub, file: &Path) -> (String, Option<String>) {
    let sent: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let kind = sent["resourceType"].as_str().unwrap();
    let file = file.strip_prefix(shared()).unwrap().to_str().unwrap();
    let reply = hub.post(kind, &sent).await;
    let issue = &reply.body["issue"][0];
    let told =
        (reply.status, issue["code"].as_str().unwrap_or_default(), issue["expression"][0].as_str().unwrap_or_default());
    let is_stu3 = file.contains("/stu3/");
    let profile = format!("{kind}.meta.profile[0]");
    let (expected, words) = match REFUSED.iter().find(|(name, ..)| file.ends_with(name)) {
        Some((_, code, path)) => ((422, *code, *path), ""),
        None if kind == "ReferralRequest" => ((404, "not-supported", ""), "of FHIR STU3"),
        None if NOT_KEPT.contains(&kind) => ((404, "not-supported", ""), "is not kept by this hub"),
        None if is_stu3 => ((422, "not-supported", profile.as_str()), "of FHIR STU3"),
        None => ((201, "", ""), ""),
    };
    if told != expected || !reply.says().contains(words) {
        return (format!("{file:90} | WRONG: {expected:?} expected, and {}", reply.text), None);
    }
    if reply.status != 201 {
        return (format!("{file:90} | refused: {} {}", told.2, reply.says()), None);
    }
    let read = hub.reads(&reply.reference()).await;
    assert_eq!(without_what_the_hub_writes(&read), without_what_the_hub_writes(&sent), "{file}");
    let order = if reply.header("link").is_empty() { "" } else { ", an order" };
    (format!("{file:90} | stored{order}"), Some(reply.reference()))
}

fn without_what_the_hub_writes(resource: &Value) -> Value {
    let mut resource = resource.clone();
    let object = resource.as_object_mut().unwrap();
    object.retain(|name, _| name != "id");
    if let Some(meta) = object.get_mut("meta").and_then(Value::as_object_mut) {
        meta.retain(|name, _| name != "versionId" && name != "lastUpdated");
    }
    object.retain(|name, value| name != "meta" || value.as_object().is_some_and(|meta| !meta.is_empty()));
    resource
}
