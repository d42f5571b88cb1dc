//! Requests of every type.

use hub_domain::command::{Act, Interaction, On, Role};
use schemas::resource::Key;
use serde_json::{Value, json};

use super::{Door, known, tries};
use crate::world::World;

/// The types of requests, what each must have, and the codes of its status.
fn requests() -> Vec<(Value, &'static [&'static str])> {
    const USUAL: &[&str] = &["draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"];
    const MEDICATION: &[&str] =
        &["active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown"];
    const SUPPLY: &[&str] = &["draft", "active", "suspended", "cancelled", "completed", "entered-in-error", "unknown"];
    const VISION: &[&str] = &["active", "cancelled", "draft", "entered-in-error"];
    let rosa = json!({ "reference": "Patient/rosa" });
    let text = json!({ "text": "x" });
    vec![
        (json!({ "resourceType": "ServiceRequest", "intent": "order", "subject": rosa }), USUAL),
        (
            json!({ "resourceType": "MedicationRequest", "intent": "order", "subject": rosa, "medicationCodeableConcept": text }),
            MEDICATION,
        ),
        (
            json!({ "resourceType": "DeviceRequest", "intent": "order", "subject": rosa, "codeCodeableConcept": text }),
            USUAL,
        ),
        (
            json!({ "resourceType": "NutritionOrder", "intent": "order", "patient": rosa, "dateTime": "2026-11-28" }),
            USUAL,
        ),
        (json!({ "resourceType": "SupplyRequest", "itemCodeableConcept": text, "quantity": { "value": 1 } }), SUPPLY),
        (
            json!({ "resourceType": "VisionPrescription", "created": "2026-11-28", "patient": rosa,
                    "dateWritten": "2026-11-28", "prescriber": { "reference": "Practitioner/p" },
                    "lensSpecification": [{ "product": text, "eye": "left" }] }),
            VISION,
        ),
        (json!({ "resourceType": "CommunicationRequest" }), USUAL),
        (
            json!({ "resourceType": "RequestGroup", "intent": "order", "subject": rosa,
                    "contained": [{ "resourceType": "MedicationRequest", "id": "a", "status": "unknown",
                                    "intent": "proposal", "subject": rosa, "medicationCodeableConcept": text }],
                    "action": [{ "id": "a", "resource": { "reference": "#a" } }] }),
            USUAL,
        ),
    ]
}

/// One word for what each type spells its own way.
fn word(code: &str) -> &str {
    match code {
        "cancelled" | "stopped" => "revoked",
        "suspended" => "on-hold",
        other => other,
    }
}

#[test]
fn a_request_ends_once_in_the_codes_of_its_type_through_whatever_door() {
    let placer = known("Organization/placer", Role::Placer);
    let filler = known("Organization/owner", Role::Filler);
    for (body, codes) in requests() {
        let kind = body["resourceType"].to_string().replace('"', "");
        for from in codes {
            let mut world = World::new();
            let mut request = body.clone();
            request["status"] = (*from).into();
            let reference = world.submit(vec![request]);
            let told = format!("{reference} {from}");
            for to in codes {
                let ended = ["revoked", "completed", "entered-in-error"].contains(&word(from));
                // An active one of these types is under way.
                let runs = *from == "active"
                    && ["ServiceRequest", "MedicationRequest", "RequestGroup"].contains(&kind.as_str());
                let back = runs && ["draft", "unknown"].contains(to);
                let allowed = !back && (!ended || word(from) == word(to) || *to == "entered-in-error");
                for door in Door::ALL {
                    tries(&world, &reference, door, &placer, to, allowed, &told);
                    tries(&world, &reference, door, &filler, to, false, &told);
                }
            }
            // What is no code of this type is none after a patch either.
            for foreign in ["revoked", "suspended", "stopped", "ended"].iter().filter(|code| !codes.contains(code)) {
                for door in [Door::JsonPatch, Door::FhirPathPatch] {
                    tries(&world, &reference, door, &placer, foreign, false, &told);
                }
            }
        }
    }
}

#[test]
fn what_a_condition_found_is_compared_with_what_is_there() {
    let mut world = World::new();
    let reference = world.submit(vec![json!({ "resourceType": "Patient" })]);
    let early = world.resource(&reference).clone();
    let placer = known("Organization/placer", Role::Placer);
    let mut body = early.body.clone().into_body();
    body.insert("gender".into(), "other".into());
    let update =
        Interaction::Update { on: On::Key(Key::of_reference(&reference).unwrap()), body: body.into(), if_match: None };
    world.commands(Act::alone(update), placer.clone()).unwrap();
    let late = world.commands(Door::ConditionalUpdate.act(&early, "x"), placer).unwrap_err();
    assert_eq!(late.kind, hub_domain::refusal::RefusalKind::Overtaken);
}
