//! The clinic says yes or no to a booked referral, and later whether the patient came.

use schemas::resource::Body;
use uuid::Uuid;

use super::codes::{INAPPROPRIATE_VALUE, INVALID_CODE, MISSING_VALUE};
use super::read::Reader;
use super::record::{Reason, Record, Speaker};
use super::table::{self, Action};
use super::{Wish, book};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;

/// A reason as somebody gave it.
#[derive(Debug, Clone)]
pub struct Given {
    pub(super) code: String,
    pub(super) comment: Option<String>,
    pub(super) path: String,
}

impl Given {
    /// By a code that this caller may give for this, with a comment where that needs one.
    pub(super) fn check(&self, record: &Record, action: Action, by: &Speaker) -> Result<Reason, Stop> {
        let mut rows = table::reasons(action, by.role);
        let Some(row) = rows.find(|row| row.code == self.code) else {
            let known: Vec<&str> = table::reasons(action, by.role).map(|row| row.code.as_str()).collect();
            let text = format!("the reasons that this role gives for it are {}", known.join(", "));
            return Err(INVALID_CODE.refused(&self.path, text).into());
        };
        if row.comment && self.comment.as_deref().unwrap_or_default().trim().is_empty() {
            return Err(MISSING_VALUE.refused(&self.path, "this reason needs a comment").into());
        }
        if row.without_appointment && record.appointment.is_some() {
            let text = "this reason is for referrals without an appointment: cancel that first";
            return Err(INAPPROPRIATE_VALUE.refused(&self.path, text).into());
        }
        Ok(Reason { coded: Some((action, self.code.clone())), comment: self.comment.clone() })
    }
}

/// A reason among Parameters.
pub(super) fn read_reason(reader: &mut Reader, name: &'static str, comments: &'static str) -> Given {
    let code = reader.needed_code(name, |code| Some(code.to_owned()), &[]).unwrap_or_default();
    let comment = reader.text(comments);
    Given { code, comment, path: format!("Parameters.parameter(\"{name}\")") }
}

/// `$ers.rejectReferral`
pub(super) fn read_rejection(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let given = read_reason(&mut reader, "rejectionReason", "rejectionComments");
    reader.finish(Wish::Reject(given))
}

/// `$recordNonAttendance`
pub(super) fn read_non_attendance(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let given = read_reason(&mut reader, "nonAttendanceReason", "comments");
    reader.finish(Wish::DidNotAttend(given))
}

/// The appointment is given up, and its slot is free for others.
pub(super) fn reject(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    given: &Given,
    by: &Speaker,
) -> Result<(), Stop> {
    record.reason = Some(given.check(record, Action::Reject, by)?);
    book::free(draft, root, record)
}

/// The slot has passed: it is free for nobody.
pub(super) fn did_not_attend(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    given: &Given,
    by: &Speaker,
) -> Result<(), Stop> {
    record.reason = Some(given.check(record, Action::DidNotAttend, by)?);
    book::end(draft, root, record, "noshow")
}

pub(super) fn attended(draft: &mut Draft, root: Uuid, record: &mut Record) -> Result<(), Stop> {
    record.reason = None;
    book::end(draft, root, record, "fulfilled")
}
