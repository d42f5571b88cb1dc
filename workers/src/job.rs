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
use crate::trace::Trace;

/// How long a work order is put off: by how often it was already.
const PUT_OFF_SECONDS: [u64; 5] = [1, 5, 30, 300, 3600];

/// A performer's place has all its kinds of work, each for another of its workers. One that nobody took so often
/// has none, and somebody has to see that.
const MISFIT_LIMIT_ATTEMPTS: u32 = 20;

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
            return misfit(delivery, order).await;
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
            return put_off(delivery).await;
        }
        match timeout(self.limits.answer, claim.answer()).await {
            Ok(answer) => {
                delivery.done().await;
                self.follow(answer, order, trace).await;
            }
            Err(_) => {
                tracing::warn!(limit_ms = self.limits.answer.as_millis(), "no answer to a claim yet");
                put_off(delivery).await;
                // Others may have our place meanwhile: this may last.
                drop(permit);
                self.late(claim, order, trace).await;
            }
        }
    }

    async fn ask(&self, claim: &Claim<'_>, order: &WorkOrder, trace: &Trace) -> anyhow::Result<()> {
        let mut message = self.post.message(claim.report(order), trace)?;
        message.reply_to = Some(self.reply_address.clone());
        Ok(self.post.send(&message).await?)
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
        tracing::info!(task.granted_version = task_version, "granted, and begins");
        metrics::counter!(names::WORKER_STARTED_TOTAL, "work" => order.work.clone()).increment(1);
        let since = Instant::now();
        let reporter = Arc::new(Reporter {
            post: self.post.clone(),
            trace: trace.clone(),
            task_id: order.task_id.clone(),
            performer: self.performer.clone(),
            task_version,
            said: Said::default().into(),
        });
        let progress = Progress::new(reporter.clone());
        let stop = self.stops.begin(&order.task_id);
        let outcome = tokio::select! {
            outcome = self.fulfil(order, &progress) => Some(outcome),
            never = reporter.keep_lease(lease) => match never {},
            () = stop.cancelled() => None,
        };
        self.stops.end(&order.task_id);
        let ended = match outcome {
            Some(outcome) => reporter.end(outcome).await,
            // The hub ends the Task when it hears that the abort is done.
            None => "stopped",
        };
        tracing::info!(outcome = ended, "the work has ended");
        let work = order.work.clone();
        metrics::histogram!(names::WORKER_SECONDS, "work" => work.clone()).record(since.elapsed().as_secs_f64());
        metrics::counter!(names::WORKER_FINISHED_TOTAL, "work" => work, "outcome" => ended).increment(1);
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

async fn misfit(delivery: Delivery, order: &WorkOrder) {
    if delivery.attempts < MISFIT_LIMIT_ATTEMPTS {
        return put_off(delivery).await;
    }
    tracing::warn!("parked: no worker of this performer does this kind of work");
    delivery.park(&format!("no worker took it: its kind of work is {}", order.work)).await;
}

async fn put_off(delivery: Delivery) {
    let step = usize::try_from(delivery.attempts).unwrap_or(usize::MAX).min(PUT_OFF_SECONDS.len() - 1);
    delivery.again(Duration::from_secs(PUT_OFF_SECONDS[step])).await;
}
