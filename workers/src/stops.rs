//! Work that has to stop: because its placer wants it stopped, or because the hub gave it to somebody else.
//!
//! A Task with code abort names the work that its placer wants stopped. The plan knows nothing of such a Task, so no
//! filler is asked: what runs here is dropped, and the hub, told that the abort is completed, cancels its Task. What
//! does not run here any more is stopped already. To pause, or to heed what the request says now, is more than dropping, and
//! nothing that a filler of ours can do: that is declined.
//!
//! Whoever stalls past its lease loses the Task and cannot know it. It learns by its next report, which is refused:
//! from there on another may be at the same work, so ours stops at once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::message::{Answer, ClaimReply, WorkOrder};
use tokio::sync::watch;

use crate::filler::Outcome;
use crate::output;

/// Reports of one work whose refusal is still heeded. Any of them would do, and the last is answered last.
const HEEDED_LIMIT_REPORTS: usize = 32;

/// Last words whose refusal is still told.
const ENDED_LIMIT_REPORTS: usize = 1000;

/// Why work stops before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its placer asked for it.
    Asked,
    /// The hub took the Task away: this is its reason.
    Fenced { why: String },
}

/// The work in hand.
#[derive(Debug, Default)]
pub(crate) struct Stops(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the id of its Task.
    hands: HashMap<String, Arc<Hand>>,
    /// The reports that ended work, the oldest first.
    ended: VecDeque<String>,
}

/// One work in hand.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    stop: watch::Sender<Option<Stop>>,
    reports: Mutex<VecDeque<String>>,
}

impl Hand {
    /// A report of this work is on its way.
    pub(crate) fn reports(&self, report_id: &str) {
        keep(&mut locked(&self.reports), report_id.to_owned(), HEEDED_LIMIT_REPORTS);
    }

    /// Waits until this work is to be stopped.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        loop {
            if let Some(stop) = stop.borrow_and_update().clone() {
                return stop;
            }
            // An error would mean that the sender is gone, and it is ours.
            let _ = stop.changed().await;
        }
    }

    /// The first to say so gives the reason.
    fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(why);
            first
        });
    }
}

/// Keeps work in hand until it is dropped, however the work ends.
pub(crate) struct InHand<'a> {
    stops: &'a Stops,
    task_id: String,
    pub(crate) hand: Arc<Hand>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.stops.0);
        // Not that of a later grant of the same Task.
        if state.hands.get(&self.task_id).is_some_and(|hand| Arc::ptr_eq(hand, &self.hand)) {
            state.hands.remove(&self.task_id);
        }
        if let Some(last) = locked(&self.hand.reports).pop_back() {
            keep(&mut state.ended, last, ENDED_LIMIT_REPORTS);
        }
    }
}

impl Stops {
    pub(crate) fn begin(&self, task_id: &str) -> InHand<'_> {
        let hand = Arc::new(Hand::default());
        locked(&self.0).hands.insert(task_id.to_owned(), hand.clone());
        InHand { stops: self, task_id: task_id.to_owned(), hand }
    }

    /// What becomes of an order that asks about other work; none when it is work itself.
    pub(crate) fn answer(&self, order: &WorkOrder) -> Option<Outcome> {
        match order.step.as_str() {
            "abort" => {
                let other = order.focus.as_deref().and_then(|focus| focus.strip_prefix("Task/")).unwrap_or_default();
                if let Some(hand) = locked(&self.0).hands.get(other) {
                    hand.stop(Stop::Asked);
                }
                Some(Outcome::Completed { outputs: Vec::new() })
            }
            "suspend" | "resume" => Some(declined("cannot-pause", "This worker cannot pause its work")),
            "change" => Some(declined("cannot-change", "This worker goes on with what it was given")),
            _ => None,
        }
    }

    /// What the hub says to a report that is no claim. A yes says nothing new, also where it is one to a repeat or to a
    /// latecomer; a no means that the Task is not ours any more.
    pub(crate) fn answered(&self, reply: ClaimReply) {
        if reply.answer == Answer::Granted {
            return;
        }
        let why = reply.reason.unwrap_or_default();
        let state = locked(&self.0);
        match state.hands.get(&reply.task_id) {
            Some(hand) if locked(&hand.reports).contains(&reply.report_id) => hand.stop(Stop::Fenced { why }),
            _ if state.ended.contains(&reply.report_id) => {
                tracing::warn!(task.id = reply.task_id, why, "the last word on this work was refused");
            }
            // The second answer to a claim asked twice, or to what was under way when the work stopped.
            _ => tracing::debug!(task.id = reply.task_id, why, "refused, and not in hand"),
        }
    }
}

fn declined(code: &str, text: &str) -> Outcome {
    Outcome::Rejected { reason: output::reason(code, text) }
}

fn keep(ids: &mut VecDeque<String>, id: String, limit: usize) {
    if ids.len() == limit {
        ids.pop_front();
    }
    ids.push_back(id);
}

/// Nothing panics while it holds one of these; if something did, what is in it would be as good as before.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn reply(report_id: &str, answer: Answer) -> ClaimReply {
        let reason = (answer == Answer::Refused).then(|| "the Task is failed".to_owned());
        let (report_id, task_id) = (report_id.to_owned(), "t".to_owned());
        ClaimReply { report_id, task_id, answer, task_version: None, lease_until: None, reason }
    }

    #[test]
    fn only_a_no_to_its_own_report_stops_work() {
        let stops = Stops::default();
        let work = stops.begin("t");
        work.hand.reports("2");
        stops.answered(reply("2", Answer::Granted));
        stops.answered(reply("of an earlier grant", Answer::Refused));
        assert_eq!(work.hand.stopped().now_or_never(), None);
        stops.answered(reply("2", Answer::Refused));
        assert_eq!(work.hand.stopped().now_or_never(), Some(Stop::Fenced { why: "the Task is failed".into() }));
    }

    #[test]
    fn what_has_ended_leaves_only_its_last_word_behind() {
        let stops = Stops::default();
        for n in 0..=ENDED_LIMIT_REPORTS {
            let work = stops.begin("t");
            for said in 0..=HEEDED_LIMIT_REPORTS {
                work.hand.reports(&format!("{n}/{said}"));
            }
            assert_eq!(locked(&work.hand.reports).len(), HEEDED_LIMIT_REPORTS);
        }
        let state = locked(&stops.0);
        assert_eq!((state.hands.len(), state.ended.len()), (0, ENDED_LIMIT_REPORTS));
    }

    #[test]
    fn an_earlier_grant_that_ends_leaves_the_later_one_in_hand() {
        let stops = Stops::default();
        let earlier = stops.begin("t");
        let later = stops.begin("t");
        drop(earlier);
        later.hand.reports("2");
        stops.answered(reply("2", Answer::Refused));
        assert!(later.hand.stopped().now_or_never().is_some());
    }
}
