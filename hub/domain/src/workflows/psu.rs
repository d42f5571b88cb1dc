//! What pharmacies tell of their work on a prescription: "Ready to Collect", "Dispatched" and so on, as the NHS
//! Prescription Status Update service takes it. Each word is a Task of its own, kept once.
//!
//! Source of the rules and of their words: NHSDigital/eps-prescription-status-update-api
//! (`packages/updatePrescriptionStatus/src/validation`).

use schemas::gate;
use schemas::resource::{Body, Key, Kind, list, text_at};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bundle::at;
use super::eps::message::{ITEM_NUMBER, NHS_NUMBER, NUMBER, ODS, UUID_SYSTEM};
use super::eps::number::{has_right_check_character, is_nhs_number, is_prescription_number};
use super::{Answer, Outcome};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::scene::Needs;

const STATUSES: &str = "https://fhir.nhs.uk/CodeSystem/task-businessStatus-nppt";

/// Each status of the service, and with which Task.status it may come.
const WORDS: [(&str, &[&str]); 9] = [
    ("collected", &["completed"]),
    ("not dispensed", &["completed"]),
    ("dispatched", &["completed"]),
    ("with pharmacy", &["in-progress"]),
    ("with pharmacy - preparing remainder", &["in-progress"]),
    ("ready to collect - partial", &["in-progress"]),
    ("ready to dispatch - partial", &["in-progress"]),
    ("ready to collect", &["in-progress", "completed"]),
    ("ready to dispatch", &["in-progress", "completed"]),
];

/// How far ahead a time may be; more of it when the message says when it was made.
const AHEAD_HOURS: u64 = 24;
const AHEAD_HOURS_DATED: u64 = 999;

/// A transaction of Tasks.
#[derive(Debug, Clone)]
pub struct Ask {
    entries: Vec<Value>,
}

impl Ask {
    /// What a Bundle brings; none when it is no transaction.
    pub fn read(bundle: &Body) -> Option<Self> {
        let is_transaction = text_at(bundle, &["type"]) == Some("transaction");
        is_transaction.then(|| Self { entries: list(bundle, "entry").cloned().collect() })
    }
}

fn part<'a>(task: &'a Value, path: &str) -> Option<&'a str> {
    at(task.as_object()?, path)?.as_str()
}

fn number(task: &Value) -> Option<&str> {
    task["basedOn"][0]["identifier"]["value"].as_str()
}

/// A Task and its prescription are what a word is known by.
fn root_of(task: &Value) -> Option<Uuid> {
    const UPDATES: Uuid = Uuid::from_u128(0x2f7c_7c8a_1b3e_4f0e_9a55_61d2_04b7_c3de);
    let name = format!("{} {}", number(task)?, task["id"].as_str()?.to_ascii_lowercase());
    Some(Uuid::new_v5(&UPDATES, name.as_bytes()))
}

pub(crate) fn needs(ask: &Ask) -> Needs {
    let roots = ask.entries.iter().filter_map(|entry| root_of(&entry["resource"])).collect();
    Needs { roots, ..Needs::default() }
}

pub(crate) fn lane(ask: &Ask) -> Uuid {
    ask.entries.iter().find_map(|entry| root_of(&entry["resource"])).unwrap_or_default()
}

pub(crate) fn decide(draft: &mut Draft, ask: &Ask) -> Result<Answer, Stop> {
    let now = draft.now();
    if ask.entries.is_empty() {
        // Nothing was told, and nothing created.
        return Ok(bundle(Outcome::Done, Vec::new()));
    }
    let faults: Vec<Vec<String>> = ask.entries.iter().map(|entry| faults_of(entry, now)).collect();
    if faults.iter().any(|faults| !faults.is_empty()) {
        let told = ask.entries.iter().zip(faults).map(|(entry, faults)| match faults.is_empty() {
            true => answer(entry, "200 OK", "informational", "information", NOT_COMMITTED, now),
            false => answer(entry, "400 Bad Request", "value", "error", &faults.join(" "), now),
        });
        return Ok(bundle(Outcome::No, told.collect()));
    }
    for entry in &ask.entries {
        let owner = part(&entry["resource"], "owner.identifier.value").unwrap_or_default();
        if !draft.command.caller.may_be(&format!("Organization/{owner}")) {
            return Err(Refusal::forbidden("this caller does not speak for the pharmacy that it names").into());
        }
    }
    let roots: Vec<Uuid> = ask.entries.iter().filter_map(|entry| root_of(&entry["resource"])).collect();
    let is_known = |n: usize| draft.scene.heads.contains_key(&roots[n]) || roots[..n].contains(&roots[n]);
    if (0..roots.len()).any(is_known) {
        let told = ask.entries.iter().enumerate().map(|(n, entry)| match is_known(n) {
            true => duplicate(entry, now),
            false => answer(entry, "200 OK", "informational", "information", NOT_COMMITTED, now),
        });
        return Ok(bundle(Outcome::Conflict, told.collect()));
    }
    for (entry, root) in ask.entries.iter().zip(&roots) {
        let Some(task) = entry["resource"].as_object() else { continue };
        let mut body = task.clone();
        body.insert("identifier".into(), json!([{ "system": UUID_SYSTEM, "value": task.get("id") }]));
        draft.create(*root, Key { kind: Kind::TASK, id: root.to_string() }, body);
    }
    let told = ask.entries.iter();
    let told = told.map(|entry| answer(entry, "201 Created", "success", "information", NO_ISSUES, now));
    Ok(bundle(Outcome::Created, told.collect()))
}

const NOT_COMMITTED: &str = "Data not committed due to issues in other entries.";
const NO_ISSUES: &str = "No issues detected during validation.";

fn bundle(outcome: Outcome, entries: Vec<Value>) -> Answer {
    let mut body = json!({ "resourceType": "Bundle", "type": "transaction-response" });
    if !entries.is_empty() {
        body["entry"] = entries.into();
    }
    Answer { outcome, body }
}

fn answer(entry: &Value, status: &str, code: &str, severity: &str, text: &str, now: Timestamp) -> Value {
    let mut told = json!({
        "response": {
            "status": status,
            "outcome": {
                "resourceType": "OperationOutcome",
                "meta": { "lastUpdated": now.to_string() },
                "issue": [{ "code": code, "severity": severity, "diagnostics": text }],
            },
        },
    });
    if let Some(url) = entry["fullUrl"].as_str() {
        told["fullUrl"] = url.into();
    }
    told
}

fn duplicate(entry: &Value, now: Timestamp) -> Value {
    let text = "Request contains a task id and prescription id identical to a record already in the data store.";
    let mut told = answer(entry, "409 Conflict", "duplicate", "error", text, now);
    told["response"]["location"] = format!("Task/{}", entry["resource"]["id"].as_str().unwrap_or_default()).into();
    told["response"]["outcome"]["issue"][0]["details"] = json!({ "coding": [{
        "system": "https://fhir.nhs.uk/CodeSystem/http-error-codes",
        "code": "REC_CONFLICT",
        "display": "409: The Receiver identified a conflict.",
    }] });
    told
}

/// Everything that is wrong with one entry: what is missing, or else what is not allowed.
fn faults_of(entry: &Value, now: Timestamp) -> Vec<String> {
    let task = &entry["resource"];
    let required = [
        ("FullUrl", entry["fullUrl"].is_string()),
        ("Resource", task.is_object()),
        ("LastModified", task["lastModified"].is_string()),
        ("LineItemID", part(task, "focus.identifier.value").is_some()),
        ("PatientNHSNumber", part(task, "for.identifier.value").is_some()),
        ("PharmacyODSCode", part(task, "owner.identifier.value").is_some()),
        ("PrescriptionID", number(task).is_some()),
        ("Status", task["businessStatus"]["coding"][0]["code"].is_string()),
        ("TaskID", task["id"].is_string()),
        ("TerminalStatus", task["status"].is_string()),
    ];
    let missing: Vec<&str> = required.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        return vec![format!("Missing required field(s) - {}.", missing.join(", "))];
    }
    let mut faults = Vec::new();
    let id = task["id"].as_str().unwrap_or_default();
    if entry["fullUrl"].as_str() != Some(&format!("urn:uuid:{id}")) {
        faults.push("Invalid entry fullUrl or task id.".to_owned());
    }
    check_status(task, &mut faults);
    check_times(task, now, &mut faults);
    if !part(task, "for.identifier.value").is_some_and(is_nhs_number) {
        faults.push("NHS number is invalid.".into());
    }
    if !number(task).is_some_and(|number| is_prescription_number(number) && has_right_check_character(number)) {
        faults.push("Prescription ID is invalid.".into());
    }
    let pharmacy = part(task, "owner.identifier.value").unwrap_or_default();
    if !pharmacy.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit()) {
        faults.push("Received invalid ODS codes.".into());
    }
    if task["resourceType"] != "Task" {
        faults.push("Resource's resourceType is not 'Task'.".into());
    }
    check_systems(task, &mut faults);
    if faults.is_empty()
        && let Some(body) = task.as_object()
        && let Err(issues) = gate::check(body, Some("Task"))
    {
        faults.extend(issues.into_iter().map(|issue| format!("{}: {}.", issue.path, issue.text)));
    }
    faults
}

fn check_status(task: &Value, faults: &mut Vec<String>) {
    let status = task["status"].as_str().unwrap_or_default();
    if !matches!(status, "completed" | "in-progress") {
        faults.push("Unsupported Task.status.".into());
    }
    let word = task["businessStatus"]["coding"][0]["code"].as_str().unwrap_or_default().to_lowercase();
    match WORDS.iter().find(|(known, _)| *known == word) {
        None => faults.push("Invalid business status.".into()),
        Some((_, with)) if status == "completed" && !with.contains(&status) => {
            faults.push(format!(
                "Task.status field set to 'completed' but Task.businessStatus value of '{word}' requires follow up action."
            ));
        }
        Some((_, with)) if status == "in-progress" && !with.contains(&status) => {
            faults.push(format!(
                "Task.status field set to 'in-progress' but Task.businessStatus value of '{word}' has no possible follow up \
                 action."
            ));
        }
        Some(_) => {}
    }
}

fn check_times(task: &Value, now: Timestamp, faults: &mut Vec<String>) {
    let dated = task["meta"]["lastUpdated"].as_str();
    let hours = if dated.is_some() { AHEAD_HOURS_DATED } else { AHEAD_HOURS };
    for (name, text, hours) in
        [("lastModified", task["lastModified"].as_str(), hours), ("meta.lastUpdated", dated, AHEAD_HOURS)]
    {
        match text.map(Timestamp::range) {
            Some(None) => faults.push(format!("Date format provided for {name} is invalid.")),
            Some(Some((at, _))) if at > now.plus(std::time::Duration::from_secs(hours * 3600)) => {
                faults.push(format!("Invalid {name} value provided."));
            }
            _ => {}
        }
    }
}

fn check_systems(task: &Value, faults: &mut Vec<String>) {
    let systems = [
        ("LineItemID", part(task, "focus.identifier.system"), ITEM_NUMBER),
        ("PatientNHSNumber", part(task, "for.identifier.system"), NHS_NUMBER),
        ("PharmacyODSCode", part(task, "owner.identifier.system"), ODS),
        ("PrescriptionID", task["basedOn"][0]["identifier"]["system"].as_str(), NUMBER),
        ("Status", task["businessStatus"]["coding"][0]["system"].as_str(), STATUSES),
    ];
    let wrong: Vec<&str> =
        systems.iter().filter(|(_, is, should_be)| *is != Some(*should_be)).map(|(name, ..)| *name).collect();
    if !wrong.is_empty() {
        faults.push(format!("Invalid CodeSystem(s) - {}.", wrong.join(", ")));
    }
}
