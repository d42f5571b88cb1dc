//! A prescriber cancels a prescription or an item of it: at once, when it is given back, or before it has arrived.

use schemas::time::Timestamp;
use uuid::Uuid;

use super::answer;
use super::codes::Response;
use super::message::{self, cancellation_refused};
use super::record::{self, Cancellation, Cancelled, Issue, Record};
use super::table::{Event, Item, State};
use super::{keep, record_of, root_of};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::workflows::Answer;

pub(super) fn cancel(draft: &mut Draft, update: &message::Update) -> Result<Answer, Stop> {
    let root = root_of(&update.number);
    let now = draft.now();
    let Some(mut record) = record_of(draft, root).cloned() else {
        if draft.scene.heads.contains_key(&root) {
            return Err(cancellation_refused(Response::NotFound, "").into());
        }
        return cancelled_ahead(draft, root, placeholder(update, now), update);
    };
    if record.issues.is_empty() {
        // What was wished so long ago is forgotten.
        let record = if record.pending.is_empty() { placeholder(update, now) } else { record };
        return cancelled_ahead(draft, root, record, update);
    }
    if update.patient != record.patient {
        let why = "Mismatch between prescription and cancellation NHSNumber";
        return Err(cancellation_refused(Response::Unprocessable, why).into());
    }
    let n = record.current();
    let issue = &record.issues[n];
    let wish = &update.wish;
    let response = match &wish.item {
        None => of_whole(issue.state),
        Some(id) => match record.item(id) {
            None => return Err(cancellation_refused(Response::NotFound, "").into()),
            Some(item) => of_item(issue.state, issue.items[item]),
        },
    };
    let holder = issue.holder.clone();
    let response = match response {
        Response::Cancelled => {
            apply(&mut record, wish, now);
            keep(draft, root, record, Some(&answer::cancellation_reason(&wish.reason)))?;
            response
        }
        Response::WithDispenser | Response::WithDispenserActive => {
            match record.pending.iter().find(|pending| pending.item == wish.item) {
                Some(pending) if pending.by != wish.by => Response::AnotherPrescriber,
                Some(_) => response,
                None => {
                    record.pending.push(wish.clone());
                    keep(draft, root, record, None)?;
                    response
                }
            }
        }
        over => over,
    };
    Ok(answer::cancellation(&update.bundle, &draft.command.id, response, holder.as_ref(), now))
}

/// What becomes of the wish to cancel all of a prescription in this state.
fn of_whole(state: State) -> Response {
    match state {
        State::WithDispenser => Response::WithDispenser,
        State::WithDispenserActive => Response::WithDispenserActive,
        State::Expired => Response::Expired,
        State::Cancelled | State::CancelledAhead => Response::AlreadyCancelled,
        State::NotDispensed => Response::NotDispensed,
        State::Dispensed | State::Claimed | State::NoClaimed => Response::Dispensed,
        State::AwaitingReleaseReady | State::ToBeDispensed | State::FutureIssue | State::FutureDated => {
            Response::Cancelled
        }
    }
}

/// The same of one item.
fn of_item(state: State, item: Item) -> Response {
    match item {
        Item::ToBeDispensed => Response::Cancelled,
        Item::WithDispenser | Item::PartiallyDispensed if state == State::WithDispenser => Response::WithDispenser,
        Item::WithDispenser | Item::PartiallyDispensed | Item::Owing => Response::WithDispenserActive,
        Item::FullyDispensed => Response::Dispensed,
        Item::NotDispensed => Response::NotDispensed,
        Item::Cancelled => Response::AlreadyCancelled,
        Item::Expired => Response::Expired,
    }
}

/// Nothing is known of the prescription yet: the cancellation waits for it.
fn cancelled_ahead(
    draft: &mut Draft,
    root: Uuid,
    mut record: Record,
    update: &message::Update,
) -> Result<Answer, Stop> {
    let wish = &update.wish;
    let covered = |pending: &Cancellation| pending.item.is_none() || pending.item == wish.item;
    if !record.pending.iter().any(covered) {
        record.pending.push(wish.clone());
        keep(draft, root, record, None)?;
    }
    Ok(answer::refused(&[Response::NotFound.issue("")]))
}

fn placeholder(update: &message::Update, now: Timestamp) -> Record {
    Record {
        number: update.number.clone(),
        long_number: None,
        patient: String::new(),
        prescriber: update.wish.by.clone(),
        prescriber_name: None,
        course: record::Course::Acute,
        kind: None,
        priority: None,
        nominated: None,
        nominated_before: Vec::new(),
        prescribed: now,
        days_supply: 0,
        items: Vec::new(),
        issues: Vec::new(),
        pending: Vec::new(),
        bundle_id: None,
        wakes: None,
    }
}

/// Cancels what was wished in the current issue and in all later ones.
pub(super) fn apply(record: &mut Record, wish: &Cancellation, now: Timestamp) {
    let item = wish.item.as_ref().map(|id| record.item(id));
    if item == Some(None) {
        return;
    }
    let item = item.flatten();
    let from = record.current();
    let open = |issue: &&mut Issue| issue.state.may(Event::Cancel, State::Cancelled);
    for issue in record.issues[from..].iter_mut().filter(open) {
        for (n, state) in issue.items.iter_mut().enumerate() {
            if item.is_none_or(|item| item == n) && state.may(Event::Cancel, Item::Cancelled) {
                *state = Item::Cancelled;
                record.items[n].cancelled = Some(Cancelled { reason: wish.reason.clone(), at: now });
            }
        }
        let state = if issue.items.iter().any(|item| item.is_active()) { issue.state } else { State::Cancelled };
        issue.moves(Event::Cancel, state, now, Some(&wish.by));
    }
}
