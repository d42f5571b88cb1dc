//! What the service's messages say, and the rules that they have to keep. Every broken rule is told.
//!
//! Source of the rules and of their words: NHSDigital/electronic-prescription-service-api (`services/validation`,
//! `validation-errors.ts`). Where those quote what was received, this does not: it may be a patient's.

use std::sync::Arc;

use schemas::outcome::{Issue, IssueType, Severity};
use schemas::resource::{Body, list, text_at};
use schemas::time::Timestamp;
use serde_json::Value;

use super::codes::{self, Response};
use super::number::{has_right_check_character, is_nhs_number, is_prescription_number};
use super::record::{Cancellation, Course, Dispenser, ItemOf};
use super::signature::{self, Verifier};
use super::table::{BUSINESS_STATUS, ITEM_STATUS, Item, State};
use crate::refusal::{Refusal, RefusalKind};
use crate::workflows::bundle::{Message, at, code, extension, identifier, inner};

pub const ODS: &str = "https://fhir.nhs.uk/Id/ods-organization-code";
pub const NHS_NUMBER: &str = "https://fhir.nhs.uk/Id/nhs-number";
pub const NUMBER: &str = "https://fhir.nhs.uk/Id/prescription-order-number";
pub const LONG_NUMBER: &str = "https://fhir.nhs.uk/Id/prescription";
pub const ITEM_NUMBER: &str = "https://fhir.nhs.uk/Id/prescription-order-item-number";
pub const UUID_SYSTEM: &str = "https://tools.ietf.org/html/rfc4122";
const SNOMED: &str = "http://snomed.info/sct";
const STATUS_REASON: &str = "https://fhir.nhs.uk/CodeSystem/medicationrequest-status-reason";
pub(super) const RETURN_REASON: &str = "https://fhir.nhs.uk/CodeSystem/EPS-task-dispense-return-status-reason";
const WITHDRAW_REASON: &str = "https://fhir.nhs.uk/CodeSystem/EPS-task-dispense-withdraw-reason";
const TASK_CODE: &str = "http://hl7.org/fhir/CodeSystem/task-code";

const REPEAT_INFORMATION: &str =
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-MedicationRepeatInformation";
const PERFORMER_SITE: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PerformerSiteType";
pub(super) const PRESCRIPTION_TYPE: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionType";
const RESPONSIBLE: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-ResponsiblePractitioner";
const PRESCRIPTION_ID: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionId";
pub(super) const EPS_REPEATS: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-RepeatInformation";
pub(super) const TASK_STATUS: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-TaskBusinessStatus";
const NON_DISPENSING: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionNonDispensingReason";
const REPLACEMENT: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-replacementOf";
const RELATIONSHIPS: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-ODS-OrganisationRelationships";
const GROUP_IDENTIFIER: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-GroupIdentifier";

pub(super) const BAD_SIGNATURE: &str = "Signature is invalid.";
const ITEMS_MAX: usize = 4;
const DAYS_SUPPLY: u32 = 28;
const DAYS_SUPPLY_MAX: u64 = 366;

/// How a site reads the service's messages.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Take prescriptions whose check character is wrong, as some published examples are.
    pub any_check_character: bool,
    /// None: signatures are not verified.
    pub verifier: Option<Arc<dyn Verifier>>,
    pub now: Timestamp,
}

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

/// A prescriber wants it, or one item of it, cancelled.
#[derive(Debug, Clone)]
pub struct Update {
    pub number: String,
    pub patient: String,
    pub wish: Cancellation,
    pub bundle: Body,
}

/// A dispenser tells what was handed over.
#[derive(Debug, Clone)]
pub struct Notice {
    pub id: String,
    pub number: String,
    pub patient: Option<String>,
    pub by: Dispenser,
    pub state: State,
    /// Each item once, the last word on it.
    pub items: Vec<(String, Item)>,
    pub handed_over: Option<Timestamp>,
    pub repeats: Option<u64>,
    /// The message that this one replaces.
    pub replaces: Option<String>,
    pub dispenses: Vec<Body>,
}

/// A dispenser asks for prescriptions.
#[derive(Debug, Clone)]
pub struct Release {
    pub by: Dispenser,
    /// None: those that nominate it.
    pub number: Option<String>,
}

/// A dispenser gives a prescription back.
#[derive(Debug, Clone)]
pub struct Return {
    pub number: String,
    pub patient: Option<String>,
    pub by: String,
    pub reason: Value,
    /// The release that it answers.
    pub release: Option<String>,
}

/// A dispenser takes its last notification back.
#[derive(Debug, Clone)]
pub struct Withdraw {
    pub number: String,
    pub patient: Option<String>,
    pub by: String,
    pub reason: Value,
    pub notification: Option<String>,
}

/// A dispenser wants to be paid.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: String,
    pub number: String,
    pub by: String,
    pub replaces: Option<String>,
    pub body: Body,
}

/// Collects faults.
#[derive(Default)]
struct Faults(Vec<Issue>);

impl Faults {
    fn tell(&mut self, fault: Issue) {
        self.0.push(fault);
    }

    fn value(&mut self, path: &str, text: impl Into<String>) {
        self.tell(Issue::error(IssueType::Value, path, text));
    }

    fn invalid(&mut self, path: &str, text: impl Into<String>) {
        self.tell(Issue::error(IssueType::Invalid, path, text));
    }

    fn missing(&mut self, path: &str) {
        self.tell(codes::MISSING_VALUE.at(path, format!("Required field {path} is missing.")));
    }

    fn end<T>(self, what: Option<T>) -> Result<T, Refusal> {
        match what {
            Some(what) if self.0.is_empty() => Ok(what),
            _ if self.0.is_empty() => Err(codes::INVALID_MESSAGE.refusal()),
            _ => Err(Refusal::new(RefusalKind::Malformed, self.0)),
        }
    }
}

/// A path in the words of the service.
fn of_type(kind: &str, path: &str) -> String {
    format!("Bundle.entry.resource.ofType({kind}).{path}")
}

fn member(extension: &Value, name: &str) -> Option<String> {
    extension[name].as_str().map(str::to_owned)
}

// ---- the order

/// Reads a prescription. `signed`: it must carry its signature.
pub fn order(bundle: &Body, signed: bool, reading: &Reading) -> Result<Order, Refusal> {
    let message = Message::of(bundle);
    let mut faults = Faults::default();
    let requests = message.all("MedicationRequest");
    if !(1..=ITEMS_MAX).contains(&requests.len()) {
        faults.tell(codes::NUMBER_OF_ITEMS.issue());
    }
    let Some(first) = requests.first().copied() else { return faults.end(None) };
    if message.id().is_none() {
        faults.missing("Bundle.identifier");
    }
    check_alike(&mut faults, &requests);
    let number = check_number(&mut faults, &requests, reading);
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
            nominated: nominated(first),
            prescribed: dated.and_then(Timestamp::range).map(|(low, _)| low).or(window),
            window_begins: window,
            days_supply: days_supply(first),
            issues: items.iter().map(|item| item.issues).max().unwrap_or(1),
            items,
            requests: requests.iter().map(|request| message.cut_out(request)).collect(),
            bundle_id: text_at(bundle, &["id"]).map(str::to_owned),
            bundle: bundle.clone(),
            is_verified: signed && reading.verifier.is_some(),
        })
    };
    let order = read();
    faults.end(order)
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

fn name_of(path: &str, what: &str) -> String {
    match (what.starts_with("http"), path.is_empty()) {
        (false, _) => path.to_owned(),
        (true, true) => format!("extension(\"{what}\")"),
        (true, false) => format!("{path}.extension(\"{what}\")"),
    }
}

fn tell_unlike(faults: &mut Faults, kind: &str, name: &str, values: impl Iterator<Item = Option<Value>>) {
    let mut different: Vec<Option<Value>> = Vec::new();
    for value in values {
        if !different.contains(&value) {
            different.push(value);
        }
    }
    if different.len() > 1 {
        let text = format!(
            "Expected all {kind}s to have the same value for {name}. Received {} different values.",
            different.len()
        );
        faults.value(&of_type(kind, name), text);
    }
}

/// The number of the prescription, which all items carry.
fn check_number<'a>(faults: &mut Faults, requests: &[&'a Body], reading: &Reading) -> Option<&'a str> {
    let path = of_type("MedicationRequest", "groupIdentifier");
    if requests.iter().any(|request| at(request, "groupIdentifier.value").is_none()) {
        faults.missing(&path);
    }
    let first = requests.first()?;
    let number = text_at(first, &["groupIdentifier", "value"])?;
    if text_at(first, &["groupIdentifier", "system"]) != Some(NUMBER) {
        faults.value(&format!("{path}.system"), format!("the system of a prescription's number is {NUMBER}"));
    }
    check_prescription_number(faults, number, &path, reading);
    Some(number)
}

fn check_prescription_number(faults: &mut Faults, number: &str, path: &str, reading: &Reading) {
    let fault = if !is_prescription_number(number) {
        "prescriptionID has invalid format"
    } else if !has_right_check_character(number) && !reading.any_check_character {
        "prescriptionID has invalid checksum"
    } else {
        return;
    };
    faults.tell(codes::NOT_PROCESSED.at(path, unable(fault)));
}

fn unable(why: &str) -> String {
    format!("Unable to process message. Information missing or invalid - {why}")
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
    let Some(number) = message.one("Patient").and_then(|patient| identifier(patient, NHS_NUMBER)) else {
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
            if let Some(why) = reading.verifier.as_ref().and_then(checked) {
                faults.tell(codes::INVALID_VALUE.at(&path, format!("{BAD_SIGNATURE} {why}")));
            }
        }
    }
}

fn signature_of<'a>(message: &Message<'a>) -> Option<&'a str> {
    let data = message.one("Provenance")?.get("signature")?.get(0)?.get("data")?.as_str()?.trim();
    Some(data).filter(|data| !data.is_empty())
}

/// Whether the signature of a prescription that was taken in is believed.
pub(super) fn is_believed(order: &Body, verifier: &dyn Verifier, at: Timestamp) -> bool {
    let data = signature_of(&Message::of(order));
    data.is_some_and(|data| signature::check(data, order, verifier, at).is_ok())
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
    }
}

// ---- the cancellation

pub fn update(bundle: &Body) -> Result<Update, Refusal> {
    let message = Message::of(bundle);
    let mut faults = Faults::default();
    let requests = message.all("MedicationRequest");
    if requests.len() != 1 {
        let text = "The Bundle must contain exactly one MedicationRequest if MessageHeader.eventCoding.code is \
                    'prescription-order-update'.";
        faults.value("Bundle.entry.resource.ofType(MedicationRequest)", text);
    }
    let Some(request) = requests.first().copied() else { return faults.end(None) };
    let path = |name: &str| of_type("MedicationRequest", name);
    if text_at(request, &["status"]) != Some("cancelled") {
        faults.value(&path("status"), "MedicationRequest.status must be cancelled.");
    }
    let reason = request.get("statusReason").and_then(|reason| code(reason, STATUS_REASON));
    if request.get("statusReason").is_none() {
        faults.value(&path("statusReason"), "Expected MedicationRequest to have a value for statusReason.");
    } else if !reason.is_some_and(|code| code.len() == 4 && ("0001".."0010").contains(&code)) {
        let text = format!("MedicationRequest.statusReason must have a code of {STATUS_REASON}, 0001 to 0009.");
        faults.value(&path("statusReason"), text);
    }
    let number = at(request, "groupIdentifier.value").and_then(Value::as_str);
    if number.is_none() {
        faults.tell(lacking(&path("groupIdentifier")));
    }
    let patient = message.one("Patient").and_then(|patient| identifier(patient, NHS_NUMBER));
    if patient.is_none() {
        faults.tell(lacking(&of_type("Patient", "identifier")));
    }
    let role = message.follow(request.get("requester"));
    let organization = role.and_then(|role| message.follow(role.get("organization")));
    let sender = message.header().and_then(|header| header.get("sender"));
    let by = organization
        .and_then(|body| identifier(body, ODS))
        .or_else(|| role.and_then(|role| at(role, "organization.identifier.value"))?.as_str())
        .or_else(|| sender?["identifier"]["value"].as_str());
    if by.is_none() {
        faults.tell(lacking(&of_type("Organization", "identifier")));
    }
    let read = || {
        let patient = patient?.to_owned();
        let wish = Cancellation {
            item: identifier(request, ITEM_NUMBER).map(str::to_ascii_lowercase),
            by: by?.to_owned(),
            reason: reason?.to_owned(),
            patient: patient.clone(),
        };
        Some(Update { number: number?.to_owned(), patient, wish, bundle: bundle.clone() })
    };
    let update = read();
    faults.end(update)
}

/// A cancellation that does not say what it is about.
fn lacking(path: &str) -> Issue {
    Issue { path: path.to_owned(), ..Response::Invalid.issue(&format!("Required field {path} is missing.")) }
}

// ---- the dispense notification

pub fn notice(bundle: &Body) -> Result<Notice, Refusal> {
    let message = Message::of(bundle);
    let mut faults = Faults::default();
    let dispenses = message.all("MedicationDispense");
    let path = |name: &str| of_type("MedicationDispense", name);
    if dispenses.is_empty() {
        faults.missing("Bundle.entry.resource.ofType(MedicationDispense)");
        return faults.end(None);
    }
    if message.id().is_none() {
        faults.missing("Bundle.identifier");
    }
    let all = |value: &dyn Fn(&Body) -> Option<Value>| dispenses.iter().map(|d| value(d)).collect::<Vec<_>>();
    for (name, values) in [
        ("whenHandedOver", all(&|d| d.get("whenHandedOver").cloned())),
        ("subject.identifier.value", all(&|d| at(d, "subject.identifier.value").cloned())),
        ("performer", all(&|d| d.get("performer").cloned())),
    ] {
        tell_unlike(&mut faults, "MedicationDispense", name, values.into_iter());
    }
    let name = name_of("", EPS_REPEATS);
    tell_unlike(&mut faults, "MedicationDispense", &name, all(&|d| extension(d, EPS_REPEATS).cloned()).into_iter());
    let reasons = all(&|d| extension(d, NON_DISPENSING).cloned());
    if reasons.iter().all(Option::is_some) && reasons.iter().any(|reason| *reason != reasons[0]) {
        let name = "MedicationDispense.extension:prescriptionNonDispensingReason";
        faults.tell(
            codes::INVALID_VALUE
                .at(name, format!("Expected all MedicationDispenses to have the same value for {name}")),
        );
    }
    if dispenses.iter().any(|d| d.contains_key("medicationReference") && d.contains_key("medicationCodeableConcept")) {
        let text = "MedicationDispense cannot contain both medicationReference and medicationCodeableConcept fields.";
        faults.tell(codes::CONFLICTING.at(&path("medication"), text));
    }
    let by = dispenser(&mut faults, &message, dispenses[0]);
    let state = new_state(&mut faults, &dispenses);
    let mut items: Vec<(String, Item)> = Vec::new();
    for dispense in &dispenses {
        let told = authorizing(dispense).and_then(|request| identifier(request, ITEM_NUMBER));
        let item = dispense.get("type").and_then(|of| code(of, ITEM_STATUS)).and_then(Item::parse);
        match (told, item) {
            (None, _) => faults.missing(&path("authorizingPrescription")),
            (_, None) => {
                faults.value(&path("type"), format!("MedicationDispense.type must have a code of {ITEM_STATUS}."))
            }
            (Some(id), Some(item)) => {
                let id = id.to_ascii_lowercase();
                // Whole prescription not dispensed: so is each item, whatever its type says.
                let whole = state == Some(State::NotDispensed) && extension(dispense, NON_DISPENSING).is_some();
                let item = if whole { Item::NotDispensed } else { item };
                items.retain(|(other, _)| *other != id);
                items.push((id, item));
            }
        }
    }
    let number = authorizing(dispenses[0]).and_then(|request| at(request, "groupIdentifier.value")?.as_str());
    if number.is_none() {
        faults.missing(&path("authorizingPrescription.groupIdentifier"));
    }
    let read = || {
        let header = message.header()?;
        Some(Notice {
            id: message.id()?.to_owned(),
            number: number?.to_owned(),
            patient: at(dispenses[0], "subject.identifier.value").and_then(Value::as_str).map(str::to_owned),
            by: by?,
            state: state?,
            items,
            handed_over: text_at(dispenses[0], &["whenHandedOver"]).and_then(Timestamp::range).map(|(low, _)| low),
            repeats: extension(dispenses[0], EPS_REPEATS).and_then(repeats_in),
            replaces: extension(header, REPLACEMENT).and_then(|e| member(&e["valueIdentifier"], "value")),
            dispenses: dispenses.iter().map(|dispense| message.cut_out(dispense)).collect(),
        })
    };
    let notice = read();
    faults.end(notice)
}

fn repeats_in(extension: &Value) -> Option<u64> {
    let allowed = inner(extension, "numberOfRepeatsAllowed")?;
    allowed["valueInteger"].as_u64().or_else(|| allowed["valueUnsignedInt"].as_u64())
}

/// The MedicationRequest that a dispense is of: it brings it along.
fn authorizing(dispense: &Body) -> Option<&Body> {
    let reference = list(dispense, "authorizingPrescription").next()?["reference"].as_str()?;
    contained(dispense, reference)
}

/// What a resource brings along under this reference.
pub(super) fn contained<'a>(body: &'a Body, reference: &str) -> Option<&'a Body> {
    let id = reference.strip_prefix('#')?;
    list(body, "contained").filter_map(Value::as_object).find(|inner| text_at(inner, &["id"]) == Some(id))
}

fn new_state(faults: &mut Faults, dispenses: &[&Body]) -> Option<State> {
    let path = of_type("MedicationDispense", &format!("extension(\"{TASK_STATUS}\")"));
    let told = dispenses.iter().map(|d| extension(d, TASK_STATUS).and_then(|e| member(&e["valueCoding"], "code")));
    let mut told: Vec<Option<String>> = told.collect();
    told.dedup();
    let [Some(told)] = &told[..] else {
        faults.value(
            &path,
            "Expected all MedicationDispenses to have the same prescription status, and each to have one.",
        );
        return None;
    };
    let state = State::parse(told)
        .filter(|state| matches!(state, State::WithDispenserActive | State::Dispensed | State::NotDispensed));
    if state.is_none() {
        let text = format!("a notification takes a prescription to 0003, 0006 or 0007 of {BUSINESS_STATUS}");
        faults.value(&path, text);
    }
    state
}

/// Who dispensed: the organisation of the role that a dispense brings along.
fn dispenser(faults: &mut Faults, message: &Message, dispense: &Body) -> Option<Dispenser> {
    let actor = list(dispense, "performer").next().and_then(|performer| performer["actor"]["reference"].as_str());
    let Some(role) = actor.and_then(|reference| contained(dispense, reference)) else {
        let name = "performer.ofType(PractitionerRole)";
        let text = format!("Expected MedicationDispense to have a value for {name}.");
        faults.value(&of_type("MedicationDispense", name), text);
        return None;
    };
    if at(role, "practitioner.reference").is_some() {
        let path = "Bundle.entry(\"PractitionerRole\").practitioner";
        faults.invalid(path, format!("{path} populated incorrectly. Please populate with Identifier and Display."));
    }
    let Some(organization) = message.follow(role.get("organization")) else {
        let text = "fhirContainedPractitionerRole.organization should be a Reference";
        faults.invalid(&of_type("MedicationDispense", "contained(\"organization\")"), text);
        return None;
    };
    match extension(organization, RELATIONSHIPS).map(|e| inner(e, "reimbursementAuthority")) {
        None => {
            let text = "The dispense notification is missing the reimbursement authority and it should be provided.";
            faults.invalid(&of_type("Organization", "extension"), text);
        }
        Some(None) => {
            let text = "The dispense notification is missing the ODS code for reimbursement authority and it should be \
                        provided.";
            faults.invalid(&of_type("Organization", "extension"), text);
        }
        Some(Some(_)) => {}
    }
    organization_of(organization)
}

fn organization_of(organization: &Body) -> Option<Dispenser> {
    let phone = list(organization, "telecom").find(|t| t["system"] == "phone").and_then(|t| member(t, "value"));
    Some(Dispenser {
        code: identifier(organization, ODS)?.to_owned(),
        name: text_at(organization, &["name"]).map(str::to_owned),
        phone,
    })
}

// ---- what dispensers ask for

pub fn release(parameters: &Body, reading: &Reading) -> Result<Release, Refusal> {
    let mut faults = Faults::default();
    let parameter = |name: &str| list(parameters, "parameter").find(|parameter| parameter["name"] == name);
    let owner = parameter("owner").and_then(|owner| owner["resource"].as_object());
    if owner.is_none() {
        faults.invalid("Parameters.parameter(\"owner\")", "Required parameter owner is missing.");
    } else if owner.and_then(organization_of).is_none() {
        faults.missing("Parameters.parameter(\"owner\").resource.identifier");
    }
    let agent = parameter("agent").and_then(|agent| agent["resource"].as_object());
    let path = "Parameters.parameter(\"agent\").resource";
    match agent {
        None => faults.invalid("Parameters.parameter(\"agent\")", "Required parameter agent is missing."),
        Some(role) => {
            if at(role, "practitioner.reference").is_some() {
                let path = format!("{path}.practitioner");
                faults.invalid(
                    &path,
                    format!("{path} populated incorrectly. Please populate with Identifier and Display."),
                );
            }
            if list(role, "telecom").next().is_none() {
                faults.invalid(&format!("{path}.telecom"), format!("Required field {path}.telecom is missing."));
            }
        }
    }
    let number = parameter("group-identifier").map(|given| given["valueIdentifier"]["value"].as_str());
    if let Some(number) = number {
        let path = "Parameters.parameter(\"group-identifier\")";
        match number {
            Some(number) => check_prescription_number(&mut faults, number, path, reading),
            None => faults.missing(path),
        }
    }
    let by = owner.and_then(organization_of);
    let read = by.map(|by| Release { by, number: number.flatten().map(str::to_owned) });
    faults.end(read)
}

/// What `POST /Task` may be.
#[derive(Debug, Clone)]
pub enum TaskAsk {
    Return(Return),
    Withdraw(Withdraw),
}

pub fn task(task: &Body) -> Result<TaskAsk, Refusal> {
    let mut faults = Faults::default();
    if text_at(task, &["intent"]) != Some("order") {
        faults.value("Task.intent", "Task.intent must be one of: 'order'.");
    }
    let status = text_at(task, &["status"]);
    let system = match status {
        Some("rejected") => RETURN_REASON,
        Some("in-progress") => WITHDRAW_REASON,
        _ => {
            faults.value("Task.status", "Task.status must be one of: 'in-progress', 'rejected'.");
            return faults.end(None);
        }
    };
    if system == WITHDRAW_REASON {
        match task.get("code").map(|of| code(of, TASK_CODE)) {
            None => faults.value("Task.code", "Task.code is required when Task.status is 'in-progress'."),
            Some(Some("abort")) => {}
            Some(_) => faults.value("Task.code.coding.code", "Task.code.coding.code must be one of: 'abort'."),
        }
    }
    let reason = task.get("statusReason").filter(|reason| code(reason, system).is_some());
    if reason.is_none() {
        let text = format!("Task.reasonCode must have a system of '{system}' and a value from that system.");
        faults.value("Task.reasonCode", text);
    }
    let number = text_at(task, &["groupIdentifier", "value"]);
    if number.is_none() {
        faults.missing("Task.groupIdentifier");
    }
    let role = text_at(task, &["requester", "reference"]).and_then(|reference| contained(task, reference));
    if role.is_none() {
        faults.invalid("Task.requester", "task.requester should be a reference to contained.practitionerRole");
    }
    if role.is_some_and(|role| at(role, "practitioner.reference").is_some()) {
        let path = "Task.contained(\"PractitionerRole\").practitioner";
        faults.invalid(path, format!("{path} populated incorrectly. Please populate with Identifier and Display."));
    }
    let by = role.and_then(|role| contained_organization(task, role));
    if role.is_some() && by.is_none() {
        faults.missing("Task.contained(\"Organization\").identifier");
    }
    let read = || {
        let (number, by, reason) = (number?.to_owned(), by?, reason?.clone());
        let patient = text_at(task, &["for", "identifier", "value"]).map(str::to_owned);
        let focus = text_at(task, &["focus", "identifier", "value"]).map(str::to_owned);
        Some(match system == RETURN_REASON {
            true => TaskAsk::Return(Return { number, patient, by, reason, release: focus }),
            false => TaskAsk::Withdraw(Withdraw { number, patient, by, reason, notification: focus }),
        })
    };
    let ask = read();
    faults.end(ask)
}

/// ODS code of the organisation of a role that a resource brings along.
fn contained_organization(body: &Body, role: &Body) -> Option<String> {
    let organization = role.get("organization")?;
    let brought = organization["reference"].as_str().and_then(|reference| contained(body, reference));
    let code = brought.and_then(|body| identifier(body, ODS)).or_else(|| organization["identifier"]["value"].as_str());
    code.map(str::to_owned)
}

pub fn claim(claim: &Body) -> Result<Claim, Refusal> {
    let mut faults = Faults::default();
    let insurance: Vec<&Value> = list(claim, "insurance").collect();
    if insurance.len() != 1 {
        let text = format!("Expected 1 item(s) in Claim.insurance, but received {}.", insurance.len());
        faults.invalid("Claim.insurance", text);
    } else if !matches!(insurance[0]["coverage"]["identifier"]["value"].as_str(), Some("T1450" | "RQFZ1")) {
        let path = "Claim.insurance[0].coverage.identifier.value";
        faults.value(path, format!("{path} must be one of: 'T1450', 'RQFZ1'."));
    }
    if !has_endorsements(claim) {
        faults.invalid("Claim.item.detail.programCode", "The claim is missing the required endorsement code.");
    }
    let role = text_at(claim, &["provider", "reference"]).and_then(|reference| contained(claim, reference));
    let by = role.and_then(|role| contained_organization(claim, role));
    if by.is_none() {
        faults.missing("Claim.provider");
    }
    let id = list(claim, "identifier").next().and_then(|identifier| identifier["value"].as_str());
    if id.is_none() {
        faults.missing("Claim.identifier");
    }
    let prescription = claim.get("prescription").and_then(Value::as_object);
    let number = prescription
        .and_then(|body| inner(extension(body, GROUP_IDENTIFIER)?, "shortForm"))
        .and_then(|short| short["valueIdentifier"]["value"].as_str());
    if number.is_none() {
        faults.missing("Claim.prescription.extension.shortForm");
    }
    let read = || {
        Some(Claim {
            id: id?.to_owned(),
            number: number?.to_owned(),
            by: by?,
            replaces: extension(claim, REPLACEMENT).and_then(|e| member(&e["valueIdentifier"], "value")),
            body: claim.clone(),
        })
    };
    let read = read();
    faults.end(read)
}

/// Each item that is claimed for names an endorsement, if it is `NDEC` (none).
fn has_endorsements(claim: &Body) -> bool {
    const ENDORSEMENT: &str = "https://fhir.nhs.uk/CodeSystem/medicationdispense-endorsement";
    let details = list(claim, "item").flat_map(|item| item["detail"].as_array().into_iter().flatten());
    let endorsed = |detail: &Value| {
        let mut codes = detail["programCode"].as_array().into_iter().flatten();
        codes.any(|concept| code(concept, ENDORSEMENT).is_some())
    };
    details.into_iter().all(endorsed)
}

/// That the service's answer to a cancellation is no for a reason of its own.
pub(super) fn cancellation_refused(response: Response, why: &str) -> Refusal {
    Refusal::new(RefusalKind::Malformed, vec![response.issue(why)])
}
