//! The orders that are placed: the published examples, and a plan that takes more turns than the built-in ones.

use std::sync::LazyLock;

use hub_domain::command::{Condition, Entry, Interaction};
use hub_domain::decide::Policy;
use hub_domain::scene::Identifier;
use hub_domain::workflow::{BUILT_IN, Catalogue, Offered};
use schemas::resource::{Kind, text_at};
use serde_json::{Value, json};

use crate::step::What;

/// An example, read once.
type Example = LazyLock<Vec<Entry>>;

static REFERRAL: Example = LazyLock::new(|| read(include_str!("../../../../schemas/examples/referral.json")));
static LABORATORY: Example = LazyLock::new(|| read(include_str!("../../../../schemas/examples/laboratory.json")));
static PRESCRIPTION: Example = LazyLock::new(|| read(include_str!("../../../../schemas/examples/prescription.json")));

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let built_in = BUILT_IN.iter().map(|(_, text)| Offered::read(text).unwrap());
    Catalogue::new(built_in.chain([Offered::read(&winding().to_string()).unwrap()]).collect()).unwrap()
});

/// Who asks for all of them.
pub(crate) const SURGERY: &str = "Organization/surgery";

const WINDING: &str = "winding";

pub(crate) fn policy(leased: bool) -> Policy {
    let lease = leased.then_some(std::time::Duration::from_secs(60));
    Policy { catalogue: CATALOGUE.clone(), leases: (Default::default(), lease), ..Policy::default() }
}

/// One of two ways, something that may fail, two hours of waiting, the end.
fn winding() -> Value {
    let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
    let step = |id: &str, after: Value, required: &str| json!({ "id": id, "participant": [{ "role": role }], "relatedAction": after, "requiredBehavior": required });
    let branch = |id: &str| json!({ "id": id, "participant": [{ "role": role }] });
    let after = |id: &str| json!({ "actionId": id, "relationship": "after-end" });
    let mut waits = after("choice");
    waits["offsetDuration"] = json!({ "value": 2, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h" });
    json!({
        "resourceType": "PlanDefinition",
        "url": "urn:test:winding",
        "status": "active",
        "action": [{
            "id": "whole",
            "trigger": [{ "type": "data-added", "data": [{
                "type": "ServiceRequest",
                "codeFilter": [{ "path": "category", "code": [{ "system": "urn:test", "code": WINDING }] }],
            }] }],
            "action": [
                {
                    "id": "choice",
                    "selectionBehavior": "exactly-one",
                    "action": [branch("one"), branch("other")],
                },
                step("extra", json!([after("choice")]), "could"),
                step("later", json!([waits]), "must"),
                step("end", json!([after("later"), after("extra")]), "must"),
            ],
        }],
    })
}

/// The entries of a new order; `performer` names who is to do all of it.
pub(crate) fn entries(what: What, performer: Option<&str>) -> Vec<Entry> {
    let (example, kind) = match what {
        What::Laboratory | What::Winding => (&LABORATORY, "ServiceRequest"),
        What::Referral | What::Draft => (&REFERRAL, "ServiceRequest"),
        What::Prescription => (&PRESCRIPTION, "MedicationRequest"),
    };
    let mut entries: Vec<Entry> = example.to_vec();
    for entry in &mut entries {
        let Interaction::Create { kind: of, body, .. } = &mut entry.interaction else { continue };
        if of.name() != kind {
            continue;
        }
        let mut asked = body.clone().into_body();
        asked.insert("requester".into(), json!({ "reference": SURGERY }));
        match performer.map(|who| json!({ "reference": who })) {
            Some(who) if what == What::Prescription => asked["dispenseRequest"]["performer"] = who,
            Some(who) => drop(asked.insert("performer".into(), json!([who]))),
            None => {}
        }
        if what == What::Winding {
            asked.insert("category".into(), json!([{ "coding": [{ "system": "urn:test", "code": WINDING }] }]));
        } else if what == What::Draft {
            asked.insert("status".into(), "draft".into());
        }
        *body = asked.into();
    }
    entries
}

fn read(text: &str) -> Vec<Entry> {
    let example: Value = serde_json::from_str(text).unwrap();
    match example["entry"].as_array() {
        Some(entries) => entries.iter().map(|e| entry(&e["resource"], e["fullUrl"].as_str())).collect(),
        None => vec![entry(&example, None)],
    }
}

/// Patients and the like are taken by their identifier when they are here already.
fn entry(resource: &Value, full_url: Option<&str>) -> Entry {
    let body = resource.as_object().unwrap().clone();
    let kind = Kind::parse(text_at(&body, &["resourceType"]).unwrap()).unwrap();
    let text = |name: &str| body["identifier"][0][name].as_str().unwrap().to_owned();
    let identifier = (!kind.is_request()).then(|| Identifier { kind, system: text("system"), value: text("value") });
    let interaction = Interaction::Create { kind, body: body.into(), unless: identifier.map(Condition::Identifier) };
    Entry { full_url: full_url.map(str::to_owned), ..Entry::new(interaction) }
}
