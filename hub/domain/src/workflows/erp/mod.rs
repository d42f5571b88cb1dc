//! Prescriptions as gematik's E-Rezept does them: a Task that the doctor creates and activates, the pharmacy accepts,
//! rejects or closes, and either may abort, each proving itself by a code that only it was told.
//!
//! Here is what each operation does; `message` reads what comes in, `answer` writes what goes out.
//!
//! Which state is open to what, and how long it is kept, is a table (`tables/erezept.json`). Source: gematik/api-erp, `docs/`.

mod answer;
mod message;

use std::sync::LazyLock;

use schemas::ids::TaskId;
use schemas::resource::{Body, Key, Kind};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use self::answer::{answer, new_task};
use self::message::fault;
use super::follow::{Face, show, task_state};
use super::wake::set_wake;
use super::{Answer, Outcome};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::plan::run::Run;
use crate::refusal::Refusal;
use crate::scene::Needs;
use crate::task_machine::{Matrix, Transition};

pub use self::answer::{receipt, task, told};
pub use self::message::{read_accept, read_activate, read_create, read_dispenses};

/// The table as it is published.
pub const TABLE: &str = include_str!("../../../tables/erezept.json");

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
const VALID_MONTHS: u16 = 3;
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
    pub fn name(&self) -> &'static str {
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
        _ => None,
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
    set_wake(draft, root, kept_until(&record));
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
}
