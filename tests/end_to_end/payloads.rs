//! Real payloads: every published resource (HL7's examples of R4, and what the e-Referral Service publishes) is stored and
//! read back as it was sent, or refused for a reason named here; and what is stored is found by all that it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hub_domain::query::{Amount, IndexValue, Param, ParamType, codes_called, composed, index, params};
use schemas::resource::{Key, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tests::{Hub, World, say_once, stories};

use crate::prescription_payloads::shared;

stories![every_example_is_stored_or_refused_for_a_reason];

/// Refused, and why: the file, the code of the first issue and its place.
///
/// The Tasks point to orders and Tasks that are not among the examples, and a Task must not be about nothing. In the Bundle
/// a list is written as a single value.
const REFUSED: [(&str, &str, &str); 6] = [
    ("Task-example1.json", "not-found", "Task.focus.reference"),
    ("Task-example2.json", "not-found", "Task.partOf[0].reference"),
    ("Task-example3.json", "not-found", "Task.focus.reference"),
    ("Task-example4.json", "not-found", "Task.partOf[0].reference"),
    ("Task-example5.json", "not-found", "Task.focus.reference"),
    ("retrieveOboUsers/responses/PractitionerBundle.json", "structure", "Bundle.entry[0].resource.identifier"),
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
        return say_once("left out: real payloads (no folder of examples; HUB_SHARED names the one that holds it)");
    }
    assert!(examples.len() >= 100 && referrals.len() >= 100, "the examples are there");
    let hub = world.hub().await;
    let mut rows = Vec::new();
    for file in examples.iter().chain(&referrals) {
        rows.push(row(&hub, file).await);
    }
    let stored = rows.iter().filter(|row| row.contains("| stored")).count();
    // Once for all combinations, unless one of them tells another story.
    say_once(&format!("\nreal payloads: {stored} of {} stored\n{}", rows.len(), rows.join("\n")));
    for resource in beside_them() {
        hub.post(resource["resourceType"].as_str().unwrap(), &resource).await.is(201);
    }
    finds_all_by_what_they_say(&hub).await;
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

/// Of everything that is stored, each value of each search parameter finds it: the query is made from the resource.
async fn finds_all_by_what_they_say(hub: &Hub) {
    let (mut asked, mut lost) = (BTreeMap::<String, usize>::new(), Vec::new());
    for kind in Kind::ALL {
        for body in hub.finds(&format!("{kind}?_count=200")).await {
            let id = body["id"].as_str().unwrap().to_owned();
            let stored = Resource::new(Key::new(*kind, &id), 1, Timestamp(0), body.as_object().unwrap().clone());
            let of_values = index(&stored).into_iter().map(|(param, value)| (param, questions(param, &value)));
            let of_all = params(*kind).map(|param| (param, questions_of_all(param, &stored)));
            let questions = of_values.chain(of_all).flat_map(|(param, all)| all.into_iter().map(move |it| (param, it)));
            for (param, question) in questions {
                *asked.entry(format!("{:?}", param.kind)).or_default() += 1;
                let found = hub.finds(&format!("{kind}?{question}&_count=200")).await;
                if !found.iter().any(|body| body["id"] == id.as_str()) {
                    lost.push(format!("{kind}/{id} is not found by {question}"));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{} of {asked:?}: {lost:#?}", lost.len());
    say_once(&format!("\nsearches made of what is stored: {asked:?}"));
    assert!(asked.values().sum::<usize>() > 2_000, "{asked:?}");
    // Of no type that is kept a number is searched by.
    let kinds = ["Token", "Reference", "Date", "Uri", "String", "Quantity", "Composite"];
    assert!(kinds.iter().all(|kind| asked.contains_key(*kind)), "{asked:?}");
}

/// The year 10,000.
const END_OF_THE_CALENDAR: Timestamp = Timestamp(253_402_300_800_000_000);

fn escaped(text: &str) -> String {
    ['\\', '|', ',', '$'].iter().fold(text.to_owned(), |text, sign| text.replace(*sign, &format!("\\{sign}")))
}

fn token(system: &Option<String>, code: &str) -> String {
    format!("{}|{}", system.as_deref().map_or(String::new(), escaped), escaped(code))
}

fn asked(param: &Param, modifier: &str, value: &str) -> String {
    let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    format!("{}{modifier}={value}", param.name)
}

/// A number of a unit, or of what is called so, as it stands.
fn amounts(amount: &Amount) -> Vec<String> {
    let Some(value) = amount.low.or(amount.high) else { return Vec::new() };
    let named = |name: &String| format!("{value}||{}", escaped(name));
    match (&amount.unit.system, &amount.unit.code, &amount.unit.name) {
        (Some(system), Some(code), _) => {
            vec![format!("{value}|{}|{}", escaped(system), escaped(code)), value.to_string()]
        }
        (_, code, name) => code.iter().chain(name).map(named).chain([value.to_string()]).collect(),
    }
}

/// What a value is as a part of a composite.
fn part(value: &IndexValue) -> String {
    match value {
        IndexValue::Token { system: Some(system), code } => token(&Some(system.clone()), code),
        IndexValue::Token { code, .. } => escaped(code),
        IndexValue::Reference(to) | IndexValue::Text(to) => escaped(to),
        IndexValue::ReferenceIdentifier { value, .. } => escaped(value),
        IndexValue::Date { low, .. } => format!("ge{low}"),
        IndexValue::Amount(amount) => amounts(amount).swap_remove(0),
    }
}

/// The ways to ask for what is no value of its own: parts that belong together, and what is written beside a code.
fn questions_of_all(param: &Param, stored: &Resource) -> Vec<String> {
    let together = |parts: Vec<Vec<IndexValue>>| {
        let parts = parts.iter().map(|values| values.first().map(part)).collect::<Option<Vec<_>>>()?;
        Some(asked(param, "", &parts.join("$")))
    };
    match param.kind {
        ParamType::Composite => composed(param, &stored.body).into_iter().filter_map(together).collect(),
        ParamType::Token => {
            codes_called(param, &stored.body).iter().map(|text| asked(param, ":text", &escaped(text))).collect()
        }
        _ => Vec::new(),
    }
}

/// The ways to ask for a value, as a query has them.
fn questions(param: &Param, value: &IndexValue) -> Vec<String> {
    let asked = |modifier: &str, value: String| asked(param, modifier, &value);
    match value {
        IndexValue::Text(text) => {
            let beginning: String = text.chars().take(5).collect();
            let rest: String = text.chars().skip(3).collect();
            let mut questions = vec![
                asked("", escaped(text)),
                asked("", escaped(&beginning.to_uppercase())),
                asked(":exact", escaped(text)),
            ];
            questions.extend((!rest.is_empty()).then(|| asked(":contains", escaped(&rest))));
            questions
        }
        IndexValue::Amount(amount) if amount.low == amount.high => {
            let exactly = amounts(amount);
            let as_much =
                ["", "ge", "le", "ap"].into_iter().flat_map(|prefix| exactly.iter().map(move |it| (prefix, it)));
            as_much.map(|(prefix, amount)| asked("", format!("{prefix}{amount}"))).collect()
        }
        IndexValue::Amount(amount) => amounts(amount).into_iter().map(|it| asked("", format!("ap{it}"))).collect(),
        IndexValue::Token { code, .. } if param.kind == ParamType::Uri => vec![asked("", escaped(code))],
        IndexValue::Token { system, code } => {
            vec![asked("", escaped(code)), asked("", token(system, code)), asked(":missing", "false".into())]
        }
        IndexValue::Reference(to) => vec![asked("", escaped(to)), asked(":missing", "false".into())],
        IndexValue::ReferenceIdentifier { system, value } => vec![asked(":identifier", token(system, value))],
        IndexValue::Date { low, high } => {
            let prefixed = |prefix: &str, at: &Timestamp| asked("", format!("{prefix}{at}"));
            let mut questions = vec![prefixed("ge", low), prefixed("le", high)];
            // A Period without an end goes on to the end of the calendar: nothing is later.
            let later = Timestamp(high.0 + 1_000_000);
            questions.extend((later < END_OF_THE_CALENDAR).then(|| prefixed("lt", &later)));
            questions
        }
    }
}

/// Posts one resource and says what became of it.
async fn row(hub: &Hub, file: &Path) -> String {
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
        return format!("{file:90} | WRONG: {expected:?} expected, and {}", reply.text);
    }
    if reply.status != 201 {
        return format!("{file:90} | refused: {} {}", told.2, reply.says());
    }
    let read = hub.reads(&reply.reference()).await;
    assert_eq!(without_what_the_hub_writes(&read), without_what_the_hub_writes(&sent), "{file}");
    format!("{file:90} | stored{}", if reply.header("link").is_empty() { "" } else { ", an order" })
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
