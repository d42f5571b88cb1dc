//! A dispenser takes prescriptions, and gives them back.

use schemas::time::Timestamp;
use uuid::Uuid;

use super::answer::{self, information};
use super::record::{Dispenser, Record};
use super::signature::Verifier;
use super::table::{Event, Item, State};
use super::{RELEASE_MAX, TAKEN_MEANWHILE, cancel, check_patient, codes, find, keep, message, message_key, record_of};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::workflows::Answer;

/// What a dispenser is given on one request.
pub(super) struct Release<'a> {
    pub(super) by: &'a Dispenser,
    /// None: signatures are believed.
    pub(super) verifier: Option<&'a dyn Verifier>,
}

impl Release<'_> {
    pub(super) fn one(&self, draft: &mut Draft, root: Uuid) -> Result<Answer, Stop> {
        let record = record_of(draft, root).filter(|record| !record.issues.is_empty());
        let Some(record) = record.cloned() else { return Err(codes::NOT_FOUND.refusal().into()) };
        let n = record.current();
        let issue = &record.issues[n];
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        match issue.state {
            State::ToBeDispensed => {
                let list = if self.gives(draft, root, record, n)? { &mut passed } else { &mut failed };
                list.push(released(draft, root, n));
            }
            // Its answer was lost on the way: the same prescription once more.
            State::WithDispenser | State::WithDispenserActive if issue.is_held_by(&self.by.code) => {
                passed.push(released(draft, root, n));
            }
            State::WithDispenser | State::WithDispenserActive => {
                return Ok(answer::with_another_dispenser(&codes::ANOTHER_DISPENSER.issue(), issue.holder.as_ref()));
            }
            State::Expired => return Err(codes::EXPIRED.refusal().into()),
            State::Cancelled => return Err(codes::CANCELLED.refusal().into()),
            state if state.is_over() => return Err(codes::DISPENSED.refusal().into()),
            _ => return Err(codes::STATE.refusal().into()),
        }
        Ok(answer::released(&release_id(draft), passed, failed))
    }

    pub(super) fn nominated(&self, draft: &mut Draft, candidates: &[Uuid]) -> Result<Answer, Stop> {
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        for root in candidates {
            let Some(record) = record_of(draft, *root).filter(|record| !record.issues.is_empty()).cloned() else {
                continue;
            };
            let n = record.current();
            let waits =
                record.issues[n].state == State::ToBeDispensed && record.nominated.as_ref() == Some(&self.by.code);
            if waits && passed.len() + failed.len() < RELEASE_MAX {
                let list = if self.gives(draft, *root, record, n)? { &mut passed } else { &mut failed };
                list.push(released(draft, *root, n));
            }
        }
        if candidates.is_empty() {
            return Ok(answer::no_more());
        }
        if passed.is_empty() && failed.is_empty() {
            // Somebody else released them meanwhile: whoever asks looks again.
            return Err(Refusal::conflict(TAKEN_MEANWHILE).into());
        }
        Ok(answer::released(&release_id(draft), passed, failed))
    }

    /// Whether the dispenser has it now: one whose signature is not believed is given back at once.
    fn gives(&self, draft: &mut Draft, root: Uuid, mut record: Record, n: usize) -> Result<bool, Stop> {
        let is_believed = match self.verifier {
            Some(verifier) => is_believed(draft, root, verifier)?,
            None => true,
        };
        release(&mut record, n, self.by, draft);
        if is_believed {
            keep(draft, root, record, None)?;
        } else {
            keep(draft, root, record.clone(), None)?;
            take_return(&mut record, n, &self.by.code, draft.now());
            keep(draft, root, record, Some(&answer::unbelieved_reason()))?;
        }
        Ok(is_believed)
    }
}

fn is_believed(draft: &mut Draft, root: Uuid, verifier: &dyn Verifier) -> Result<bool, Stop> {
    let now = draft.now();
    let order = draft.get(&message_key(root))?.body.clone().into_body();
    Ok(message::is_believed(&order, verifier, now))
}

/// What the answer to a release has to know of one prescription.
fn released(draft: &Draft, root: Uuid, n: usize) -> answer::Released {
    let record = record_of(draft, root);
    let items = record.map(|record| {
        let items = record.items.iter().zip(&record.issues[n].items);
        items.map(|(item, state)| answer::ReleasedItem::of(item, *state)).collect()
    });
    answer::Released {
        order: root,
        issue: n + 1,
        of: record.map_or(1, |record| record.issues.len()),
        bundle_id: record.and_then(|record| record.bundle_id.clone()),
        items: items.unwrap_or_default(),
    }
}

/// The id of the answer, by which later messages call this release.
fn release_id(draft: &Draft) -> String {
    draft.command.id.to_string()
}

pub(super) fn release(record: &mut Record, n: usize, by: &Dispenser, draft: &Draft) {
    let issue = &mut record.issues[n];
    issue.releases.push(release_id(draft));
    issue.holder = Some(by.clone());
    for item in issue.items.iter_mut().filter(|item| item.may(Event::Release, Item::WithDispenser)) {
        *item = Item::WithDispenser;
    }
    issue.released.clone_from(&issue.items);
    issue.moves(Event::Release, State::WithDispenser, draft.now(), Some(&by.code));
}

pub(super) fn give_back(draft: &mut Draft, back: &message::Return) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &back.number)?;
    check_patient(&record, back.patient.as_ref(), "return")?;
    let n = record.current();
    let issue = &record.issues[n];
    if issue.holder.is_some() && !issue.is_held_by(&back.by) {
        return Err(codes::ANOTHER_DISPENSER.refusal().into());
    }
    // The answer to an earlier release gives nothing back of a later one.
    let stale = back.release.as_ref().is_some_and(|id| {
        issue.releases.split_last().is_some_and(|(last, earlier)| last != id && earlier.contains(id))
    });
    if stale || !issue.state.may(Event::Return, State::ToBeDispensed) {
        return Err(codes::STATE.refusal().into());
    }
    take_return(&mut record, n, &back.by, draft.now());
    keep(draft, root, record, Some(&back.reason))?;
    Ok(information(""))
}

pub(super) fn take_return(record: &mut Record, n: usize, by: &str, now: Timestamp) {
    if let Some(nominated) = record.nominated.take()
        && !record.nominated_before.contains(&nominated)
    {
        record.nominated_before.push(nominated);
    }
    let issue = &mut record.issues[n];
    issue.holder = None;
    for item in issue.items.iter_mut().filter(|item| item.may(Event::Return, Item::ToBeDispensed)) {
        *item = Item::ToBeDispensed;
    }
    issue.moves(Event::Return, State::ToBeDispensed, now, Some(by));
    for wish in std::mem::take(&mut record.pending) {
        cancel::apply(record, &wish, now);
    }
}
