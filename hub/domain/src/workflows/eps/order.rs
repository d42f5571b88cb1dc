//! A prescription arrives: its items, its issues, and what was cancelled of it before it came.

use schemas::task::Priority;
use schemas::time::Timestamp;

use super::answer::information;
use super::record::{self, Issue, Record};
use super::table::{Event, Item, State};
use super::{answer, cancel, codes, keep, message, message_key, record_of, root_of, tasks};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::workflows::Answer;

/// So long before the supply of one issue ends, the next may be downloaded.
const LEAD_DAYS: i64 = 7;

pub(super) fn take_in(draft: &mut Draft, order: &message::Order) -> Result<Answer, Stop> {
    let root = root_of(&order.number);
    let placeholder = record_of(draft, root).filter(|record| record.issues.is_empty()).cloned();
    if draft.scene.heads.contains_key(&root) && placeholder.is_none() {
        return Err(codes::DUPLICATE_PRESCRIPTION.refusal().into());
    }
    let now = draft.now();
    let mut record = Record {
        number: order.number.clone(),
        long_number: order.long_number.clone(),
        patient: order.patient.clone(),
        prescriber: order.prescriber.clone(),
        prescriber_name: order.prescriber_name.clone(),
        course: order.course,
        kind: order.kind.clone(),
        priority: Some(order.priority.code().to_owned()).filter(|_| order.priority != Priority::Routine),
        nominated: order.nominated.clone(),
        nominated_before: Vec::new(),
        prescribed: order.prescribed.unwrap_or(now),
        days_supply: order.days_supply,
        items: order.items.clone(),
        issues: (1..=order.issues).map(|n| issue_of(order, n)).collect(),
        pending: Vec::new(),
        bundle_id: order.bundle_id.clone(),
        wakes: placeholder.as_ref().and_then(|record| record.wakes),
    };
    begin(&mut record, order.window_begins, now);
    // What was cancelled before it arrived.
    let mut why = None;
    for wish in placeholder.into_iter().flat_map(|placeholder| placeholder.pending) {
        if wish.patient == record.patient {
            why = Some(answer::cancellation_reason(&wish.reason));
            cancel::apply(&mut record, &wish, now);
        }
    }
    for (item, request) in order.items.iter().zip(&order.requests) {
        draft.create(root, tasks::request_key(root, &item.id), request.clone());
    }
    draft.create(root, message_key(root), order.bundle.clone());
    draft.head(root).run.get_or_insert_default().requests =
        order.items.iter().map(|item| tasks::request_key(root, &item.id).to_string()).collect();
    keep(draft, root, record, why.as_ref())?;
    Ok(information(if order.is_verified {
        "The prescription was taken in. Its signature was verified."
    } else {
        "The prescription was taken in. The form of its signature was checked, its validity was not: no \
                    verifier is configured."
    }))
}

fn issue_of(order: &message::Order, number: u32) -> Issue {
    let item = |item: &record::ItemOf| if item.issues < number { Item::Expired } else { Item::ToBeDispensed };
    Issue::new(State::FutureIssue, order.items.iter().map(item).collect())
}

/// The first issue is ready at once, unless it is dated ahead.
fn begin(record: &mut Record, window: Option<Timestamp>, now: Timestamp) {
    let repeat_dispensing = record.course == record::Course::RepeatDispensing;
    let window = window.filter(|_| repeat_dispensing);
    let ready = window.map_or(record.prescribed, |window| window.max(record.prescribed));
    let by = record.prescriber.clone();
    let first = &mut record.issues[0];
    if ready > now.plus_days(1) {
        first.ready = Some(ready);
        first.moves(Event::Order, State::FutureDated, now, Some(&by));
    } else {
        first.moves(Event::Order, State::ToBeDispensed, now, Some(&by));
    }
    // The dates of the later ones are known from the start.
    for n in 1..record.issues.len() {
        record.issues[n].ready = Some(download_date(record, n));
    }
}

fn download_date(record: &Record, n: usize) -> Timestamp {
    let days = i64::from(record.days_supply).saturating_mul(i64::try_from(n).unwrap_or(i64::MAX));
    record.prescribed.midnight().plus_days(days.saturating_sub(LEAD_DAYS))
}
