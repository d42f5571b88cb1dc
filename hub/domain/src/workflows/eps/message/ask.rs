//! What dispensers ask for: prescriptions, to give one back, to take a notification back, to be paid.

use schemas::resource::{Body, list, text_at};
use serde_json::Value;

use super::{
    Faults, ODS, Policy, REPLACEMENT, RETURN_REASON, check_prescription_number, contained, member, organization_of,
};
use crate::refusal::Refusal;
use crate::workflows::bundle::{at, code, extension, identifier, inner};
use crate::workflows::eps::record::Dispenser;

const WITHDRAW_REASON: &str = "https://fhir.nhs.uk/CodeSystem/EPS-task-dispense-withdraw-reason";
const TASK_CODE: &str = "http://hl7.org/fhir/CodeSystem/task-code";
const GROUP_IDENTIFIER: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-GroupIdentifier";

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

pub fn release(parameters: &Body, policy: &Policy) -> Result<Release, Refusal> {
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
            Some(number) => check_prescription_number(&mut faults, number, path, policy),
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

/// Of the items that are claimed for, the first that has any code for its program says what the pharmacy endorses, if it
/// is only `NDEC` (nothing).
fn has_endorsements(claim: &Body) -> bool {
    const ENDORSEMENT: &str = "https://fhir.nhs.uk/CodeSystem/medicationdispense-endorsement";
    let details = list(claim, "item").take(1).flat_map(|item| item["detail"].as_array().into_iter().flatten());
    let mut programs = details.filter_map(|detail| detail["programCode"].as_array()).filter(|codes| !codes.is_empty());
    programs.next().is_some_and(|codes| codes.iter().any(|concept| code(concept, ENDORSEMENT).is_some()))
}

/// ODS code of the organisation of a role that a resource brings along.
fn contained_organization(body: &Body, role: &Body) -> Option<String> {
    let organization = role.get("organization")?;
    let brought = organization["reference"].as_str().and_then(|reference| contained(body, reference));
    let code = brought.and_then(|body| identifier(body, ODS)).or_else(|| organization["identifier"]["value"].as_str());
    code.map(str::to_owned)
}
