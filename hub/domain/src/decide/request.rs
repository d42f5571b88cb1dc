//! A request is changed by its placer, with the effects on its Tasks.

use schemas::order::{self, RequestStatus, asks_for_work, revoked_code};
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Key, Kind, Resource};
use uuid::Uuid;

use super::Stop;
use super::draft::Draft;
use super::orchestration::plan_for;
use super::order::Order;
use super::rearranging::rearrange;
use crate::command::Role;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;
use crate::workflows;

/// Elements of requests, of all their types, that become elements of the order's Tasks or its links.
const SAID_BY_TASKS: [&str; 9] = [
    "subject",
    "patient",
    "deliverFor",
    "basedOn",
    "groupIdentifier",
    "requisition",
    "replaces",
    "priorPrescription",
    "priorRequest",
];

pub(super) fn change(draft: &mut Draft, before: &Resource, root: Uuid, body: Body) -> Result<Resource, Stop> {
    if !draft.command.caller.has(Role::Placer) {
        return Err(Refusal::forbidden("a request is changed by its placer").into());
    }
    let (from, to) = (RequestStatus::of(&before.body), RequestStatus::of(&body));
    let running = draft.run_of(root).is_some_and(|run| run.plan.is_some());
    check(before, &body, from, to, running)?;
    let after = draft.replace(root, &before.key, body)?;
    if running && before.key.kind == Kind::REQUEST_GROUP {
        rearrange(draft, &before.body, &after, root)?;
    }
    if !running {
        start_if_asked(draft, &after, root)?;
    } else if from != to {
        effects(draft, &after.key, root, to, withdrawn(to))?;
    } else {
        look_again(draft, root)?;
    }
    if running && says_otherwise(&before.body, &after.body) {
        tell(draft, &after, root)?;
    }
    Ok(after)
}

/// What it asks for is not what it was: its status has effects of its own, and the rest is no part of what is asked for.
fn says_otherwise(before: &Body, after: &Body) -> bool {
    const ASIDE: [&str; 5] = ["status", "statusReason", "meta", "text", "id"];
    let differs = |one: &Body, other: &Body| {
        one.iter().any(|(name, value)| !ASIDE.contains(&name.as_str()) && other.get(name) != Some(value))
    };
    differs(before, after) || differs(after, before)
}

/// Of an orchestration only what was not released yet can change: nobody has that.
fn tell(draft: &mut Draft, request: &Resource, root: Uuid) -> Result<(), Stop> {
    match Order::find(draft, root)? {
        Some(mut order) if request.key.kind != Kind::REQUEST_GROUP => order.changed(request),
        _ => Ok(()),
    }
}

/// An intent does not change, and nothing comes back from its end (but to say that it was an error). What is under way is
/// no draft again.
fn check(before: &Resource, body: &Body, from: RequestStatus, to: RequestStatus, running: bool) -> Result<(), Stop> {
    let kind = before.key.kind;
    if before.body.get("intent") != body.get("intent") {
        return Err(
            Refusal::rule(&format!("{kind}.intent"), "an intent does not change: submit another request").into()
        );
    }
    if has_ended(from) && from != to && to != RequestStatus::EnteredInError {
        let text = "the request has ended; allowed now: entered-in-error";
        let path = format!("{kind}.status");
        return Err(Refusal::one(RefusalKind::Unprocessable, IssueType::BusinessRule, &path, text).into());
    }
    if running && !has_ended(from) {
        check_links(before, body)?;
    }
    if running && from != to && matches!(to, RequestStatus::Draft | RequestStatus::Unknown) {
        let text = "the order is under way, and no draft again: put it on hold, complete or revoke it";
        let path = format!("{kind}.status");
        return Err(Refusal::one(RefusalKind::Unprocessable, IssueType::BusinessRule, &path, text).into());
    }
    Ok(())
}

/// Whom it is for and what it is linked with, its Tasks say too, for as long as they are there.
fn check_links(before: &Resource, body: &Body) -> Result<(), Stop> {
    let changed = SAID_BY_TASKS.iter().filter(|name| before.body.get(**name) != body.get(**name));
    let text = "the order's Tasks say this too, and it does not change while it is under way: submit another request that \
                takes the place of this one";
    let fault = |name: &&str| Issue::error(IssueType::BusinessRule, format!("{}.{name}", before.key.kind), text);
    let faults: Vec<Issue> = changed.map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::new(RefusalKind::Unprocessable, faults).into()) }
}

/// A stored request that asks for work by this change becomes an order.
fn start_if_asked(draft: &mut Draft, request: &Resource, root: Uuid) -> Result<(), Stop> {
    let policy = draft.moment.policy;
    if !asks_for_work(&request.body, policy.require_actionable) {
        return Ok(());
    }
    let wanted: Vec<Key> =
        replaced(request.key.kind, &request.body).filter(|key| !draft.scene.looked_for(key)).collect();
    if !wanted.is_empty() {
        return Err(Stop::more(Needs { resources: wanted.clone(), existence: wanted, ..Needs::default() }));
    }
    if let Some(plan) = plan_for(draft, request)? {
        Order::start(draft, root, &plan, std::slice::from_ref(&request.key))?;
    }
    replace(draft, &request.key)
}

/// The requests here that this one says it takes the place of.
pub(super) fn replaced(kind: Kind, body: &Body) -> impl Iterator<Item = Key> {
    let named = if kind.is_request() { Some(order::replaced(kind, body)) } else { None };
    named.into_iter().flatten().filter_map(Key::of_reference).filter(|key| key.kind.is_request())
}

/// Now that a request asks for work, those whose place it takes do no more.
pub(super) fn replace(draft: &mut Draft, request: &Key) -> Result<(), Stop> {
    let body = draft.get(request)?.body.clone();
    for old in replaced(request.kind, &body).filter(|old| old != request) {
        withdraw(draft, &old, "request-replaced")?;
    }
    Ok(())
}

/// Revokes a request, with what that means for its Tasks. One that is elsewhere is ended there.
pub(super) fn withdraw(draft: &mut Draft, old: &Key, why: &'static str) -> Result<(), Stop> {
    let Some((before, root)) = draft.find(old).cloned().zip(draft.scene.roots.get(old).copied()) else { return Ok(()) };
    if has_ended(RequestStatus::of(&before.body)) {
        return Ok(());
    }
    workflows::check_own(draft, root)?;
    let mut body = before.body.into_body();
    body.insert("status".into(), revoked_code(old.kind).into());
    draft.replace(root, old, body)?;
    if draft.run_of(root).is_some_and(|run| run.plan.is_some()) {
        effects(draft, old, root, RequestStatus::Revoked, why)?;
    }
    Ok(())
}

pub(super) fn has_ended(status: RequestStatus) -> bool {
    matches!(status, RequestStatus::Revoked | RequestStatus::Completed | RequestStatus::EnteredInError)
}

/// Why its Tasks end, when a request is withdrawn by its own status.
fn withdrawn(to: RequestStatus) -> &'static str {
    if to == RequestStatus::EnteredInError { "entered-in-error" } else { "request-revoked" }
}

fn effects(draft: &mut Draft, key: &Key, root: Uuid, to: RequestStatus, why: &str) -> Result<(), Stop> {
    let Some(mut order) = Order::find(draft, root)? else { return Ok(()) };
    if order.is_over() {
        return Ok(());
    }
    if let Some(step) = order.step_of_part(key) {
        return order.withdraw_part(step, to, why);
    }
    let requests = order.run().requests.clone();
    let item = requests.iter().position(|name| *name == key.to_string());
    let is_over = |status: &RequestStatus| matches!(status, RequestStatus::Revoked | RequestStatus::EnteredInError);
    let all = [others(&order, &requests, key)?, vec![to]].concat();
    if is_over(&to) {
        let items: Vec<usize> = item.into_iter().collect();
        order.revoke(&items, all.iter().all(is_over), why)?;
    }
    // The states of an order of several requests are those of its last one standing.
    let mut standing = all.iter().filter(|status| !is_over(status) && **status != RequestStatus::Completed).peekable();
    let (none_stands, held) = (standing.peek().is_none(), order.run().held);
    let holds = standing.all(|status| *status == RequestStatus::OnHold);
    // What follows, follows from all that is said now.
    match () {
        () if all.iter().all(is_over) => order.go_on(),
        () if none_stands => order.close(),
        () if holds && !held => order.hold(),
        () if held && !holds => order.resume(),
        () => order.go_on(),
    }
}

/// A request says something else than before: steps may begin or stop by that.
fn look_again(draft: &mut Draft, root: Uuid) -> Result<(), Stop> {
    let Some(mut order) = Order::find(draft, root)?.filter(Order::is_conditional) else { return Ok(()) };
    if order.is_over() { Ok(()) } else { order.go_on() }
}

fn others(order: &Order, requests: &[String], key: &Key) -> Result<Vec<RequestStatus>, Stop> {
    let keys: Vec<Key> = requests.iter().filter_map(|name| Key::of_reference(name)).filter(|k| k != key).collect();
    Ok(order.draft.get_all(&keys)?.iter().map(|request| RequestStatus::of(&request.body)).collect())
}
