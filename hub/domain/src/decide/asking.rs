//! Whoever has a step is asked to stop it, to pause it, to go on with it, or to heed what its request says now: by a Task of
//! its own, which it answers.

use schemas::resource::{Body, Key, Resource};
use schemas::task::{TaskStatus, asked_code, focus, reason};
use serde_json::json;

use super::bodies::{asking, set_status};
use super::order::Order;
use super::{Stop, task_id};
use crate::plan::run::{Joined, TaskState, Tie};
use crate::task_machine::{Actor, Matrix};

impl Order<'_, '_> {
    /// Asks the owner of a started Task to stop it (`abort`), to pause it (`suspend`) or to go on (`resume`).
    pub(super) fn ask(&mut self, step: usize, code: &str) -> Result<(), Stop> {
        self.ask_with(step, code, None, |_| {})
    }

    fn ask_with(
        &mut self,
        step: usize,
        code: &str,
        joined: Option<Joined>,
        edit: impl FnOnce(&mut Body),
    ) -> Result<(), Stop> {
        let now = self.draft.now();
        let key = Key::task(self.id_of(step));
        let target = self.draft.get(&key)?.clone();
        let asking_step = self.run().tasks.len().max(self.graph.nodes.len());
        let status = Some(TaskStatus::Requested);
        let state = TaskState { status, occurrence: 1, released: Some(now), joined, ..TaskState::default() };
        *self.state(asking_step) = state;
        let id = self.id_of(asking_step);
        let mut body = asking(id, code, &target, now);
        edit(&mut body);
        let task = self.draft.create(self.root, Key::task(id), body);
        self.publish(asking_step, &task);
        Ok(())
    }

    /// The owner answered a Task that asked for something: done means that the other Task follows.
    pub(super) fn answered(&mut self, asked: &Body, status: TaskStatus) -> Result<(), Stop> {
        let target = focus(asked).and_then(Key::of_reference).and_then(|key| task_id(&key));
        let Some(target) = target.filter(|_| status == TaskStatus::Completed) else { return Ok(()) };
        let step = target.step as usize;
        let state = self.state(step);
        let (current, same) = (state.status, state.occurrence == target.occurrence);
        let (to, actor) = match asked_code(asked) {
            Some("abort") => (TaskStatus::Cancelled, Actor::Hub),
            Some("suspend") => (TaskStatus::OnHold, Actor::Owner),
            Some("resume") => (TaskStatus::InProgress, Actor::Owner),
            _ => return Ok(()),
        };
        // What was given back is nobody's: only what pauses goes on.
        let pauses = to != TaskStatus::InProgress || current == Some(TaskStatus::OnHold);
        if !same || !pauses || !Matrix::of_work().allows(current, to, &[actor]) {
            // It ended, or moved there by itself, in the meantime.
            return Ok(());
        }
        let why = reason("stopped-on-request", "stopped by its owner, as was asked");
        if to.is_terminal() {
            self.cause = Some(why.clone());
        }
        let task = self.move_task(step, to, actor, |body| {
            if to.is_terminal() {
                body.insert("statusReason".into(), why);
            }
        })?;
        if to.is_terminal() {
            self.end_part(&task.body, to)?;
            self.drop_lease(step);
        }
        Ok(())
    }

    /// A request says something else than before. Whoever has work of it is told; what nobody has yet is offered as it is
    /// now.
    pub(super) fn changed(&mut self, request: &Resource) -> Result<(), Stop> {
        let (revoked, closed, held) = (self.run().revoked, self.run().closed, self.run().held);
        if revoked || closed || self.is_over() {
            return Ok(());
        }
        let concerned = self.steps_of(&request.key);
        self.look_at(&concerned)?;
        for step in concerned {
            let state = self.state(step).clone();
            if state.withdrawn {
                // It is asked to stop already.
            } else if state.is_engaged() {
                self.ask_to_change(step, state.occurrence, request)?;
            } else if state.status.is_some_and(TaskStatus::is_offered) && !held {
                self.offer_anew(step)?;
            }
        }
        Ok(())
    }

    /// The steps whose work is what this request asks for.
    fn steps_of(&mut self, request: &Key) -> Vec<usize> {
        if let Some(step) = self.step_of_part(request) {
            return vec![step];
        }
        let name = request.to_string();
        let item = self.run().requests.iter().position(|request| *request == name);
        let is_of = |leaf: &usize| self.graph.nodes[*leaf].item.is_none_or(|of| Some(of) == item);
        self.graph.leaves().filter(is_of).collect()
    }

    /// FHIR's code `change` is about the resource that is to be heeded; the work in question is what the Task is a part of.
    fn ask_to_change(&mut self, step: usize, occurrence: u32, request: &Resource) -> Result<(), Stop> {
        let work = Key::task(self.id_of(step)).to_string();
        let version = format!("{}/_history/{}", request.key, request.version);
        let joined = Joined { to: step as u32, occurrence, tie: Tie::Ask };
        self.ask_with(step, "change", Some(joined), |body| {
            body.insert("focus".into(), json!({ "reference": version }));
            body.insert("partOf".into(), json!([{ "reference": work }]));
        })
    }

    /// What is on offer is put there once more, as it is now. Who claims by an earlier message comes too late: that one
    /// may tell what the request said before.
    pub(super) fn offer_anew(&mut self, step: usize) -> Result<(), Stop> {
        let Some(status) = self.state(step).status else { return Ok(()) };
        let key = Key::task(self.id_of(step));
        let now = self.draft.now();
        let mut body = self.draft.get(&key)?.body.clone().into_body();
        set_status(&mut body, status, now);
        let task = self.draft.replace(self.root, &key, body)?;
        self.state(step).offered = Some(task.version);
        self.publish(step, &task);
        Ok(())
    }
}
