//! What time does to a referral: somebody is reminded of a letter that has not come, and of two weeks that are over.

use schemas::time::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::record::{Record, Urgency};
use super::table::{Of, State};
use super::{advice, record_of, request_key, shown};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::workflows::wake::move_wake;

/// So soon after it was made is a patient seen whose referral cannot wait.
const TWO_WEEKS_DAYS: i64 = 14;
const REMINDERS: &str = "urn:fhir-workflow-hub:referral-reminder";

/// A reminder: what it is called, when it is due, who gets it, and what it says.
struct Reminder<'r> {
    code: &'static str,
    due: Timestamp,
    to: &'r str,
    text: &'static str,
}

/// Those that are still to be sent.
fn reminders(record: &Record) -> Vec<Reminder<'_>> {
    let mut all = Vec::new();
    if record.state.is_over() || record.state.of() == Of::Advice {
        return all;
    }
    if let Some(due) = record.letter_due.filter(|_| record.awaits_letter()) {
        let text = "the referral letter has not been added yet";
        all.push(Reminder { code: "LETTER_OUTSTANDING", due, to: &record.referrer, text });
    }
    if record.urgency == Urgency::TwoWeekWait && record.state != State::AssessmentResult {
        let to = record.provider().unwrap_or(&record.referrer);
        let due = record.created.plus_days(TWO_WEEKS_DAYS);
        all.push(Reminder { code: "TWO_WEEK_WAIT", due, to, text: "the patient was not seen within two weeks" });
    }
    all.retain(|reminder| !record.reminded.iter().any(|sent| sent == reminder.code));
    all
}

pub(super) fn next_wake(record: &Record) -> Option<Timestamp> {
    reminders(record).iter().map(|reminder| reminder.due).min()
}

/// Its time has come. The referral stays as it is; who has to know is told.
pub(crate) fn fire(draft: &mut Draft, root: Uuid) -> Result<(), Stop> {
    let Some(mut record) = record_of(draft, root).cloned() else { return Ok(()) };
    let now = draft.now();
    // Firing took the timer away.
    record.wakes = None;
    let before = record.clone();
    for reminder in reminders(&before).into_iter().filter(|reminder| reminder.due <= now) {
        let body = json!({
            "status": "completed",
            "basedOn": [shown::reference(&request_key(&record, root))],
            "category": [{ "coding": [{ "system": REMINDERS, "code": reminder.code }] }],
            "subject": shown::patient(&record),
            "sent": now.to_string(),
            "recipient": [shown::organization(reminder.to)],
            "payload": [{ "contentString": reminder.text }],
        });
        let id = record.next_id(root);
        advice::communicate(draft, root, id, body);
        record.reminded.push(reminder.code.to_owned());
    }
    move_wake(draft, root, next_wake(&record), &mut record.wakes);
    draft.head(root).run.get_or_insert_default().record = Some(crate::workflows::Record::Ers(Box::new(record)));
    Ok(())
}
