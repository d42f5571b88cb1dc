//! Something new: a request, a Task, a Patient; alone, or several in one transaction.

use std::collections::{BTreeMap, HashMap};

use schemas::gate;
use schemas::ids::Target;
use schemas::order::{asks_for_work, group_identifier};
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Key, Kind, Resource, text_at};
use serde_json::Value;
use uuid::Uuid;

use super::draft::{Draft, repeated};
use super::order::Order;
use super::{Moment, Policy, Stop, task};
use crate::command::{Command, Entry};
use crate::decision::{Decision, EntryOutcome};
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::{Needs, Scene};

pub(super) fn needs(command: &Command, entries: &[Entry], policy: &Policy) -> Needs {
    let ids: Vec<Uuid> = (0..entries.len()).map(|n| id_of(command, n)).collect();
    let mut needs = Needs { roots: ids, ..Needs::default() };
    for entry in entries {
        needs = needs.and(targets(entry.kind, &entry.body, policy));
        needs.identifiers.extend(entry.if_none_exist.clone());
    }
    needs
}

/// The id of the nth new resource of a command: the same whenever the command is decided again.
fn id_of(command: &Command, n: usize) -> Uuid {
    match n {
        0 => command.id,
        n => Uuid::new_v5(&command.id, &n.to_be_bytes()),
    }
}

/// What a body points to that must be here: a Task's focus, partOf and basedOn among the types that orders are made
/// of; with strict references, everything.
pub(super) fn targets(kind: Kind, body: &Body, policy: &Policy) -> Needs {
    let existence = checked_references(kind, body, policy).into_iter().map(|(_, key)| key).collect();
    Needs { existence, ..Needs::default() }
}

fn checked_references(kind: Kind, body: &Body, policy: &Policy) -> Vec<(String, Key)> {
    let mut found = Vec::new();
    if kind != Kind::TASK && !policy.strict_references {
        return found;
    }
    gate::references(body, &mut |path, reference| {
        let Some(key) = text_at(reference, &["reference"]).and_then(Key::of_reference) else { return };
        let path = path.to_string();
        let element = path.split('.').nth(1).unwrap_or_default();
        let element = element.split('[').next().unwrap_or_default();
        let linked = kind == Kind::TASK && matches!(element, "focus" | "partOf" | "basedOn");
        if policy.strict_references || (linked && (key.kind == Kind::TASK || key.kind.is_request())) {
            found.push((path, key));
        }
    });
    found
}

/// Faults of references to what is not here, and to entries of a Bundle where there is none.
pub(super) fn check_lone(scene: &Scene, kind: Kind, body: &Body, policy: &Policy) -> Vec<Issue> {
    let mut faults = check_references(scene, kind, body, policy);
    gate::references(body, &mut |path, reference| {
        if let Some(Target::Urn(_)) = text_at(reference, &["reference"]).map(Target::parse) {
            faults.push(Issue::error(IssueType::NotFound, format!("{path}.reference"), NO_ENTRY));
        }
    });
    faults
}

const NO_ENTRY: &str = "no entry of this Bundle has this fullUrl";

/// Faults of references to what is not here.
fn check_references(scene: &Scene, kind: Kind, body: &Body, policy: &Policy) -> Vec<Issue> {
    let missing = |(_, key): &(String, Key)| !scene.existing.contains(key) && !scene.resources.contains_key(key);
    let fault = |(path, key): (String, Key)| {
        Issue::error(IssueType::NotFound, format!("{path}.reference"), format!("there is no such {} here", key.kind))
    };
    checked_references(kind, body, policy).into_iter().filter(missing).map(fault).collect()
}

pub(super) fn decide(scene: &Scene, command: &Command, entries: &[Entry], moment: &Moment) -> Result<Decision, Stop> {
    if let Some(decision) = repeated(scene, command)? {
        return Ok(decision);
    }
    let is_there = |n| scene.heads.contains_key(&id_of(command, n));
    if let Some(repeat) = &command.repeat
        && (0..entries.len()).any(is_there)
    {
        let text = format!("this {} was used before, and its answer is not kept any more", repeat.called);
        return Err(Refusal::conflict(text).into());
    }
    let found = found_already(scene, entries)?;
    let names = names(command, entries, &found);
    let mut draft = Draft::new(scene, command, moment);
    let bodies = resolve(scene, entries, &names, moment.policy)?;
    let orders = group(entries, &bodies, &names, &found, moment.policy);
    for (n, (entry, body)) in entries.iter().zip(bodies).enumerate() {
        if found[n].is_none() {
            let key = Key::new(entry.kind, names.ids[n].clone());
            let root = orders.iter().find(|order| order.members.contains(&n)).map(|order| order.root);
            let root = root.unwrap_or(id_of(command, n));
            store(&mut draft, root, key, entry, body)?;
        }
    }
    for order in &orders {
        let requests: Vec<Key> =
            order.members.iter().map(|n| Key::new(entries[*n].kind, names.ids[*n].clone())).collect();
        let first = draft.get(&requests[0])?;
        if let Some(plan) = moment.policy.catalogue.choose(requests[0].kind, &first.body) {
            Order::start(&mut draft, order.root, plan, &requests)?;
        }
    }
    for (n, entry) in entries.iter().enumerate() {
        answer(&mut draft, &Key::new(entry.kind, names.ids[n].clone()), found[n].is_some())?;
    }
    Ok(draft.finish())
}

/// For each entry, the id of the resource that its If-None-Exist finds.
fn found_already(scene: &Scene, entries: &[Entry]) -> Result<Vec<Option<String>>, Stop> {
    let look = |entry: &Entry| {
        let Some(identifier) = &entry.if_none_exist else { return Ok(None) };
        match scene.identified.get(identifier).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([one]) => Ok(Some(one.clone())),
            Some(_) => {
                let text = "If-None-Exist finds more than one resource with this identifier";
                Err(Refusal::one(RefusalKind::PreconditionFailed, IssueType::MultipleMatches, &entry.path, text))
            }
        }
    };
    entries.iter().map(|entry| look(entry).map_err(Stop::from)).collect()
}

/// What each entry will be called, and how other entries may refer to it.
struct Names {
    ids: Vec<String>,
    by_url: HashMap<String, String>,
}

fn names(command: &Command, entries: &[Entry], found: &[Option<String>]) -> Names {
    let ids: Vec<String> =
        found.iter().enumerate().map(|(n, id)| id.clone().unwrap_or_else(|| id_of(command, n).to_string())).collect();
    let url = |(entry, id): (&Entry, &String)| Some((entry.full_url.clone()?, format!("{}/{id}", entry.kind)));
    Names { by_url: entries.iter().zip(&ids).filter_map(url).collect(), ids }
}

/// The bodies with references between entries replaced by the ids that these get. Every fault of every entry is told.
fn resolve(scene: &Scene, entries: &[Entry], names: &Names, policy: &Policy) -> Result<Vec<Body>, Stop> {
    let mut faults = Vec::new();
    let mut bodies = Vec::new();
    for entry in entries {
        let from = faults.len();
        let mut body = entry.body.clone();
        faults.extend(check_references(scene, entry.kind, &body, policy));
        gate::references_mut(&mut body, &mut |path, reference| {
            let Some(text) = text_at(reference, &["reference"]) else { return };
            if let Some(name) = names.by_url.get(text) {
                let name = name.clone();
                reference.insert("reference".into(), name.into());
            } else if let Target::Urn(_) = Target::parse(text) {
                faults.push(Issue::error(IssueType::NotFound, format!("{path}.reference"), NO_ENTRY));
            }
        });
        if !entry.path.is_empty() {
            for fault in &mut faults[from..] {
                let inside = fault.path.split_once('.').map_or("", |(_, rest)| rest);
                fault.path = format!("{}.{inside}", entry.path);
            }
        }
        bodies.push(body);
    }
    if faults.is_empty() { Ok(bodies) } else { Err(Refusal::new(RefusalKind::Unprocessable, faults).into()) }
}

/// Requests that ask for work together.
struct Group {
    root: Uuid,
    /// Numbers of entries.
    members: Vec<usize>,
}

/// Each request that asks for work is an order; MedicationRequests of one Bundle with one group identifier are one.
fn group(entries: &[Entry], bodies: &[Body], names: &Names, found: &[Option<String>], policy: &Policy) -> Vec<Group> {
    let mut groups: BTreeMap<(usize, String), Group> = BTreeMap::new();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (n, entry) in entries.iter().enumerate() {
        // One that was here already belongs to the order it came with.
        let is_new = found[n].is_none();
        if !is_new || !entry.kind.is_request() || !asks_for_work(&bodies[n], policy.require_actionable) {
            continue;
        }
        let Ok(root) = Uuid::try_parse(&names.ids[n]) else { continue };
        let number = group_identifier(entry.kind, &bodies[n]).filter(|_| entry.kind == Kind::MEDICATION_REQUEST);
        let number = number.map(identity).unwrap_or_else(|| format!("entry {n}"));
        let place = *first.entry(number.clone()).or_insert(n);
        groups.entry((place, number)).or_insert(Group { root, members: Vec::new() }).members.push(n);
    }
    groups.into_values().collect()
}

fn identity(identifier: &Value) -> String {
    format!(
        "{}|{}",
        identifier["system"].as_str().unwrap_or_default(),
        identifier["value"].as_str().unwrap_or_default()
    )
}

/// Writes one new resource. A Task that a placer submits is queued when it is open; it spawns nothing.
fn store(draft: &mut Draft, root: Uuid, key: Key, entry: &Entry, body: Body) -> Result<(), Stop> {
    if entry.kind == Kind::TASK {
        task::create(draft, root, key.clone(), body)?;
    } else {
        draft.create(root, key.clone(), body);
    }
    if let Some(identifier) = &entry.if_none_exist {
        draft.decision.claims.push((identifier.clone(), key.id));
    }
    Ok(())
}

fn answer(draft: &mut Draft, key: &Key, found: bool) -> Result<(), Stop> {
    let resource: Resource = draft.get(key)?.clone();
    let outcome = if found { EntryOutcome::Found } else { EntryOutcome::Created };
    let fulfilment = draft.fulfilment_of(key);
    draft.answer(&resource, outcome, fulfilment);
    Ok(())
}
