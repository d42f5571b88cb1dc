//! A timer fired: a lease ran out, an offer was not answered, a step was not done in time, or the time that one waited
//! for has come.

use schemas::ids::TaskId;
use schemas::resource::Key;
use schemas::task::{TaskStatus, reason};
use schemas::time::Timestamp;

use super::draft::Draft;
use super::order::Order;
use super::{Moment, Stop};
use crate::command::Command;
use crate::decision::{Decision, TimerId};
use crate::scene::Scene;
use crate::task_machine::Actor;
use crate::workflows;

pub(super) fn decide(scene: &Scene, command: &Command, timer: &TimerId, moment: &Moment) -> Result<Decision, Stop> {
    let mut draft = Draft::new(scene, command, moment);
    // Firing deletes it, in the same commit as what it does; the plan may set it anew.
    draft.drop_timer(timer.clone());
    if let Some(record) = scene.heads.get(&timer.root).and_then(|head| head.run.as_ref()?.record.as_ref()) {
        workflows::fire(&mut draft, timer.root, record)?;
    } else if let Some(mut order) = Order::find(&mut draft, timer.root)? {
        if let Some(task) = named(timer, "lease.") {
            lapse(&mut order, task)?;
        } else if let Some(task) = named(timer, "answer.") {
            order.unanswered(task.step as usize, task.occurrence)?;
        } else if let Some(task) = named(timer, "call.") {
            order.call_again(task.step as usize, task.occurrence)?;
        } else if let Some(step) = timer.name.strip_prefix("until.").and_then(|step| step.parse().ok()) {
            order.overdue(step)?;
            order.go_on()?;
        } else {
            timer.name.strip_prefix("wait.").and_then(|step| step.parse().ok()).into_iter().for_each(|n| order.wake(n));
            order.go_on()?;
        }
    }
    Ok(draft.finish())
}

/// The Task of a timer, `lease.<step>.<occurrence>` for one.
fn named(timer: &TimerId, kind: &str) -> Option<TaskId> {
    let (step, occurrence) = timer.name.strip_prefix(kind)?.split_once('.')?;
    Some(TaskId { root: timer.root, step: step.parse().ok()?, occurrence: occurrence.parse().ok()? })
}

/// The claim ran out: its Task ends, and the step is offered anew.
fn lapse(order: &mut Order, task: TaskId) -> Result<(), Stop> {
    let step = task.step as usize;
    let state = order.state(step);
    let (status, current, lease) = (state.status, state.occurrence == task.occurrence, state.lease);
    if !current {
        return Ok(());
    }
    match lease {
        // The claim that it was for was given back.
        Some(Timestamp::MAX) => return Ok(()),
        // Renewed since this timer was seen to be due.
        Some(until) if until > order.draft.now() => {
            order.set_lease(step, until);
            return Ok(());
        }
        _ => {}
    }
    let to = match status {
        Some(TaskStatus::Received | TaskStatus::Accepted | TaskStatus::Ready) => TaskStatus::Cancelled,
        Some(TaskStatus::InProgress) => TaskStatus::Failed,
        // It pauses by agreement; once it goes on, somebody has to report again.
        Some(TaskStatus::OnHold) => return order.renew_lease(step).map(drop),
        _ => return Ok(()),
    };
    order.draft.get(&Key::task(task))?;
    let why = reason("lease-expired", "no report came within the lease");
    let ended = order.move_task(step, to, Actor::Hub, |body| {
        body.insert("statusReason".into(), why);
    })?;
    if order.state(step).calls {
        order.call_later(step);
    } else if order.wants(step) {
        order.offer(step, &ended)?;
    }
    order.go_on()
}
