//! What is said about one granted Task, in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use schemas::message::{Act, StatusReport};
use schemas::resource::Body;
use tokio::sync::Mutex;
use tokio::time::sleep;
use uuid::Uuid;

use crate::filler::Outcome;
use crate::post::Post;
use crate::stops::Hand;
use crate::trace::Trace;

/// The claim was the first report.
const CLAIM_SEQUENCE: u32 = 1;

/// No lease is renewed more often, however short it is.
const RENEWAL_LEAST: Duration = Duration::from_millis(100);

/// A filler's voice while it works. Each call returns when the broker has the report safe, so what is told is told in
/// order; while the broker is away it waits.
pub struct Progress(Arc<Reporter>);

impl Progress {
    pub(crate) fn new(reporter: Arc<Reporter>) -> Self {
        Self(reporter)
    }

    /// Work has begun, or is at another business status (a CodeableConcept). `outputs` are those there are so far.
    pub async fn in_progress(&self, business_status: Body, outputs: Vec<Body>) {
        let content = Content { business_status: Some(business_status), output: outputs, ..Content::default() };
        self.0.report(Act::InProgress, content).await;
    }

    /// The work rests, for this reason (a CodeableConcept), until the next word of progress.
    pub async fn pause(&self, reason: Body) {
        self.0.report(Act::OnHold, Content { status_reason: Some(reason), ..Content::default() }).await;
    }
}

pub(crate) struct Reporter {
    pub(crate) post: Arc<Post>,
    pub(crate) trace: Trace,
    pub(crate) hand: Arc<Hand>,
    pub(crate) task_id: String,
    pub(crate) performer: String,
    /// The version that was granted.
    pub(crate) task_version: u32,
    /// Held while a report is under way: the next one must not overtake it.
    pub(crate) said: Mutex<Said>,
}

pub(crate) struct Said {
    sequence: u32,
    /// The last of in-progress and on-hold; `None` while nothing has begun.
    standing: Option<Act>,
}

impl Default for Said {
    fn default() -> Self {
        Self { sequence: CLAIM_SEQUENCE, standing: None }
    }
}

/// What a report says beside its act.
#[derive(Default)]
struct Content {
    business_status: Option<Body>,
    status_reason: Option<Body>,
    output: Vec<Body>,
}

impl Reporter {
    /// The last word, which is returned. Nobody can decline what has begun, so a filler that does has failed.
    pub(crate) async fn end(&self, outcome: Outcome) -> &'static str {
        let begun = self.said.lock().await.standing.is_some();
        let because = |reason| Content { status_reason: Some(reason), ..Content::default() };
        let (act, content) = match outcome {
            Outcome::Completed { outputs } => (Act::Completed, Content { output: outputs, ..Content::default() }),
            Outcome::Rejected { reason } if !begun => (Act::Rejected, because(reason)),
            Outcome::Rejected { reason } | Outcome::Failed { reason } => (Act::Failed, because(reason)),
        };
        self.report(act, content).await;
        name(act)
    }

    /// Repeats what was last said at half of each lease, so that the hub knows we live. Ends only by being dropped.
    pub(crate) async fn keep_lease(&self, lease: Option<Duration>) -> Infallible {
        let Some(lease) = lease else { return std::future::pending().await };
        loop {
            sleep((lease / 2).max(RENEWAL_LEAST)).await;
            // Paused work stays paused.
            let standing = self.said.lock().await.standing.unwrap_or(Act::InProgress);
            self.report(standing, Content::default()).await;
        }
    }

    async fn report(&self, act: Act, content: Content) {
        let mut said = self.said.lock().await;
        said.sequence += 1;
        if matches!(act, Act::InProgress | Act::OnHold) {
            said.standing = Some(act);
        }
        let report = StatusReport {
            report_id: Uuid::now_v7().to_string(),
            task_id: self.task_id.clone(),
            sequence: said.sequence,
            performer: self.performer.clone(),
            act,
            task_version: Some(self.task_version),
            business_status: content.business_status,
            status_reason: content.status_reason,
            output: content.output,
            quiet: true,
        };
        self.hand.reports(&report.report_id);
        let sequence = said.sequence;
        match self.deliver(report).await {
            Ok(()) => tracing::debug!(act = name(act), sequence, "reported"),
            // The hub learns by the lapse of the lease what we could not tell it.
            Err(error) => tracing::error!(act = name(act), sequence, %error, "a report is lost"),
        }
    }

    async fn deliver(&self, report: StatusReport) -> anyhow::Result<()> {
        let message = self.post.message(report, &self.trace)?;
        Ok(self.post.send_until_confirmed(&message).await?)
    }
}

fn name(act: Act) -> &'static str {
    match act {
        Act::Claim => "claim",
        Act::InProgress => "in-progress",
        Act::OnHold => "on-hold",
        Act::Completed => "completed",
        Act::Failed => "failed",
        Act::Rejected => "rejected",
    }
}
