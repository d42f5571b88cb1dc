//! A pharmacy that works off its queue: to claim the Task of a prescription is to release it, and what it reports then is
//! what a notification would tell.

use schemas::message::{Act as Reported, StatusReport};
use schemas::resource::Resource;
use schemas::task::{TaskStatus, owner};
use serde_json::Value;
use uuid::Uuid;

use super::dispense::{end_if_over, tell};
use super::record::{Dispenser, Notification, Record};
use super::release::{release, take_return};
use super::table::{Event, ITEM_STATUS, Item, State};
use super::{keep, record_of, tasks};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::workflows::bundle::code;
use crate::workflows::follow::{state_mut, task_state};

pub(crate) fn report(draft: &mut Draft, report: &StatusReport, root: Uuid, task: &Resource) -> Result<(), Stop> {
    let Some(record) = record_of(draft, root).cloned() else { return Ok(()) };
    let id = crate::decide::task_id(&task.key);
    let n = (0..record.issues.len()).find(|n| id.is_some_and(|id| id.step as usize == record.step(*n)));
    let Some(n) = n else {
        return Err(Refusal::conflict("the items of a prescription follow it: report on its own Task").into());
    };
    let step = record.step(n);
    let newest = task_state(draft, root, step).cloned().unwrap_or_default();
    let has_ended = id.is_some_and(|id| id.occurrence < newest.occurrence);
    if report.act == Reported::Claim {
        // What was given back is offered by another Task: who still has the message of the first comes too late.
        if has_ended {
            return Err(Refusal::conflict("this Task has ended, and another stands for the prescription").into());
        }
        return claim(draft, report, root, record, n);
    }
    if owner(&task.body) != Some(&report.performer) || !record.issues[n].is_held_by(ods_code(report)) {
        return Err(Refusal::conflict("the prescription is not this dispenser's: claim it first").into());
    }
    let is_over = has_ended || TaskStatus::of(&task.body).is_some_and(TaskStatus::is_terminal);
    if is_over || report.sequence <= newest.sequence {
        // Said already, or something later was.
        return Ok(());
    }
    state_mut(draft, root, step).sequence = report.sequence;
    told(draft, report, root, record, n)
}

fn ods_code(report: &StatusReport) -> &str {
    report.performer.strip_prefix("Organization/").unwrap_or(&report.performer)
}

fn claim(draft: &mut Draft, report: &StatusReport, root: Uuid, mut record: Record, n: usize) -> Result<(), Stop> {
    let by = Dispenser { code: ods_code(report).to_owned(), name: None, phone: None };
    let state = record.issues[n].state;
    let is_for_them = record.nominated.as_ref().is_none_or(|nominated| *nominated == by.code);
    if state != State::ToBeDispensed || !is_for_them {
        return Err(Refusal::conflict(format!("the prescription is {}: it cannot be claimed", state.code())).into());
    }
    release(&mut record, n, &by, draft);
    keep(draft, root, record, None)
}

fn told(draft: &mut Draft, report: &StatusReport, root: Uuid, mut record: Record, n: usize) -> Result<(), Stop> {
    let now = draft.now();
    let reason = report.status_reason.clone().map(Value::Object);
    let items = |unless_told: fn(Item) -> Item| items_told(&record, n, root, report, unless_told);
    let (to, items) = match report.act {
        Reported::Completed => {
            let items = items(|_| Item::FullyDispensed)?;
            let is_any = items.contains(&Item::FullyDispensed);
            (if is_any { State::Dispensed } else { State::NotDispensed }, items)
        }
        Reported::Failed => (State::NotDispensed, items(|_| Item::NotDispensed)?),
        Reported::InProgress | Reported::OnHold => (State::WithDispenserActive, items(|item| item)?),
        Reported::Rejected if record.issues[n].state.may(Event::Return, State::ToBeDispensed) => {
            take_return(&mut record, n, ods_code(report), now);
            return keep(draft, root, record, reason.as_ref());
        }
        Reported::Rejected => {
            return Err(Refusal::conflict("part of the prescription was dispensed: it is not given back").into());
        }
        Reported::Claim => return Ok(()),
    };
    let told = Notification { id: report.report_id.clone(), handed_over: now, state: to, items, dispenses: 0 };
    tell(&mut record.issues[n], told, Event::Notify, now)?;
    end_if_over(&mut record, n, now);
    keep(draft, root, record, reason.as_ref())
}

/// Where the items are by a report. An output whose type is a dispense status tells it of the item that its value refers
/// to; of the others, as far as they are open, nothing is told but the act.
fn items_told(
    record: &Record,
    n: usize,
    root: Uuid,
    report: &StatusReport,
    unless_told: fn(Item) -> Item,
) -> Result<Vec<Item>, Stop> {
    let mut items = record.issues[n].items.clone();
    items.iter_mut().filter(|item| item.is_active()).for_each(|item| *item = unless_told(*item));
    for (place, output) in report.output.iter().enumerate() {
        let Some(status) = output.get("type").and_then(|kind| code(kind, ITEM_STATUS)) else { continue };
        let request = output.get("valueReference").and_then(|value| value["reference"].as_str()).unwrap_or_default();
        let item = record.items.iter().position(|item| tasks::request_key(root, &item.id).to_string() == request);
        let (Some(item), Some(status)) = (item, Item::parse(status)) else {
            let text = "an output that tells of an item has a code of the service and refers to the item's request";
            return Err(Refusal::rule(&format!("data.output[{place}]"), text).into());
        };
        // A worker may not have heard yet that an item was cancelled before.
        if record.issues[n].items[item].is_active() {
            items[item] = status;
        }
    }
    Ok(items)
}
