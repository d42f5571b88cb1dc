//! Every status to every other, by everybody, through every door: what happens is what the published table says, as it is
//! read here.

use hub_domain::command::{Act, Caller, Condition, Entry, Found, Interaction, On, Patch, Role, guard};
use hub_domain::query::Query;
use hub_domain::task_machine::TABLE;
use schemas::message::Act as Reported;
use schemas::resource::{Key, Kind, Resource};
use serde_json::{Value, json};

use crate::world::World;

const STATUSES: [&str; 12] = [
    "draft",
    "requested",
    "received",
    "accepted",
    "rejected",
    "ready",
    "cancelled",
    "in-progress",
    "on-hold",
    "failed",
    "completed",
    "entered-in-error",
];
const ENDED: [&str; 5] = ["rejected", "cancelled", "failed", "completed", "entered-in-error"];

/// The ways by which a caller may change one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Put,
    JsonPatch,
    FhirPathPatch,
    Transaction,
    ConditionalUpdate,
}

impl Door {
    const ALL: [Self; 5] =
        [Self::Put, Self::JsonPatch, Self::FhirPathPatch, Self::Transaction, Self::ConditionalUpdate];

    /// Sets the status, and a language, so that there is always something to change.
    fn act(self, now: &Resource, status: &str) -> Act {
        let mut body = now.body.clone().into_body();
        body.insert("status".into(), status.into());
        body.insert("language".into(), "en".into());
        let on = On::Key(now.key.clone());
        let update = |on| Interaction::Update { on, body, if_match: None };
        let patch = |on, patch| Interaction::Patch { on, patch, if_match: None };
        match self {
            Self::Put => Act::alone(update(on)),
            Self::JsonPatch => {
                let operations = json!([
                    { "op": "add", "path": "/language", "value": "en" },
                    { "op": "replace", "path": "/status", "value": status },
                ]);
                Act::alone(patch(on, Patch::Json(serde_json::from_value(operations).unwrap())))
            }
            Self::FhirPathPatch => {
                let kind = now.key.kind.name();
                let operation = |parts: Value| json!({ "name": "operation", "part": parts });
                let parameters = json!({ "resourceType": "Parameters", "parameter": [
                    operation(json!([
                        { "name": "type", "valueCode": "replace" },
                        { "name": "path", "valueString": format!("{kind}.status") },
                        { "name": "value", "valueCode": status },
                    ])),
                    operation(json!([
                        { "name": "type", "valueCode": "add" }, { "name": "path", "valueString": kind },
                        { "name": "name", "valueString": "language" }, { "name": "value", "valueCode": "en" },
                    ])),
                ] });
                let read = hub_fhirpath::Patch::read(parameters.as_object().unwrap()).unwrap();
                Act::alone(patch(on, Patch::FhirPath(read)))
            }
            Self::Transaction => {
                let event = Interaction::Create {
                    kind: Kind::parse("Communication").unwrap(),
                    body: json!({ "resourceType": "Communication", "status": "completed" })
                        .as_object()
                        .unwrap()
                        .clone(),
                    unless: None,
                };
                let path = |n: usize| format!("Bundle.entry[{n}]");
                Act::Change(vec![
                    Entry { path: path(0), ..Entry::new(update(on)) },
                    Entry { path: path(1), ..Entry::new(event) },
                    Entry { path: path(2), ..Entry::new(Interaction::Read { key: now.key.clone() }) },
                ])
            }
            Self::ConditionalUpdate => {
                let kind = now.key.kind;
                let query = Query { kind, filters: Vec::new(), sort: Vec::new(), count: 2, page: None };
                let found = Found::One { key: now.key.clone(), version: now.version };
                let condition = Condition::Search { query: Box::new(query), guard: guard(kind, "any"), found };
                Act::alone(update(On::The(condition)))
            }
        }
    }
}

fn known(organization: &str, role: Role) -> Caller {
    Caller::Known { organization: organization.into(), roles: [role].into() }
}

/// Who tries, and in which capacities that is if the Task has the owner, and if it is open.
fn actors() -> Vec<(&'static str, Caller, Vec<&'static str>, Vec<&'static str>)> {
    vec![
        ("the placer", known("Organization/placer", Role::Placer), vec!["requester"], vec!["requester"]),
        ("the owner", known("Organization/owner", Role::Filler), vec!["owner"], vec!["candidate"]),
        ("another filler", known("Organization/other", Role::Filler), vec![], vec!["candidate"]),
        ("another placer", known("Organization/other", Role::Placer), vec![], vec![]),
        (
            "the operator",
            known("Organization/it", Role::Operator),
            vec!["requester", "owner"],
            vec!["requester", "candidate"],
        ),
        ("the hub", Caller::Hub, vec!["hub", "requester", "owner"], vec!["hub", "requester", "candidate"]),
    ]
}

/// Whether a row of the table lets one of these go there.
fn has_row(part: &str, from: &str, to: &str, capacities: &[&str]) -> bool {
    let table: Value = serde_json::from_str(TABLE).unwrap();
    let rows = table[part].as_array().unwrap();
    rows.iter().any(|row| {
        let begins = row["from"] == from || (row["from"] == "*any*" && from != "entered-in-error");
        let is_theirs =
            row["actors"].as_array().unwrap().iter().any(|actor| capacities.contains(&actor.as_str().unwrap()));
        begins && row["to"] == to && is_theirs && row["off"] != true
    })
}

/// Tries it, and looks that it happened or that nothing did.
fn tries(world: &World, reference: &str, door: Door, caller: &Caller, to: &str, allowed: bool, told: &str) {
    let mut world = world.clone();
    let before = world.resource(reference).clone();
    let done = world.commands(door.act(&before, to), caller.clone());
    assert_eq!(done.is_ok(), allowed, "{told} to {to} by {door:?}: {:?}", done.map(|d| d.reply));
    let after = world.resource(reference);
    match allowed {
        true => assert_eq!(after.text("status"), Some(to), "{told} by {door:?}"),
        false => assert_eq!(after, &before, "{told} to {to} by {door:?}"),
    }
}

#[test]
fn a_task_moves_as_the_table_says_whoever_moves_it_through_whatever_door() {
    let mut tried = 0;
    for from in STATUSES {
        for is_owned in [true, false] {
            let mut task = json!({
                "resourceType": "Task", "status": from, "intent": "order",
                "requester": { "reference": "Organization/placer" },
            });
            if is_owned {
                task["owner"] = json!({ "reference": "Organization/owner" });
            }
            let mut world = World::new();
            let reference = world.submit(vec![task]);
            for (name, caller, if_owned, if_open) in actors() {
                let capacities = if is_owned { if_owned } else { if_open };
                for to in STATUSES {
                    let allowed = match from == to {
                        true => !capacities.is_empty() && !ENDED.contains(&from),
                        false => has_row("transitions", from, to, &capacities),
                    };
                    let told = format!("{name}, a Task {from}, {}", if is_owned { "owned" } else { "open" });
                    for door in Door::ALL {
                        tries(&world, &reference, door, &caller, to, allowed, &told);
                        tried += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tried, 12 * 2 * 6 * 12 * 5);
}

/// Each state of a fulfilment Task that an order can be brought to.
fn fulfilments() -> Vec<(&'static str, World, String)> {
    let order = || {
        let mut world = World::new();
        let request = world.submit(vec![json!({
            "resourceType": "ServiceRequest", "status": "active", "intent": "order",
            "category": [{ "coding": [{ "system": "http://snomed.info/sct", "code": "108252007" }] }],
            "subject": { "reference": "Patient/1" },
            "requester": { "reference": "Organization/placer" },
            "performer": [{ "reference": "Organization/owner" }],
        })]);
        (world, request)
    };
    let mut all = Vec::new();
    let mut keep = |status, (world, request): (World, String)| {
        let whole = format!("{}.0", request.replace("ServiceRequest", "Task"));
        assert_eq!(world.status_of(&whole), status);
        all.push((status, world, whole));
    };
    keep("requested", order());
    let begun = |acts: &[Reported]| {
        let (mut world, request) = order();
        for (n, act) in acts.iter().enumerate() {
            world.report(&request, 2, "Organization/owner", *act, n as u32 + 1).unwrap();
        }
        (world, request)
    };
    keep("accepted", begun(&[Reported::Claim]));
    keep("in-progress", begun(&[Reported::Claim, Reported::InProgress]));
    let (mut world, request) = begun(&[Reported::Claim, Reported::InProgress]);
    world.set_status(&request, "on-hold").unwrap();
    keep("on-hold", (world, request));
    let (mut world, request) = order();
    world.set_status(&request, "revoked").unwrap();
    keep("cancelled", (world, request));
    let (mut world, request) = order();
    for step in 2..=4 {
        world.does(&request, step, "Organization/owner");
    }
    keep("completed", (world, request));
    all
}

#[test]
fn a_fulfilment_task_follows_its_children_and_is_moved_by_nobody_but_as_the_table_says() {
    for (from, world, whole) in fulfilments() {
        for (name, caller, capacities, _) in actors() {
            for to in STATUSES {
                // Only as its owner does anybody move it; its notes may be written by whoever has a part in it.
                let as_owner: Vec<&str> = capacities.iter().copied().filter(|capacity| *capacity == "owner").collect();
                let allowed = match from == to {
                    true => !capacities.is_empty(),
                    false => has_row("derived", from, to, &as_owner),
                };
                for door in Door::ALL {
                    tries(&world, &whole, door, &caller, to, allowed, &format!("{name}, the whole {from}"));
                }
            }
        }
    }
}

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
                let runs = *from == "active" && ["ServiceRequest", "MedicationRequest"].contains(&kind.as_str());
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
    let update = Interaction::Update { on: On::Key(Key::of_reference(&reference).unwrap()), body, if_match: None };
    world.commands(Act::alone(update), placer.clone()).unwrap();
    let late = world.commands(Door::ConditionalUpdate.act(&early, "x"), placer).unwrap_err();
    assert_eq!(late.kind, hub_domain::refusal::RefusalKind::Overtaken);
}
