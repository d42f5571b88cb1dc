//! A published message: what it asks for, and what is published of what comes of it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::Reply;
use uuid::Uuid;

/// What a file asks for, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Prepare,
    Send,
    Cancel,
    Release,
    Notify,
    Withdraw,
    Return,
    Claim,
}

impl Step {
    /// Whether a prescription goes through that step before it comes to this one, its end.
    pub(super) fn follows(self, step: Self) -> bool {
        match self {
            Self::Cancel => step < Self::Cancel,
            Self::Return => step <= Self::Release,
            _ => step <= Self::Notify,
        }
    }
}

/// A published request.
pub(super) struct Message {
    pub(super) step: Step,
    pub(super) path: PathBuf,
    pub(super) body: Value,
    pub(super) expected: Expected,
}

impl Message {
    /// None of an answer.
    pub(super) fn read(path: PathBuf) -> Option<Self> {
        let body = read(&path)?;
        let step = step_of(&path, &body)?;
        let expected = Expected::of(&path, step, &body);
        Some(Self { step, path, body, expected })
    }

    pub(super) fn numbers(&self) -> Vec<String> {
        all_values(&self.body, "/Id/prescription-order-number")
    }

    pub(super) fn patients(&self) -> Vec<String> {
        all_values(&self.body, "/Id/nhs-number")
    }

    /// The message in whose place it comes.
    pub(super) fn replaced(&self) -> Option<String> {
        let header = if self.step == Step::Claim { &self.body } else { &self.body["entry"][0]["resource"] };
        let extension = extension(header, "Extension-replacementOf")?;
        extension["valueIdentifier"]["value"].as_str().map(str::to_owned)
    }
}

/// The id of a message.
pub(super) fn id_of(body: &Value) -> Option<&str> {
    let identifier = &body["identifier"];
    identifier["value"].as_str().or_else(|| identifier[0]["value"].as_str())
}

/// What is published of what comes of a message: a status, words that are told, and all that a refusal tells.
pub(super) struct Expected {
    pub(super) status: u16,
    pub(super) words: String,
    pub(super) refusal: Value,
}

impl Expected {
    pub(super) fn new(status: u16, words: impl Into<String>) -> Self {
        Self { status, words: words.into(), refusal: Value::Null }
    }

    /// From the answer beside the request, from the rules of the service, or from its name.
    pub(super) fn of(path: &Path, step: Step, body: &Value) -> Self {
        let name = path.file_name().unwrap().to_string_lossy();
        if let Some(answer) = answer_to(path) {
            return Self::told_by(answer, step);
        }
        match broken_rule(step, body) {
            Some(code) => Self::new(400, code),
            None if name.contains("Missing_Endorsement") => Self::new(400, "endorsement"),
            None if name.contains("-400") || name.contains("_400") => Self::new(400, ""),
            None if step == Step::Cancel => Self::new(200, "R-0001"),
            None => Self::new(200, ""),
        }
    }

    pub(super) fn told_by(answer: Value, step: Step) -> Self {
        if matches!(answer["issue"][0]["severity"].as_str(), Some("error" | "fatal")) {
            return Self { refusal: answer, ..Self::new(400, "") };
        }
        let words = if step == Step::Cancel { response_code(&answer) } else { String::new() };
        Self::new(if words.is_empty() || words == "R-0001" { 200 } else { 400 }, words)
    }

    /// What an answer does not tell as it must.
    pub(super) fn lacking_in(&self, reply: &Reply) -> Option<String> {
        let is_right = reply.status == self.status && reply.text.contains(&self.words);
        let unlike = unlike(&self.refusal, &reply.body);
        if is_right { unlike } else { Some(format!("{} {}", self.status, self.words)) }
    }
}

/// A published issue that the answer does not tell in the same words, if there is one. (The service writes the system
/// of its own codes in two ways.)
pub(super) fn unlike(published: &Value, answer: &Value) -> Option<String> {
    let all = |outcome: &Value| outcome["issue"].as_array().cloned().unwrap_or_default();
    let is_alike = |issue: &Value, told: &Value| {
        let same = |path: &str| issue.pointer(path).is_none_or(|value| told.pointer(path) == Some(value));
        let paths = ["/severity", "/code", "/diagnostics", "/expression"];
        paths.into_iter().all(same) && ["code", "display"].iter().all(|name| same(&format!("/details/coding/0/{name}")))
    };
    let told = all(answer);
    let unlike = all(published).into_iter().find(|issue| !told.iter().any(|told| is_alike(issue, told)));
    unlike.map(|issue| issue.to_string())
}

/// The code of the answer to a cancellation.
pub(super) fn response_code(answer: &Value) -> String {
    let request = part(answer, "MedicationRequest").unwrap_or(&Value::Null);
    let history = extension(request, "Extension-DM-PrescriptionStatusHistory").unwrap_or(&Value::Null);
    let status = extension(history, "status").unwrap_or(&Value::Null);
    status["valueCoding"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The rule of the service that a message breaks, though its name may not say so: the code of the refusal.
pub(super) fn broken_rule(step: Step, body: &Value) -> Option<&'static str> {
    match step {
        // A prescription is called by a number of the one system of numbers; older messages knew another.
        Step::Prepare | Step::Send => all_values(body, "/Id/prescription-order-number").is_empty().then_some(""),
        Step::Notify => broken_rule_of_notification(body),
        _ => None,
    }
}

pub(super) fn broken_rule_of_notification(body: &Value) -> Option<&'static str> {
    // Who pays is told of the organisation that dispensed.
    if !body.to_string().contains("reimbursementAuthority") {
        return Some("");
    }
    let dispenses: Vec<&Value> = parts(body, "MedicationDispense").collect();
    let reason = |dispense: &&Value| {
        let told = extension(dispense, "Extension-DM-PrescriptionNonDispensingReason")?;
        Some(told["valueCoding"]["code"].clone())
    };
    let reasons: Vec<Option<Value>> = dispenses.iter().map(reason).collect();
    // Why a whole prescription was not dispensed is told once, or alike for each item.
    if reasons.iter().all(Option::is_some) && reasons.iter().any(|reason| *reason != reasons[0]) {
        return Some("INVALID_VALUE");
    }
    // What was dispensed is no item of a prescription that was not, what is still to come none of one that was.
    let admitted = match told_state(body) {
        "0006" => ["0001", "0002", "0005", "0006"].as_slice(),
        "0007" => &["0002", "0005", "0006"],
        _ => return None,
    };
    let is_admitted =
        |dispense: &Value| dispense["type"]["coding"][0]["code"].as_str().is_some_and(|c| admitted.contains(&c));
    let mut unexplained = dispenses.iter().zip(&reasons).filter(|(_, reason)| reason.is_none());
    unexplained.any(|(dispense, _)| !is_admitted(dispense)).then_some("MEDICATIONREQUEST_INVALID_STATE_TRANSITION")
}

/// The state to which a notification takes a prescription.
pub(super) fn told_state(notification: &Value) -> &str {
    let dispense = part(notification, "MedicationDispense").unwrap_or(&Value::Null);
    let state = extension(dispense, "Extension-EPS-TaskBusinessStatus").unwrap_or(&Value::Null);
    state["valueCoding"]["code"].as_str().unwrap_or_default()
}

/// The answer that is published beside a request.
pub(super) fn answer_to(request: &Path) -> Option<Value> {
    let name = request.file_name().unwrap().to_string_lossy();
    let answer = name.replace("-Request-", "-Response-").replace("-req.json", "-res.json");
    if answer == name { None } else { read(&request.with_file_name(answer)) }
}

pub(crate) fn shared() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os("HUB_SHARED").map_or_else(beside, PathBuf::from)
}

pub(super) fn payloads() -> PathBuf {
    shared().join("payloads/eps")
}

/// All files below a folder, in the order of their names.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// None where there is no such file, or no JSON in it.
pub(super) fn read(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// What a payload is a request for; none of an answer.
pub(super) fn step_of(path: &Path, body: &Value) -> Option<Step> {
    let name = path.to_string_lossy();
    if ["Response", "-res.json"].iter().any(|part| name.contains(part)) {
        return None;
    }
    let event = || body["entry"][0]["resource"]["eventCoding"]["code"].as_str();
    Some(match (body["resourceType"].as_str()?, body["status"].as_str()) {
        ("Bundle", _) => match event()? {
            "prescription-order" if part(body, "Provenance").is_none() => Step::Prepare,
            "prescription-order" => Step::Send,
            "prescription-order-update" => Step::Cancel,
            "dispense-notification" => Step::Notify,
            _ => return None,
        },
        ("Parameters", _) if name.contains("elease") => Step::Release,
        ("Task", Some("rejected")) => Step::Return,
        ("Task", _) => Step::Withdraw,
        ("Claim", _) => Step::Claim,
        _ => return None,
    })
}

pub(super) fn parts<'a>(bundle: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| &entry["resource"]).filter(move |resource| resource["resourceType"] == kind)
}

pub(super) fn part<'a>(bundle: &'a Value, kind: &'a str) -> Option<&'a Value> {
    parts(bundle, kind).next()
}

pub(super) fn extension<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    let mut all = of["extension"].as_array()?.iter();
    all.find(|extension| extension["url"].as_str().is_some_and(|url| url.ends_with(name)))
}

/// The values of all identifiers of a system, wherever they are.
pub(super) fn values_of(body: &Value, system: &str, into: &mut Vec<String>) {
    match body {
        Value::Object(members) => {
            if members.get("system").and_then(Value::as_str).is_some_and(|s| s.ends_with(system))
                && let Some(value) = members.get("value").and_then(Value::as_str)
                && !into.contains(&value.to_owned())
            {
                into.push(value.to_owned());
            }
            members.values().for_each(|value| values_of(value, system, into));
        }
        Value::Array(values) => values.iter().for_each(|value| values_of(value, system, into)),
        _ => {}
    }
}

pub(super) fn all_values(body: &Value, system: &str) -> Vec<String> {
    let mut values = Vec::new();
    values_of(body, system, &mut values);
    values
}

/// The items that a message is about: those of its requests, and those that it claims for.
pub(super) fn items_in(body: &Value, into: &mut Vec<Uuid>) {
    match body {
        Value::Object(members) => {
            let is_claimed = body["url"].as_str().is_some_and(|url| url.ends_with("ClaimMedicationRequestReference"));
            let named = if body["resourceType"] == "MedicationRequest" { &body["identifier"] } else { &Value::Null };
            let named = if is_claimed { &body["valueReference"] } else { named };
            let ids = all_values(named, "/Id/prescription-order-item-number");
            into.extend(ids.iter().flat_map(|id| id.parse::<Uuid>()));
            members.values().for_each(|value| items_in(value, into));
        }
        Value::Array(values) => values.iter().for_each(|value| items_in(value, into)),
        _ => {}
    }
}
