//! A service is asked to look at a referral first, and says what is to become of it.

use schemas::resource::Body;
use uuid::Uuid;

use super::Wish;
use super::book;
use super::codes::{MISSING_VALUE, PRIORITY_NOT_CURRENT, REFERENCE_NOT_FOUND};
use super::letter::{self, Document};
use super::read::Reader;
use super::record::{Reason, Record, Urgency};
use super::table::Action;
use super::words::ReviewOutcome;
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;

impl ReviewOutcome {
    pub(super) fn action(self) -> Action {
        match self {
            Self::ReturnWithAdvice => Action::ReturnWithAdvice,
            Self::AcceptBookLater => Action::AcceptBookLater,
            Self::CancelActionLater => Action::CancelActionLater,
        }
    }
}

/// What somebody who has read a referral says of it.
#[derive(Debug, Clone)]
pub struct Review {
    pub(super) outcome: ReviewOutcome,
    urgency: Option<Urgency>,
    comments: String,
    pub(super) documents: Vec<Document>,
}

/// `$ers.recordReviewOutcome`
pub(super) fn read_review(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let outcome = reader.needed_code("reviewOutcome", ReviewOutcome::parse, ReviewOutcome::CODES);
    let urgency = reader.code("reviewPriority", Urgency::parse, Urgency::CODES);
    let comments = reader.needed_text("reviewComments");
    let documents = letter::read(&mut reader, "providerAttachmentFile");
    let outcome = outcome.unwrap_or(ReviewOutcome::AcceptBookLater);
    reader.finish(Wish::Review(Review { outcome, urgency, comments, documents }))
}

/// `$ers.cancelAppointmentActionLater`
pub(super) fn read_action_later(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let comments = reader.needed_text("comments");
    let urgency = reader.code("priority", Urgency::parse, Urgency::CODES);
    let documents = letter::read(&mut reader, "providerAttachmentFile");
    let outcome = ReviewOutcome::CancelActionLater;
    reader.finish(Wish::Review(Review { outcome, urgency, comments, documents }))
}

/// To the only service of the shortlist; of several, one has to be named by shortening the list.
pub(super) fn send(record: &mut Record) -> Result<(), Stop> {
    let [only] = record.shortlist.as_slice() else {
        let text = "a referral is sent for triage to one service: shortlist that alone";
        return Err(super::codes::INAPPROPRIATE_VALUE.refused("Parameters.parameter(\"shortlist\")", text).into());
    };
    record.sent_to = Some(only.id.clone());
    Ok(())
}

pub(super) fn review(draft: &mut Draft, root: Uuid, record: &mut Record, review: &Review) -> Result<(), Stop> {
    if review.comments.trim().is_empty() {
        let text = "whoever reviews a referral says why";
        return Err(MISSING_VALUE.refused("Parameters.parameter(\"reviewComments\")", text).into());
    }
    let returns = review.outcome == ReviewOutcome::ReturnWithAdvice;
    if returns && review.urgency.is_some_and(|urgency| urgency != record.urgency) {
        return Err(PRIORITY_NOT_CURRENT
            .refused("Parameters.parameter(\"reviewPriority\")", "a referral that is returned keeps its priority")
            .into());
    }
    if review.outcome == ReviewOutcome::CancelActionLater && record.appointment.is_none() {
        return Err(REFERENCE_NOT_FOUND.refused("", "there is no appointment to cancel").into());
    }
    book::free(draft, root, record)?;
    record.urgency = review.urgency.unwrap_or(record.urgency);
    letter::attach(draft, root, record, &review.documents, false)?;
    record.reason = Some(Reason { coded: None, comment: Some(review.comments.clone()) });
    Ok(())
}
