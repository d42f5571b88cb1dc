//! The time by which a step is to be done, or before which it is not. Who is late, or early, is told so, the placer too, and
//! all goes on: nothing fails by that.

use schemas::resource::Body;
use schemas::task::{TaskStatus, business};
use schemas::time::Timestamp;
use serde_json::{Value, json};

use super::Stop;
use super::order::Order;
use crate::decision::{Timer, TimerId};
use crate::plan::advance::Standing;

/// What a Task says that is late, and one that ended too soon.
const OVERDUE: &str = "overdue";
const LATE: &str = "it was to be done by now";
const EARLY: &str = "early";
const SOON: &str = "it was to end later";

impl Order<'_, '_> {
    /// A step that is on offer or under way is to be done by another time.
    pub(super) fn bound(&mut self, leaf: usize, until: Timestamp) -> Result<(), Stop> {
        let now = self.draft.now();
        self.tell(leaf, |body| set_bound(body, until, now))?;
        self.note_bound(leaf, Some(until))
    }

    /// Keeps the run in step with what was written, and looks again when the time has come.
    pub(super) fn note_bound(&mut self, leaf: usize, until: Option<Timestamp>) -> Result<(), Stop> {
        let Some(until) = until else { return Ok(()) };
        let is_late = until <= self.draft.now();
        if is_late {
            // It may have had until later.
            self.drop_bound(leaf);
        }
        let state = self.state(leaf);
        let was_late = std::mem::replace(&mut state.late, is_late);
        state.until = Some(until);
        if is_late {
            // Of a step that is offered again that is known.
            return if was_late { Ok(()) } else { self.notify(leaf, OVERDUE, LATE) };
        }
        let id = self.bound_timer(leaf);
        self.draft.set_timer(Timer { id, due: until });
        Ok(())
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
        let Some(until) = state.until.filter(|_| is_open && !state.late) else { return Ok(()) };
        if until > now {
            // It has moved since this timer was seen to be due.
            let id = self.bound_timer(leaf);
            self.draft.set_timer(Timer { id, due: until });
            return Ok(());
        }
        self.tell(leaf, |body| set_bound(body, until, now))?;
        self.state(leaf).late = true;
        self.notify(leaf, OVERDUE, LATE)
    }

    /// A step was done: sooner than its plan says, perhaps.
    pub(super) fn check_end(&mut self, leaf: usize) -> Result<(), Stop> {
        let now = self.draft.now();
        let Some(run) = self.draft.run_of(self.root).filter(|_| self.graph.has_ends) else { return Ok(()) };
        if !Standing::new(&self.graph, run, now).is_early(leaf) {
            return Ok(());
        }
        self.tell(leaf, |body| drop(body.insert("businessStatus".into(), business(EARLY, SOON))))?;
        self.notify(leaf, EARLY, SOON)
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
    let overdue = business(OVERDUE, LATE);
    if until <= now {
        body.insert("businessStatus".into(), overdue);
    } else if body.get("businessStatus") == Some(&overdue) {
        // It was put off.
        body.shift_remove("businessStatus");
    }
}
