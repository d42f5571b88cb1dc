//! What the service's messages say, and the rules that they have to keep. Every broken rule is told.
//!
//! A file for each message: `order`, its `update` (a cancellation), the `notice` of what was dispensed, and what
//! dispensers `ask` for (releases, returns, withdrawals, claims). Here is what they share.
//!
//! Source of the rules and of their words: NHSDigital/electronic-prescription-service-api (`services/validation`,
//! `validation-errors.ts`). Where those quote what was received, this does not: it may be a patient's.

mod ask;
mod notice;
mod order;
mod update;

use std::sync::Arc;

use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, list, text_at};
use serde_json::Value;

use super::codes;
use super::number::{has_right_check_character, is_prescription_number};
use super::record::Dispenser;
use super::signature::Verifier;
use crate::refusal::{Refusal, RefusalKind};
use crate::workflows::bundle::identifier;

pub use ask::{Claim, Release, Return, TaskAsk, Withdraw, claim, release, task};
pub use notice::{Notice, notice};
pub(super) use order::is_believed;
pub use order::{Order, order};
pub(super) use update::cancellation_refused;
pub use update::{Update, update};

pub const ODS: &str = "https://fhir.nhs.uk/Id/ods-organization-code";
pub const NHS_NUMBER: &str = "https://fhir.nhs.uk/Id/nhs-number";
pub const NUMBER: &str = "https://fhir.nhs.uk/Id/prescription-order-number";
pub const LONG_NUMBER: &str = "https://fhir.nhs.uk/Id/prescription";
pub const ITEM_NUMBER: &str = "https://fhir.nhs.uk/Id/prescription-order-item-number";
pub const UUID_SYSTEM: &str = "https://tools.ietf.org/html/rfc4122";
pub(super) const RETURN_REASON: &str = "https://fhir.nhs.uk/CodeSystem/EPS-task-dispense-return-status-reason";
pub(super) const PRESCRIPTION_TYPE: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionType";
pub(super) const EPS_REPEATS: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-RepeatInformation";
pub(super) const TASK_STATUS: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-TaskBusinessStatus";
const REPLACEMENT: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-replacementOf";
pub(super) const BAD_SIGNATURE: &str = "Signature is invalid.";

/// How a site takes the service's messages.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The service is not offered here: whoever asks it, below a base that is not its own, is told so.
    pub is_off: bool,
    /// Take prescriptions whose check character is wrong, as some published examples are.
    pub any_check_character: bool,
    /// None: signatures are not verified.
    pub verifier: Option<Arc<dyn Verifier>>,
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

fn check_prescription_number(faults: &mut Faults, number: &str, path: &str, policy: &Policy) {
    let fault = if !is_prescription_number(number) {
        "prescriptionID has invalid format"
    } else if !has_right_check_character(number) && !policy.any_check_character {
        "prescriptionID has invalid checksum"
    } else {
        return;
    };
    faults.tell(codes::NOT_PROCESSED.at(path, unable(fault)));
}

fn unable(why: &str) -> String {
    format!("Unable to process message. Information missing or invalid - {why}")
}

/// What a resource brings along under this reference.
pub(super) fn contained<'a>(body: &'a Body, reference: &str) -> Option<&'a Body> {
    let id = reference.strip_prefix('#')?;
    list(body, "contained").filter_map(Value::as_object).find(|inner| text_at(inner, &["id"]) == Some(id))
}

fn organization_of(organization: &Body) -> Option<Dispenser> {
    let phone = list(organization, "telecom").find(|t| t["system"] == "phone").and_then(|t| member(t, "value"));
    Some(Dispenser {
        code: identifier(organization, ODS)?.to_owned(),
        name: text_at(organization, &["name"]).map(str::to_owned),
        phone,
    })
}
