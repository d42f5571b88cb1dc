//! The end: a referral is cancelled for a reason, or closed because all is done.

use schemas::resource::{Body, text_at};
use serde_json::Value;
use uuid::Uuid;

use super::Wish;
use super::attend::{self, Given};
use super::book;
use super::codes::INVALID_VALUE;
use super::read::Reader;
use super::record::{Record, Speaker};
use super::table::{Action, Of};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;

/// `$ers.cancelReferral`
pub(super) fn read_cancellation(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let given = attend::read_reason(&mut reader, "cancellationReason", "cancellationComments");
    reader.finish(Wish::Cancel(given))
}

/// A ServiceRequest that was changed: to `completed`, or to `revoked` with the code of a reason in `reasonCode`.
pub(super) fn read_request(body: &Body) -> Result<Wish, Refusal> {
    match text_at(body, &["status"]) {
        Some("completed") => Ok(Wish::Close),
        Some("revoked") => {
            let reason = body.get("reasonCode").and_then(|reasons| reasons[0]["coding"][0]["code"].as_str());
            let comment = body.get("reasonCode").and_then(|reasons| reasons[0]["text"].as_str());
            Ok(Wish::Cancel(Given {
                code: reason.unwrap_or_default().to_owned(),
                comment: comment.map(str::to_owned),
                path: "ServiceRequest.reasonCode[0]".into(),
            }))
        }
        _ => {
            let text = "a referral is closed (completed) or cancelled (revoked) so; all else is done by its operations";
            Err(INVALID_VALUE.refused("ServiceRequest.status", text))
        }
    }
}

/// A Task of a referral that was changed: the whole, or the report to the referrer, is completed.
pub(super) fn read_task(body: &Body) -> Result<Wish, Refusal> {
    if body.get("status").and_then(Value::as_str) == Some("completed") {
        return Ok(Wish::Close);
    }
    let text = "by its Task a referral is closed: completed; all else is done by the operations of the referral";
    Err(INVALID_VALUE.refused("Task.status", text))
}

/// With it goes its appointment, where there is one.
pub(super) fn cancel(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    given: &Given,
    by: &Speaker,
) -> Result<(), Stop> {
    // Why somebody needs no advice any more is nobody's list.
    record.reason = match record.state.of() {
        Of::Referral => Some(given.check(record, Action::Cancel, by)?),
        Of::Advice => None,
    };
    book::free(draft, root, record)
}
