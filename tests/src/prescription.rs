//! What prescribers and pharmacies send to the Electronic Prescription Service, about people and places that are made up.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rest::{Client, Reply};

const NHS: &str = "https://fhir.nhs.uk";
/// Nobody's: from the range that is set aside for tests.
pub const PATIENT: &str = "9990548609";
const UUIDS: &str = "https://tools.ietf.org/html/rfc4122";

/// An XML signature without content, in base64.
const SIGNATURE: &str = "PFNpZ25hdHVyZSB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC8wOS94bWxkc2lnIyI+PFNpZ25lZEluZm8+PFJlZmVyZW5j\
                         ZT48RGlnZXN0VmFsdWU+PC9EaWdlc3RWYWx1ZT48L1JlZmVyZW5jZT48L1NpZ25lZEluZm8+PFNpZ25hdHVyZVZhbHVlPjwvU2ln\
                         bmF0dXJlVmFsdWU+PEtleUluZm8+PFg1MDlEYXRhPjxYNTA5Q2VydGlmaWNhdGU+PC9YNTA5Q2VydGlmaWNhdGU+PC9YNTA5RGF0\
                         YT48L0tleUluZm8+PC9TaWduYXR1cmU+";

const PRESCRIBER_KEY: &str = include_str!("../../hub/tests/keys/prescriber-rsa.pem");
const PRESCRIBER: &str = include_str!("../../hub/tests/keys/prescriber.pem");
const PRESCRIBERS_ISSUER: &str = include_str!("../../hub/tests/keys/prescribers-issuer.pem");

/// One prescription and all messages about it.
#[derive(Debug, Clone)]
pub struct Prescription {
    /// Short, with its check character.
    pub number: String,
    pub long_number: Uuid,
    pub items: Vec<Uuid>,
    /// `acute`, `continuous` or `continuous-repeat-dispensing`.
    pub course: &'static str,
    pub nominated: Option<String>,
    pub repeats: u32,
    pub patient: String,
    pub prescriber: String,
    /// The day on which it is written.
    pub authored: Option<String>,
}

impl Prescription {
    /// With so many items, and nobody nominated.
    pub fn new(items: usize) -> Self {
        Self {
            number: number(),
            long_number: Uuid::new_v4(),
            items: (0..items).map(|_| Uuid::new_v4()).collect(),
            course: "acute",
            nominated: None,
            repeats: 0,
            patient: PATIENT.into(),
            prescriber: "A83008".into(),
            authored: None,
        }
    }

    pub fn nominated(self, pharmacy: &str) -> Self {
        Self { nominated: Some(pharmacy.into()), ..self }
    }

    /// So many issues; written on this day.
    pub fn repeat_dispensing(self, issues: u32, authored: &str) -> Self {
        let course = "continuous-repeat-dispensing";
        Self { course, repeats: issues - 1, authored: Some(authored.into()), ..self }
    }

    pub fn group(&self) -> Value {
        json!({
            "system": format!("{NHS}/Id/prescription-order-number"),
            "value": self.number,
            "extension": [{
                "url": format!("{NHS}/StructureDefinition/Extension-DM-PrescriptionId"),
                "valueIdentifier": { "system": format!("{NHS}/Id/prescription"), "value": self.long_number },
            }],
        })
    }

    /// The number as a query has it: a check character may be a plus.
    pub fn escaped(&self) -> String {
        self.number.replace('+', "%2B")
    }

    fn request(&self, item: Uuid) -> Value {
        let site = if self.nominated.is_some() { "P1" } else { "0004" };
        let mut dispense = json!({
            "extension": [{
                "url": format!("{NHS}/StructureDefinition/Extension-DM-PerformerSiteType"),
                "valueCoding": { "system": format!("{NHS}/CodeSystem/dispensing-site-preference"), "code": site },
            }],
            "quantity": { "value": 28, "unit": "tablet", "system": "http://snomed.info/sct", "code": "428673006" },
            "expectedSupplyDuration": { "value": 28, "unit": "day", "system": "http://unitsofmeasure.org", "code": "d" },
        });
        if let Some(pharmacy) = &self.nominated {
            dispense["performer"] = json!({ "identifier": ods(pharmacy) });
        }
        if self.course == "continuous-repeat-dispensing" {
            dispense["numberOfRepeatsAllowed"] = self.repeats.into();
            dispense["validityPeriod"] = json!({ "start": self.authored });
        }
        let mut request = json!({
            "resourceType": "MedicationRequest",
            "extension": [{
                "url": format!("{NHS}/StructureDefinition/Extension-DM-PrescriptionType"),
                "valueCoding": { "system": format!("{NHS}/CodeSystem/prescription-type"), "code": "0101" },
            }],
            "identifier": [item_number(item)],
            "status": "active",
            "intent": "order",
            "category": [{ "coding": [{ "code": "community" }] }],
            "medicationCodeableConcept": { "coding": [{
                "system": "http://snomed.info/sct",
                "code": "322280009",
                "display": "Paracetamol 500mg capsules",
            }] },
            "subject": reference(1),
            "requester": reference(2),
            "groupIdentifier": self.group(),
            "courseOfTherapyType": { "coding": [{ "code": self.course }] },
            "dosageInstruction": [{ "text": "One, four times a day" }],
            "dispenseRequest": dispense,
        });
        if let Some(day) = &self.authored {
            request["authoredOn"] = day.as_str().into();
        }
        if self.course == "continuous" {
            let repeats = json!({
                "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-MedicationRepeatInformation",
                "extension": [{ "url": "authorisationExpiryDate", "valueDateTime": "2030-01-01" }],
            });
            request["extension"].as_array_mut().unwrap().push(repeats);
        }
        request
    }

    fn parties(&self) -> Vec<(Uuid, Value)> {
        let role = json!({
            "resourceType": "PractitionerRole",
            "identifier": [{ "system": format!("{NHS}/Id/sds-role-profile-id"), "value": "100102238986" }],
            "practitioner": reference(3),
            "organization": reference(4),
            "telecom": [{ "system": "phone", "use": "work", "value": "01632 960000" }],
        });
        let organization = json!({
            "resourceType": "Organization",
            "identifier": [ods(&self.prescriber)],
            "name": "A SURGERY",
            "partOf": { "identifier": ods("84H") },
        });
        vec![
            (fixed(1), patient(&self.patient)),
            (fixed(2), role),
            (fixed(3), json!({ "resourceType": "Practitioner", "name": [{ "family": "TESTER" }] })),
            (fixed(4), organization),
        ]
    }

    fn message(&self, event: &str, sender: &str, parts: Vec<(Uuid, Value)>) -> Value {
        let header = json!({
            "resourceType": "MessageHeader",
            "eventCoding": { "system": format!("{NHS}/CodeSystem/message-event"), "code": event },
            "sender": { "identifier": ods(sender) },
            "source": { "endpoint": format!("urn:nhs-uk:addressing:ods:{sender}") },
        });
        let entry =
            |(id, resource): (Uuid, Value)| json!({ "fullUrl": format!("urn:uuid:{id}"), "resource": resource });
        json!({
            "resourceType": "Bundle",
            "id": Uuid::new_v4(),
            "identifier": { "system": UUIDS, "value": Uuid::new_v4() },
            "type": "message",
            "entry": std::iter::once((Uuid::new_v4(), header)).chain(parts).map(entry).collect::<Vec<_>>(),
        })
    }

    /// The order as it is to be signed.
    pub fn unsigned(&self) -> Value {
        let requests = self.items.iter().map(|item| (*item, self.request(*item)));
        self.message("prescription-order", &self.prescriber, requests.chain(self.parties()).collect())
    }

    /// Signed in its form only.
    pub fn order(&self) -> Value {
        self.with_signature(SIGNATURE)
    }

    /// Signed with a key whose certificate leads to a root. `prepared`: what `$prepare` gave out.
    pub fn signed(&self, prepared: &Reply) -> Value {
        let info = STANDARD.decode(prepared.body["parameter"][0]["valueString"].as_str().unwrap()).unwrap();
        let key = EncodingKey::from_rsa_pem(PRESCRIBER_KEY.as_bytes()).unwrap();
        let value = URL_SAFE_NO_PAD.decode(sign(&info, &key, Algorithm::RS256).unwrap()).unwrap();
        let certificates = [PRESCRIBER, PRESCRIBERS_ISSUER].map(|pem| {
            let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            format!("<X509Certificate>{base64}</X509Certificate>")
        });
        // Within a Signature its parts are in its namespace.
        let xmlns = " xmlns=\"http://www.w3.org/2000/09/xmldsig#\"";
        let signature = format!(
            "<Signature{xmlns}>{}<SignatureValue>{}</SignatureValue><KeyInfo><X509Data>{}</X509Data></KeyInfo></Signature>",
            String::from_utf8(info).unwrap().replace(xmlns, ""),
            STANDARD.encode(value),
            certificates.concat(),
        );
        self.with_signature(&STANDARD.encode(signature))
    }

    fn with_signature(&self, signature: &str) -> Value {
        let mut order = self.unsigned();
        let when = self.authored.as_ref().map_or_else(now, |day| format!("{day}T09:00:00Z"));
        let provenance = json!({
            "resourceType": "Provenance",
            "target": self.items.iter().map(|item| json!({ "reference": format!("urn:uuid:{item}") })).collect::<Vec<_>>(),
            "recorded": when,
            "agent": [{ "who": { "reference": format!("urn:uuid:{}", fixed(2)) } }],
            "signature": [{
                "type": [{ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1" }],
                "when": when,
                "who": { "reference": format!("urn:uuid:{}", fixed(2)) },
                "data": signature,
            }],
        });
        let entry = json!({ "fullUrl": format!("urn:uuid:{}", Uuid::new_v4()), "resource": provenance });
        order["entry"].as_array_mut().unwrap().push(entry);
        order
    }

    /// Cancels an item; the whole when there is none. `by`: another organisation than the one that prescribed.
    pub fn cancellation(&self, item: Option<usize>, by: Option<&str>) -> Value {
        let id = item.map_or_else(Uuid::new_v4, |n| self.items[n]);
        let mut request = self.request(id);
        request["status"] = "cancelled".into();
        request["statusReason"] = json!({ "coding": [{
            "system": format!("{NHS}/CodeSystem/medicationrequest-status-reason"),
            "code": "0001",
        }] });
        if item.is_none() {
            request.as_object_mut().unwrap().remove("identifier");
        }
        let prescriber = by.unwrap_or(&self.prescriber).to_owned();
        let asking = Self { prescriber, ..self.clone() };
        let parts = std::iter::once((id, request)).chain(asking.parties()).collect();
        self.message("prescription-order-update", &asking.prescriber, parts)
    }

    /// What a pharmacy asks for this prescription.
    pub fn release_by(&self, pharmacy: &str) -> Value {
        let mut parameters = nominated_release(pharmacy);
        let number = json!({ "name": "group-identifier", "valueIdentifier": self.group() });
        parameters["parameter"].as_array_mut().unwrap().push(number);
        parameters
    }

    /// Tells the new state of the prescription and of each item.
    pub fn notification(&self, pharmacy: &str, state: &str, items: &[&str]) -> Value {
        let role = json!({
            "resourceType": "PractitionerRole",
            "id": "performer",
            "practitioner": { "identifier": { "system": format!("{NHS}/Id/sds-user-id"), "value": "3415870201" } },
            "organization": { "reference": format!("urn:uuid:{}", fixed(9)) },
        });
        let dispense = |(item, code): (&Uuid, &&str)| {
            let dispense = json!({
                "resourceType": "MedicationDispense",
                "contained": [role, {
                    "resourceType": "MedicationRequest",
                    "id": "m",
                    "identifier": [item_number(*item)],
                    "status": "active",
                    "intent": "order",
                    "medicationCodeableConcept": { "text": "Paracetamol 500mg capsules" },
                    "subject": { "identifier": nhs_number(&self.patient) },
                    "groupIdentifier": self.group(),
                }],
                "extension": [{
                    "url": format!("{NHS}/StructureDefinition/Extension-EPS-TaskBusinessStatus"),
                    "valueCoding": { "system": format!("{NHS}/CodeSystem/EPS-task-business-status"), "code": state },
                }],
                "status": "completed",
                "medicationCodeableConcept": { "text": "Paracetamol 500mg capsules" },
                "subject": { "identifier": nhs_number(&self.patient) },
                "performer": [{ "actor": { "reference": "#performer" } }],
                "authorizingPrescription": [{ "reference": "#m" }],
                "type": { "coding": [{ "system": format!("{NHS}/CodeSystem/medicationdispense-type"), "code": code }] },
            });
            (Uuid::new_v4(), dispense)
        };
        let organization = json!({
            "resourceType": "Organization",
            "identifier": [ods(pharmacy)],
            "extension": [{
                "url": format!("{NHS}/StructureDefinition/Extension-ODS-OrganisationRelationships"),
                "extension": [{ "url": "reimbursementAuthority", "valueIdentifier": ods("T1450") }],
            }],
            "name": "A PHARMACY",
        });
        let parts = self.items.iter().zip(items).map(dispense).chain([(fixed(9), organization)]).collect();
        self.message("dispense-notification", pharmacy, parts)
    }

    /// The same, handed over at a given time.
    pub fn notification_at(&self, pharmacy: &str, state: &str, items: &[&str], when: &str) -> Value {
        let mut message = self.notification(pharmacy, state, items);
        for entry in message["entry"].as_array_mut().unwrap() {
            if entry["resource"]["resourceType"] == "MedicationDispense" {
                entry["resource"]["whenHandedOver"] = when.into();
            }
        }
        message
    }

    /// Instead of the last notification.
    pub fn amendment(&self, of: &Value, pharmacy: &str, state: &str, items: &[&str]) -> Value {
        let mut message = self.notification(pharmacy, state, items);
        message["entry"][0]["resource"]["extension"] = json!([{
            "url": format!("{NHS}/StructureDefinition/Extension-replacementOf"),
            "valueIdentifier": of["identifier"],
        }]);
        message
    }

    fn task(&self, pharmacy: &str, status: &str, code: &str, reason: (&str, &str), focus: &str) -> Value {
        json!({
            "resourceType": "Task",
            "contained": [
                {
                    "resourceType": "PractitionerRole",
                    "id": "requester",
                    "organization": { "reference": "#organization" },
                },
                { "resourceType": "Organization", "id": "organization", "identifier": [ods(pharmacy)] },
            ],
            "identifier": [{ "system": UUIDS, "value": Uuid::new_v4() }],
            "status": status,
            "statusReason": { "coding": [{ "system": format!("{NHS}/CodeSystem/{}", reason.0), "code": reason.1 }] },
            "intent": "order",
            "code": { "coding": [{ "system": "http://hl7.org/fhir/CodeSystem/task-code", "code": code }] },
            "groupIdentifier": self.group(),
            "focus": { "identifier": { "system": UUIDS, "value": focus } },
            "for": { "identifier": nhs_number(&self.patient) },
            "authoredOn": "2026-11-23T12:00:00Z",
            "requester": { "reference": "#requester" },
        })
    }

    /// Gives back what this release gave.
    pub fn return_by(&self, pharmacy: &str, release: &str) -> Value {
        let reason = ("EPS-task-dispense-return-status-reason", "0003");
        self.task(pharmacy, "rejected", "fulfill", reason, release)
    }

    /// Takes a notification back.
    pub fn withdrawal_by(&self, pharmacy: &str, notification: &Value) -> Value {
        let id = notification["identifier"]["value"].as_str().unwrap();
        self.task(pharmacy, "in-progress", "abort", ("EPS-task-dispense-withdraw-reason", "MU"), id)
    }

    pub fn claim_by(&self, pharmacy: &str) -> Value {
        let number = |url: &str, identifier: Value| json!({ "url": url, "valueIdentifier": identifier });
        json!({
            "resourceType": "Claim",
            "contained": [
                {
                    "resourceType": "PractitionerRole",
                    "id": "provider",
                    "organization": { "reference": "#organization" },
                },
                { "resourceType": "Organization", "id": "organization", "identifier": [ods(pharmacy)] },
            ],
            "identifier": [{ "system": UUIDS, "value": Uuid::new_v4() }],
            "status": "active",
            "type": { "coding": [{ "code": "pharmacy" }] },
            "use": "claim",
            "patient": { "identifier": nhs_number(&self.patient) },
            "created": "2026-11-23",
            "provider": { "reference": "#provider" },
            "priority": { "coding": [{ "code": "normal" }] },
            "insurance": [{ "sequence": 1, "focal": true, "coverage": { "identifier": ods("T1450") } }],
            "item": [{
                "sequence": 1,
                "productOrService": { "coding": [{ "system": "http://snomed.info/sct", "code": "16076005" }] },
                "detail": self.items.iter().zip(1..).map(claimed).collect::<Vec<_>>(),
            }],
            "prescription": { "extension": [{
                "url": format!("{NHS}/StructureDefinition/Extension-DM-GroupIdentifier"),
                "extension": [
                    number("shortForm", self.group()),
                    number("UUID", json!({ "system": format!("{NHS}/Id/prescription"), "value": self.long_number })),
                ],
            }] },
        })
    }

    /// What a pharmacy does with an item.
    pub fn status_update(&self, item: usize, word: &str) -> Value {
        let ends = matches!(word.to_lowercase().as_str(), "collected" | "dispatched" | "not dispensed");
        json!({
            "resourceType": "Task",
            "id": Uuid::new_v4(),
            "basedOn": [{ "identifier": self.group() }],
            "status": if ends { "completed" } else { "in-progress" },
            "businessStatus": { "coding": [{
                "system": format!("{NHS}/CodeSystem/task-businessStatus-nppt"),
                "code": word,
            }] },
            "intent": "order",
            "focus": { "identifier": item_number(self.items[item]) },
            "for": { "identifier": nhs_number(&self.patient) },
            "lastModified": now(),
            "owner": { "identifier": ods("FA565") },
        })
    }

    /// Where the service says that it stands: the code of each issue, and of each of its items.
    pub async fn stands(&self, service: &Client) -> Vec<(String, Vec<String>)> {
        stands_in(&service.get(&format!("Task?identifier={}", self.number)).await.is(200))
    }

    /// The state of its only issue.
    pub async fn state(&self, service: &Client) -> String {
        self.stands(service).await.into_iter().next().map(|(state, _)| state).unwrap_or_default()
    }
}

/// An item that is claimed for, with nothing to endorse.
fn claimed((item, sequence): (&Uuid, u32)) -> Value {
    json!({
        "extension": [{
            "url": format!("{NHS}/StructureDefinition/Extension-ClaimMedicationRequestReference"),
            "valueReference": { "identifier": item_number(*item) },
        }],
        "sequence": sequence,
        "productOrService": { "coding": [{ "system": "http://snomed.info/sct", "code": "322280009" }] },
        "programCode": [{ "coding": [{
            "system": format!("{NHS}/CodeSystem/medicationdispense-endorsement"),
            "code": "NDEC",
        }] }],
    })
}

/// The code of each issue that the tracker shows, and of each of its items.
pub fn stands_in(page: &Reply) -> Vec<(String, Vec<String>)> {
    let issue = |task: Value| {
        let items = task["input"].as_array().unwrap().iter().map(|input| {
            let told = input["extension"][0]["extension"].as_array().unwrap();
            let status = told.iter().find(|told| told["url"] == "dispenseStatus").unwrap();
            status["valueCoding"]["code"].as_str().unwrap().to_owned()
        });
        (task["businessStatus"]["coding"][0]["code"].as_str().unwrap().to_owned(), items.collect())
    };
    page.resources().into_iter().map(issue).collect()
}

/// What a pharmacy asks for all prescriptions that nominate it.
pub fn nominated_release(pharmacy: &str) -> Value {
    json!({
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "owner",
                "resource": {
                    "resourceType": "Organization",
                    "identifier": [ods(pharmacy)],
                    "name": "A PHARMACY",
                    "telecom": [{ "system": "phone", "use": "work", "value": "01632 960001" }],
                },
            },
            { "name": "status", "valueCode": "accepted" },
            {
                "name": "agent",
                "resource": {
                    "resourceType": "PractitionerRole",
                    "practitioner": { "identifier": { "system": format!("{NHS}/Id/sds-user-id"), "value": "3415870201" } },
                    "telecom": [{ "system": "phone", "use": "work", "value": "01632 960001" }],
                },
            },
        ],
    })
}

/// The transaction in which a pharmacy pushes them.
pub fn status_updates(tasks: &[Value]) -> Value {
    let entry = |task: &Value| {
        let url = format!("urn:uuid:{}", task["id"].as_str().unwrap());
        json!({ "fullUrl": url, "resource": task, "request": { "method": "POST", "url": "Task" } })
    };
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": tasks.iter().map(entry).collect::<Vec<_>>() })
}

/// The code by which the service calls the first fault.
pub fn code_of(reply: &Reply) -> &str {
    reply.body["issue"][0]["details"]["coding"][0]["code"].as_str().unwrap_or_default()
}

/// The code of the answer to a cancellation.
pub fn response_of(reply: &Reply) -> String {
    if reply.body["resourceType"] == "OperationOutcome" {
        return code_of(reply).to_owned();
    }
    let request =
        reply.resources().into_iter().find(|resource| resource["resourceType"] == "MedicationRequest").unwrap();
    let extensions = request["extension"].as_array().unwrap().clone();
    let url = format!("{NHS}/StructureDefinition/Extension-DM-PrescriptionStatusHistory");
    let history = extensions.into_iter().find(|extension| extension["url"] == url.as_str()).unwrap();
    history["extension"][0]["valueCoding"]["code"].as_str().unwrap().to_owned()
}

/// A number that nobody has had, with the right check character.
pub fn number() -> String {
    let random = Uuid::new_v4().simple().to_string().to_uppercase();
    let body = format!("{}A83008{}", &random[..6], &random[6..11]);
    let sum = body.chars().fold(0, |sum, c| (sum + c.to_digit(36).unwrap()) * 2 % 37);
    let check = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+"[((38 - sum) % 37) as usize] as char;
    format!("{}-A83008-{}{check}", &random[..6], &random[6..11])
}

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    schemas::time::Timestamp(since.as_micros() as i64).to_string()
}

fn fixed(n: u128) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | n)
}

fn reference(n: u128) -> Value {
    json!({ "reference": format!("urn:uuid:{}", fixed(n)) })
}

fn ods(code: &str) -> Value {
    json!({ "system": format!("{NHS}/Id/ods-organization-code"), "value": code })
}

fn nhs_number(number: &str) -> Value {
    json!({ "system": format!("{NHS}/Id/nhs-number"), "value": number })
}

fn item_number(item: Uuid) -> Value {
    json!({ "system": format!("{NHS}/Id/prescription-order-item-number"), "value": item })
}

fn patient(number: &str) -> Value {
    json!({ "resourceType": "Patient", "identifier": [nhs_number(number)], "name": [{ "family": "TEST" }] })
}
