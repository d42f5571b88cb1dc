//! A request is changed by its placer, with the effects on its Tasks.

use schemas::order::{RequestStatus, asks_for_work};
use schemas::outcome::IssueType;
use schemas::resource::{Body, Key, Resource};
use uuid::Uuid;

use super::Stop;
use super::draft::Draft;
use super::order::Order;
use crate::command::Role;
use crate::refusal::{Refusal, RefusalKind};

pub(super) fn change(draft: &mut Draft, before: &Resource, root: Uuid, body: Body) -> Result<Resource, Stop> {
    if !draft.command.caller.has(Role::Placer) {
        return Err(Refusal::forbidden("a request is changed by its placer").into());
    }
    let (from, to) = (RequestStatus::of(&before.body), RequestStatus::of(&body));
    check(before, &body, from, to)?;
    let running = draft.run_of(root).is_some_and(|run| run.plan.is_some());
    let after = draft.replace(root, &before.key, body)?;
    if !running {
        start_if_asked(draft, &after, root)?;
    } else if from != to {
        effects(draft, &after.key, root, to)?;
    }
    Ok(after)
}

/// An intent does not change, and nothing comes back from its end (but to say that it was an error).
fn check(before: &Resource, body: &Body, from: RequestStatus, to: RequestStatus) -> Result<(), Stop> {
    let kind = before.key.kind;
    if before.body.get("intent") != body.get("intent") {
        return Err(
            Refusal::rule(&format!("{kind}.intent"), "an intent does not change: submit another request").into()
        );
    }
    let ended = matches!(from, RequestStatus::Revoked | RequestStatus::Completed | RequestStatus::EnteredInError);
    if ended && from != to && to != RequestStatus::EnteredInError {
        let text = "the request has ended; allowed now: entered-in-error";
        let path = format!("{kind}.status");
        return Err(Refusal::one(RefusalKind::Unprocessable, IssueType::BusinessRule, &path, text).into());
    }
    Ok(())
}

/// A stored request that asks for work by this change becomes an order.
fn start_if_asked(draft: &mut Draft, request: &Resource, root: Uuid) -> Result<(), Stop> {
    let policy = draft.moment.policy;
    if !asks_for_work(&request.body, policy.require_actionable) {
        return Ok(());
    }
    match policy.catalogue.choose(request.key.kind, &request.body) {
        Some(plan) => Order::start(draft, root, plan, std::slice::from_ref(&request.key)),
        None => Ok(()),
    }
}

fn effects(draft: &mut Draft, key: &Key, root: Uuid, to: RequestStatus) -> Result<(), Stop> {
    let Some(mut order) = Order::find(draft, root)? else { return Ok(()) };
    if order.is_over() {
        return Ok(());
    }
    let requests = order.run().requests.clone();
    let item = requests.iter().position(|name| *name == key.to_string());
    let is_over = |status: &RequestStatus| matches!(status, RequestStatus::Revoked | RequestStatus::EnteredInError);
    let all = [others(&order, &requests, key)?, vec![to]].concat();
    if is_over(&to) {
        let items: Vec<usize> = item.into_iter().collect();
        let why = if to == RequestStatus::Revoked { "request-revoked" } else { "entered-in-error" };
        order.revoke(&items, all.iter().all(is_over), why)?;
    }
    // The states of an order of several requests are those of its last one standing.
    let mut standing = all.iter().filter(|status| !is_over(status) && **status != RequestStatus::Completed).peekable();
    let (none_stands, held) = (standing.peek().is_none(), order.run().held);
    let holds = standing.all(|status| *status == RequestStatus::OnHold);
    match () {
        () if order.is_over() || all.iter().all(is_over) => Ok(()),
        () if none_stands => order.close(),
        () if holds && !held => order.hold(),
        () if held && !holds => order.resume(),
        () => Ok(()),
    }
}

fn others(order: &Order, requests: &[String], key: &Key) -> Result<Vec<RequestStatus>, Stop> {
    let keys: Vec<Key> = requests.iter().filter_map(|name| Key::of_reference(name)).filter(|k| k != key).collect();
    Ok(order.draft.get_all(&keys)?.iter().map(|request| RequestStatus::of(&request.body)).collect())
}
