//! The hub's own Tasks of a referral: the whole, and its steps as the referral plan has them. They follow its record.

use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::plan::WORK;
use schemas::resource::{Body, Key};
use schemas::task::{TaskStatus, task_code};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::create::UBRN;
use super::record::Record;
use super::table::{self, Of, Side, Step, StepRow};
use super::{request_key, shown};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::workflows::follow::{Face, show, task_state};

/// Who does this work.
const CLINIC: &str = "clinic";

fn owner(record: &Record) -> Option<Value> {
    record.provider().map(shown::organization)
}

fn face_of_whole(record: &Record) -> Face {
    let (_, display) = record.state.shown();
    let business = json!({ "coding": [{
        "system": record.state.own_system(), "code": record.state.code(), "display": display,
    }] });
    Face { status: record.state.whole(), business: Some(business), owner: owner(record) }
}

/// Where the Task of a step is to be; none: where it is.
fn face_of_step(record: &Record, row: &StepRow) -> Option<Face> {
    let status = match row.step {
        Step::Letter if record.letter_due.is_none() => return None,
        Step::Letter if !record.awaits_letter() => TaskStatus::Completed,
        Step::Letter if record.state.is_over() => TaskStatus::Cancelled,
        Step::Letter => TaskStatus::Requested,
        step => match (record.state.step(step)?, &record.holder) {
            (TaskStatus::Requested, Some(holder)) if row.queued && holder.started => TaskStatus::InProgress,
            (TaskStatus::Requested, Some(_)) if row.queued => TaskStatus::Accepted,
            (status, _) => status,
        },
    };
    let owner = match row.by {
        Side::Provider => owner(record),
        Side::Referrer => Some(shown::organization(&record.referrer)),
    };
    Some(Face { status, business: None, owner })
}

/// Brings every Task to where the record is, from where it was `before`.
pub(super) fn follow(draft: &mut Draft, root: Uuid, record: &Record, before: Option<&Record>) -> Result<(), Stop> {
    look_at(draft, root)?;
    let why = record.reason.as_ref().and_then(shown::reason);
    let mut whole = face_of_whole(record);
    let stands = task_state(draft, root, 0).and_then(|state| state.status);
    if whole.status == TaskStatus::Requested && stands == Some(TaskStatus::InProgress) {
        // Begun is begun, also when it is to be booked anew.
        whole.status = TaskStatus::InProgress;
    }
    if before.is_some_and(|before| before.urgency != record.urgency) {
        reprioritise(draft, root, record)?;
    }
    let new = |id: TaskId, now: Timestamp| whole_body(record, id, now);
    if before.is_none_or(|before| whole.differs_from(&face_of_whole(before)) || record.state != before.state) {
        show(draft, root, 0, &whole, table::matrix(), why.as_ref(), new)?;
    }
    for row in table::steps() {
        if let Some(face) = face_of_step(record, row) {
            follow_step(draft, root, record, row, &face, before, why.as_ref())?;
        }
    }
    Ok(())
}

fn follow_step(
    draft: &mut Draft,
    root: Uuid,
    record: &Record,
    row: &StepRow,
    face: &Face,
    before: Option<&Record>,
    why: Option<&Value>,
) -> Result<(), Stop> {
    let stands = task_state(draft, root, row.number).and_then(|state| state.status);
    // What has ended, or never began, is not cancelled.
    if face.status == TaskStatus::Cancelled && stands.is_none_or(TaskStatus::is_terminal) {
        return Ok(());
    }
    let shows = before.and_then(|before| face_of_step(before, row));
    if stands == Some(face.status) && shows.is_some_and(|shows| !face.differs_from(&shows)) {
        return Ok(());
    }
    let new = |id: TaskId, now: Timestamp| step_body(record, row, id, now);
    let task = show(draft, root, row.number, face, table::matrix(), why, new)?;
    let is_new = face.status == TaskStatus::Requested && stands != Some(TaskStatus::Requested);
    if row.queued && is_new && face.owner.is_some() {
        draft.publish(&task, row.step.code().into(), CLINIC.into());
    }
    Ok(())
}

/// All that is open gets the new priority.
fn reprioritise(draft: &mut Draft, root: Uuid, record: &Record) -> Result<(), Stop> {
    for key in newest(draft, root) {
        let task = draft.get(&key)?;
        if TaskStatus::of(&task.body).is_some_and(|status| !status.is_terminal()) {
            let mut body = task.body.clone().into_body();
            body.insert("priority".into(), record.urgency.priority().into());
            draft.replace(root, &key, body)?;
        }
    }
    Ok(())
}

/// Asks for all Tasks that may be written at once.
fn look_at(draft: &Draft, root: Uuid) -> Result<(), Stop> {
    draft.get_all(&newest(draft, root)).map(drop)
}

/// The newest Task of each step.
fn newest(draft: &Draft, root: Uuid) -> Vec<Key> {
    let tasks = draft.run_of(root).into_iter().flat_map(|run| run.tasks.iter());
    let there = tasks.enumerate().filter(|(_, state)| state.occurrence > 0);
    there.map(|(step, state)| Key::task(TaskId { root, step: step as u32, occurrence: state.occurrence })).collect()
}

fn common(record: &Record, id: TaskId, intent: &str, now: Timestamp) -> Body {
    let request = shown::reference(&request_key(record, id.root));
    let mut body = Body::new();
    let mut put = |name: &str, value: Value| body.insert(name.into(), value);
    put("identifier", json!([{ "system": TASK_IDENTIFIER, "value": id.to_string() }]));
    put("basedOn", json!([request]));
    put("groupIdentifier", json!({ "system": UBRN, "value": record.ubrn }));
    put("status", TaskStatus::Requested.code().into());
    put("intent", intent.into());
    put("priority", record.urgency.priority().into());
    put("focus", request);
    put("for", shown::patient(record));
    put("authoredOn", now.to_string().into());
    put("lastModified", now.to_string().into());
    put("requester", shown::organization(&record.referrer));
    put("performerType", json!([{ "coding": [{ "system": WORK, "code": CLINIC }] }]));
    body
}

fn whole_body(record: &Record, id: TaskId, now: Timestamp) -> Body {
    let mut body = common(record, id, "order", now);
    body.insert("code".into(), task_code("fulfill"));
    let title = if record.state.of() == Of::Referral { "Referral" } else { "Advice and guidance" };
    body.insert("description".into(), title.into());
    body
}

fn step_body(record: &Record, row: &StepRow, id: TaskId, now: Timestamp) -> Body {
    let mut body = common(record, id, "filler-order", now);
    let whole = TaskId { step: 0, occurrence: 1, ..id };
    body.insert("partOf".into(), json!([{ "reference": Key::task(whole).to_string() }]));
    let coding = json!([{ "system": Step::SYSTEM, "code": row.step.code() }]);
    body.insert("code".into(), json!({ "coding": coding, "text": row.title }));
    body.insert("description".into(), row.title.as_str().into());
    if row.by == Side::Referrer {
        body.shift_remove("performerType");
        if let Some(due) = record.letter_due {
            body.insert("restriction".into(), json!({ "period": { "end": due.to_string() } }));
        }
    }
    body
}
