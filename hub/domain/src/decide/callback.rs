//! Whoever asked to be called when an order ends, or when something of it is late, is called: by a Task of its own, which
//! is work like any other. A call that fails is made again, later each time and not for ever; each is a Task, so that it is
//! known what was tried.

use std::time::Duration;

use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::plan::WORK;
use schemas::resource::{Body, Key, list};
use schemas::task::TaskStatus;
use serde_json::json;

use super::Stop;
use super::order::Order;
use crate::decision::{Timer, TimerId};
use crate::plan::run::TaskState;

/// The kind of work that calls are.
pub const CALLBACK_WORK: &str = "callback";
/// Where a request says who is to be called: an address.
pub const CALLBACK: &str = "urn:fhir-workflow-hub:extension:callback";
/// Most calls for one order; with the pauses between them, about ten hours.
const CALLS_LIMIT: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Whom a request wants to be called.
pub(super) fn wanted(request: &Body) -> Option<String> {
    let said = list(request, "extension").find(|extension| extension["url"] == CALLBACK)?;
    said["valueUrl"].as_str().map(str::to_owned)
}

impl Order<'_, '_> {
    /// The whole has come to its end: whoever wants to know is called.
    pub(super) fn call_back(&mut self) -> Result<(), Stop> {
        let whole = Key::task(TaskId { root: self.root, step: 0, occurrence: 1 });
        self.call(&whole, "Tell the placer how it ended")
    }

    /// What is told is the resource `about`.
    pub(super) fn call(&mut self, about: &Key, title: &str) -> Result<(), Stop> {
        let Some(address) = self.run().callback.clone() else { return Ok(()) };
        let now = self.draft.now();
        let step = self.run().tasks.len().max(self.graph.nodes.len());
        let status = Some(TaskStatus::Requested);
        *self.state(step) =
            TaskState { status, occurrence: 1, open: true, released: Some(now), calls: true, ..TaskState::default() };
        let id = self.id_of(step);
        let whole = Key::task(TaskId { step: 0, occurrence: 1, ..id });
        let mut body = Body::new();
        body.insert("identifier".into(), json!([{ "system": TASK_IDENTIFIER, "value": id.to_string() }]));
        for name in ["basedOn", "groupIdentifier", "priority"] {
            let value = self.draft.get(&whole)?.body.get(name).cloned();
            body.extend(value.map(|value| (name.to_owned(), value)));
        }
        body.insert("partOf".into(), json!([{ "reference": whole.to_string() }]));
        body.insert("status".into(), TaskStatus::Requested.code().into());
        body.insert("intent".into(), "filler-order".into());
        body.insert("code".into(), json!({ "text": title }));
        body.insert("focus".into(), json!({ "reference": about.to_string() }));
        body.insert("performerType".into(), json!([{ "coding": [{ "system": WORK, "code": CALLBACK_WORK }] }]));
        body.insert("authoredOn".into(), now.to_string().into());
        body.insert("lastModified".into(), now.to_string().into());
        body.insert("input".into(), json!([{ "type": { "text": "address" }, "valueUrl": address }]));
        let task = self.draft.create(self.root, Key::task(id), body);
        self.publish(step, &task);
        Ok(())
    }

    /// A call was made, or tried.
    pub(super) fn called(&mut self, step: usize, task: &Body, status: TaskStatus) {
        let hopeless = task.get("statusReason").is_some_and(|why| why["coding"][0]["code"] == "not-called");
        if status == TaskStatus::Failed && !hopeless {
            self.call_later(step);
        }
    }

    /// A call failed: there will be another, unless there were enough.
    pub(crate) fn call_later(&mut self, step: usize) {
        let state = self.state(step);
        state.refused += 1;
        if state.refused >= CALLS_LIMIT {
            return;
        }
        let pause = Duration::from_secs(1 << state.refused.min(31)).min(LONGEST_PAUSE);
        let id = self.id_of(step);
        let id = TimerId { root: self.root, name: format!("call.{}.{}", id.step, id.occurrence) };
        let due = self.draft.now().plus(pause);
        self.draft.set_timer(Timer { id, due });
    }

    /// It is time for another.
    pub(crate) fn call_again(&mut self, step: usize, occurrence: u32) -> Result<(), Stop> {
        let state = self.state(step);
        let ended = matches!(state.status, Some(TaskStatus::Failed | TaskStatus::Cancelled));
        if state.occurrence != occurrence || !ended {
            return Ok(());
        }
        let key = Key::task(self.id_of(step));
        let last = self.draft.get(&key)?.clone();
        self.offer(step, &last)
    }
}
