//! Tasks that follow a record: each goes to where the record is by legal steps. Where there is no way, because it has ended
//! or would have to go back, it ends and a new one takes its place.

use schemas::ids::TaskId;
use schemas::resource::{Body, Key, Resource};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::decide::Stop;
use crate::decide::bodies::set_status;
use crate::decide::draft::Draft;
use crate::plan::run::TaskState;
use crate::task_machine::{Actor, Matrix};

/// What a Task is to show.
#[derive(Debug, PartialEq)]
pub(super) struct Face {
    pub(super) status: TaskStatus,
    pub(super) business: Option<Value>,
    pub(super) owner: Option<Value>,
}

impl Face {
    /// Whether a Task that shows that has to be written to show this.
    pub(super) fn differs_from(&self, shown: &Self) -> bool {
        // Who has what has ended is history.
        let ended = self.status.is_terminal() && (self.status, &self.business) == (shown.status, &shown.business);
        self != shown && !ended
    }

    fn dress(&self, body: &mut Body, why: Option<&Value>) {
        for (name, value) in [("businessStatus", &self.business), ("owner", &self.owner)] {
            match value {
                Some(value) => drop(body.insert(name.into(), value.clone())),
                None => drop(body.shift_remove(name)),
            }
        }
        if let Some(why) = why {
            body.insert("statusReason".into(), why.clone());
        }
    }
}

pub(super) fn task_state<'d>(draft: &'d Draft, root: Uuid, step: usize) -> Option<&'d TaskState> {
    draft.run_of(root)?.tasks.get(step)
}

/// Brings the Task of a step to its face; a new one where there is none, or no way. `why`: the reason to show if it ends.
pub(super) fn show(
    draft: &mut Draft,
    root: Uuid,
    step: usize,
    face: &Face,
    matrix: &Matrix,
    why: Option<&Value>,
    new: impl FnOnce(TaskId, Timestamp) -> Body,
) -> Result<Resource, Stop> {
    let now = draft.now();
    let state = task_state(draft, root, step).cloned().unwrap_or_default();
    let key = Key::task(TaskId { root, step: step as u32, occurrence: state.occurrence });
    if let Some(here) = state.status {
        if let Some(way) = way(matrix, here, face.status) {
            let stops: Vec<Option<TaskStatus>> =
                if way.is_empty() { vec![None] } else { way.into_iter().map(Some).collect() };
            let mut task = draft.get(&key)?.clone();
            for to in stops {
                let mut body = task.body.clone().into_body();
                face.dress(&mut body, to.filter(|to| to.is_terminal()).and(why));
                match to {
                    Some(to) => set_status(&mut body, to, now),
                    None => drop(body.insert("lastModified".into(), now.to_string().into())),
                }
                task = draft.replace(root, &key, body)?;
            }
            *state_mut(draft, root, step) = TaskState { status: Some(face.status), ..state };
            return Ok(task);
        }
        if !here.is_terminal() {
            let mut body = draft.get(&key)?.body.clone().into_body();
            if let Some(why) = why {
                body.insert("statusReason".into(), why.clone());
            }
            set_status(&mut body, TaskStatus::Cancelled, now);
            draft.replace(root, &key, body)?;
        }
    }
    let occurrence = state.occurrence + 1;
    let id = TaskId { root, step: step as u32, occurrence };
    let mut body = new(id, now);
    face.dress(&mut body, why.filter(|_| face.status.is_terminal()));
    set_status(&mut body, face.status, now);
    let released = Some(now).filter(|_| face.status.is_offered());
    *state_mut(draft, root, step) =
        TaskState { status: Some(face.status), occurrence, released, ..TaskState::default() };
    Ok(draft.create(root, Key::task(id), body))
}

/// The steps from one state to another; none when there is no way.
fn way(matrix: &Matrix, from: TaskStatus, to: TaskStatus) -> Option<Vec<TaskStatus>> {
    if from == to { Some(Vec::new()) } else { matrix.way(from, to, &[Actor::Hub]) }
}

pub(super) fn state_mut<'d>(draft: &'d mut Draft, root: Uuid, step: usize) -> &'d mut TaskState {
    let tasks = &mut draft.head(root).run.get_or_insert_default().tasks;
    tasks.grow(step + 1);
    &mut tasks[step]
}
