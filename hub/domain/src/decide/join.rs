//! A Task that somebody writes about a Task of an order joins that order: it gets an id there, and moves with it.
//!
//! Three kinds do. One **asks** the owner of a work item to stop it, pause it or go on (`abort`, `suspend`, `resume`). One
//! is a **question** about it: what its owner has to know before it can go on. One is its **twin**: the Task that a filler
//! has of it in a system of its own. Whatever else is written about a Task stands alone.

use schemas::ids::TaskId;
use schemas::outcome::IssueType;
use schemas::resource::{Body, Key, Kind, Resource, list};
use schemas::task::{TaskStatus, asked_code, asks_for_information, business, focus, owner};

use super::bodies::may_request;
use super::draft::Draft;
use super::order::Order;
use super::{Stop, task_id};
use crate::plan::run::{Joined, TaskState, Tie};
use crate::refusal::{Refusal, RefusalKind};
use crate::task_machine::{Actor, Matrix};

/// The Task of an order that a new resource may be about, by what it says of itself.
pub(super) fn about(kind: Kind, body: &Body) -> Option<Key> {
    if kind != Kind::TASK {
        return None;
    }
    let parent = || list(body, "partOf").next().and_then(|of| of["reference"].as_str());
    let named = if asked_code(body).is_some() { focus(body) } else { parent() };
    let key = Key::of_reference(named?)?;
    task_id(&key).map(|_| key)
}

/// The id that it gets, if it joins an order: behind all that there are, and behind those of the same command.
pub(super) fn place(draft: &mut Draft, kind: Kind, body: &Body) -> Option<TaskId> {
    let key = about(kind, body)?;
    let (root, _) = (task_id(&key)?.root, tie(draft, &key, body)?);
    let there = draft.scene.heads.get(&root)?.run.as_ref()?.tasks.len();
    let joining = draft.joining.entry(root).or_default();
    let step = (there + *joining) as u32;
    *joining += 1;
    Some(TaskId { root, step, occurrence: 1 })
}

/// What it is to the Task that it is about; none when it stands alone.
fn tie(draft: &Draft, about: &Key, body: &Body) -> Option<Tie> {
    let (id, target) = (task_id(about)?, draft.scene.resources.get(about)?);
    let run = draft.scene.heads.get(&id.root)?.run.as_ref()?;
    let same_focus = body.contains_key("focus") && body.get("focus") == target.body.get("focus");
    match () {
        () if run.plan.is_none() || run.record.is_some() => None,
        () if asked_code(body).is_some() => Some(Tie::Ask),
        () if id.step == 0 => None,
        () if asks_for_information(body) => Some(Tie::Question),
        () if same_focus && owner(body).is_some() => Some(Tie::Twin),
        () => None,
    }
}

/// Writes a Task that joins its order, as it was placed.
pub(super) fn create(draft: &mut Draft, id: TaskId, body: Body) -> Result<(), Stop> {
    let named = about(Kind::TASK, &body);
    let tie = named.as_ref().and_then(|about| tie(draft, about, &body));
    let Some((about, tie)) = named.as_ref().and_then(task_id).zip(tie) else {
        return Err(Refusal::conflict("the order changed while this was decided").into());
    };
    let target = draft.get(&Key::task(about))?.clone();
    let status = super::task::status_of(&body)?;
    let steps = Order::find(draft, about.root)?.map_or(0, |order| order.graph.nodes.len());
    if about.step as usize >= steps {
        return Err(
            Refusal::rule("Task", "what is said of a Task that is itself about another is said to that one").into()
        );
    }
    check_open(draft, about, &target)?;
    let (caller, now) = (draft.command.caller.clone(), draft.now());
    let speaks = super::task::actors(&caller, &target.body, owner(&body));
    let mut body = match tie {
        Tie::Ask => asking(&speaks, &target, status, body)?,
        Tie::Question => question(&speaks, &target, status, body)?,
        Tie::Twin => twin(draft, &target, status, body)?,
    };
    for name in ["basedOn", "groupIdentifier", "for"] {
        if let Some(value) = target.body.get(name).filter(|_| !body.contains_key(name)) {
            body.insert(name.into(), value.clone());
        }
    }
    for name in ["authoredOn", "lastModified"] {
        body.entry(name).or_insert_with(|| now.to_string().into());
    }
    let Some(mut order) = Order::find(draft, about.root)? else { return Ok(()) };
    let task = order.draft.create(about.root, Key::task(id), body);
    let joined = Joined { to: about.step, occurrence: about.occurrence, tie };
    let released = status.is_offered().then_some(now);
    let state =
        TaskState { status: Some(status), occurrence: 1, released, joined: Some(joined), ..TaskState::default() };
    let step = id.step as usize;
    *order.state(step) = state;
    match tie {
        Tie::Twin => order.after_task(step, &task)?,
        Tie::Question => {
            let waits = business("awaiting-information", "waits for what was asked");
            order.tell(about.step as usize, |target| drop(target.insert("businessStatus".into(), waits)))?;
        }
        Tie::Ask => {}
    }
    if order.state(step).status.is_some_and(TaskStatus::is_offered) {
        order.publish(step, &task);
    }
    Ok(())
}

/// Only of what is under way, by its newest offer.
fn check_open(draft: &Draft, about: TaskId, target: &Resource) -> Result<(), Stop> {
    if about.step == 0 {
        let text = "the whole follows its request: revoke that, put it on hold, or make it active again";
        return Err(Refusal::rule("Task.focus", text).into());
    }
    let is_current = draft.run_of(about.root).is_some_and(|run| super::task::is_current(run, &target.key));
    match TaskStatus::of(&target.body) {
        Some(status) if is_current && !status.is_terminal() => Ok(()),
        status => {
            let status = status.map_or("over", TaskStatus::code);
            Err(Refusal::conflict(format!("the Task that this is about is {status} already")).into())
        }
    }
}

fn demand(speaks: &[Actor], as_whom: Actor, text: &str) -> Result<(), Stop> {
    if speaks.contains(&as_whom) { Ok(()) } else { Err(Refusal::forbidden(text).into()) }
}

fn demand_requested(status: TaskStatus) -> Result<(), Stop> {
    let text = "what is asked of somebody begins as requested";
    if status == TaskStatus::Requested { Ok(()) } else { Err(Refusal::rule("Task.status", text).into()) }
}

/// Who works is asked to stop, to pause, or to go on: by whoever asked for the work.
fn asking(speaks: &[Actor], target: &Resource, status: TaskStatus, mut body: Body) -> Result<Body, Stop> {
    demand(speaks, Actor::Requester, "only who asked for a Task may ask its owner to stop, to pause or to go on")?;
    demand_requested(status)?;
    let Some(by) = target.body.get("owner") else {
        let text = "nobody has taken this Task: cancel it, or revoke its request";
        return Err(Refusal::rule("Task.focus", text).into());
    };
    if *body.entry("owner").or_insert_with(|| by.clone()) != *by {
        return Err(Refusal::rule("Task.owner", "it is for the owner of the Task that it is about").into());
    }
    if let Some(work) = target.body.get("performerType") {
        body.entry("performerType").or_insert_with(|| work.clone());
    }
    let whole = target.body.get("partOf").cloned();
    body.entry("partOf").or_insert_with(|| whole.unwrap_or_default());
    Ok(body)
}

/// Whoever has the work asks; it is for whoever asked for the work, unless somebody else is named.
fn question(speaks: &[Actor], target: &Resource, status: TaskStatus, mut body: Body) -> Result<Body, Stop> {
    demand(speaks, Actor::Owner, "only the owner of a Task asks for what it lacks: claim it first")?;
    demand_requested(status)?;
    if let Some(asks) = target.body.get("owner").filter(|owner| may_request(owner)) {
        body.entry("requester").or_insert_with(|| asks.clone());
    }
    if let (Some(asked), false) = (target.body.get("requester"), body.contains_key("owner")) {
        body.insert("owner".into(), asked.clone());
    }
    if !body.contains_key("owner") {
        let text = "name the owner: who is asked";
        return Err(Refusal::one(RefusalKind::Unprocessable, IssueType::Required, "Task.owner", text).into());
    }
    Ok(body)
}

/// The Task as its filler has it: in the name of that one, who has the step or may take it.
fn twin(draft: &Draft, target: &Resource, status: TaskStatus, body: Body) -> Result<Body, Stop> {
    let caller = &draft.command.caller;
    let by = owner(&body).unwrap_or_default();
    if !caller.may_be(by) {
        return Err(Refusal::forbidden("this caller does not speak for the owner that it names").into());
    }
    if target.body.contains_key("owner") && owner(&target.body) != Some(by) {
        return Err(Refusal::conflict("the Task is another performer's").into());
    }
    if !caller.is_operator() {
        Matrix::of_work().check(None, status, &[Actor::Requester, Actor::Owner])?;
    }
    Ok(body)
}
