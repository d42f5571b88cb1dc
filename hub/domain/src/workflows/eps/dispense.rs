//! A dispenser tells what was handed over, tells it otherwise, and takes it back.

use schemas::resource::{Body, Key, Kind};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::information;
use super::record::{self, Issue, Notification, Record};
use super::table::{Event, Item, State};
use super::{cancel, check_patient, codes, find, keep, message, tasks};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::workflows::{self, Answer};

pub(super) fn notify(draft: &mut Draft, notice: &message::Notice) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &notice.number)?;
    if record.issues.iter().any(|issue| issue.is_held_by(&notice.by.code) && issue.heard(&notice.id)) {
        // It comes again, so late that the answer is not kept any more.
        return Ok(information(""));
    }
    check_patient(&record, notice.patient.as_ref(), "dispense")?;
    check_repeats(&record, notice.repeats)?;
    let n = match &notice.replaces {
        Some(replaced) => amended(&mut record, notice, replaced, draft.now())?,
        None => dispensed(&record, notice)?,
    };
    let items = told_items(&record, notice)?;
    let now = draft.now();
    let handed_over = notice.handed_over.unwrap_or(now);
    let told = Notification {
        id: notice.id.clone(),
        handed_over,
        state: notice.state,
        items,
        dispenses: u32::try_from(notice.dispenses.len()).unwrap_or(u32::MAX),
    };
    let event = if notice.replaces.is_some() { Event::Amend } else { Event::Notify };
    tell(&mut record.issues[n], told, event, now)?;
    if event == Event::Amend {
        strike(draft, root, &record.issues[n])?;
    }
    end_if_over(&mut record, n, now);
    for (place, dispense) in notice.dispenses.iter().enumerate() {
        draft.create(root, dispense_key(root, &notice.id, place), linked(&record, root, dispense));
    }
    keep(draft, root, record, None)?;
    Ok(information(""))
}

/// The issue that a notification is about: the one that this dispenser has.
fn dispensed(record: &Record, notice: &message::Notice) -> Result<usize, Stop> {
    let held = |issue: &Issue| issue.is_held_by(&notice.by.code);
    let active = |issue: &Issue| matches!(issue.state, State::WithDispenser | State::WithDispenserActive);
    if let Some(n) = record.issues.iter().position(|issue| held(issue) && active(issue)) {
        return Ok(n);
    }
    // An earlier word that comes late, when the last one has been said already.
    let is_earlier = |issue: &Issue| {
        let last = issue.notifications.last();
        held(issue) && last.is_some_and(|last| notice.handed_over.is_some_and(|at| at < last.handed_over))
    };
    if let Some(n) = record.issues.iter().position(is_earlier) {
        return Ok(n);
    }
    let current = &record.issues[record.current()];
    Err(match current.state {
        _ if current.holder.is_some() && !held(current) => codes::ANOTHER_DISPENSER.refusal(),
        State::Cancelled => codes::CANCELLED.refusal(),
        State::Expired => codes::EXPIRED.refusal(),
        _ => codes::STATE.refusal(),
    }
    .into())
}

/// The issue whose last notification is replaced: it is as before that.
fn amended(record: &mut Record, notice: &message::Notice, replaced: &str, now: Timestamp) -> Result<usize, Stop> {
    let n = last_told(record, &notice.by.code, replaced)?;
    reopen_after(record, n, now)?;
    let before = take_back(record, n);
    // From where it was it could have come to where it was amended from: both are of the table.
    record.issues[n].items = before.1;
    Ok(n)
}

/// The issue of which this was the last notification, told by this dispenser.
fn last_told(record: &Record, by: &str, id: &str) -> Result<usize, Stop> {
    let told = |issue: &Issue| issue.notifications.last().is_some_and(|last| last.id.eq_ignore_ascii_case(id));
    let n = record.issues.iter().position(told).ok_or_else(|| codes::NOT_LAST_DISPENSE.refusal())?;
    if !record.issues[n].is_held_by(by) {
        return Err(codes::ANOTHER_DISPENSER.refusal().into());
    }
    Ok(n)
}

/// An issue that is taken up again closes the next one, which must not have been released yet.
fn reopen_after(record: &mut Record, n: usize, now: Timestamp) -> Result<(), Stop> {
    match record.issues.get_mut(n + 1) {
        Some(next) if matches!(next.state, State::AwaitingReleaseReady | State::ToBeDispensed) => {
            next.moves(Event::Close, State::FutureIssue, now, None);
            Ok(())
        }
        Some(next) if !matches!(next.state, State::FutureIssue) => Err(codes::STATE.refusal().into()),
        _ => Ok(()),
    }
}

/// Forgets the last notification: the state and the items before it.
fn take_back(record: &mut Record, n: usize) -> (State, Vec<Item>) {
    let repeat_dispensing = record.course == record::Course::RepeatDispensing;
    let issue = &mut record.issues[n];
    issue.struck.extend(issue.notifications.pop());
    match issue.notifications.last() {
        Some(last) => (last.state, last.items.clone()),
        None => {
            let state = if repeat_dispensing { State::WithDispenserActive } else { State::WithDispenser };
            (state, issue.released.clone())
        }
    }
}

/// The word on each item of the prescription, in its order; each must be told of, and no other.
fn told_items(record: &Record, notice: &message::Notice) -> Result<Vec<Item>, Stop> {
    let told = |item: &record::ItemOf| notice.items.iter().find(|(id, _)| id.eq_ignore_ascii_case(&item.id));
    let items: Option<Vec<Item>> = record.items.iter().map(|item| told(item).map(|(_, state)| *state)).collect();
    items.filter(|items| items.len() == notice.items.len()).ok_or_else(|| codes::ITEM_NOT_FOUND.refusal().into())
}

/// Issues are counted with the first one or without it, even in published messages: one apart is no mismatch.
fn check_repeats(record: &Record, told: Option<u64>) -> Result<(), Stop> {
    let allowed = record.issues.len() as u64 - 1;
    match told {
        Some(told) if record.course == record::Course::RepeatDispensing && told.abs_diff(allowed) > 1 => {
            Err(codes::REPEAT_MISMATCH.refusal().into())
        }
        _ => Ok(()),
    }
}

pub(super) fn tell(issue: &mut Issue, told: Notification, event: Event, now: Timestamp) -> Result<(), Stop> {
    let is_late = issue.notifications.last().is_some_and(|last| told.handed_over < last.handed_over);
    if is_late && event == Event::Notify {
        // It comes late: kept in its place, and what was said since stands.
        let place = issue.notifications.partition_point(|other| other.handed_over <= told.handed_over);
        issue.notifications.insert(place, told);
        return Ok(());
    }
    if !issue.state.may(event, told.state) {
        return Err(codes::STATE.refusal().into());
    }
    let item_moves = |(from, to): (&Item, &Item)| from.may(Event::Notify, *to);
    if !issue.items.iter().zip(&told.items).all(item_moves) || !told.items.iter().all(|item| told.state.admits(*item)) {
        return Err(codes::ITEM_STATE.refusal().into());
    }
    issue.is_told(event, told, now);
    Ok(())
}

/// The dispenses of an issue, of all notifications that hold.
pub fn dispenses_of(record: &Record, root: Uuid, n: usize) -> Vec<Key> {
    record.issues[n].notifications.iter().flat_map(|told| dispenses_in(told, root)).collect()
}

/// Those that one notification brought.
pub(super) fn dispenses_in(told: &Notification, root: Uuid) -> impl Iterator<Item = Key> {
    (0..told.dispenses as usize).map(move |place| dispense_key(root, &told.id, place))
}

pub(super) fn dispense_key(root: Uuid, notification: &str, place: usize) -> Key {
    let id = Uuid::new_v5(&root, format!("{notification} {place}").as_bytes());
    Key { kind: Kind::MEDICATION_DISPENSE, id: id.to_string() }
}

/// A dispense that points to the request here instead of to the copy that it brought along.
fn linked(record: &Record, root: Uuid, dispense: &Body) -> Body {
    let mut body = dispense.clone();
    let Some(reference) = body.get("authorizingPrescription").and_then(|all| all[0]["reference"].as_str()) else {
        return body;
    };
    let item = message::contained(&body, reference)
        .and_then(|request| workflows::bundle::identifier(request, message::ITEM_NUMBER))
        .and_then(|id| record.item(id));
    let Some(item) = item else { return body };
    let local = reference.trim_start_matches('#').to_owned();
    if let Some(Value::Array(contained)) = body.get_mut("contained") {
        contained.retain(|inner| inner["id"] != local.as_str());
    }
    let id = &record.items[item].id;
    let request = json!({
        "reference": tasks::request_key(root, id).to_string(),
        "identifier": tasks::item_identifier(id),
    });
    body.insert("authorizingPrescription".into(), json!([request]));
    body
}

/// What follows the end of an issue: the next one opens, unless a cancellation waited for this one to end.
pub(super) fn end_if_over(record: &mut Record, n: usize, now: Timestamp) {
    if !record.issues[n].state.is_over() {
        return;
    }
    if let Some(next) = record.issues.get_mut(n + 1).filter(|next| next.state == State::FutureIssue) {
        let is_ahead = next.ready.is_some_and(|ready| ready > now);
        let state = if is_ahead { State::AwaitingReleaseReady } else { State::ToBeDispensed };
        next.moves(Event::Open, state, now, None);
        for wish in std::mem::take(&mut record.pending) {
            cancel::apply(record, &wish, now);
        }
    } else if n + 1 == record.issues.len() {
        // They come too late.
        record.pending.clear();
    }
}

pub(super) fn withdraw(draft: &mut Draft, back: &message::Withdraw) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &back.number)?;
    check_patient(&record, back.patient.as_ref(), "withdraw")?;
    let id = back.notification.as_deref().unwrap_or_default();
    let n = last_told(&record, &back.by, id)?;
    if !record.issues[n].state.is_open_to(Event::Withdraw) {
        return Err(codes::STATE.refusal().into());
    }
    reopen_after(&mut record, n, draft.now())?;
    let (state, items) = take_back(&mut record, n);
    let issue = &mut record.issues[n];
    issue.items = items;
    issue.moves(Event::Withdraw, state, draft.now(), Some(&back.by));
    strike(draft, root, &record.issues[n])?;
    keep(draft, root, record, Some(&back.reason))?;
    Ok(information(""))
}

/// What the last notification that was taken back had told of was not handed out.
fn strike(draft: &mut Draft, root: Uuid, issue: &Issue) -> Result<(), Stop> {
    let dispenses: Vec<Key> = issue.struck.last().into_iter().flat_map(|told| dispenses_in(told, root)).collect();
    for dispense in draft.get_all(&dispenses)? {
        let mut body = dispense.body.into_body();
        body.insert("status".into(), "entered-in-error".into());
        draft.replace(root, &dispense.key, body)?;
    }
    Ok(())
}
