//! A clinic that works off its queue: it claims the Task of a step, and what it reports then is what it would do to the
//! referral: a triage that is done is accepted to be booked later, one that is rejected goes back to its referrer.

use schemas::message::{Act as Reported, StatusReport};
use schemas::resource::Resource;
use schemas::task::{TaskStatus, owner};
use uuid::Uuid;

use super::record::{Holder, Reason, Record};
use super::table::{self, Action, Role, State, Step};
use super::{book, keep, record_of};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::workflows::follow::{state_mut, task_state};

pub(crate) fn report(draft: &mut Draft, report: &StatusReport, root: Uuid, task: &Resource) -> Result<(), Stop> {
    let Some(mut record) = record_of(draft, root).cloned() else { return Ok(()) };
    let id = crate::decide::task_id(&task.key);
    let row = table::steps()
        .iter()
        .find(|row| record.state.step(row.step).is_some() && id.is_some_and(|id| id.step as usize == row.number));
    let Some(row) = row.filter(|row| row.queued) else {
        return Err(Refusal::conflict("this Task follows its referral: nobody works on it over a queue").into());
    };
    let newest = task_state(draft, root, row.number).cloned().unwrap_or_default();
    let has_ended = id.is_some_and(|id| id.occurrence < newest.occurrence)
        || TaskStatus::of(&task.body).is_some_and(TaskStatus::is_terminal);
    if report.act == Reported::Claim {
        let is_open = record.state.step(row.step) == Some(TaskStatus::Requested) && record.holder.is_none();
        let provider = record.provider().map(|provider| format!("Organization/{provider}"));
        if has_ended || !is_open || provider.as_ref() != Some(&report.performer) {
            return Err(Refusal::conflict("this step is not on offer to this performer").into());
        }
        record.holder = Some(Holder { performer: report.performer.clone(), started: false });
        return keep(draft, root, record);
    }
    if owner(&task.body) != Some(&report.performer) {
        return Err(Refusal::conflict("this step is not this performer's: claim it first").into());
    }
    if has_ended || report.sequence <= newest.sequence {
        // Said already, or something later was.
        return Ok(());
    }
    state_mut(draft, root, row.number).sequence = report.sequence;
    told(draft, report, root, record, row.step)
}

/// What the end of a step means for the referral.
fn meaning(step: Step, act: &Reported, state: State) -> Option<Action> {
    match (step, act) {
        (Step::Triage, Reported::Completed) if state == State::Booked => Some(Action::Accept),
        (Step::Triage, Reported::Rejected | Reported::Failed) if state == State::Booked => Some(Action::Reject),
        (Step::Triage, Reported::Completed) => Some(Action::AcceptBookLater),
        (Step::Triage, Reported::Rejected | Reported::Failed) => Some(Action::ReturnWithAdvice),
        (Step::Attend, Reported::Completed) => Some(Action::Attended),
        (Step::Attend, Reported::Failed) => Some(Action::DidNotAttend),
        (Step::Report, Reported::Completed) => Some(Action::Close),
        _ => None,
    }
}

fn told(draft: &mut Draft, report: &StatusReport, root: Uuid, mut record: Record, step: Step) -> Result<(), Stop> {
    if matches!(report.act, Reported::InProgress | Reported::OnHold) {
        if let Some(holder) = &mut record.holder {
            holder.started = true;
        }
        return keep(draft, root, record);
    }
    let action = meaning(step, &report.act, record.state);
    let row = action.and_then(|action| table::row(action, record.state, Role::ProviderClinician).ok());
    let (Some(action), Some(row)) = (action, row) else {
        let text = "a step of this kind does not end so over a queue: act on the referral itself";
        return Err(Refusal::conflict(text).into());
    };
    let comment = report.status_reason.as_ref().and_then(|reason| reason.get("text")?.as_str());
    record.reason = comment.map(|comment| Reason { coded: None, comment: Some(comment.to_owned()) });
    match action {
        Action::Reject => book::free(draft, root, &mut record)?,
        Action::Attended => book::end(draft, root, &mut record, "fulfilled")?,
        Action::DidNotAttend => book::end(draft, root, &mut record, "noshow")?,
        _ => {}
    }
    record.goes(row.to);
    keep(draft, root, record)
}
