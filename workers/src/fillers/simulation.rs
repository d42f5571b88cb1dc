//! What simulated fillers share: time passes, business statuses are told, and a Task may ask for a bad end.

use std::time::Duration;

use schemas::message::WorkOrder;
use schemas::resource::{Body, Document, list};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use crate::filler::Outcome;
use crate::output::{business_status, reason};
use crate::reporter::Progress;

/// A Task.input of this type (its text) with the valueCode `reject` or `fail` makes a simulated filler do so; and so does
/// a request's note that says `simulate: reject`, for orders whose Tasks only their service makes.
const INSTRUCTION: &str = "simulate";

/// How long one stage of a step takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace(pub(super) Duration);

/// A stretch of the work: the business status that is told when it begins, and how many paces it takes.
pub(super) struct Stage {
    pub(super) code: &'static str,
    pub(super) text: &'static str,
    pub(super) paces: u32,
}

pub(super) const fn stage(code: &'static str, text: &'static str, paces: u32) -> Stage {
    Stage { code, text, paces }
}

impl Pace {
    /// Goes through the stages one by one; then the step is completed, unless the Task asked for something else.
    pub(super) async fn play(
        self,
        order: &WorkOrder,
        progress: &Progress,
        stages: &[Stage],
        outputs: Vec<Body>,
    ) -> Outcome {
        let instruction = instruction(order);
        if instruction == Some("reject") {
            return Outcome::Rejected { reason: reason("simulated", "Declined, as the Task asked for") };
        }
        // What takes no time is not worth a word.
        let stages = if self.0.is_zero() { &[] } else { stages };
        for stage in stages {
            progress.in_progress(business_status(stage.code, stage.text), Vec::new()).await;
            sleep(self.0 * stage.paces).await;
        }
        if instruction == Some("fail") {
            return Outcome::Failed { reason: reason("simulated", "Failed, as the Task asked for") };
        }
        Outcome::Completed { outputs }
    }
}

pub(super) fn instruction(order: &WorkOrder) -> Option<&str> {
    // Hardly any says one: those that do not are not looked into.
    let says = |body: &&Document| body.text().get().contains(INSTRUCTION);
    let mut inputs = order.task.iter().filter(says).flat_map(|task| list(task, "input"));
    let input = inputs.find(|input| input["type"]["text"] == INSTRUCTION);
    let mut notes = order.resources.iter().filter(says).flat_map(|resource| list(resource, "note"));
    let noted = || notes.find_map(|note| note["text"].as_str()?.strip_prefix(INSTRUCTION)?.strip_prefix(": "));
    input.and_then(|input| input["valueCode"].as_str()).or_else(noted)
}

/// A dateTime some days from now, on the full hour.
pub(super) fn in_days(days: i64) -> String {
    let at = (now() + time::Duration::days(days)).replace_time(time::Time::MIDNIGHT) + time::Duration::hours(10);
    at.format(&Rfc3339).unwrap_or_default()
}

/// The date of today as it stands in numbers of batches and specimens.
pub(super) fn day_number() -> String {
    let today = now().date();
    format!("{:02}{:03}", today.year() % 100, today.ordinal())
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// The request that is to be fulfilled, when the order brought it.
pub(super) fn request(order: &WorkOrder) -> Option<&Body> {
    let focus = order.focus.as_deref()?;
    order.resources.iter().map(|resource| &**resource).find(|resource| {
        let named = |name: &str| resource.get(name).and_then(Value::as_str);
        named("resourceType")
            .zip(named("id"))
            .is_some_and(|(kind, id)| focus.strip_prefix(kind) == Some(&format!("/{id}")))
    })
}
