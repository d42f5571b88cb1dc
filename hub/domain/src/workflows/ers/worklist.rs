//! Worklists: which there are for whom, and how an entry of each looks.
//!
//! Source of the shapes: NHSDigital/e-referrals-service-api, `sandbox/src/mocks/stu3/retrieveWorklist`.

use schemas::resource::{Body, Key};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::codes::{FIELD_NOT_PERMITTED, INVALID_CODE, MISSING_VALUE};
use super::read::Reader;
use super::record::{Record, Speaker};
use super::table::{self, Side, State, Worklist};
use super::{REC_FORBIDDEN, request_key, shown};
use crate::refusal::Refusal;

const SPECIALTY: &str = "https://api.service.nhs.uk/referrals/FHIR/STU3/CodeSystem/SPECIALTY";

/// A worklist that is asked for, with its filters.
#[derive(Debug, Clone)]
pub struct Asked {
    pub list: &'static Worklist,
    service: Option<String>,
    clinician: Option<String>,
    specialty: Option<String>,
}

/// `$worklist`
pub fn read(parameters: &Body, by: &Speaker) -> Result<Asked, Refusal> {
    let mut reader = Reader::new(parameters);
    let names: Vec<&str> = table::worklists().iter().map(|list| list.list.as_str()).collect();
    let path = "Parameters.parameter(\"listType\")";
    let asked = reader.one("listType", "valueCodeableConcept");
    let code = asked.as_ref().map(|found| found.value["coding"][0]["code"].as_str().unwrap_or_default());
    let list = code.and_then(|code| table::worklists().iter().find(|list| list.list == code));
    match (code, list) {
        (None, _) if reader.faults.is_empty() => reader.faults.push(MISSING_VALUE.because(path, "listType is missing")),
        (Some(_), None) => {
            reader.faults.push(INVALID_CODE.because(path, format!("listType is one of {}", names.join(", "))));
        }
        _ => {}
    }
    let service = reader.one("service", "valueReference");
    let clinician = reader.one("clinician", "valueIdentifier");
    let specialty = reader.one("specialty", "valueCodeableConcept");
    let filters = [&service, &clinician, &specialty];
    if list.is_some_and(|list| list.of == Side::Referrer) {
        for filter in filters.into_iter().flatten() {
            let text = "the lists of referrers take no filters";
            reader.faults.push(FIELD_NOT_PERMITTED.because(&filter.path, text));
        }
    }
    let id = |value: &Value| value["reference"].as_str().and_then(Key::of_reference).map(|key| key.id);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let service = service.map(|found| id(found.value).unwrap_or_default());
    let clinician = clinician.and_then(|found| text(&found.value["value"]));
    let specialty = specialty.and_then(|found| text(&found.value["coding"][0]["code"]));
    let asked = list.map(|list| Asked { list, service, clinician, specialty });
    let asked = reader.finish(asked)?.ok_or_else(|| MISSING_VALUE.refusal())?;
    if asked.list.of != by.role.side() {
        return Err(REC_FORBIDDEN.refused("", "this list is for the other side"));
    }
    Ok(asked)
}

impl Asked {
    /// Whether this referral is on the list. Who looked for Tasks may have seen an older state.
    pub fn has(&self, record: &Record, by: &Speaker) -> bool {
        let is_there = match self.list.step {
            Some(_) => record.awaits_letter() && !record.state.is_over(),
            None => self.list.states.contains(&record.state),
        };
        let fits = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        is_there
            && record.concerns(by)
            && fits(&self.service, &record.sent_to)
            && fits(&self.clinician, &record.clinician)
            && fits(&self.specialty, &record.specialty)
    }
}

/// The List, as the service shows it.
pub fn list(asked: &Asked, found: &[(Uuid, Record, u32)]) -> Value {
    let entry = |(root, record, version): &(Uuid, Record, u32)| {
        let name = &asked.list.entry;
        let url = format!("https://fhir.nhs.uk/STU3/StructureDefinition/Extension-eRS-{name}-WorkListItem-1");
        json!({
            "extension": [{ "url": url, "extension": told(asked.list, record, *version) }],
            "item": shown::reference(&request_key(record, *root)),
        })
    };
    let entries: Vec<Value> = found.iter().map(entry).collect();
    let mut list = json!({ "resourceType": "List", "status": "current", "mode": "snapshot" });
    if !entries.is_empty() {
        list["entry"] = entries.into();
    }
    list
}

/// What an entry tells of its referral.
fn told(list: &Worklist, record: &Record, version: u32) -> Vec<Value> {
    let mut all = vec![
        json!({ "url": "priority", "valueCodeableConcept": shown::priority(record) }),
        json!({ "url": "patient", "valueReference": shown::patient(record) }),
    ];
    let mut time = |url: &str, at: Option<Timestamp>| {
        all.extend(at.map(|at| json!({ "url": url, "valueDateTime": at.to_string() })));
    };
    if list.list == "ADVICE_AND_GUIDANCE_REQUESTS" {
        time("adviceFirstRequested", Some(record.created));
    } else if list.step.is_some() {
        time("referralCreated", Some(record.created));
    } else {
        time("eReferralPathwayStart", Some(record.pathway_start));
        time("clinicalInfoFirstSubmitted", record.letter_first);
        time("clinicalInfoLastUpdated", record.letter_last);
    }
    let coded = |url: &str, system: &str, code: &str| json!({ "url": url, "valueCodeableConcept": { "coding": [{ "system": system, "code": code }] } });
    all.extend(record.specialty.as_ref().map(|code| coded("specialty", SPECIALTY, code)));
    match list.of {
        Side::Provider => {
            all.extend(
                record.service().map(|service| json!({ "url": "service", "valueReference": shown::service(service) })),
            );
        }
        Side::Referrer => {
            all.push(json!({ "url": "referrer", "valueReference": shown::organization(&record.referrer) }));
        }
    }
    all.extend(of_list(list, record, coded));
    all.push(json!({ "url": "referralRequestVersion", "valueInteger": version }));
    all
}

/// What only the entries of one list tell.
fn of_list(list: &Worklist, record: &Record, coded: impl Fn(&str, &str, &str) -> Value) -> Vec<Value> {
    let system = |name: &str| format!("https://fhir.nhs.uk/STU3/CodeSystem/{name}");
    match list.list.as_str() {
        "REFERRALS_FOR_REVIEW" => {
            let kind = if record.state == State::Booked { "APPOINTMENT" } else { "TRIAGE_DEFERRAL" };
            let mut told = vec![
                coded("referralType", &system("eRS-ReferralType-1"), kind),
                coded("requestContextStatus", &system("eRS-RequestContextStatus-1"), "NEVER_REVIEWED"),
            ];
            let start = record.appointment.as_ref().map(|booked| &booked.start);
            told.extend(start.map(|start| json!({ "url": "appointmentStart", "valueDateTime": start })));
            told
        }
        "APPOINTMENT_SLOT_ISSUES" => {
            let status = if record.letter_first.is_some() { "PRESENT" } else { "NOT_PRESENT" };
            let reason = record.reason.as_ref().and_then(|reason| reason.row());
            let mut told = vec![coded("clinicalInformationStatus", &system("eRS-ClinicalInformationStatus-1"), status)];
            told.extend(reason.map(|row| coded("reason", &row.system(), &row.code)));
            told
        }
        "LETTERS_OUTSTANDING" => {
            let due = record.letter_due.map(|due| json!({ "url": "letterDue", "valueDate": due.date() }));
            due.into_iter().collect()
        }
        "ADVICE_AND_GUIDANCE_REQUESTS" => {
            vec![coded("category", record.state.system(), record.state.code())]
        }
        _ => vec![coded("referralState", record.state.system(), record.state.shown().0)],
    }
}
