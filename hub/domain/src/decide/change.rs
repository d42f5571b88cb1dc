//! Something that is here is changed: a whole new body (PUT), a JSON Patch, or a deletion.

use schemas::gate;
use schemas::outcome::IssueType;
use schemas::resource::{Body, Document, Key, Kind, Resource};
use schemas::task::{TaskStatus, owner};
use serde_json::Value;
use uuid::Uuid;

use super::draft::Draft;
use super::references::targets;
use super::task::{self, Wish};
use super::{Moment, Stop, again, offering, request, task_id};
use crate::command::{Caller, Patch, Role};
use crate::decision::EntryOutcome;
use crate::refusal::{Refusal, RefusalKind};
use crate::task_machine::{Actor, Matrix};
use crate::workflows;

/// `body`: what is to be there, once it is known that it may.
pub(super) fn update(
    draft: &mut Draft,
    key: &Key,
    if_match: Option<u32>,
    body: impl FnOnce(&Draft) -> Result<Document, Stop>,
) -> Result<EntryOutcome, Stop> {
    let (before, root) = begin(draft, key, if_match)?;
    let body = body(draft)?.into_body();
    check_whole(key, &body)?;
    change(draft, &before, root, body)
}

/// `resolved`: what the patch makes, with its links to other entries.
pub(super) fn patch(
    draft: &mut Draft,
    key: &Key,
    patch: &Patch,
    if_match: Option<u32>,
    resolved: impl FnOnce(&Draft, Document) -> Result<Document, Stop>,
) -> Result<EntryOutcome, Stop> {
    let (before, root) = begin(draft, key, if_match)?;
    let body = super::patch::apply(&before.body, patch, draft.now())?;
    let invalid = |faults| Refusal::new(RefusalKind::Unprocessable, faults);
    gate::check(&body, Some(key.kind.name())).map_err(invalid)?;
    if body.get("id") != before.body.get("id") {
        return Err(Refusal::rule(&format!("{}.id", key.kind), "an id does not change").into());
    }
    // Only now is it known what the body points to.
    let targets = targets(key.kind, &body, draft.moment.policy);
    if targets.existence.iter().any(|key| !draft.scene.looked_for(key)) {
        return Err(Stop::more(targets));
    }
    let body = resolved(draft, body.into())?.into_body();
    change(draft, &before, root, body)
}

pub(super) fn delete(draft: &mut Draft, key: &Key, if_match: Option<u32>) -> Result<EntryOutcome, Stop> {
    if draft.scene.deleted.contains(key) {
        // Deleting twice is deleting.
        return Ok(EntryOutcome::Absent);
    }
    let (before, root) = begin(draft, key, if_match)?;
    if is_live(draft, &before, root) {
        let text = format!("{key} belongs to an order that is under way: revoke the request instead");
        return Err(Refusal::conflict(text).into());
    }
    if key.kind == Kind::PLAN_DEFINITION {
        draft.head(offering::SHELF);
    }
    draft.delete(root, key)?;
    Ok(EntryOutcome::Deleted)
}

/// What is to be changed, if it is here, nobody else's, and at the version that the caller means.
fn begin(draft: &Draft, key: &Key, if_match: Option<u32>) -> Result<(Resource, Uuid), Stop> {
    let (before, root) = draft.named(key)?;
    workflows::check_own(draft, root)?;
    // Another entry may have moved it on: the caller cannot know that version.
    let seen = draft.scene.resources.get(key).unwrap_or(before);
    check_version(seen, if_match, draft.moment)?;
    Ok((before.clone(), root))
}

/// Its order has not ended, or, when that has, somebody is still at this Task.
fn is_live(draft: &Draft, before: &Resource, root: Uuid) -> bool {
    let whole = draft.run_of(root).and_then(|run| run.tasks.get(0)?.status);
    let own = TaskStatus::of(&before.body).filter(|_| task_id(&before.key).is_some());
    whole.into_iter().chain(own).any(|status| !status.is_terminal())
}

/// What was read as a part, by `_summary` or `_elements`, would delete the rest.
fn check_whole(key: &Key, body: &Body) -> Result<(), Refusal> {
    let Some(tag) = gate::marked_as_part(body) else { return Ok(()) };
    let text = "this is a part of a resource (SUBSETTED) and cannot take the place of the whole: \
                read it without _summary and _elements, change that, or send a PATCH";
    let path = format!("{}.meta.tag[{tag}]", key.kind);
    Err(Refusal::one(RefusalKind::Unprocessable, IssueType::BusinessRule, &path, text))
}

fn check_version(before: &Resource, if_match: Option<u32>, moment: &Moment) -> Result<(), Stop> {
    match if_match {
        Some(version) if version != before.version => {
            let text = format!("If-Match names version {version}, but {} is at version {}", before.key, before.version);
            Err(Refusal::one(RefusalKind::PreconditionFailed, IssueType::Conflict, "", text).into())
        }
        None if moment.policy.require_if_match => {
            let text = "this hub demands If-Match for an update: read the resource and send its ETag";
            Err(Refusal::one(RefusalKind::PreconditionRequired, IssueType::Required, "", text).into())
        }
        _ => Ok(()),
    }
}

fn change(draft: &mut Draft, before: &Resource, root: Uuid, body: Body) -> Result<EntryOutcome, Stop> {
    let body = Resource::new(before.key.clone(), before.version, before.last_updated, body).body.into_body();
    if body == *before.body {
        return Ok(EntryOutcome::Found);
    }
    match before.key.kind {
        Kind::TASK => change_task(draft, before, root, body)?,
        kind if kind.is_request() => request::change(draft, before, root, body)?,
        kind if !kind.is_event() && !draft.command.caller.has(Role::Placer) => {
            return Err(Refusal::forbidden("this is changed by those who submit it: placers").into());
        }
        Kind::PLAN_DEFINITION => {
            offering::offer(draft, &before.key, &body)?;
            draft.replace(root, &before.key, body)?
        }
        _ => draft.replace(root, &before.key, body)?,
    };
    Ok(EntryOutcome::Updated)
}

/// What a Task is about does not change; whoever wants something else submits something else.
const FIXED: [&str; 9] =
    ["focus", "basedOn", "partOf", "groupIdentifier", "for", "code", "intent", "requester", "authoredOn"];

fn change_task(draft: &mut Draft, before: &Resource, root: Uuid, body: Body) -> Result<Resource, Stop> {
    let from = task::status_of(&before.body)?;
    let to = task::status_of(&body)?;
    let claimed_by = owner(&body).map(str::to_owned);
    check_fixed(before, &body)?;
    check_owner(draft, before, claimed_by.as_deref())?;
    let actors = task::actors(&draft.command.caller, &before.body, claimed_by.as_deref());
    if actors.is_empty() {
        return Err(
            Refusal::forbidden("this Task is neither asked for by this caller, nor its own, nor open to it").into()
        );
    }
    if task::is_derived(draft, &before.key, root) {
        return change_fulfilment(draft, before, root, body, &actors);
    }
    if from == to && from.is_terminal() {
        return Err(Refusal::rule("Task.status", format!("the Task is {from}: it does not change any more")).into());
    }
    let is_moved = from != to || owner(&before.body) != claimed_by.as_deref();
    let takes = from.is_offered() && !to.is_terminal() && is_moved;
    if takes && task::is_held(draft, root, &before.body) {
        return Err(Refusal::conflict("the request is on hold: nothing is granted now").into());
    }
    if from != to {
        Matrix::of_work().check(Some(from), to, &actors)?;
        check_taker(draft, from, to, &body)?;
        check_turn(draft, before, root, to)?;
    }
    let body = if from == TaskStatus::InProgress && to == TaskStatus::Ready {
        given_back(draft, before, root, body)
    } else {
        body
    };
    again::ask_again(draft, &before.key, &before.body, &body, &actors)?;
    let way = if from == to { vec![] } else { vec![to] };
    let claims = claims(draft, from, to, &body);
    let taker = claims.as_ref().and_then(|claims| claims["reference"].as_str()).or(owner(&body));
    if let Some(taker) = taker {
        task::check_meant(draft, before, root, taker)?;
    }
    let wish = Wish { claimed_by: claims, body: Some(body), ..Wish::default() };
    task::apply(draft, &before.key, root, &way, wish)
}

/// Whoever takes an open Task without naming an owner is its owner.
fn claims(draft: &Draft, from: TaskStatus, to: TaskStatus, body: &Body) -> Option<Value> {
    let taken = from.is_offered() && !matches!(to, TaskStatus::Cancelled | TaskStatus::EnteredInError) && from != to;
    match &draft.command.caller {
        Caller::Known { organization, .. } if taken && !body.contains_key("owner") => {
            Some(serde_json::json!({ "reference": organization }))
        }
        _ => None,
    }
}

/// A step of a plan waits for its turn; only the plan knows when that is.
fn check_turn(draft: &Draft, before: &Resource, root: Uuid, to: TaskStatus) -> Result<(), Stop> {
    let planned = task_id(&before.key).is_some() && draft.run_of(root).is_some_and(|run| run.plan.is_some());
    if planned && to.is_offered() && TaskStatus::of(&before.body) == Some(TaskStatus::Draft) {
        let text = "this step waits for its turn: its plan releases it when what it waits for is done";
        return Err(Refusal::rule("Task.status", text).into());
    }
    Ok(())
}

/// Work that its owner gives back is for anyone again, unless the placer named that owner.
fn given_back(draft: &Draft, before: &Resource, root: Uuid, mut body: Body) -> Body {
    let open = draft.run_of(root).cloned().is_some_and(|mut run| {
        task::is_current(&run, &before.key) && task::state_of(&mut run, &before.key).is_some_and(|state| state.open)
    });
    if open {
        body.shift_remove("owner");
    }
    body
}

/// Nobody holds a Task namelessly.
fn check_taker(draft: &Draft, from: TaskStatus, to: TaskStatus, body: &Body) -> Result<(), Stop> {
    let taken = from.is_offered() && !to.is_terminal();
    if taken && !body.contains_key("owner") && draft.command.caller == Caller::Local {
        let text = "name the owner who takes the Task, in the same request";
        return Err(Refusal::one(RefusalKind::Unprocessable, IssueType::Required, "Task.owner", text).into());
    }
    Ok(())
}

fn check_fixed(before: &Resource, body: &Body) -> Result<(), Stop> {
    let changed = FIXED.iter().filter(|name| before.body.get(**name) != body.get(**name));
    let fault = |name: &&str| {
        let text = format!("{name} says what the Task is, and does not change");
        schemas::outcome::Issue::error(IssueType::BusinessRule, format!("Task.{name}"), text)
    };
    let faults: Vec<_> = changed.map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::new(RefusalKind::Unprocessable, faults).into()) }
}

/// An owner is set once, by a claim; only the operator hands a Task to another.
fn check_owner(draft: &Draft, before: &Resource, claimed_by: Option<&str>) -> Result<(), Stop> {
    let caller = &draft.command.caller;
    match (owner(&before.body), claimed_by) {
        (Some(before), Some(after)) if before == after => Ok(()),
        (Some(_), _) => Err(Refusal::one(
            RefusalKind::Conflict,
            IssueType::Conflict,
            "Task.owner",
            "the Task is another performer's",
        )
        .into()),
        (None, Some(by)) if !caller.may_be(by) => {
            Err(Refusal::forbidden("this caller does not speak for the owner that it names").into())
        }
        _ => Ok(()),
    }
}

/// A fulfilment Task follows its children; only its named performer may decline the whole, and its other elements
/// (notes, for instance) may be written.
fn change_fulfilment(
    draft: &mut Draft,
    before: &Resource,
    root: Uuid,
    body: Body,
    actors: &[Actor],
) -> Result<Resource, Stop> {
    let (from, to) = (task::status_of(&before.body)?, task::status_of(&body)?);
    if from == to {
        return draft.replace(root, &before.key, body);
    }
    let owners: Vec<Actor> = actors.iter().copied().filter(|actor| *actor == Actor::Owner).collect();
    if let Err(refusal) = Matrix::of_fulfilment().check(Some(from), to, &owners) {
        let mut refusal = refusal;
        refusal.issues[0].text +=
            "; a fulfilment Task follows its work items, and is cancelled by revoking its request";
        return Err(refusal.into());
    }
    let why = body.get("statusReason").cloned();
    if let Some(mut order) = super::order::Order::find(draft, root)? {
        order.decline(why)?;
    }
    Ok(draft.get(&before.key)?.clone())
}
