//! Something new: a request, a Task, a Patient; alone, or several in one transaction.

use std::collections::{BTreeMap, HashMap};

use schemas::order::{asks_for_work, group_identifier};
use schemas::resource::{Body, Document, Key, Kind};
use serde_json::Value;
use uuid::Uuid;

use super::draft::Draft;
use super::orchestration::plan_for;
use super::order::Order;
use super::{Policy, Stop, join, offering, request, task, task_id};
use crate::command::Role;
use crate::refusal::Refusal;

/// A resource that is new, its references resolved.
pub(super) struct New {
    /// The root of its head, unless it belongs to the order of another one.
    pub(super) root: Uuid,
    pub(super) key: Key,
    pub(super) body: Document,
}

/// Writes what is new, and starts the orders that are among it.
pub(super) fn create(draft: &mut Draft, new: Vec<New>) -> Vec<Result<(), Stop>> {
    let orders = group(&new, draft.moment.policy);
    let mut results: Vec<Result<(), Stop>> = Vec::with_capacity(new.len());
    for (n, New { root, key, body }) in new.into_iter().enumerate() {
        let order = orders.iter().find(|order| order.members.iter().any(|(member, _)| *member == n));
        let may = check_caller(draft, &key, &body);
        results.push(may.and_then(|()| store(draft, order.map_or(root, |order| order.root), key, body)));
    }
    for order in &orders {
        let (first, _) = order.members[0];
        // What was refused is not there to be started.
        let stored = order.members.iter().all(|(member, _)| results[*member].is_ok());
        if stored && let Err(stop) = start(draft, order) {
            results[first] = Err(stop);
        }
    }
    results
}

/// Work is asked for by placers. A filler brings what comes of it: events, proposals, Tasks of its own.
fn check_caller(draft: &Draft, key: &Key, body: &Body) -> Result<(), Stop> {
    let may = match key.kind {
        Kind::TASK => true,
        kind if kind.is_request() => !asks_for_work(body, false),
        kind => kind.is_event(),
    };
    if may || draft.command.caller.has(Role::Placer) {
        return Ok(());
    }
    let text = "this needs the role placer; a filler brings events, proposals and Tasks of its own";
    Err(Refusal::forbidden(text).into())
}

/// Writes one new resource. A Task that a placer submits is queued when it is open; it spawns nothing.
fn store(draft: &mut Draft, root: Uuid, key: Key, body: Document) -> Result<(), Stop> {
    if let Some(id) = task_id(&key) {
        return join::create(draft, id, body.into_body());
    }
    if key.kind == Kind::TASK {
        return task::create(draft, root, key, body.into_body());
    }
    if key.kind == Kind::PLAN_DEFINITION {
        offering::offer(draft, &key, &body)?;
    }
    draft.store(root, key, body);
    Ok(())
}

fn start(draft: &mut Draft, order: &Group) -> Result<(), Stop> {
    let requests: Vec<Key> = order.members.iter().map(|(_, key)| key.clone()).collect();
    let plan = plan_for(draft, draft.get(&requests[0])?)?;
    if let Some(plan) = plan {
        Order::start(draft, order.root, &plan, &requests)?;
    }
    requests.iter().try_for_each(|one| request::replace(draft, one))
}

/// Requests that ask for work together.
struct Group {
    root: Uuid,
    /// Each with its place among what is new.
    members: Vec<(usize, Key)>,
}

/// Each request that asks for work is an order; MedicationRequests of one Bundle with one group identifier are one.
fn group(new: &[New], policy: &Policy) -> Vec<Group> {
    let mut groups: BTreeMap<(usize, String), Group> = BTreeMap::new();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (n, New { root, key, body }) in new.iter().enumerate() {
        if !key.kind.is_request() || !asks_for_work(body, policy.require_actionable) {
            continue;
        }
        let number = group_identifier(key.kind, body).filter(|_| key.kind == Kind::MEDICATION_REQUEST);
        let number = number.map(identity).unwrap_or_else(|| format!("entry {n}"));
        let place = *first.entry(number.clone()).or_insert(n);
        let group = groups.entry((place, number)).or_insert(Group { root: *root, members: Vec::new() });
        group.members.push((n, key.clone()));
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
