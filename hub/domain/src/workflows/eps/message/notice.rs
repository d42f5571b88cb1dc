//! The notice: what was dispensed.

use schemas::resource::{Body, list, text_at};
use schemas::time::Timestamp;
use serde_json::Value;

use super::{
    EPS_REPEATS, Faults, ITEM_NUMBER, REPLACEMENT, TASK_STATUS, contained, member, name_of, of_type, organization_of,
    tell_unlike,
};
use crate::refusal::Refusal;
use crate::workflows::bundle::{Message, at, code, extension, identifier, inner};
use crate::workflows::eps::codes;
use crate::workflows::eps::record::Dispenser;
use crate::workflows::eps::table::{BUSINESS_STATUS, ITEM_STATUS, Item, State};

const NON_DISPENSING: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionNonDispensingReason";
const RELATIONSHIPS: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-ODS-OrganisationRelationships";

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
        (
            "authorizingPrescription.groupIdentifier.value",
            all(&|d| authorizing(d).and_then(|request| at(request, "groupIdentifier.value")).cloned()),
        ),
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
