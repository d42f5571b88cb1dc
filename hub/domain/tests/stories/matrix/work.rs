//! Tasks that stand alone, and the Task of a whole order.

use hub_domain::command::{Act, Caller, Entry, Found, Interaction, On};
use hub_domain::decide::Policy;
use schemas::message::Act as Reported;
use schemas::resource::{Body, Key, Kind};
use serde_json::{Value, json};

use super::{Door, ENDED, STATUSES, actors, condition, has_row, tries};
use crate::world::World;

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
    assert_eq!(tried, 12 * 2 * 6 * 12 * Door::ALL.len());
}

/// The ways by which something begins.
#[derive(Debug, Clone, Copy)]
enum Beginning {
    Post,
    ConditionalPost,
    Put,
    Transaction,
}

impl Beginning {
    const ALL: [Self; 4] = [Self::Post, Self::ConditionalPost, Self::Put, Self::Transaction];

    fn act(self, task: &Value) -> Act {
        let (kind, body) = (Kind::TASK, task.as_object().unwrap().clone());
        let create = |body: Body, unless| Interaction::Create { kind, body: body.into(), unless };
        match self {
            Self::Post => Act::alone(create(body, None)),
            Self::ConditionalPost => Act::alone(create(body, Some(condition(kind, Found::Nothing { guard: None })))),
            Self::Put => {
                let mut body = body;
                body.insert("id".into(), "mine".into());
                Act::alone(Interaction::Update {
                    on: On::Key(Key::new(kind, "mine")),
                    body: body.into(),
                    if_match: None,
                })
            }
            Self::Transaction => {
                let other = json!({ "resourceType": "Communication", "status": "completed" });
                let event = Interaction::Create {
                    kind: Kind::parse("Communication").unwrap(),
                    body: other.as_object().unwrap().clone().into(),
                    unless: None,
                };
                let path = |n: usize| format!("Bundle.entry[{n}]");
                Act::Change(vec![
                    Entry { path: path(0), ..Entry::new(event) },
                    Entry { path: path(1), ..Entry::new(create(body, None)) },
                ])
            }
        }
    }
}

#[test]
fn a_task_begins_as_the_table_says_whoever_brings_it_through_whatever_door() {
    let policy = Policy { update_create: true, ..World::policy() };
    for (name, caller, ..) in actors() {
        for owner in [None, Some("Organization/owner"), Some("Organization/placer")] {
            // Who brings a Task asks for it, and has it when it names itself.
            let mut capacities = vec!["requester"];
            let is_own = owner
                .is_some_and(|owner| matches!(&caller, Caller::Known { organization, .. } if organization == owner));
            capacities.extend(is_own.then_some("owner"));
            let brings_all = matches!(name, "the operator" | "the hub");
            for to in STATUSES {
                let mut task = json!({ "resourceType": "Task", "status": to, "intent": "order" });
                owner.into_iter().for_each(|owner| task["owner"] = json!({ "reference": owner }));
                let allowed = brings_all || has_row("transitions", "*none*", to, &capacities);
                for door in Beginning::ALL {
                    let mut world = World::with(policy.clone());
                    let done = world.commands(door.act(&task), caller.clone());
                    let told = format!("{name}, {owner:?}, {to} by {door:?}");
                    assert_eq!(done.is_ok(), allowed, "{told}: {:?}", done.map(|d| d.reply));
                    let there = world.all("Task");
                    let statuses: Vec<&str> = there.iter().map(|task| task.text("status").unwrap()).collect();
                    assert_eq!(statuses, if allowed { vec![to] } else { vec![] }, "{told}");
                    assert!(allowed || world.all("Communication").is_empty(), "{told}: all or nothing");
                }
            }
        }
    }
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
    keep("rejected", begun(&[Reported::Rejected]));
    keep("failed", begun(&[Reported::Claim, Reported::InProgress, Reported::Failed]));
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
