//! What time does to a prescription: it becomes ready, expires, is not claimed for, and is forgotten.

use schemas::ids::TaskId;
use schemas::resource::Key;
use schemas::time::Timestamp;
use uuid::Uuid;

use super::claim::claim_key;
use super::dispense::{dispenses_in, end_if_over};
use super::record::{Issue, Record};
use super::table::{Event, State};
use super::{keep, message_key, record_of, tasks};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::plan::run::Run;

const EXPIRES_MONTHS: u16 = 6;
/// Of the issues after the first.
const LATER_EXPIRES_MONTHS: u16 = 12;
const ACTIVE_EXPIRES_DAYS: i64 = 180;
const NO_CLAIM_DAYS: i64 = 180;
const EXPIRED_KEPT_DAYS: i64 = 90;
const CANCELLED_KEPT_DAYS: i64 = 180;
const CLAIMED_KEPT_DAYS: i64 = 36;
const NOT_DISPENSED_KEPT_DAYS: i64 = 30;

/// When time does something to it next.
pub(super) fn next_wake(record: &Record) -> Option<Timestamp> {
    if record.issues.is_empty() {
        let waits = !record.pending.is_empty();
        return waits.then(|| record.prescribed.plus_days(CANCELLED_KEPT_DAYS));
    }
    let next = (0..record.issues.len()).filter_map(|n| due(record, n)).map(|(at, _)| at).min();
    next.or_else(|| kept_until(record))
}

/// What time does next to an issue.
fn due(record: &Record, n: usize) -> Option<(Timestamp, State)> {
    let issue = &record.issues[n];
    let months = if n == 0 { EXPIRES_MONTHS } else { LATER_EXPIRES_MONTHS };
    let expires = record.prescribed.plus_months(months);
    let last_dispensed = issue.notifications.last().map_or(Timestamp::MAX, |last| last.handed_over);
    match issue.state {
        State::AwaitingReleaseReady | State::FutureDated => {
            let ready = issue.ready.unwrap_or(record.prescribed);
            Some(if ready < expires { (ready, State::ToBeDispensed) } else { (expires, State::Expired) })
        }
        State::ToBeDispensed | State::WithDispenser | State::FutureIssue => Some((expires, State::Expired)),
        State::WithDispenserActive => {
            Some((expires.min(last_dispensed.plus_days(ACTIVE_EXPIRES_DAYS)), State::Dispensed))
        }
        State::Dispensed => Some((issue.ended?.plus_days(NO_CLAIM_DAYS), State::NoClaimed)),
        _ => None,
    }
}

/// Until when a prescription is kept whose issues are all over.
fn kept_until(record: &Record) -> Option<Timestamp> {
    let kept = |issue: &Issue| {
        let days = match issue.state {
            State::Expired => EXPIRED_KEPT_DAYS,
            State::Cancelled => CANCELLED_KEPT_DAYS,
            State::NotDispensed => NOT_DISPENSED_KEPT_DAYS,
            _ => CLAIMED_KEPT_DAYS,
        };
        issue.ended.map(|ended| ended.plus_days(days))
    };
    record.issues.iter().map(kept).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Its time has come: everything that is due by now.
pub(crate) fn fire(draft: &mut Draft, root: Uuid) -> Result<(), Stop> {
    let Some(mut record) = record_of(draft, root).cloned() else { return Ok(()) };
    let now = draft.now();
    // Firing took the timer away.
    record.wakes = None;
    let over = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    if record.issues.is_empty() && over(next_wake(&record)) {
        // The order may still come; that it was to be cancelled is not known any more.
        record.pending.clear();
    }
    loop {
        let next = (0..record.issues.len())
            .filter_map(|n| due(&record, n).map(|(at, to)| (at, n, to)))
            .min_by_key(|(at, ..)| *at);
        let Some((_, n, to)) = next.filter(|(at, ..)| *at <= now) else { break };
        let issue = &mut record.issues[n];
        if matches!(to, State::Expired) || issue.state == State::WithDispenserActive {
            issue.items.iter_mut().for_each(|item| *item = item.expired());
        }
        let event = match to {
            State::ToBeDispensed => Event::Ready,
            State::NoClaimed => Event::NoClaim,
            _ => Event::Expire,
        };
        issue.moves(event, to, now, None);
        end_if_over(&mut record, n, now);
    }
    if record.issues.iter().all(|issue| issue.state.is_over()) && due_none(&record) && over(kept_until(&record)) {
        return forget(draft, root, &record);
    }
    let why = schemas::task::reason("expired", "its time is over");
    keep(draft, root, record, Some(&why))
}

fn due_none(record: &Record) -> bool {
    (0..record.issues.len()).all(|n| due(record, n).is_none())
}

/// The service keeps it no longer: everything of it is deleted, and its number is not given again.
fn forget(draft: &mut Draft, root: Uuid, record: &Record) -> Result<(), Stop> {
    let mut keys: Vec<Key> = record.items.iter().map(|item| tasks::request_key(root, &item.id)).collect();
    let tasks = draft.run_of(root).map(|run| run.tasks.clone()).unwrap_or_default();
    for (step, state) in tasks.iter().enumerate() {
        keys.extend((1..=state.occurrence).map(|n| Key::task(TaskId { root, step: step as u32, occurrence: n })));
    }
    for issue in &record.issues {
        let told = issue.notifications.iter().chain(&issue.struck);
        keys.extend(told.flat_map(|told| dispenses_in(told, root)));
        keys.extend(issue.claim.iter().chain(&issue.claims_before).map(|id| claim_key(root, id)));
    }
    keys.push(message_key(root));
    for resource in draft.get_all(&keys)? {
        draft.delete(root, &resource.key)?;
    }
    draft.head(root).run = Some(Run::default());
    Ok(())
}
