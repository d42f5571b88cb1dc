//! The handshake: a worker says `claim`, and the hub, which alone knows who came first, says `granted` or `refused`.
//!
//! One claim for each version of a Task, with one id: asked again, it is the same claim, and the hub gives the answer
//! that it gave before. So neither a lost question nor a lost answer can make the work stay undone or be done twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::message::{Act, Answer, ClaimReply, CloudEvent, StatusReport, WorkOrder};
use schemas::time::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::versions::Versions;

/// What the hub said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answered {
    Granted {
        /// To be named in every later report.
        task_version: u32,
        /// How long the grant holds without a report; `None` is for ever.
        lease: Option<Duration>,
    },
    Refused {
        why: String,
    },
}

/// All claims of one worker.
pub(crate) struct Claims {
    /// Of this process alone, so that two workers of one performer never share a claim.
    worker: Uuid,
    performer: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    versions: Versions,
    waiting: HashMap<String, Waiting>,
    /// How often the hub answered anything: it speaks.
    answers: u64,
}

struct Waiting {
    order_version: u32,
    tell: oneshot::Sender<Answered>,
}

impl Claims {
    pub(crate) fn new(worker: Uuid, performer: String) -> Self {
        Self { worker, performer, state: Mutex::default() }
    }

    /// A claim of this order; `None` when the order is older than what is known of its Task.
    ///
    /// An order may come twice at the same time. Then the later claim waits for the answer and the earlier one does
    /// not any more, so that one grant starts the work once.
    pub(crate) fn open(&self, order: &WorkOrder) -> Option<Claim<'_>> {
        let mut state = self.state();
        if !state.versions.admits(&order.task_id, order.task_version) {
            return None;
        }
        let claimed = format!("{}/{}", order.task_id, order.task_version);
        let id = Uuid::new_v5(&self.worker, claimed.as_bytes()).to_string();
        let (tell, answer) = oneshot::channel();
        state.waiting.insert(id.clone(), Waiting { order_version: order.task_version, tell });
        Some(Claim { id, answer, heard: state.answers, claims: self })
    }

    /// This version of the Task wants no work, or not any more.
    pub(crate) fn settle(&self, order: &WorkOrder) {
        self.state().versions.settle(&order.task_id, order.task_version);
    }

    /// Hands an answer to the claim that waits for it. In one step with settling the version: a copy of the order
    /// that comes at this moment is either the one that is told, or finds nothing left to claim.
    ///
    /// Gives back what no claim waits for: the answer to another report, or a second one to a claim asked twice.
    pub(crate) fn answered(&self, reply: CloudEvent<ClaimReply>) -> Option<ClaimReply> {
        let mut state = self.state();
        state.answers += 1;
        let Some(Waiting { order_version, tell }) = state.waiting.remove(&reply.data.report_id) else {
            return Some(reply.data);
        };
        let task_id = reply.data.task_id.clone();
        let answered = Answered::of(&reply, order_version);
        let settled = match &answered {
            Answered::Granted { task_version, .. } => order_version.max(*task_version),
            Answered::Refused { .. } => order_version,
        };
        state.versions.settle(&task_id, settled);
        if let Err(Answered::Granted { .. }) = tell.send(answered) {
            tracing::warn!(task.id = task_id, "granted too late: its lease has to lapse");
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this lock; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answered {
    fn of(reply: &CloudEvent<ClaimReply>, order_version: u32) -> Self {
        let data = &reply.data;
        match data.answer {
            Answer::Granted => Self::Granted {
                task_version: data.task_version.unwrap_or(order_version),
                lease: data.lease_until.as_deref().and_then(|until| span(&reply.time, until)),
            },
            Answer::Refused => Self::Refused { why: data.reason.clone().unwrap_or_default() },
        }
    }
}

/// Between two instants of the hub's clock. Ours may differ from it, and a lease must not depend on that.
fn span(from: &str, until: &str) -> Option<Duration> {
    let (from, _) = Timestamp::range(from)?;
    let (until, _) = Timestamp::range(until)?;
    Some(Duration::from_micros(u64::try_from(until.0.saturating_sub(from.0)).unwrap_or(0)))
}

/// One claim, waiting for its answer.
pub(crate) struct Claim<'a> {
    id: String,
    answer: oneshot::Receiver<Answered>,
    /// How many answers there had been when it was opened.
    heard: u64,
    claims: &'a Claims,
}

impl Claim<'_> {
    /// The first report about this Task.
    pub(crate) fn report(&self, order: &WorkOrder) -> StatusReport {
        StatusReport {
            report_id: self.id.clone(),
            task_id: order.task_id.clone(),
            sequence: 1,
            performer: self.claims.performer.clone(),
            act: Act::Claim,
            task_version: Some(order.task_version),
            business_status: None,
            status_reason: None,
            output: Vec::new(),
            quiet: false,
        }
    }

    /// Whether the hub has said nothing to anybody here since: then it is away, and this order is like any other.
    pub(crate) fn hub_is_silent(&self) -> bool {
        self.claims.state().answers == self.heard
    }

    /// The answer; `None` when a later copy of the order waits for it instead.
    pub(crate) async fn answer(&mut self) -> Option<Answered> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.answer.close();
        let mut state = self.claims.state();
        // Not that of a later copy of the order: there somebody still listens.
        if state.waiting.get(&self.id).is_some_and(|waiting| waiting.tell.is_closed()) {
            state.waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::message::{CLAIM_REPLY, Payload};

    use super::*;

    fn claims() -> Claims {
        Claims::new(Uuid::new_v4(), "Organization/lab-1".into())
    }

    fn order(task_version: u32) -> WorkOrder {
        WorkOrder {
            task_id: "t".into(),
            task_version,
            task_status: "requested".into(),
            work: "laboratory".into(),
            step: "collect".into(),
            priority: "routine".into(),
            owner: None,
            focus: None,
            payload: Payload::IdOnly,
            task: None,
            resources: Vec::new(),
        }
    }

    fn granted(claim: &Claim<'_>, lease_until: Option<&str>) -> CloudEvent<ClaimReply> {
        let reply = ClaimReply {
            report_id: claim.id.clone(),
            task_id: "t".into(),
            answer: Answer::Granted,
            task_version: Some(3),
            lease_until: lease_until.map(str::to_owned),
            reason: None,
        };
        CloudEvent::new(CLAIM_REPLY, "r".into(), "urn:hub", "t", "2026-03-01T10:00:00.000Z".into(), reply)
    }

    #[tokio::test]
    async fn of_two_copies_of_an_order_one_is_answered() {
        let claims = claims();
        let mut first = claims.open(&order(2)).unwrap();
        let mut second = claims.open(&order(2)).unwrap();
        assert_eq!(first.report(&order(2)).report_id, second.report(&order(2)).report_id);
        assert_eq!(first.answer().await, None);
        drop(first);
        claims.answered(granted(&second, None));
        assert_eq!(second.answer().await, Some(Answered::Granted { task_version: 3, lease: None }));
        assert!(claims.open(&order(3)).is_none(), "the grant settled this version");
        assert!(claims.open(&order(4)).is_some());
    }

    #[tokio::test]
    async fn a_lease_is_measured_by_the_hubs_clock() {
        let claims = claims();
        let mut claim = claims.open(&order(2)).unwrap();
        claims.answered(granted(&claim, Some("2026-03-01T10:00:30Z")));
        let lease = Some(Duration::from_secs(30));
        assert_eq!(claim.answer().await, Some(Answered::Granted { task_version: 3, lease }));
    }

    #[test]
    fn a_claim_that_is_given_up_leaves_nothing_behind() {
        let claims = claims();
        drop(claims.open(&order(2)));
        assert!(claims.state().waiting.is_empty());
        assert!(claims.open(&order(2)).is_some(), "and may be made again");
    }
}
