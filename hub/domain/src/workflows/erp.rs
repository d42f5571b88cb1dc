//! Prescriptions as gematik's E-Rezept does them: a Task that the doctor creates and activates, the pharmacy accepts,
//! rejects or closes, and either may abort, each proving itself by a code that only it was told.
//!
//! Which state is open to what, and how long it is kept, is a table (`tables/erezept.json`). Source: gematik/api-erp, `docs/`.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::outcome::{Issue, IssueType};
use schemas::plan::WORK;
use schemas::resource::{Body, Key, Kind, list, text_at};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::follow::{Face, show, task_state};
use super::{Answer, Outcome};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::decision::{Timer, TimerId};
use crate::plan::run::Run;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;
use crate::task_machine::{Matrix, Transition};

/// The table as it is published.
pub const TABLE: &str = include_str!("../../tables/erezept.json");

const NUMBER: &str = "https://gematik.de/fhir/erp/NamingSystem/GEM_ERP_NS_PrescriptionId";
const ACCESS_CODE: &str = "https://gematik.de/fhir/erp/NamingSystem/GEM_ERP_NS_AccessCode";
const SECRET: &str = "https://gematik.de/fhir/erp/NamingSystem/GEM_ERP_NS_Secret";
const FLOW_TYPE: &str = "https://gematik.de/fhir/erp/CodeSystem/GEM_ERP_CS_FlowType";
const DOCUMENT_TYPE: &str = "https://gematik.de/fhir/erp/CodeSystem/GEM_ERP_CS_DocumentType";
const PATIENT: &str = "http://fhir.de/sid/gkv/kvid-10";
const TELEMATIK: &str = "https://gematik.de/fhir/sid/telematik-id";

/// Each kind of prescription, and what it is called.
const FLOWS: [(&str, &str); 5] = [
    ("160", "Muster 16 (Apothekenpflichtige Arzneimittel)"),
    ("162", "Muster 16 (Digitale Gesundheitsanwendungen)"),
    ("169", "Muster 16 (Direkte Zuweisung)"),
    ("200", "PKV (Apothekenpflichtige Arzneimittel)"),
    ("209", "PKV (Direkte Zuweisung)"),
];
const VALID_MONTHS: u8 = 3;
const ACCEPTED_DAYS: i64 = 28;
/// Numbers that are tried for a new prescription: that all of them are taken does not happen.
const TRIES: usize = 4;

/// What a caller wants of a prescription.
#[derive(Debug, Clone)]
pub enum Wish {
    Create {
        flow: String,
    },
    /// With the signed prescription.
    Activate {
        document: Document,
    },
    Accept {
        pharmacy: String,
    },
    Reject,
    Dispense {
        dispenses: Vec<Body>,
    },
    Close {
        dispenses: Vec<Body>,
    },
    Abort,
}

impl Wish {
    fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Activate { .. } => "activate",
            Self::Accept { .. } => "accept",
            Self::Reject => "reject",
            Self::Dispense { .. } => "dispense",
            Self::Close { .. } => "close",
            Self::Abort => "abort",
        }
    }
}

/// A signed prescription, as far as the hub reads it: the signature's envelope is kept as it came.
#[derive(Debug, Clone)]
pub struct Document {
    binary: Body,
    /// SHA-256, in base64.
    digest: String,
    number: Option<String>,
    patient: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Ask {
    pub wish: Wish,
    /// Of the prescription; none for a new one.
    pub number: Option<String>,
    /// The code by which the caller proves itself: AccessCode or Secret.
    pub code: Option<String>,
    /// What nobody can guess, for a code that this may have to give out.
    pub random: String,
}

/// Kept in the head of the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "n")]
    pub number: String,
    #[serde(rename = "f")]
    flow: String,
    #[serde(rename = "s", with = "status")]
    pub status: TaskStatus,
    #[serde(rename = "a")]
    pub access_code: String,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub pharmacy: Option<String>,
    #[serde(rename = "d")]
    authored: Timestamp,
    #[serde(rename = "m")]
    pub modified: Timestamp,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    /// Of the signed prescription.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// How many dispenses were told, and when the last.
    #[serde(rename = "t", default)]
    dispenses: u32,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    told: Option<Timestamp>,
}

mod status {
    use schemas::task::TaskStatus;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(status: &TaskStatus, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(status.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TaskStatus, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        TaskStatus::parse(&code).ok_or_else(|| serde::de::Error::custom(format!("{code} is no Task status")))
    }
}

#[derive(Debug, Deserialize)]
struct Table {
    states: Vec<State>,
    transitions: Vec<Transition>,
}

#[derive(Debug, Deserialize)]
struct State {
    status: String,
    open_to: Vec<String>,
    kept_days: Option<i64>,
    kept_days_after_expiry: Option<i64>,
}

#[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads it")]
static TABLES: LazyLock<(Vec<State>, Matrix)> = LazyLock::new(|| {
    let table: Table = serde_json::from_str(TABLE).expect("erezept.json is readable");
    (table.states, Matrix::of_rows(table.transitions))
});

fn state(status: TaskStatus) -> Option<&'static State> {
    TABLES.0.iter().find(|state| state.status == status.code())
}

// ---- reading

fn fault(path: &str, text: impl Into<String>) -> Refusal {
    Refusal::one(RefusalKind::Malformed, IssueType::Invalid, path, text)
}

/// `$create`: which kind of prescription.
pub fn read_create(parameters: &Body) -> Result<Wish, Refusal> {
    let path = "Parameters.parameter(\"workflowType\").valueCoding";
    let coding = list(parameters, "parameter").find(|p| p["name"] == "workflowType").map(|p| &p["valueCoding"]);
    let flow =
        coding.and_then(|coding| coding["code"].as_str()).ok_or_else(|| fault(path, "workflowType is missing"))?;
    if coding.is_some_and(|coding| coding["system"] != FLOW_TYPE) || !FLOWS.iter().any(|(known, _)| *known == flow) {
        let known: Vec<&str> = FLOWS.iter().map(|(code, _)| *code).collect();
        return Err(fault(path, format!("a workflowType is one of {} of {FLOW_TYPE}", known.join(", "))));
    }
    Ok(Wish::Create { flow: flow.to_owned() })
}

/// `$activate`: the signed prescription, a Binary with the envelope of its signature.
pub fn read_activate(parameters: &Body) -> Result<Wish, Refusal> {
    let path = "Parameters.parameter(\"ePrescription\").resource";
    let given = list(parameters, "parameter").find(|p| p["name"] == "ePrescription").map(|p| &p["resource"]);
    let binary = given.and_then(Value::as_object).ok_or_else(|| fault(path, "ePrescription is missing"))?;
    if text_at(binary, &["resourceType"]) != Some("Binary") {
        return Err(fault(path, "ePrescription is a Binary: the signed prescription (PKCS#7)"));
    }
    let data = text_at(binary, &["data"]).map(|data| data.split_ascii_whitespace().collect::<String>());
    let bytes = data.and_then(|data| STANDARD.decode(data).ok()).filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| fault(&format!("{path}.data"), "data is the signed prescription in base64"))?;
    // What is signed stands in the envelope as it is, in XML or in JSON.
    let text = String::from_utf8_lossy(&bytes);
    let document = Document {
        binary: binary.clone(),
        digest: STANDARD.encode(Sha256::digest(&bytes)),
        number: value_after(&text, NUMBER),
        patient: value_after(&text, PATIENT),
    };
    if document.number.is_none() {
        return Err(fault(&format!("{path}.data"), "the signed prescription carries no number of a prescription"));
    }
    Ok(Wish::Activate { document })
}

/// The value of the identifier of a system, in a text that is XML or JSON.
fn value_after(text: &str, system: &str) -> Option<String> {
    let rest = &text[text.find(system)? + system.len()..];
    let rest = &rest[rest.find("value")? + "value".len()..];
    // `<value value="1"/>`, `"value": "1"`
    let rest = rest.trim_start().strip_prefix("value").unwrap_or(rest);
    let rest = &rest[rest.find('"')? + 1..];
    let rest = rest.trim_start_matches([':', ' ', '"']);
    Some(rest[..rest.find('"')?].to_owned()).filter(|value| !value.is_empty() && value.len() <= 64)
}

/// `$accept`: by whom.
pub fn read_accept(pharmacy: String) -> Wish {
    Wish::Accept { pharmacy }
}

/// What was dispensed: one MedicationDispense, several in a Bundle, or Parameters that name them.
pub fn read_dispenses(body: &Body) -> Vec<Body> {
    fn collect(value: &Value, into: &mut Vec<Body>) {
        match value {
            Value::Object(body) if body.get("resourceType").is_some_and(|kind| kind == "MedicationDispense") => {
                into.push(body.clone());
            }
            Value::Object(body) => {
                ["entry", "parameter", "part", "resource"]
                    .iter()
                    .filter_map(|name| body.get(*name))
                    .for_each(|v| collect(v, into));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&Value::Object(body.clone()), &mut found);
    found
}

// ---- numbers

/// The order that a prescription of this number is.
pub fn root_of(number: &str) -> Uuid {
    const PRESCRIPTIONS: Uuid = Uuid::from_u128(0x7d3a_51c9_64b8_4c0e_a0f1_2f0e_88d2_b6a7);
    Uuid::new_v5(&PRESCRIPTIONS, number.as_bytes())
}

/// `160.123.456.789.123.58`: the kind, twelve digits, and two that check them (ISO 7064, modulo 97-10).
pub fn is_number(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let digits = text.chars().filter(|c| *c != '.').all(|c| c.is_ascii_digit());
    let value = parts.concat().parse::<u64>();
    lengths == [3, 3, 3, 3, 3, 2] && digits && value.is_ok_and(|value| value % 97 == 1)
}

/// The nth number that a new prescription may get.
fn new_number(command: Uuid, flow: &str, n: usize) -> String {
    let digits = Uuid::new_v5(&command, &n.to_be_bytes()).as_u128() % 1_000_000_000_000;
    let counted: u128 = flow.parse::<u128>().unwrap_or(160) * 1_000_000_000_000 + digits;
    let check = 98 - counted * 100 % 97;
    let text = format!("{digits:012}");
    format!("{flow}.{}.{}.{}.{}.{check:02}", &text[..3], &text[3..6], &text[6..9], &text[9..])
}

// ---- deciding

pub(crate) fn needs(command: Uuid, ask: &Ask) -> Needs {
    let root = |number: &str| root_of(number);
    match (&ask.wish, &ask.number) {
        (Wish::Create { flow }, _) => {
            let roots = (0..TRIES).map(|n| root(&new_number(command, flow, n))).collect();
            Needs { roots, ..Needs::default() }
        }
        (_, Some(number)) => {
            let root = root(number);
            let task = Key::task(TaskId { root, step: 0, occurrence: 1 });
            Needs { roots: vec![root], resources: vec![task], ..Needs::default() }
        }
        (_, None) => Needs::default(),
    }
}

pub(crate) fn lane(command: Uuid, ask: &Ask) -> Uuid {
    ask.number.as_deref().map_or(command, root_of)
}

pub(super) fn record_of<'d>(draft: &'d Draft, root: Uuid) -> Option<&'d Record> {
    match draft.run_of(root)?.record.as_ref()? {
        super::Record::Erp(record) => Some(record),
        super::Record::Eps(_) => None,
    }
}

pub(crate) fn decide(draft: &mut Draft, ask: &Ask) -> Result<Answer, Stop> {
    if let Wish::Create { flow } = &ask.wish {
        return create(draft, flow, &ask.random);
    }
    let root = root_of(ask.number.as_deref().unwrap_or_default());
    let Some(mut record) = record_of(draft, root).cloned() else {
        return Err(if draft.scene.heads.contains_key(&root) {
            Refusal::gone("the prescription").into()
        } else {
            Refusal::not_found("the prescription").into()
        });
    };
    check(&record, ask)?;
    let now = draft.now();
    record.modified = now;
    match &ask.wish {
        Wish::Create { .. } => {}
        Wish::Activate { document } => {
            if document.number.as_ref() != Some(&record.number) {
                let text = "the signed prescription is another one: its number is not that of the Task";
                return Err(fault("Parameters.parameter(\"ePrescription\").resource.data", text).into());
            }
            record.patient.clone_from(&document.patient);
            record.digest = Some(document.digest.clone());
            record.expires = Some(now.plus_months(VALID_MONTHS));
            record.status = TaskStatus::Ready;
            draft.create(root, document_key(root), document.binary.clone());
        }
        Wish::Accept { pharmacy } => {
            record.secret = Some(ask.random.clone());
            record.pharmacy = Some(pharmacy.clone());
            record.status = TaskStatus::InProgress;
        }
        Wish::Reject => {
            (record.secret, record.pharmacy) = (None, None);
            record.status = TaskStatus::Ready;
        }
        Wish::Dispense { dispenses } | Wish::Close { dispenses } => {
            let closes = matches!(ask.wish, Wish::Close { .. });
            if dispenses.is_empty() && (!closes || record.dispenses == 0) {
                let text = "what was dispensed is told by at least one MedicationDispense";
                return Err(fault("Parameters.parameter(\"rxDispensation\")", text).into());
            }
            for dispense in dispenses {
                draft.create(root, dispense_key(root, record.dispenses), dispense.clone());
                record.dispenses += 1;
                record.told = Some(now);
            }
            if closes {
                record.status = TaskStatus::Completed;
            }
        }
        Wish::Abort => record.status = TaskStatus::Cancelled,
    }
    keep(draft, root, record.clone())?;
    Ok(answer(&ask.wish, &record))
}

/// Whether this caller may do this now: its code first, then the state.
fn check(record: &Record, ask: &Ask) -> Result<(), Stop> {
    let given = ask.code.as_ref();
    let knows_access = given == Some(&record.access_code);
    let knows_secret = given.is_some() && given == record.secret.as_ref();
    let proven = match &ask.wish {
        Wish::Create { .. } => true,
        Wish::Activate { .. } | Wish::Accept { .. } => knows_access,
        Wish::Reject | Wish::Dispense { .. } | Wish::Close { .. } => knows_secret,
        // While a pharmacy has it, only that pharmacy.
        Wish::Abort if record.status == TaskStatus::InProgress => knows_secret,
        Wish::Abort => knows_access,
    };
    if !proven && record.status != TaskStatus::Cancelled {
        return Err(Refusal::forbidden("the code does not open this prescription").into());
    }
    if record.status == TaskStatus::Cancelled {
        return Err(Refusal::gone("the prescription").into());
    }
    if !state(record.status).is_some_and(|state| state.open_to.iter().any(|wish| wish == ask.wish.name())) {
        return Err(Refusal::conflict(format!("Task has invalid status {}", record.status)).into());
    }
    Ok(())
}

fn create(draft: &mut Draft, flow: &str, random: &str) -> Result<Answer, Stop> {
    let now = draft.now();
    let mut numbers = (0..TRIES).map(|n| new_number(draft.command.id, flow, n));
    let number = numbers.find(|number| !draft.scene.heads.contains_key(&root_of(number)));
    let number = number.ok_or_else(|| Refusal::conflict("no number is free"))?;
    let root = root_of(&number);
    let record = Record {
        number,
        flow: flow.to_owned(),
        status: TaskStatus::Draft,
        access_code: random.to_owned(),
        secret: None,
        patient: None,
        pharmacy: None,
        authored: now,
        modified: now,
        expires: None,
        digest: None,
        dispenses: 0,
        told: None,
    };
    keep(draft, root, record.clone())?;
    Ok(Answer { outcome: Outcome::Created, body: task(&record, true, false) })
}

fn keep(draft: &mut Draft, root: Uuid, record: Record) -> Result<(), Stop> {
    let id = TimerId { root, name: "wake".into() };
    match kept_until(&record) {
        Some(due) => draft.set_timer(Timer { id, due }),
        None => draft.drop_timer(id),
    }
    let face = face(&record);
    let differs = record_of(draft, root).is_none_or(|before| face.differs_from(&self::face(before)));
    draft.head(root).run.get_or_insert_default().record = Some(super::Record::Erp(Box::new(record.clone())));
    if differs {
        show(draft, root, 0, &face, &TABLES.1, None, |id, now| new_task(&record, id, now))?;
    }
    Ok(())
}

fn face(record: &Record) -> Face {
    let owner = record.pharmacy.as_ref().map(|code| json!({ "identifier": { "system": TELEMATIK, "value": code } }));
    Face { status: record.status, business: None, owner }
}

/// Until when a prescription is kept, as it stands.
fn kept_until(record: &Record) -> Option<Timestamp> {
    let state = state(record.status)?;
    let after_expiry = state.kept_days_after_expiry.and_then(|days| Some(record.expires?.plus_days(days)));
    after_expiry.or(state.kept_days.map(|days| record.modified.plus_days(days)))
}

/// Its time is over: everything of it is deleted.
pub(crate) fn fire(draft: &mut Draft, root: Uuid) -> Result<(), Stop> {
    let Some(record) = record_of(draft, root).cloned() else { return Ok(()) };
    if kept_until(&record).is_none_or(|until| until > draft.now()) {
        return keep(draft, root, record);
    }
    let occurrence = task_state(draft, root, 0).map_or(1, |state| state.occurrence);
    let mut keys: Vec<Key> = (1..=occurrence).map(|n| Key::task(TaskId { root, step: 0, occurrence: n })).collect();
    keys.extend((0..record.dispenses).map(|n| dispense_key(root, n)));
    if record.expires.is_some() {
        keys.push(document_key(root));
    }
    for resource in draft.get_all(&keys)? {
        draft.delete(root, &resource.key)?;
    }
    draft.head(root).run = Some(Run::default());
    Ok(())
}

/// The signed prescription.
pub fn document_key(root: Uuid) -> Key {
    Key { kind: Kind::BINARY, id: root.to_string() }
}

fn dispense_key(root: Uuid, n: u32) -> Key {
    Key { kind: Kind::MEDICATION_DISPENSE, id: Uuid::new_v5(&root, &n.to_be_bytes()).to_string() }
}

// ---- what is shown

/// The hub's own Task: no code of anybody in it.
fn new_task(record: &Record, id: TaskId, now: Timestamp) -> Body {
    let mut body = Body::new();
    let mut put = |name: &str, value: Value| body.insert(name.into(), value);
    put(
        "identifier",
        json!([{ "system": TASK_IDENTIFIER, "value": id.to_string() }, { "system": NUMBER, "value": record.number }]),
    );
    put("groupIdentifier", json!({ "system": NUMBER, "value": record.number }));
    put("status", TaskStatus::Draft.code().into());
    put("intent", "order".into());
    put("description", flow_name(record).into());
    put("authoredOn", now.to_string().into());
    put("lastModified", now.to_string().into());
    put("performerType", json!([{ "coding": [{ "system": WORK, "code": "pharmacy" }] }]));
    body
}

fn flow_name(record: &Record) -> &'static str {
    FLOWS.iter().find(|(code, _)| *code == record.flow).map_or("", |(_, name)| name)
}

/// Who fulfils it: a health application comes from the payer, everything else from a pharmacy.
fn performer(record: &Record) -> (&'static str, &'static str) {
    match record.flow.as_str() {
        "162" => ("urn:oid:1.2.276.0.76.4.59", "Kostenträger"),
        _ => ("urn:oid:1.2.276.0.76.4.54", "Öffentliche Apotheke"),
    }
}

/// Until when its cost is taken over: 28 days where statutory insurance pays a pharmacy, else as long as it is valid.
fn accepted_until(record: &Record, expires: Timestamp) -> Timestamp {
    match record.flow.as_str() {
        "160" | "169" => record.authored.plus_days(ACCEPTED_DAYS),
        _ => expires,
    }
}

/// The service's Task. Codes are shown to those who are entitled to them.
pub fn task(record: &Record, access_code: bool, secret: bool) -> Value {
    let identifier = |system: &str, value: &str| json!({ "use": "official", "system": system, "value": value });
    let extension = |name: &str| format!("https://gematik.de/fhir/erp/StructureDefinition/{name}");
    let mut identifiers = vec![identifier(NUMBER, &record.number)];
    if access_code {
        identifiers.push(identifier(ACCESS_CODE, &record.access_code));
    }
    if let Some(code) = record.secret.as_ref().filter(|_| secret) {
        identifiers.push(identifier(SECRET, code));
    }
    let mut extensions = vec![json!({
        "url": extension("GEM_ERP_EX_PrescriptionType"),
        "valueCoding": { "system": FLOW_TYPE, "code": record.flow, "display": flow_name(record) },
    })];
    if let Some(expires) = record.expires {
        let accepted = accepted_until(record, expires);
        extensions.push(json!({ "url": extension("GEM_ERP_EX_AcceptDate"), "valueDate": accepted.date() }));
        extensions.push(json!({ "url": extension("GEM_ERP_EX_ExpiryDate"), "valueDate": expires.date() }));
    }
    if let Some(told) = record.told {
        let url = extension("GEM_ERP_EX_LastMedicationDispense");
        extensions.push(json!({ "url": url, "valueInstant": told.to_string() }));
    }
    let (performer, performer_name) = performer(record);
    let mut task = json!({
        "resourceType": "Task",
        "id": record.number,
        "meta": { "profile": [format!("{}|1.4", extension("GEM_ERP_PR_Task"))] },
        "extension": extensions,
        "identifier": identifiers,
        "status": record.status.code(),
        "intent": "order",
        "authoredOn": record.authored.to_string(),
        "lastModified": record.modified.to_string(),
        "performerType": [{
            "coding": [{
                "system": "https://gematik.de/fhir/erp/CodeSystem/GEM_ERP_CS_OrganizationType",
                "code": performer,
                "display": performer_name,
            }],
            "text": performer_name,
        }],
    });
    if let Some(patient) = &record.patient {
        task["for"] = json!({ "identifier": { "system": PATIENT, "value": patient } });
    }
    if let Some(pharmacy) = &record.pharmacy {
        task["owner"] = json!({ "identifier": { "system": TELEMATIK, "value": pharmacy } });
    }
    if record.expires.is_some() {
        task["input"] = json!([{
            "type": { "coding": [{ "system": DOCUMENT_TYPE, "code": "1" }] },
            "valueReference": { "reference": document_key(root_of(&record.number)).to_string() },
        }]);
    }
    task
}

fn answer(wish: &Wish, record: &Record) -> Answer {
    match wish {
        Wish::Reject | Wish::Abort => Answer { outcome: Outcome::Empty, body: Value::Null },
        Wish::Accept { .. } => Answer { outcome: Outcome::Accepted, body: task(record, true, true) },
        Wish::Close { .. } => Answer { outcome: Outcome::Done, body: receipt(record) },
        _ => Answer { outcome: Outcome::Done, body: task(record, true, false) },
    }
}

/// Who closed what, and when: what a pharmacy is paid by. It is not signed.
pub fn receipt(record: &Record) -> Value {
    let root = root_of(&record.number);
    let id = |name: &str| Uuid::new_v5(&root, name.as_bytes()).to_string();
    let url = |name: &str| format!("urn:uuid:{}", id(name));
    let meta = |name: &str| json!({ "profile": [format!("https://gematik.de/fhir/erp/StructureDefinition/GEM_ERP_PR_{name}|1.4")] });
    let closed = record.modified.to_string();
    let composition = json!({
        "resourceType": "Composition",
        "id": id("composition"),
        "meta": meta("Composition"),
        "extension": [{
            "url": "https://gematik.de/fhir/erp/StructureDefinition/GEM_ERP_EX_Beneficiary",
            "valueIdentifier": { "system": TELEMATIK, "value": record.pharmacy },
        }],
        "status": "final",
        "type": { "coding": [{ "system": DOCUMENT_TYPE, "code": "3", "display": "Receipt" }] },
        "date": closed,
        "author": [{ "reference": url("device") }],
        "title": "Quittung",
        "event": [{ "period": { "start": record.authored.to_string(), "end": closed } }],
        "section": [{ "entry": [{ "reference": url("digest") }] }],
    });
    let device = json!({
        "resourceType": "Device",
        "id": id("device"),
        "meta": meta("Device"),
        "status": "active",
        "serialNumber": env!("CARGO_PKG_VERSION"),
        "deviceName": [{ "name": "FHIR workflow hub", "type": "user-friendly-name" }],
        "version": [{ "value": env!("CARGO_PKG_VERSION") }],
    });
    let mut digest_meta = meta("Digest");
    digest_meta["versionId"] = "1".into();
    let digest = json!({
        "resourceType": "Binary",
        "id": id("digest"),
        "meta": digest_meta,
        "contentType": "application/octet-stream",
        "data": record.digest,
    });
    let parts = [("composition", composition), ("device", device), ("digest", digest)];
    json!({
        "resourceType": "Bundle",
        "id": id("receipt"),
        "meta": meta("Bundle"),
        "identifier": { "system": NUMBER, "value": record.number },
        "type": "document",
        "timestamp": closed,
        "entry": parts.map(|(name, resource)| json!({ "fullUrl": url(name), "resource": resource })),
    })
}

/// A refusal in the words of this service: what is wrong stands in `details.text`.
pub fn told(issues: &[Issue]) -> Value {
    let issue =
        |issue: &Issue| json!({ "severity": "error", "code": issue.code.code(), "details": { "text": issue.text } });
    json!({ "resourceType": "OperationOutcome", "issue": issues.iter().map(issue).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_checks_itself() {
        assert!(is_number("160.123.456.789.123.58"), "published");
        assert!(!is_number("160.123.456.789.123.57") && !is_number("160.123.456.789.12358") && !is_number(""));
        for n in 0..100 {
            let number = new_number(Uuid::from_u128(n), "200", 0);
            assert!(is_number(&number), "{number}");
        }
    }

    #[test]
    fn every_state_can_be_left_by_what_it_is_open_to() {
        assert_eq!(TABLES.0.len(), 5);
        for state in &TABLES.0 {
            let status = TaskStatus::parse(&state.status).unwrap();
            let ends = TABLES.1.next(Some(status), &[crate::task_machine::Actor::Hub]).is_empty();
            assert_eq!(ends, state.open_to.is_empty(), "{status}");
            assert!(state.kept_days.is_some() || state.kept_days_after_expiry.is_some());
        }
    }

    #[test]
    fn a_kind_of_prescription_has_its_performer_and_its_dates() {
        for (flow, performer, accepted) in [
            ("160", "Öffentliche Apotheke", "2025-02-12"),
            ("162", "Kostenträger", "2025-04-15"),
            ("169", "Öffentliche Apotheke", "2025-02-12"),
            ("200", "Öffentliche Apotheke", "2025-04-15"),
            ("209", "Öffentliche Apotheke", "2025-04-15"),
        ] {
            let (day, _) = Timestamp::range("2025-01-15").unwrap();
            let expires = day.plus_months(VALID_MONTHS);
            let record = json!({ "n": "1", "f": flow, "s": "ready", "a": "1", "d": day, "m": day, "e": expires });
            let shown = task(&serde_json::from_value(record).unwrap(), false, false);
            assert_eq!(shown["performerType"][0]["text"], performer, "{flow}");
            assert_eq!(shown["extension"][1]["valueDate"], accepted, "{flow}");
            assert_eq!(shown["extension"][2]["valueDate"], "2025-04-15", "{flow}");
        }
    }

    #[test]
    fn number_and_patient_are_read_out_of_either_form() {
        let xml = format!(
            "<system value=\"{NUMBER}\"/>\n  <value value=\"160.1\"/> <system value=\"{PATIENT}\"/><value value=\"X1\"/>"
        );
        let json = json!({ "a": { "system": NUMBER, "value": "160.1" }, "b": { "system": PATIENT, "value": "X1" } });
        for text in [xml, json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
            assert_eq!(value_after(&text, NUMBER).as_deref(), Some("160.1"), "{text}");
            assert_eq!(value_after(&text, PATIENT).as_deref(), Some("X1"), "{text}");
        }
    }
}
