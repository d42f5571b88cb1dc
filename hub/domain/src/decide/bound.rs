//! The time by which a step is to be done. Who is late is told so, and goes on: nothing fails by being late.

use schemas::resource::Body;
use schemas::task::{TaskStatus, business};
use schemas::time::Timestamp;
use serde_json::{Value, json};

use super::Stop;
use super::order::Order;
use crate::decision::{Timer, TimerId};

impl Order<'_, '_> {
    /// A step that is on offer or under way is to be done by another time.
    pub(super) fn bound(&mut self, leaf: usize, until: Timestamp) -> Result<(), Stop> {
        let now = self.draft.now();
        self.tell(leaf, |body| set_bound(body, until, now))?;
        self.note_bound(leaf, Some(until));
        Ok(())
    }

    /// Keeps the run in step with what was written, and looks again when the time has come.
    pub(super) fn note_bound(&mut self, leaf: usize, until: Option<Timestamp>) {
        let Some(until) = until else { return };
        let is_late = until <= self.draft.now();
        let state = self.state(leaf);
        state.until = Some(until);
        state.late = is_late;
        if !is_late {
            let id = self.bound_timer(leaf);
            self.draft.set_timer(Timer { id, due: until });
        }
    }

    /// It has ended: nothing of it can be late any more.
    pub(super) fn drop_bound(&mut self, step: usize) {
        let state = self.state(step);
        if state.until.is_some() && !state.late {
            let id = self.bound_timer(step);
            self.draft.drop_timer(id);
        }
    }

    /// The time has come. Told once.
    pub(super) fn overdue(&mut self, leaf: usize) -> Result<(), Stop> {
        let now = self.draft.now();
        let state = self.state(leaf);
        let is_open = state.status.is_some_and(|status| !status.is_terminal() && status != TaskStatus::Draft);
        let Some(until) = state.until.filter(|until| *until <= now && is_open && !state.late) else { return Ok(()) };
        self.tell(leaf, |body| set_bound(body, until, now))?;
        self.state(leaf).late = true;
        Ok(())
    }

    fn bound_timer(&self, leaf: usize) -> TimerId {
        TimerId { root: self.root, name: format!("until.{leaf}") }
    }
}

/// Writes into a Task by when it is to be done, and whether that has passed.
pub(super) fn set_bound(body: &mut Body, until: Timestamp, now: Timestamp) {
    let restriction = body.entry("restriction").or_insert_with(|| json!({}));
    if let Value::Object(restriction) = restriction {
        restriction.insert("period".into(), json!({ "end": until.to_string() }));
    }
    if until <= now {
        body.insert("businessStatus".into(), business("overdue", "it was to be done by now"));
    }
}
