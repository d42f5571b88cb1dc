//! A JSON Patch; where an object came, a FHIRPath Patch or a Merge Patch.

use hub_domain::command::{Act, Interaction, On, Patch};
use schemas::gate::{self, Limits};
use schemas::resource::{Key, Kind};
use serde_json::Value;

use crate::registry::Registry;
use crate::resource::faults_are_told;

/// On a Task that is under way, one that is not, a request and a Patient.
pub fn play(bytes: &[u8]) {
    let Ok(value) = gate::parse_json(bytes, &Limits::default()) else { return };
    let patch = match value {
        Value::Object(body) if body.get("resourceType").is_none_or(|kind| kind != "Parameters") => Patch::Merge(body),
        Value::Object(parameters) => match hub_fhirpath::Patch::read(&parameters) {
            Ok(patch) => Patch::FhirPath(patch),
            Err(faults) => return faults_are_told(&faults),
        },
        operations => match serde_json::from_value(operations) {
            Ok(patch) => Patch::Json(patch),
            Err(_) => return,
        },
    };
    let id = |order: u32, step: &str| format!("00000000-0000-000{order}-0000-000000000000{step}");
    let keys = [
        Key::task(id(1, ".0")),
        Key::task(id(1, ".2")),
        Key::task(id(3, ".2")),
        Key::task(id(4, "")),
        Key::new(Kind::SERVICE_REQUEST, id(1, "")),
    ];
    let patient = Kind::parse("Patient").map(|kind| Key::new(kind, id(5, "")));
    for key in keys.into_iter().chain(patient) {
        let patch = patch.clone();
        let act = Act::alone(Interaction::Patch { on: On::Key(key), patch, if_match: None });
        if let Err(refusal) = Registry::furnished().execute(act) {
            faults_are_told(&refusal.issues);
        }
    }
}
