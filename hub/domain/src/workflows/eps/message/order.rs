//! The order: a prescription that is sent, or is to be signed.

use std::sync::Arc;

use schemas::outcome::{Issue, Severity};
use schemas::resource::{Body, list, text_at};
use schemas::task::Priority;
use schemas::time::Timestamp;
use serde_json::Value;

use super::{
    BAD_SIGNATURE, Faults, ITEM_NUMBER, NHS_NUMBER, NUMBER, ODS, PRESCRIPTION_TYPE, Policy, check_prescription_number,
    member, name_of, of_type, tell_unlike, unable,
};
use crate::refusal::Refusal;
use crate::workflows::Reading;
use crate::workflows::bundle::{Message, at, code, extension, identifier, inner};
use crate::workflows::eps::codes;
use crate::workflows::eps::number::is_nhs_number;
use crate::workflows::eps::record::{Course, ItemOf};
use crate::workflows::eps::signature::{self, Verifier};

const SNOMED: &str = "http://snomed.info/sct";
const REPEAT_INFORMATION: &str =
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-MedicationRepeatInformation";
const PERFORMER_SITE: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PerformerSiteType";
const RESPONSIBLE: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-ResponsiblePractitioner";
const PRESCRIPTION_ID: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionId";
/// The event of the message.
const EVENT: &str = "prescription-order";
const ITEMS_MAX: usize = 4;
const DAYS_SUPPLY: u32 = 28;
const DAYS_SUPPLY_MAX: u64 = 366;

/// A prescription that was sent, or is to be signed.
#[derive(Debug, Clone)]
pub struct Order {
    pub number: String,
    pub long_number: Option<String>,
    pub patient: String,
    pub prescriber: String,
    pub prescriber_name: Option<String>,
    pub course: Course,
    pub kind: Option<String>,
    /// The most urgent of its items.
    pub priority: Priority,
    pub nominated: Option<String>,
    /// None: it does not say.
    pub prescribed: Option<Timestamp>,
    /// From when on it may be dispensed.
    pub window_begins: Option<Timestamp>,
    pub days_supply: u32,
    pub issues: u32,
    pub items: Vec<ItemOf>,
    /// MedicationRequests that stand by themselves, in the order of the items.
    pub requests: Vec<Body>,
    pub bundle_id: Option<String>,
    pub bundle: Body,
    /// Its signature was verified.
    pub is_verified: bool,
}

/// Reads a prescription. `signed`: it must carry its signature.
pub fn order(bundle: &Body, signed: bool, reading: &Reading) -> Result<Order, Refusal> {
    let message = Message::of(bundle);
    let mut faults = Faults::default();
    check_event(&mut faults, &message);
    let requests = message.all("MedicationRequest");
    if !(1..=ITEMS_MAX).contains(&requests.len()) {
        faults.tell(codes::NUMBER_OF_ITEMS.issue());
    }
    let Some(first) = requests.first().copied() else { return faults.end(None) };
    if message.id().is_none() {
        faults.missing("Bundle.identifier");
    }
    check_alike(&mut faults, &requests);
    let number = check_number(&mut faults, &requests, &reading.eps);
    let course = check_course(&mut faults, &requests);
    check_items(&mut faults, &requests);
    check_parties(&mut faults, &message, first);
    let patient = check_patient(&mut faults, &message);
    if course == Some(Course::RepeatDispensing) {
        check_repeat_dispensing(&mut faults, &requests);
    }
    let window = check_window(&mut faults, first);
    if signed {
        check_signature(&mut faults, &message, reading);
    }
    let read = || {
        let number = number?;
        let course = course?;
        let repeats = |request: &Body| match course {
            Course::RepeatDispensing => repeats_of(request).unwrap_or(0) + 1,
            Course::Acute | Course::Repeat => 1,
        };
        let items: Vec<ItemOf> = requests.iter().map(|request| item_of(request, repeats(request))).collect();
        let role = message.follow(first.get("requester"));
        let organization = role.and_then(|role| message.follow(role.get("organization")));
        let sender = message.header().and_then(|header| header.get("sender"));
        let prescriber = organization
            .and_then(|body| identifier(body, ODS))
            .or_else(|| role.and_then(|role| at(role, "organization.identifier.value"))?.as_str())
            .or_else(|| sender?["identifier"]["value"].as_str())?;
        let provenance = message.one("Provenance");
        let signed_at = provenance.and_then(|p| p.get("signature")?.get(0)?.get("when")?.as_str());
        let dated = text_at(first, &["authoredOn"]).or(signed_at);
        Some(Order {
            number: number.to_owned(),
            long_number: long_number(first),
            patient: patient?,
            prescriber: prescriber.to_owned(),
            prescriber_name: organization.and_then(|body| text_at(body, &["name"])).map(str::to_owned),
            course,
            kind: extension(first, PRESCRIPTION_TYPE).and_then(|e| member(&e["valueCoding"], "code")),
            priority: requests.iter().map(|request| Priority::of(request)).min().unwrap_or(Priority::Routine),
            nominated: nominated(first),
            prescribed: dated.and_then(Timestamp::range).map(|(low, _)| low).or(window),
            window_begins: window,
            days_supply: days_supply(first),
            issues: items.iter().map(|item| item.issues).max().unwrap_or(1),
            items,
            requests: requests.iter().map(|request| message.cut_out(request)).collect(),
            bundle_id: text_at(bundle, &["id"]).map(str::to_owned),
            bundle: bundle.clone(),
            is_verified: signed && reading.eps.verifier.is_some(),
        })
    };
    let order = read();
    faults.end(order)
}

/// What is to be signed is an order, too.
fn check_event(faults: &mut Faults, message: &Message) {
    let event = message.header().and_then(|header| text_at(header, &["eventCoding", "code"]));
    if event != Some(EVENT) {
        let path = of_type("MessageHeader", "eventCoding.code");
        faults.value(&path, format!("MessageHeader.eventCoding.code must be {EVENT}."));
    }
}

/// What must be the same for all items: its words, and where it is.
const ALIKE: [(&str, &str); 11] = [
    ("groupIdentifier", "groupIdentifier"),
    ("category", "category"),
    ("authoredOn", "authoredOn"),
    ("subject", "subject"),
    ("requester", "requester"),
    ("dispenseRequest.performer", "dispenseRequest.performer"),
    ("dispenseRequest.validityPeriod", "dispenseRequest.validityPeriod"),
    ("dispenseRequest.expectedSupplyDuration", "dispenseRequest.expectedSupplyDuration"),
    ("dispenseRequest", PERFORMER_SITE),
    ("", PRESCRIPTION_TYPE),
    ("", RESPONSIBLE),
];

fn check_alike(faults: &mut Faults, requests: &[&Body]) {
    for (path, what) in ALIKE {
        let value = |request: &'_ Body| match what.starts_with("http") {
            false => at(request, path).cloned(),
            true if path.is_empty() => extension(request, what).cloned(),
            true => at(request, path).and_then(Value::as_object).and_then(|body| extension(body, what)).cloned(),
        };
        tell_unlike(faults, "MedicationRequest", &name_of(path, what), requests.iter().map(|r| value(r)));
    }
}

/// The number of the prescription, which all items carry.
fn check_number<'a>(faults: &mut Faults, requests: &[&'a Body], policy: &Policy) -> Option<&'a str> {
    let path = of_type("MedicationRequest", "groupIdentifier");
    if requests.iter().any(|request| at(request, "groupIdentifier.value").is_none()) {
        faults.missing(&path);
    }
    let first = requests.first()?;
    let number = text_at(first, &["groupIdentifier", "value"])?;
    if text_at(first, &["groupIdentifier", "system"]) != Some(NUMBER) {
        faults.value(&format!("{path}.system"), format!("the system of a prescription's number is {NUMBER}"));
    }
    check_prescription_number(faults, number, &path, policy);
    Some(number)
}

fn course_code(request: &Body) -> Option<&str> {
    code(request.get("courseOfTherapyType")?, "")
}

fn check_course(faults: &mut Faults, requests: &[&Body]) -> Option<Course> {
    let mut found: Vec<&str> = requests.iter().filter_map(|request| course_code(request)).collect();
    if found.len() < requests.len() {
        faults.missing(&of_type("MedicationRequest", "courseOfTherapyType"));
    }
    found.sort_unstable();
    found.dedup();
    let course = match found[..] {
        ["acute"] => Some(Course::Acute),
        ["continuous"] | ["acute", "continuous"] => Some(Course::Repeat),
        ["continuous-repeat-dispensing"] => Some(Course::RepeatDispensing),
        _ => None,
    };
    let path = "MedicationRequest.courseOfTherapyType.coding";
    let known = ["acute", "continuous", "continuous-repeat-dispensing"];
    if found.iter().any(|code| !known.contains(code)) {
        let text = format!("{path} must have a code of: {}.", known.join(", "));
        faults.tell(codes::INVALID_VALUE.at(path, text));
    } else if course.is_none() && !found.is_empty() {
        let text = "Course of therapy type must either match for all MedicationRequests or be a mixture of 'acute' and \
                    'continuous'.";
        faults.tell(Issue { severity: Severity::Fatal, ..codes::INVALID_VALUE.at(path, text) });
    }
    course
}

fn check_items(faults: &mut Faults, requests: &[&Body]) {
    let path = |name: &str| of_type("MedicationRequest", name);
    let ids: Vec<Option<String>> =
        requests.iter().map(|r| identifier(r, ITEM_NUMBER).map(str::to_ascii_lowercase)).collect();
    if ids.iter().any(Option::is_none) {
        faults.missing(&path("identifier"));
    }
    if ids.iter().flatten().enumerate().any(|(n, id)| ids[..n].contains(&Some(id.clone()))) {
        let text = "Expected all MedicationRequests to have a different value for identifier.";
        faults.tell(codes::DUPLICATE_ITEM.at(&path("identifier"), text));
    }
    let any = |test: &dyn Fn(&Body) -> bool| requests.iter().any(|request| test(request));
    if any(&|r| !matches!(text_at(r, &["intent"]), Some("order" | "original-order" | "instance-order"))) {
        faults.value(&path("intent"), "MedicationRequest.intent must be order, original-order or instance-order.");
    }
    if any(&|r| text_at(r, &["status"]) != Some("active")) {
        faults.value(&path("status"), "MedicationRequest.status must be active.");
    }
    if any(&|r| r.contains_key("medicationReference") && r.contains_key("medicationCodeableConcept")) {
        let text = "MedicationRequest cannot contain both medicationReference and medicationCodeableConcept fields.";
        faults.tell(codes::CONFLICTING.at(&path("medication"), text));
    }
    if any(&|r| extension(r, PRESCRIPTION_TYPE).is_none()) {
        faults.missing(&path(&format!("extension(\"{PRESCRIPTION_TYPE}\")")));
    }
    if any(&|r| list(r, "dosageInstruction").next().is_none()) {
        faults.missing(&path("dosageInstruction"));
    }
    if any(&|r| {
        list(r, "dosageInstruction").count() > 1 && list(r, "dosageInstruction").any(|d| d["sequence"].is_null())
    }) {
        let text =
            "The request contains multiple dosage instruction lines but no corresponding dosage sequence number.";
        faults.tell(codes::MISSING_VALUE.at(&path("dosageInstruction.sequence"), text));
    }
    if any(&|r| course_code(r) == Some("continuous") && review_date(r).is_none()) {
        let name = format!("extension(\"{REPEAT_INFORMATION}\").extension(\"authorisationExpiryDate\")");
        faults.missing(&path(&name));
    }
    let preference =
        |r: &Body| member(&extension(r.get("dispenseRequest")?.as_object()?, PERFORMER_SITE)?["valueCoding"], "code");
    for request in requests {
        let chosen = at(request, "dispenseRequest.performer.identifier.value").is_some();
        match preference(request).as_deref() {
            Some("0004") if chosen => {
                let text = "a prescription that is not nominated (0004) names no dispenser";
                faults.tell(codes::CONFLICTING.at(&path("dispenseRequest.performer"), text));
            }
            Some("P1" | "P2" | "P3") if !chosen => faults.missing(&path("dispenseRequest.performer")),
            Some("0004" | "P1" | "P2" | "P3") | None => {}
            Some(_) => {
                let name = format!("dispenseRequest.extension(\"{PERFORMER_SITE}\")");
                faults.value(&path(&name), "a dispensing site preference is one of P1, P2, P3 and 0004");
            }
        }
    }
}

fn review_date(request: &Body) -> Option<&Value> {
    inner(extension(request, REPEAT_INFORMATION)?, "authorisationExpiryDate")
}

fn repeats_of(request: &Body) -> Option<u32> {
    at(request, "dispenseRequest.numberOfRepeatsAllowed")?.as_u64()?.try_into().ok()
}

fn check_repeat_dispensing(faults: &mut Faults, requests: &[&Body]) {
    let path = |name: &str| of_type("MedicationRequest", name);
    let first = requests[0];
    for name in ["dispenseRequest.validityPeriod", "dispenseRequest.expectedSupplyDuration"] {
        if at(first, name).is_none() {
            faults.value(&path(name), format!("Expected MedicationRequest to have a value for {name}."));
        }
    }
    let repeats = "dispenseRequest.numberOfRepeatsAllowed";
    tell_unlike(faults, "MedicationRequest", repeats, requests.iter().map(|r| at(r, repeats).cloned()));
    let name = name_of("", REPEAT_INFORMATION);
    tell_unlike(faults, "MedicationRequest", &name, requests.iter().map(|r| extension(r, REPEAT_INFORMATION).cloned()));
    // Issues are one more than repeats.
    if !requests.iter().all(|r| repeats_of(r).is_some_and(|repeats| repeats < 99)) {
        faults.tell(codes::REPEAT_COUNT.at(&path(repeats), codes::REPEAT_COUNT.issue().text));
    }
}

/// The roles and organisations that it names.
fn check_parties(faults: &mut Faults, message: &Message, first: &Body) {
    let Some(requester) = message.follow(first.get("requester")) else {
        let path = of_type("MedicationRequest", "requester");
        faults.invalid(
            &path,
            format!("{path} populated incorrectly. Please populate with Reference to resource within Bundle."),
        );
        return;
    };
    for role in message.all("PractitionerRole") {
        for name in ["practitioner", "organization"] {
            let Some(reference) = role.get(name) else { continue };
            let leads = message.follow(Some(reference)).is_some();
            if !leads && (reference.get("identifier").is_none() || reference.get("reference").is_some()) {
                let text = format!(
                    "practitionerRole.{name} populated incorrectly. Please populate with Reference to resource within Bundle."
                );
                faults.invalid(&of_type("PractitionerRole", name), text);
            }
        }
    }
    check_telecoms(faults, message);
    let primary = extension(first, PRESCRIPTION_TYPE).and_then(|e| member(&e["valueCoding"], "code"));
    if primary.is_some_and(|code| code.starts_with("01")) {
        if requester.contains_key("healthcareService") {
            let path = of_type("PractitionerRole", "healthcareService");
            faults.invalid(&path, "Unexpected field of practitionerRole.healthcareService.");
        }
        let organization = message.follow(requester.get("organization"));
        if organization.is_some_and(|body| !body.contains_key("partOf")) {
            faults.invalid(&of_type("Organization", "partOf"), "Required field organization.partOf is missing.");
        }
    }
    let practitioner = message.follow(requester.get("practitioner"));
    if practitioner.is_some_and(|body| identifier(body, "https://fhir.hl7.org.uk/Id/gmp-number").is_some()) {
        let text = "Bundle resource Practitioner.identifier expected exactly one professional code from \
                    GMC|NMC|GPhC|HCPC|professional-code.";
        faults.value(&of_type("Practitioner", "identifier"), text);
    }
}

fn check_telecoms(faults: &mut Faults, message: &Message) {
    for kind in ["PractitionerRole", "Practitioner", "Organization", "Patient"] {
        let telecoms = message.all(kind).into_iter().flat_map(|body| list(body, "telecom"));
        let mut lacking = Vec::new();
        for telecom in telecoms {
            lacking.extend(["value", "use"].into_iter().filter(|name| telecom[*name].is_null()));
        }
        lacking.sort_unstable();
        lacking.dedup();
        for name in lacking {
            let path = of_type(kind, &format!("telecom.{name}"));
            faults.invalid(&path, format!("Required field {path} is missing."));
        }
    }
}

fn check_patient(faults: &mut Faults, message: &Message) -> Option<String> {
    let path = of_type("Patient", "identifier");
    let patient = message.one("Patient");
    if patient.is_some_and(|patient| {
        patient.contains_key("deceasedDateTime") || patient.get("deceasedBoolean") == Some(&true.into())
    }) {
        faults.tell(codes::DECEASED.at(&of_type("Patient", "deceased"), codes::DECEASED.issue().text));
    }
    let Some(number) = patient.and_then(|patient| identifier(patient, NHS_NUMBER)) else {
        faults.missing(&path);
        return None;
    };
    if !is_nhs_number(number) {
        faults.tell(codes::NOT_PROCESSED.at(&path, unable("nhsNumber is not valid")));
    }
    Some(number.to_owned())
}

/// From when on it may be dispensed.
fn check_window(faults: &mut Faults, first: &Body) -> Option<Timestamp> {
    let path = of_type("MedicationRequest", "dispenseRequest.validityPeriod");
    let end = |name: &str| at(first, &format!("dispenseRequest.validityPeriod.{name}")).and_then(Value::as_str);
    let (low, high) = (end("start").and_then(Timestamp::range), end("end").and_then(Timestamp::range));
    if let (Some((low, _)), Some((_, high))) = (low, high)
        && low > high
    {
        faults.tell(codes::DATE.at(&path, "the dispensing window ends before it begins"));
    }
    if let Some((low, high)) = low.zip(high)
        && high.0 > low.0.plus_months(12).plus_days(1)
    {
        faults.tell(codes::DATE.at(&path, "a dispensing window is at most 12 months long"));
    }
    if let Some(days) = supply(first)
        && !(1..=DAYS_SUPPLY_MAX).contains(&days)
    {
        let path = of_type("MedicationRequest", "dispenseRequest.expectedSupplyDuration");
        faults.value(&path, format!("a supply lasts 1 to {DAYS_SUPPLY_MAX} days"));
    }
    low.map(|(low, _)| low)
}

fn supply(request: &Body) -> Option<u64> {
    at(request, "dispenseRequest.expectedSupplyDuration.value")?.as_u64()
}

fn days_supply(request: &Body) -> u32 {
    supply(request).and_then(|days| u32::try_from(days).ok()).unwrap_or(DAYS_SUPPLY)
}

/// That there is one, and that it has the form of one; where signatures are verified, that it is believed.
fn check_signature(faults: &mut Faults, message: &Message, reading: &Reading) {
    let path = of_type("Provenance", "signature.data");
    match signature_of(message) {
        None => faults.tell(codes::MISSING_SIGNATURE.at(&path, codes::MISSING_SIGNATURE.issue().text)),
        Some(data) if !signature::has_form(data) => faults.tell(codes::INVALID_VALUE.at(&path, BAD_SIGNATURE)),
        Some(data) => {
            let checked = |verifier: &Arc<dyn Verifier>| {
                signature::check(data, message.bundle, verifier.as_ref(), reading.now).err()
            };
            if let Some(why) = reading.eps.verifier.as_ref().and_then(checked) {
                faults.tell(codes::INVALID_VALUE.at(&path, format!("{BAD_SIGNATURE} {why}")));
            }
        }
    }
}

fn signature_of<'a>(message: &Message<'a>) -> Option<&'a str> {
    let data = message.one("Provenance")?.get("signature")?.get(0)?.get("data")?.as_str()?.trim();
    Some(data).filter(|data| !data.is_empty())
}

fn nominated(request: &Body) -> Option<String> {
    at(request, "dispenseRequest.performer.identifier.value")?.as_str().map(str::to_owned)
}

fn long_number(request: &Body) -> Option<String> {
    let group = request.get("groupIdentifier")?.as_object()?;
    member(&extension(group, PRESCRIPTION_ID)?["valueIdentifier"], "value")
}

fn item_of(request: &Body, issues: u32) -> ItemOf {
    let medication = request.get("medicationCodeableConcept").unwrap_or(&Value::Null);
    let coding = &medication["coding"][0];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    ItemOf {
        id: identifier(request, ITEM_NUMBER).unwrap_or_default().to_ascii_lowercase(),
        code: code(medication, SNOMED).unwrap_or_default().to_owned(),
        name: text(&coding["display"]).or_else(|| text(&medication["text"])).unwrap_or_default(),
        issues,
        cancelled: None,
    }
}

/// Whether the signature of a prescription that was taken in is believed.
pub(in crate::workflows::eps) fn is_believed(order: &Body, verifier: &dyn Verifier, at: Timestamp) -> bool {
    let data = signature_of(&Message::of(order));
    data.is_some_and(|data| signature::check(data, order, verifier, at).is_ok())
}
