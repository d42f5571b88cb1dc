//! A pharmacy that works off its queue.

use schemas::message::{Act as Reported, StatusReport};
use schemas::resource::Resource;
use schemas::task::{TaskStatus, owner};
use serde_json::Value;
use uuid::Uuid;

use super::dispense::{end_if_over, tell};
use super::record::{Dispenser, Notification};
use super::release::{release, take_return};
use super::table::{Event, Item, State};
use super::{keep, record_of};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::workflows::follow::task_state;

/// A pharmacy that works off its queue: to claim the Task of a prescription is to release it; what it reports then is
/// what a notification would tell of all items alike.
pub(crate) fn report(draft: &mut Draft, report: &StatusReport, root: Uuid, task: &Resource) -> Result<(), Stop> {
    let Some(mut record) = record_of(draft, root).cloned() else { return Ok(()) };
    let code = report.performer.strip_prefix("Organization/").unwrap_or(&report.performer).to_owned();
    let id = crate::decide::task_id(&task.key);
    let n = (0..record.issues.len()).find(|n| id.is_some_and(|id| id.step as usize == record.step(*n)));
    let Some(n) = n else {
        return Err(Refusal::conflict("the items of a prescription follow it: report on its own Task").into());
    };
    let now = draft.now();
    let state = record.issues[n].state;
    let by = Dispenser { code: code.clone(), name: None, phone: None };
    // What was given back is offered by another Task: who still has the message of the first comes too late.
    let newest = task_state(draft, root, record.step(n)).map_or(1, |state| state.occurrence);
    let is_theirs = report.act != Reported::Claim && owner(&task.body) == Some(&report.performer);
    if id.is_some_and(|id| id.occurrence < newest) && !is_theirs {
        return Err(Refusal::conflict("this Task has ended, and another stands for the prescription").into());
    }
    if report.act == Reported::Claim {
        let for_them = record.nominated.as_ref().is_none_or(|nominated| *nominated == code);
        if state != State::ToBeDispensed || !for_them {
            return Err(Refusal::conflict(format!("the prescription is {}: it cannot be claimed", state.code())).into());
        }
        release(&mut record, n, &by, draft);
        return keep(draft, root, record, None);
    }
    if TaskStatus::of(&task.body).is_some_and(TaskStatus::is_terminal) && owner(&task.body) == Some(&report.performer) {
        // Said already, of a Task that has ended since.
        return Ok(());
    }
    if !record.issues[n].is_held_by(&code) {
        return Err(Refusal::conflict("the prescription is not this dispenser's: claim it first").into());
    }
    let reason = report.status_reason.clone().map(Value::Object);
    let all = |item: Item| -> Vec<Item> {
        record.issues[n].items.iter().map(|was| if was.is_active() { item } else { *was }).collect()
    };
    let (to, items) = match report.act {
        Reported::Completed => (State::Dispensed, all(Item::FullyDispensed)),
        Reported::Failed => (State::NotDispensed, all(Item::NotDispensed)),
        Reported::Rejected => {
            if !state.may(Event::Return, State::ToBeDispensed) {
                return Err(Refusal::conflict("part of the prescription was dispensed: it is not given back").into());
            }
            take_return(&mut record, n, &code, now);
            return keep(draft, root, record, reason.as_ref());
        }
        Reported::InProgress | Reported::OnHold => (State::WithDispenserActive, record.issues[n].items.clone()),
        Reported::Claim => return Ok(()),
    };
    let told = Notification { id: report.report_id.clone(), handed_over: now, state: to, items, dispenses: 0 };
    tell(&mut record.issues[n], told, Event::Notify, now)?;
    end_if_over(&mut record, n, now);
    keep(draft, root, record, reason.as_ref())
}
