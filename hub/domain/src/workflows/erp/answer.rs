//! What is shown: Tasks, the receipt, refusals, in the service's own shapes.

use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::outcome::Issue;
use schemas::plan::WORK;
use schemas::resource::Body;
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ACCEPTED_DAYS, ACCESS_CODE, DOCUMENT_TYPE, FLOW_TYPE, FLOWS, NUMBER, PATIENT, Record, SECRET, TELEMATIK, Wish,
    document_key, root_of,
};
use crate::workflows::{Answer, Outcome};

/// The hub's own Task: no code of anybody in it.
pub(super) fn new_task(record: &Record, id: TaskId, now: Timestamp) -> Body {
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

pub(super) fn answer(wish: &Wish, record: &Record) -> Answer {
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
    use super::super::VALID_MONTHS;
    use super::*;

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
}
