//! Every status to every other, by everybody, through every door: what happens is what the published table says, as it is
//! read here.

mod joined;
mod requests;
mod work;

use hub_domain::command::{Act, Caller, Condition, Entry, Found, Interaction, On, Patch, Role, guard};
use hub_domain::query::Query;
use hub_domain::task_machine::TABLE;
use schemas::resource::{Kind, Resource};
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
    MergePatch,
    Transaction,
    ConditionalUpdate,
    ConditionalPatch,
}

impl Door {
    const ALL: [Self; 7] = [
        Self::Put,
        Self::JsonPatch,
        Self::FhirPathPatch,
        Self::MergePatch,
        Self::Transaction,
        Self::ConditionalUpdate,
        Self::ConditionalPatch,
    ];

    /// Sets the status, and a language, so that there is always something to change.
    fn act(self, now: &Resource, status: &str) -> Act {
        let mut body = now.body.clone().into_body();
        body.insert("status".into(), status.into());
        body.insert("language".into(), "en".into());
        let on = On::Key(now.key.clone());
        let update = |on| Interaction::Update { on, body: body.into(), if_match: None };
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
            Self::MergePatch => Act::alone(patch(on, merged(status))),
            Self::Transaction => {
                let event = Interaction::Create {
                    kind: Kind::parse("Communication").unwrap(),
                    body: json!({ "resourceType": "Communication", "status": "completed" })
                        .as_object()
                        .unwrap()
                        .clone()
                        .into(),
                    unless: None,
                };
                let path = |n: usize| format!("Bundle.entry[{n}]");
                Act::Change(vec![
                    Entry { path: path(0), ..Entry::new(update(on)) },
                    Entry { path: path(1), ..Entry::new(event) },
                    Entry { path: path(2), ..Entry::new(Interaction::Read { key: now.key.clone() }) },
                ])
            }
            Self::ConditionalUpdate => Act::alone(update(On::The(found(now)))),
            Self::ConditionalPatch => Act::alone(patch(On::The(found(now)), merged(status))),
        }
    }
}

fn merged(status: &str) -> Patch {
    Patch::Merge(json!({ "status": status, "language": "en" }).as_object().unwrap().clone())
}

/// A condition that finds this resource alone, at this version.
fn found(now: &Resource) -> Condition {
    condition(now.key.kind, Found::One { key: now.key.clone(), version: now.version })
}

fn condition(kind: Kind, found: Found) -> Condition {
    let query = Query { kind, filters: Vec::new(), sort: Vec::new(), count: 2, page: None };
    Condition::Search { query: Box::new(query), guard: guard(kind, "any"), found }
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
        let begins = row["from"] == from || (row["from"] == "*any*" && !["entered-in-error", "*none*"].contains(&from));
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
