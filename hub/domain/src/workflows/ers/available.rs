//! "What may I do now?": a Task for each action that the caller may take on a version of a referral. They are nowhere
//! stored; each is true as long as that version is the current one.

use schemas::ids::Target;
use serde_json::{Value, json};
use uuid::Uuid;

use super::codes::{HISTORY_NOT_SUPPORTED, INVALID_VALUE, MISSING_PARAMETER};
use super::record::{Record, Speaker};
use super::table::{self, Action};
use super::{request_key, root_of_request};
use crate::refusal::{Refusal, RefusalKind};

/// The version of a referral that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Focus {
    pub root: Uuid,
    pub version: u32,
}

/// `Task?focus=ServiceRequest/r.<uuid>/_history/<version>&intent=proposal&status=ready`; none when it is another search.
pub fn read(parameters: &[(String, String)]) -> Result<Option<Focus>, Refusal> {
    let value = |name: &str| parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    if value("intent") != Some("proposal") {
        return Ok(None);
    }
    let mut faults = Vec::new();
    match value("status") {
        Some("ready") => {}
        Some(_) => faults.push(INVALID_VALUE.because("status", "what may be done is ready")),
        None => faults.push(MISSING_PARAMETER.because("status", "status=ready is missing")),
    }
    let focus = value("focus").and_then(read_focus);
    match (value("focus"), &focus) {
        (None, _) => faults.push(MISSING_PARAMETER.because("focus", "focus is missing")),
        (Some(_), None) => {
            let text = "focus is a version of a referral: ServiceRequest/r.<uuid>/_history/<version>";
            faults.push(INVALID_VALUE.because("focus", text));
        }
        (Some(_), Some(_)) => {}
    }
    if faults.is_empty() { Ok(focus) } else { Err(Refusal::new(RefusalKind::Malformed, faults)) }
}

fn read_focus(reference: &str) -> Option<Focus> {
    match Target::parse(reference) {
        Target::Relative { kind: "ServiceRequest", id, version: Some(version) } => {
            Some(Focus { root: root_of_request(id)?, version: version.parse().ok()? })
        }
        _ => None,
    }
}

/// The Tasks, of a referral that is at this version now.
pub fn tasks(focus: &Focus, record: &Record, current: u32, by: &Speaker) -> Result<Vec<Value>, Refusal> {
    if focus.version != current {
        return Err(HISTORY_NOT_SUPPORTED.refusal());
    }
    if !record.concerns(by) {
        return Ok(Vec::new());
    }
    let reference = format!("{}/_history/{current}", request_key(record, focus.root));
    let allowed = |row: &&&table::ActionRow| row.action != Action::Convert || record.converts(by);
    let task = |row: &&table::ActionRow| {
        let name = format!("{} {} {current}", row.code, by.role.code());
        json!({
            "resourceType": "Task",
            "id": Uuid::new_v5(&focus.root, name.as_bytes()),
            "status": "ready",
            "intent": "proposal",
            "code": { "coding": [{ "system": row.system(), "code": row.code, "display": row.display }] },
            "focus": { "reference": reference },
        })
    };
    Ok(table::available(record.state, by.role).iter().filter(allowed).map(task).collect())
}
