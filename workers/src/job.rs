//! The life of one work order: read, claimed, acknowledged, done, reported.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hub_telemetry::names;
use hub_transport::Delivery;
use schemas::message::{CloudEvent, WORK_ORDER, WorkOrder};
use schemas::task::TaskStatus;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::claim::{Answered, Claim};
use crate::filler::Outcome;
use crate::output;
use crate::reporter::{Progress, Reporter, Said};
use crate::runner::Runner;
use crate::stops::Stop;
use crate::trace::Trace;

/// How long a work order is put off: by how often it was already.
const PUT_OFF_SECONDS: [u64; 5] = [1, 5, 30, 300, 3600];

/// An order that the hub does not answer for, though it does for others, is put off no longer: it may be slow.
const UNANSWERED_LONGEST: Duration = Duration::from_secs(30);

impl Runner {
    /// Ends when the work order is settled one way or the other; with a grant, when the work is done and reported.
    pub(crate) async fn job(self: Arc<Self>, delivery: Delivery, permit: OwnedSemaphorePermit) {
        let (order, trace) = match read(&delivery) {
            Ok(read) => read,
            Err(why) => {
                tracing::warn!(message.id = delivery.message.id, why, "parked");
                return delivery.park(&why).await;
            }
        };
        let span = trace.span(&order);
        self.take(delivery, &order, &trace, permit).instrument(span).await;
    }

    async fn take(&self, delivery: Delivery, order: &WorkOrder, trace: &Trace, permit: OwnedSemaphorePermit) {
        if order.work != self.filler.work() {
            // A performer's place has all its kinds of work, each for another of its workers. One that nobody takes has
            // none, and somebody has to see that.
            let why = format!("no worker took it: its kind of work is {}", order.work);
            return self.put_off(delivery, Duration::MAX, &why).await;
        }
        if !TaskStatus::parse(&order.task_status).is_some_and(TaskStatus::is_offered) {
            self.claims.settle(order);
            tracing::debug!(task.status = order.task_status, "withdrawn");
            return delivery.done().await;
        }
        let Some(claim) = self.claims.open(order) else {
            tracing::debug!("late: a later version was seen");
            return delivery.done().await;
        };
        self.handshake(delivery, order, trace, claim, permit).await;
    }

    /// Nothing starts before the answer is here *and* the delivery is acknowledged.
    async fn handshake(
        &self,
        delivery: Delivery,
        order: &WorkOrder,
        trace: &Trace,
        mut claim: Claim<'_>,
        permit: OwnedSemaphorePermit,
    ) {
        if let Err(error) = self.ask(&claim, order, trace).await {
            tracing::warn!(%error, "cannot claim now");
            return delivery.later(self.limits.silence).await;
        }
        match timeout(self.limits.answer, claim.answer()).await {
            Ok(answer) => {
                delivery.done().await;
                self.follow(answer, order, trace).await;
            }
            Err(_) => {
                tracing::warn!(limit_ms = self.limits.answer.as_millis(), "no answer to a claim yet");
                self.unanswered(delivery, &claim).await;
                // Others may have our place meanwhile: this may last.
                drop(permit);
                self.late(claim, order, trace).await;
            }
        }
    }

    async fn ask(&self, claim: &Claim<'_>, order: &WorkOrder, trace: &Trace) -> anyhow::Result<()> {
        let message = self.post.message(claim.report(order), trace)?;
        Ok(self.post.send(&message).await?)
    }

    /// While the hub answers nobody, nothing is wrong with this order, and it is not counted against it.
    async fn unanswered(&self, delivery: Delivery, claim: &Claim<'_>) {
        if claim.hub_is_silent() {
            delivery.later(self.limits.silence).await;
        } else {
            self.put_off(delivery, UNANSWERED_LONGEST, "the hub did not answer its claim, but others").await;
        }
    }

    /// For longer each time, but no longer than `longest`; and not for ever.
    async fn put_off(&self, delivery: Delivery, longest: Duration, why: &str) {
        if delivery.attempts >= self.limits.attempts {
            tracing::warn!(why, attempts = delivery.attempts, "parked");
            return delivery.park(why).await;
        }
        let step = usize::try_from(delivery.attempts).unwrap_or(usize::MAX).min(PUT_OFF_SECONDS.len() - 1);
        delivery.again(Duration::from_secs(PUT_OFF_SECONDS[step]).min(longest)).await;
    }

    /// The hub may be slow, and grant what we gave back. Then the Task is ours, and every other claim is refused: if
    /// we did not do it, nobody would.
    async fn late(&self, mut claim: Claim<'_>, order: &WorkOrder, trace: &Trace) {
        let waiting = timeout(self.limits.late_answer, claim.answer());
        let answer = tokio::select! {
            answer = waiting => answer.ok().flatten(),
            () = self.shutdown.drain.cancelled() => None,
        };
        // The semaphore is never closed; if it were, there would be nothing to limit.
        let _permit = self.permits.clone().acquire_owned().await;
        self.follow(answer, order, trace).await;
    }

    async fn follow(&self, answer: Option<Answered>, order: &WorkOrder, trace: &Trace) {
        match answer {
            Some(Answered::Granted { task_version, lease }) => self.work(order, trace, task_version, lease).await,
            Some(Answered::Refused { why }) => tracing::debug!(why, "refused"),
            // Another copy of this order is told, and does what is to be done.
            None => {}
        }
    }

    async fn work(&self, order: &WorkOrder, trace: &Trace, task_version: u32, lease: Option<Duration>) {
        tracing::debug!(task.granted_version = task_version, "granted, and begins");
        metrics::counter!(names::WORKER_STARTED_TOTAL, "work" => order.work.clone()).increment(1);
        let since = Instant::now();
        let work = self.stops.begin(&order.task_id);
        let reporter = Arc::new(Reporter {
            post: self.post.clone(),
            trace: trace.clone(),
            hand: work.hand.clone(),
            task_id: order.task_id.clone(),
            performer: self.performer.clone(),
            task_version,
            said: Said::default().into(),
        });
        let ended = tokio::select! {
            ended = self.perform(order, reporter, lease) => ended,
            stop = work.hand.stopped() => stopped(&stop),
        };
        drop(work);
        tracing::info!(outcome = ended, "the work has ended");
        let work = order.work.clone();
        metrics::histogram!(names::WORKER_SECONDS, "work" => work.clone()).record(since.elapsed().as_secs_f64());
        metrics::counter!(names::WORKER_FINISHED_TOTAL, "work" => work, "outcome" => ended).increment(1);
    }

    /// From the first word to the last.
    async fn perform(&self, order: &WorkOrder, reporter: Arc<Reporter>, lease: Option<Duration>) -> &'static str {
        let progress = Progress::new(reporter.clone());
        let outcome = tokio::select! {
            outcome = self.fulfil(order, &progress) => outcome,
            never = reporter.keep_lease(lease) => match never {},
        };
        reporter.end(outcome).await
    }

    /// A filler that panics fails its Task and nothing else.
    async fn fulfil(&self, order: &WorkOrder, progress: &Progress) -> Outcome {
        if let Some(outcome) = self.stops.answer(order) {
            return outcome;
        }
        let work = AssertUnwindSafe(self.filler.fulfil(order, progress)).catch_unwind();
        work.await.unwrap_or_else(|_| {
            tracing::error!("the filler panicked");
            Outcome::Failed { reason: output::reason("filler-broke", "The filler's program broke") }
        })
    }
}

/// The order and its trace, or why this is none. The parser's own words would quote what they found, and so a patient.
fn read(delivery: &Delivery) -> Result<(WorkOrder, Trace), String> {
    let message = &delivery.message;
    let event: CloudEvent<WorkOrder> = serde_json::from_slice(&message.body).map_err(|error| {
        format!("not a work order: {:?} error at line {} column {}", error.classify(), error.line(), error.column())
    })?;
    if event.kind != WORK_ORDER {
        return Err(format!("the event's type is not {WORK_ORDER}"));
    }
    let trace = Trace::of(message, &event);
    Ok((event.data, trace))
}

/// Nothing more is said of this Task: of one that was aborted, the abort is; one that was taken away is another's.
fn stopped(stop: &Stop) -> &'static str {
    match stop {
        Stop::Asked => "stopped",
        Stop::Fenced { why } => {
            tracing::warn!(why, "the Task is not ours any more: the work stops");
            "fenced"
        }
    }
}
