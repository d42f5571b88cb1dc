//! Work that a placer wants stopped: a Task with code abort names the one that is under way.
//!
//! The plan knows nothing of such a Task, so no filler is asked: what runs here is dropped, and the hub, told that the
//! abort is completed, cancels its Task. What does not run here any more is stopped already. To pause is more than
//! dropping, and nothing that a filler of ours can do: that is declined.

use std::collections::HashMap;
use std::sync::Mutex;

use schemas::message::WorkOrder;
use tokio_util::sync::CancellationToken;

use crate::filler::Outcome;
use crate::output;

/// The work in hand, by its Task's id.
#[derive(Debug, Default)]
pub(crate) struct Stops(Mutex<HashMap<String, CancellationToken>>);

impl Stops {
    /// Cancelled when this work is to be stopped.
    pub(crate) fn begin(&self, task_id: &str) -> CancellationToken {
        let stop = CancellationToken::new();
        self.hands().insert(task_id.to_owned(), stop.clone());
        stop
    }

    pub(crate) fn end(&self, task_id: &str) {
        self.hands().remove(task_id);
    }

    /// What becomes of an order that asks about other work; none when it is work itself.
    pub(crate) fn answer(&self, order: &WorkOrder) -> Option<Outcome> {
        match order.step.as_str() {
            "abort" => {
                let other = order.focus.as_deref().and_then(|focus| focus.strip_prefix("Task/")).unwrap_or_default();
                if let Some(stop) = self.hands().get(other) {
                    stop.cancel();
                }
                Some(Outcome::Completed { outputs: Vec::new() })
            }
            "suspend" | "resume" => {
                Some(Outcome::Rejected { reason: output::reason("cannot-pause", "This worker cannot pause its work") })
            }
            _ => None,
        }
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        // Nothing panics while it holds this; if something did, the map is as good as before.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
