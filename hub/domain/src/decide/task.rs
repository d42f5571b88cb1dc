//! A Task that somebody moves: by REST or by a report, the rules are the same.

use schemas::ids::TaskId;
use schemas::outcome::IssueType;
use schemas::resource::{Body, Key, Resource, text_at};
use schemas::task::{TaskStatus, asked_code, asks_for_information, owner};
use serde_json::{Value, json};
use uuid::Uuid;

use super::bodies::{GENERAL_WORK, work_of};
use super::draft::Draft;
use super::order::Order;
use super::{Stop, task_id};
use crate::command::{Caller, Role};
use crate::plan::run::{Run, TaskState};
use crate::refusal::{Refusal, RefusalKind};
use crate::task_machine::{Actor, Matrix};

/// What a message calls the step of a Task that belongs to no plan.
const LONE_STEP: &str = "task";

/// A Task that a placer submits stands alone: it is stored, and queued when somebody may take it.
pub(super) fn create(draft: &mut Draft, root: Uuid, key: Key, mut body: Body) -> Result<(), Stop> {
    let status = status_of(&body)?;
    let actors = match owner(&body) {
        Some(owner) if draft.command.caller.may_be(owner) => vec![Actor::Requester, Actor::Owner],
        _ => vec![Actor::Requester],
    };
    // Placers load work that is under way elsewhere, or done: any state may be the first that the hub sees, but only
    // the operator or a caller entitled to that state may bring it.
    if !draft.command.caller.is_operator() {
        Matrix::of_work().check(None, status, &actors)?;
    }
    let now = draft.now();
    body.entry("authoredOn").or_insert_with(|| now.to_string().into());
    body.entry("lastModified").or_insert_with(|| now.to_string().into());
    let open = owner(&body).is_none() && body.get("owner").is_none();
    let task = draft.create(root, key, body);
    let released = status.is_offered().then_some(now);
    let state = TaskState { status: Some(status), occurrence: 1, open, released, ..TaskState::default() };
    draft.head(root).run = Some(Run { tasks: [state].into_iter().collect(), ..Run::default() });
    if status.is_offered() {
        publish_lone(draft, &task);
    }
    Ok(())
}

/// To the queue of its kind of work, if some plan knows that kind: no other has a queue.
fn publish_lone(draft: &mut Draft, task: &Resource) {
    let work = work_of(&task.body);
    let known = draft.moment.policy.catalogue.works().contains(&work);
    let work = if known { work } else { GENERAL_WORK.to_owned() };
    draft.publish(task, LONE_STEP.into(), work);
}

pub(super) fn status_of(body: &Body) -> Result<TaskStatus, Stop> {
    let missing =
        || Refusal::one(RefusalKind::Unprocessable, IssueType::Required, "Task.status", "a Task has a status");
    TaskStatus::of(body).ok_or_else(|| missing().into())
}

/// What somebody wants of a Task.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Who claims it.
    pub(super) claimed_by: Option<Value>,
    /// Elements to put into the Task as they are.
    pub(super) set: Vec<(&'static str, Value)>,
    /// Entries to add to Task.output.
    pub(super) outputs: Vec<Value>,
    /// The whole body, where a caller sent one.
    pub(super) body: Option<Body>,
}

/// In which capacities a caller may move this Task.
pub(super) fn actors(caller: &Caller, task: &Body, claimed_by: Option<&str>) -> Vec<Actor> {
    let mut actors = Vec::new();
    if caller == &Caller::Hub {
        actors.push(Actor::Hub);
    }
    let requester = schemas::resource::text_at(task, &["requester", "reference"]);
    // Work is asked for by placers; what it lacks, by whoever has it.
    let asks = caller.has(Role::Placer) || (requester.is_some() && asks_for_information(task));
    if asks && requester.is_none_or(|requester| caller.may_be(requester)) {
        actors.push(Actor::Requester);
    }
    match owner(task) {
        Some(owner) if caller.may_be(owner) => actors.push(Actor::Owner),
        None if caller.has(Role::Filler) && claimed_by.is_none_or(|by| caller.may_be(by)) => {
            actors.push(Actor::Candidate);
        }
        _ => {}
    }
    actors
}

/// Moves a Task along `way` (each step a version), then lets the order follow. The last version is returned.
pub(super) fn apply(
    draft: &mut Draft,
    key: &Key,
    root: Uuid,
    way: &[TaskStatus],
    wish: Wish,
) -> Result<Resource, Stop> {
    let step = task_id(key).map_or(0, |id| id.step as usize);
    let stops: Vec<Option<TaskStatus>> =
        if way.is_empty() { vec![None] } else { way.iter().copied().map(Some).collect() };
    let mut wish = Some(wish);
    let before = draft.get(key)?.clone();
    let mut task = before.clone();
    for (n, to) in stops.iter().enumerate() {
        let last = n + 1 == stops.len();
        let wish = if last { wish.take().unwrap_or_default() } else { first_steps(wish.as_ref()) };
        let body = edited(&task.body, *to, wish, draft.now());
        task = draft.replace(root, key, body)?;
    }
    let was_offered = TaskStatus::of(&before.body).is_some_and(TaskStatus::is_offered);
    follow(draft, root, step, status_of(&task.body)?, &task)?;
    // What follows may have moved it on.
    let task = draft.get(key)?.clone();
    if status_of(&task.body)?.is_offered() && !was_offered {
        // Released (a lone Task; its plan releases any other), or given back: its queue is told.
        forget_grant(draft, root, &task);
        match Order::find(draft, root)? {
            Some(mut order) => {
                order.give_back_lease(step);
                order.publish(step, &task);
            }
            None => publish_lone(draft, &task),
        }
    }
    Ok(task)
}

/// Several are named for this step of a plan: whoever is known to be none of them does not take it. Who is of another type
/// than they are may be one of them, or belong to one.
pub(super) fn check_meant(draft: &mut Draft, task: &Resource, root: Uuid, who: &str) -> Result<(), Stop> {
    // Only a Task that nobody has and that says who is meant: of any other nothing more is looked at.
    let restriction = task.body.get("restriction").and_then(|restriction| restriction.get("recipient"));
    let says_whom = restriction.is_some() || task.body.contains_key("extension");
    let is_for_some = says_whom && !task.body.contains_key("owner");
    let Some(step) = task_id(&task.key).map(|id| id.step as usize).filter(|_| is_for_some) else { return Ok(()) };
    let Some(order) = Order::find(draft, root)? else { return Ok(()) };
    let action = order.graph.nodes.get(step).and_then(|node| node.action.as_ref());
    let actors = action.map(|action| action.actors.as_slice()).filter(|actors| actors.len() > 1).unwrap_or_default();
    let meant: Vec<&str> = actors.iter().filter_map(|actor| actor["reference"].as_str()).collect();
    let kind = |reference: &str| reference.split_once('/').map(|(kind, _)| kind.to_owned());
    let is_other = |other: &&str| *other != who && kind(other) == kind(who);
    if meant.is_empty() || meant.len() < actors.len() || !meant.iter().all(is_other) {
        return Ok(());
    }
    let text = format!("the Task is for one of {}", meant.join(", "));
    Err(Refusal::one(RefusalKind::Conflict, IssueType::Conflict, "Task.owner", text).into())
}

/// On the way to the last state only the claim shows.
fn first_steps(wish: Option<&Wish>) -> Wish {
    Wish { claimed_by: wish.and_then(|wish| wish.claimed_by.clone()), ..Wish::default() }
}

fn edited(task: &Body, to: Option<TaskStatus>, wish: Wish, now: schemas::time::Timestamp) -> Body {
    let mut body = wish.body.unwrap_or_else(|| task.clone());
    if let Some(owner) = wish.claimed_by {
        body.insert("owner".into(), owner);
    }
    for (name, value) in wish.set {
        body.insert(name.into(), value);
    }
    if !wish.outputs.is_empty()
        && let Value::Array(outputs) = body.entry("output").or_insert_with(|| json!([]))
    {
        outputs.extend(wish.outputs);
    }
    match to {
        Some(to) => super::bodies::set_status(&mut body, to, now),
        None => drop(body.insert("lastModified".into(), now.to_string().into())),
    }
    body
}

/// The run follows the Task, and the order follows the run. What is said of an earlier offer moves neither.
fn follow(draft: &mut Draft, root: Uuid, step: usize, status: TaskStatus, task: &Resource) -> Result<(), Stop> {
    if let Some(mut order) = Order::find(draft, root)? {
        if !is_current(order.run(), &task.key) {
            return Ok(());
        }
        order.note(step, status, &task.body);
        return order.after_task(step, task);
    }
    if let Some(state) = draft.head(root).run.as_mut().and_then(|run| run.tasks.get_mut(0)) {
        state.status = Some(status);
    }
    Ok(())
}

/// Whoever takes it next counts its reports from one, and claims this version or a later one.
fn forget_grant(draft: &mut Draft, root: Uuid, task: &Resource) {
    if let Some(state) = draft.head(root).run.as_mut().and_then(|run| state_of(run, &task.key)) {
        (state.sequence, state.report, state.offered) = (0, None, Some(task.version));
    }
}

/// Whether this is still the Task that its step is at: an earlier offer is history.
pub(super) fn is_current(run: &Run, key: &Key) -> bool {
    match task_id(key) {
        Some(id) => run.tasks.get(id.step as usize).is_some_and(|state| state.occurrence.max(1) == id.occurrence),
        None => true,
    }
}

/// Whether the hub alone moves this Task, after its children.
pub(super) fn is_derived(draft: &Draft, key: &Key, root: Uuid) -> bool {
    task_id(key).is_some_and(|id| id.step == 0) && draft.run_of(root).is_some_and(|run| run.plan.is_some())
}

/// On hold no work is granted; to pause or stop what is under way, or to answer a question about it, is no work.
pub(super) fn is_held(draft: &Draft, root: Uuid, task: &Body) -> bool {
    let Some(run) = draft.run_of(root).filter(|run| run.held) else { return false };
    let step = text_at(task, &["id"]).and_then(|id| id.parse::<TaskId>().ok()).map_or(0, |id| id.step as usize);
    let is_joined = run.tasks.get(step).is_some_and(|state| state.joined.is_some());
    asked_code(task).is_none() && !(is_joined && asks_for_information(task))
}

pub(super) fn state_of<'r>(run: &'r mut Run, key: &Key) -> Option<&'r mut TaskState> {
    run.tasks.get_mut(step_of(key))
}

pub(super) fn step_of(key: &Key) -> usize {
    task_id(key).map_or(0, |id| id.step as usize)
}
