//! What joined an order goes on with what it is about: an answer reaches the work that waited for it, a filler's own Task
//! of a step and the step move together, and what was asked about a Task that has ended is asked no more.

use schemas::resource::{Body, Key, list};
use schemas::task::{TaskStatus, business, focus, owner, reason};
use serde_json::{Value, json};

use super::order::Order;
use super::{Stop, task_id};
use crate::plan::run::{Joined, TaskState, Tie};
use crate::refusal::Refusal;
use crate::task_machine::{Actor, Matrix};

impl Order<'_, '_> {
    /// Something is said about a step, which stays where it is.
    pub(super) fn tell(&mut self, step: usize, edit: impl FnOnce(&mut Body)) -> Result<(), Stop> {
        let key = Key::task(self.id_of(step));
        let now = self.draft.now();
        let mut body = self.draft.get(&key)?.body.clone().into_body();
        body.insert("lastModified".into(), now.to_string().into());
        edit(&mut body);
        self.draft.replace(self.root, &key, body).map(drop)
    }

    /// A question was answered: what it brought is an input of the work.
    pub(super) fn informed(&mut self, joined: Joined, question: &Body, status: TaskStatus) -> Result<(), Stop> {
        let step = joined.to as usize;
        let state = self.state(step);
        let is_open = state.occurrence == joined.occurrence && state.status.is_some_and(|s| !s.is_terminal());
        if !is_open || !status.is_terminal() {
            return Ok(());
        }
        let told = match status {
            TaskStatus::Completed => business("information-received", "what was asked is here"),
            _ => business("information-refused", "what was asked was not given"),
        };
        let answers: Vec<Value> = list(question, "output").cloned().collect();
        self.tell(step, |work| {
            work.insert("businessStatus".into(), told);
            if !answers.is_empty()
                && let Value::Array(inputs) = work.entry("input").or_insert_with(|| json!([]))
            {
                inputs.extend(answers);
            }
        })
    }

    /// The filler moved its own Task of a step: so moves the step.
    pub(super) fn follow_twin(&mut self, joined: Joined, twin: &Body, to: TaskStatus) -> Result<(), Stop> {
        let step = joined.to as usize;
        let state = self.state(step).clone();
        let Some(from) = state.status.filter(|from| state.occurrence == joined.occurrence && !from.is_terminal())
        else {
            return Ok(());
        };
        let key = Key::task(self.id_of(step));
        if owner(&self.draft.get(&key)?.body).is_some_and(|holder| Some(holder) != owner(twin)) {
            return Err(Refusal::conflict("the Task is another performer's").into());
        }
        let taken = from.is_offered() && from != to;
        if taken && (self.run().held || state.report.is_some()) {
            let why = if self.run().held { "the request is on hold" } else { "the Task is another worker's" };
            return Err(Refusal::conflict(format!("{why}: nothing is granted now")).into());
        }
        let actors = [Actor::Candidate, Actor::Owner];
        let Some(way) = Matrix::of_work().way(from, to, &actors).filter(|_| to != TaskStatus::Ready || from == to)
        else {
            Matrix::of_work().check(Some(from), to, &actors)?;
            return Err(Refusal::rule("Task.status", "a twin gives nothing back: it is rejected, or fails").into());
        };
        for next in &way {
            let by = twin.get("owner").cloned();
            let actor = if Matrix::of_work().allows(Some(from), *next, &[Actor::Candidate]) && *next == way[0] {
                Actor::Candidate
            } else {
                Actor::Owner
            };
            self.move_task(step, *next, actor, |task| task.extend(by.map(|by| ("owner".to_owned(), by))))?;
        }
        if says_more(twin, &self.draft.get(&key)?.body) {
            self.tell(step, |task| repeat(twin, task))?;
        }
        let task = self.draft.get(&key)?.clone();
        if way.is_empty() { Ok(()) } else { self.after_task(step, &task) }
    }

    /// What joined the order goes on with what it is about: a twin to the same state, what was asked about a Task that has
    /// ended to its end.
    pub(super) fn follow_joined(&mut self) -> Result<(), Stop> {
        let own = self.graph.nodes.len();
        let open = |task: &TaskState| !task.calls && task.status.is_some_and(|status| !status.is_terminal());
        let joined = self.run().tasks.iter().enumerate().skip(own).filter(|(_, task)| open(task));
        let joined: Vec<(usize, TaskState)> = joined.map(|(step, task)| (step, task.clone())).collect();
        let is_twin = |task: &TaskState| task.joined.is_some_and(|joined| joined.tie == Tie::Twin);
        let wanted =
            joined.iter().filter(|(_, task)| is_twin(task) || !task.status.is_some_and(TaskStatus::is_started));
        let wanted: Vec<(usize, TaskState)> = wanted.cloned().collect();
        self.look_at(&wanted.iter().map(|(step, _)| *step).collect::<Vec<_>>())?;
        for (step, task) in wanted {
            let Some((target, occurrence)) = self.target_of(step, task.joined)? else { continue };
            let state = self.state(target);
            let (same, status) = (state.occurrence == occurrence, state.status);
            let ended = !same || status.is_some_and(TaskStatus::is_terminal);
            if is_twin(&task) {
                self.lead_twin(step, if same { status } else { None }, target)?;
            } else if ended {
                self.cancel(step, "target-ended")?;
            }
        }
        Ok(())
    }

    /// The step, and its offer, that a joined Task is about. Those that the hub wrote itself tell by their focus.
    fn target_of(&mut self, step: usize, joined: Option<Joined>) -> Result<Option<(usize, u32)>, Stop> {
        if let Some(joined) = joined {
            return Ok(Some((joined.to as usize, joined.occurrence)));
        }
        let key = Key::task(self.id_of(step));
        let target = focus(&self.draft.get(&key)?.body).and_then(Key::of_reference);
        Ok(target.as_ref().and_then(task_id).map(|id| (id.step as usize, id.occurrence)))
    }

    /// Takes a twin to where its step is; where that went to another, or there is no way, to its end.
    fn lead_twin(&mut self, twin: usize, status: Option<TaskStatus>, step: usize) -> Result<(), Stop> {
        let from = self.state(twin).status.unwrap_or(TaskStatus::Cancelled);
        if status == Some(from) {
            return Ok(());
        }
        let keys = [Key::task(self.id_of(twin)), Key::task(self.id_of(step))];
        let bodies = self.draft.get_all(&keys)?;
        let (twin_body, step_body) = (&bodies[0].body, &bodies[1].body);
        // Given back, it is on offer to anybody.
        let same = owner(step_body).is_none_or(|by| Some(by) == owner(twin_body));
        let actors = [Actor::Hub, Actor::Owner];
        let goes = |to: &TaskStatus| same && !to.is_offered() && Matrix::of_work().way(from, *to, &actors).is_some();
        let (to, why) = match status.filter(goes) {
            Some(to) => (to, step_body.get("statusReason").cloned()),
            None if status.is_some_and(|status| same && !status.is_terminal() && !status.is_offered()) => return Ok(()),
            None => (TaskStatus::Cancelled, Some(reason("offered-to-another", "the step ended, or went to another"))),
        };
        for next in Matrix::of_work().way(from, to, &actors).unwrap_or_default() {
            let here = self.state(twin).status;
            let actor = if Matrix::of_work().allows(here, next, &[Actor::Hub]) { Actor::Hub } else { Actor::Owner };
            let why = why.clone().filter(|_| next.is_terminal() && next != TaskStatus::Completed);
            self.move_task(twin, next, actor, |body| body.extend(why.map(|why| ("statusReason".to_owned(), why))))?;
        }
        if to.is_terminal() {
            self.drop_lease(twin);
        }
        Ok(())
    }
}

/// What a filler says of its own Task counts for the step.
const SAID: [&str; 3] = ["businessStatus", "statusReason", "output"];

fn says_more(twin: &Body, task: &Body) -> bool {
    SAID.iter().any(|name| twin.contains_key(*name) && twin.get(*name) != task.get(*name))
}

fn repeat(twin: &Body, task: &mut Body) {
    for name in SAID {
        if let Some(value) = twin.get(name) {
            task.insert(name.into(), value.clone());
        }
    }
}
