//! A timer fired: a lease ran out, or the time that a step waited for has come.

use schemas::ids::TaskId;
use schemas::resource::Key;
use schemas::task::{TaskStatus, reason};

use super::draft::Draft;
use super::order::Order;
use super::{Moment, Stop};
use crate::command::Command;
use crate::decision::{Decision, TimerId};
use crate::scene::Scene;
use crate::task_machine::Actor;

pub(super) fn decide(scene: &Scene, command: &Command, timer: &TimerId, moment: &Moment) -> Result<Decision, Stop> {
    let mut draft = Draft::new(scene, command, moment);
    // Firing deletes it, in the same commit as what it does; the plan may set it anew.
    draft.drop_timer(timer.clone());
    if let Some(mut order) = Order::find(&mut draft, timer.root)? {
        match lease(timer) {
            Some(task) => lapse(&mut order, task)?,
            None => order.go_on()?,
        }
    }
    Ok(draft.finish())
}

/// The Task of a lease's timer, `lease.<step>.<occurrence>`.
fn lease(timer: &TimerId) -> Option<TaskId> {
    let (step, occurrence) = timer.name.strip_prefix("lease.")?.split_once('.')?;
    Some(TaskId { root: timer.root, step: step.parse().ok()?, occurrence: occurrence.parse().ok()? })
}

/// The claim ran out: its Task ends, and the step is offered anew.
fn lapse(order: &mut Order, task: TaskId) -> Result<(), Stop> {
    let step = task.step as usize;
    let state = order.state(step);
    let (status, current) = (state.status, state.occurrence == task.occurrence);
    let to = match status {
        Some(TaskStatus::Received | TaskStatus::Accepted) => TaskStatus::Cancelled,
        Some(TaskStatus::InProgress) => TaskStatus::Failed,
        // It ended, or pauses by agreement.
        _ => return Ok(()),
    };
    if !current {
        return Ok(());
    }
    order.draft.get(&Key::task(task))?;
    let why = reason("lease-expired", "no report came within the lease");
    let ended = order.move_task(step, to, Actor::Hub, |body| {
        body.insert("statusReason".into(), why);
    })?;
    if order.wants(step) {
        order.offer(step, &ended)?;
    }
    order.go_on()
}
