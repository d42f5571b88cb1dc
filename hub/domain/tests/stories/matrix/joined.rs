//! Tasks about a Task: what is asked of its owner, what its owner asks, and its twin. By themselves they move by the same
//! table; a twin only where the step that it is goes with it.

use std::collections::{BTreeMap, VecDeque};

use hub_domain::command::{Caller, Role};
use serde_json::{Value, json};

use super::{Door, ENDED, STATUSES, actors, has_row, known, tries};
use crate::world::World;

/// What is said of the triage of a referral, and by whom.
struct Said {
    name: &'static str,
    task: Value,
    by: Caller,
    /// The capacities of who placed the order, and of who has the triage.
    placer: Vec<&'static str>,
    owner: Vec<&'static str>,
}

fn code(code: &str) -> Value {
    json!({ "coding": [{ "system": "http://hl7.org/fhir/CodeSystem/task-code", "code": code }] })
}

fn all() -> [Said; 3] {
    let placer = known("Organization/placer", Role::Placer);
    let owner = known("Organization/owner", Role::Filler);
    let (asked, asks) = (vec!["owner"], vec!["requester"]);
    [
        Said {
            name: "what is asked",
            task: json!({ "status": "requested", "code": code("abort"), "focus": "the triage",
                          "requester": { "reference": "Organization/placer" } }),
            by: placer.clone(),
            placer: asks.clone(),
            owner: asked.clone(),
        },
        Said {
            name: "a question",
            task: json!({ "status": "requested", "partOf": "the triage",
                          "focus": { "reference": "Questionnaire/q" } }),
            by: owner.clone(),
            placer: asked.clone(),
            owner: asks.clone(),
        },
        Said {
            name: "a twin",
            task: json!({ "status": "accepted", "partOf": "the triage", "focus": "the request",
                          "requester": { "reference": "Organization/placer" },
                          "owner": { "reference": "Organization/owner" } }),
            by: owner,
            placer: asks,
            owner: asked,
        },
    ]
}

/// A referral, of which something is said: the name of that Task.
fn said(said: &Said) -> (World, String) {
    let mut world = World::new();
    let order = world.submit(vec![json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "subject": { "reference": "Patient/1" }, "requester": { "reference": "Organization/placer" },
    })]);
    let triage = format!("Task/{}.2", order.split_once('/').unwrap().1);
    if said.name != "a twin" {
        let claim = json!({ "status": "accepted", "owner": { "reference": "Organization/owner" } });
        world.set(&triage, claim).unwrap();
        world.set_status(&triage, "in-progress").unwrap();
    }
    let mut body = json!({ "resourceType": "Task", "intent": "order" });
    for (name, value) in said.task.as_object().unwrap() {
        body[name] = match (name.as_str(), value.as_str()) {
            ("partOf", _) => json!([{ "reference": triage }]),
            (_, Some("the triage")) => json!({ "reference": triage }),
            (_, Some("the request")) => json!({ "reference": order }),
            _ => value.clone(),
        };
    }
    let task = world.create(body, said.by.clone()).unwrap();
    assert!(task.ends_with(".6"), "it joined its order: {task}");
    (world, task)
}

fn capacities(said: &Said, name: &str, of_owned: Vec<&'static str>) -> Vec<&'static str> {
    match name {
        "the placer" => said.placer.clone(),
        "the owner" => said.owner.clone(),
        _ => of_owned,
    }
}

/// It in every status that it can be brought to, by the table.
fn everywhere(of: &Said) -> BTreeMap<&'static str, World> {
    let begin = STATUSES.into_iter().find(|status| *status == of.task["status"]).unwrap();
    let mut there = BTreeMap::from([(begin, said(of).0)]);
    let mut next = VecDeque::from([begin]);
    while let Some(from) = next.pop_front() {
        for to in STATUSES {
            let moves = has_row("transitions", from, to, &["requester", "owner"]) && is_for_both(of, from, to);
            if moves && !there.contains_key(to) {
                let mut world = there[from].clone();
                let (_, task) = said(of);
                // The ids of both worlds are the same.
                world.set_status(&task, to).unwrap();
                there.insert(to, world);
                next.push_back(to);
            }
        }
    }
    there
}

/// A twin goes where the step goes with it: as its owner moves that, and never back on offer.
fn is_for_both(said: &Said, from: &str, to: &str) -> bool {
    let moves = ENDED.contains(&from) || from == to || has_row("transitions", from, to, &["owner"]);
    said.name != "a twin" || (moves && to != "ready")
}

#[test]
fn what_joins_an_order_moves_by_the_table_too() {
    for of in all() {
        let (_, task) = said(&of);
        let there = everywhere(&of);
        let least = if of.name == "a twin" { 6 } else { 11 };
        assert!(there.len() >= least, "{} was seen in {:?}", of.name, there.keys());
        for (from, world) in &there {
            for (name, caller, if_owned, _) in actors() {
                let capacities = capacities(&of, name, if_owned);
                for to in STATUSES {
                    let allowed = match *from == to {
                        true => !capacities.is_empty() && !ENDED.contains(from),
                        false => has_row("transitions", from, to, &capacities) && is_for_both(&of, from, to),
                    };
                    for door in Door::ALL {
                        tries(world, &task, door, &caller, to, allowed, &format!("{name}, {} {from}", of.name));
                    }
                }
            }
        }
    }
}
