//! Reports off the queue: a `Command` each, committed, answered, and only then acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hub_domain::command::{Act, Caller, Command, Role};
use hub_domain::decision::Reply;
use hub_domain::refusal::RefusalKind;
use hub_telemetry::names;
use hub_transport::{Consumer, Delivery, Message, Routing, Source, Transport};
use schemas::message::{self, Answer, CLAIM_REPLY, CONTENT_TYPE, ClaimReply, CloudEvent, STATUS_REPORT, StatusReport};
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::engine::{Engine, Failure, Pending, settled};
use crate::relay::SOURCE;

/// Most reports that are handled together.
const BATCH_LIMIT_REPORTS: usize = 128;
const PREFETCH_REPORTS: u16 = 256;
/// A report that meets trouble comes again after this, and later each time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Listener {
    pub(crate) engine: Engine,
    pub(crate) transport: Arc<dyn Transport>,
    /// Whom a user of the broker speaks for. Empty: the broker's users are not told apart.
    pub(crate) users: BTreeMap<String, String>,
}

/// A report that reads well, and its delivery.
struct Read {
    /// Lasts from the reading to the acknowledgement.
    span: Span,
    delivery: Delivery,
    report: StatusReport,
    pending: Pending,
}

impl Listener {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut consumer = loop {
            match self.transport.consume(Source::Reports, PREFETCH_REPORTS).await {
                Ok(consumer) => break consumer,
                Err(trouble) => {
                    tracing::warn!(cause = %trouble, "reports cannot be consumed; trying again");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        };
        while let Some(batch) = self.next(&mut *consumer, &stop).await {
            self.handle(batch).await;
        }
    }

    async fn next(&self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Option<Vec<Delivery>> {
        tokio::select! {
            () = stop.cancelled() => None,
            batch = consumer.next_batch(BATCH_LIMIT_REPORTS) => Some(batch).filter(|batch| !batch.is_empty()),
        }
    }

    /// All are put into their lanes in the order they came, then awaited.
    async fn handle(&self, batch: Vec<Delivery>) {
        let mut read = Vec::with_capacity(batch.len());
        for delivery in batch {
            match self.read(&delivery) {
                Ok((command, report, span)) => {
                    let pending = self.engine.put(command).await;
                    read.push(Read { span, delivery, report, pending });
                }
                Err(why) => park(delivery, &why).await,
            }
        }
        for one in read {
            let span = one.span.clone();
            self.answer(one).instrument(span).await;
        }
    }

    fn read(&self, delivery: &Delivery) -> Result<(Command, StatusReport, Span), String> {
        let event: CloudEvent<StatusReport> =
            serde_json::from_slice(&delivery.message.body).map_err(|error| shape(&error))?;
        if event.kind != STATUS_REPORT {
            return Err(format!("the event's type is not {STATUS_REPORT}"));
        }
        let report = event.data;
        let traceparent = event.traceparent.or_else(|| delivery.message.header("traceparent").map(str::to_owned));
        let caller = self.caller(delivery.user_id.as_deref())?;
        let span =
            tracing::info_span!("report", otel.kind = "consumer", task.id = report.task_id, report.act = ?report.act);
        hub_telemetry::continue_from(&span, traceparent.as_deref());
        let traceparent = span.in_scope(hub_telemetry::current_traceparent).or(traceparent);
        let act = Act::Report(report.clone());
        Ok((Command { id: Uuid::now_v7(), caller, act, repeat: None, traceparent }, report, span))
    }

    /// Whom the broker says the worker is; without a list of users a worker is who it says.
    fn caller(&self, user: Option<&str>) -> Result<Caller, String> {
        if self.users.is_empty() {
            return Ok(Caller::Local);
        }
        let user = user.ok_or("the message carries no user_id, and this hub demands one")?;
        let organization = self.users.get(user).ok_or("the broker's user speaks for no organisation")?.clone();
        Ok(Caller::Known { organization, roles: BTreeSet::from([Role::Filler]) })
    }

    async fn answer(&self, one: Read) {
        let Read { delivery, report, pending, .. } = one;
        match settled(pending).await {
            Ok(done) => {
                count("taken");
                self.reply(&delivery, &report, Ok(&done.reply)).await;
                delivery.done().await;
            }
            Err(Failure::Refused(refusal)) => {
                count("refused");
                tracing::info!(task.id = report.task_id, report.act = ?report.act, why = refusal.text(), "report refused");
                self.reply(&delivery, &report, Err(refusal.text())).await;
                if matches!(refusal.kind, RefusalKind::NotFound | RefusalKind::Gone) {
                    park(delivery, "there is no such Task").await;
                } else {
                    delivery.done().await;
                }
            }
            Err(Failure::Trouble { .. }) => {
                count("again");
                let after = AGAIN_AFTER * 2u32.pow(delivery.attempts.min(8));
                delivery.again(after).await;
            }
        }
    }

    async fn reply(&self, delivery: &Delivery, report: &StatusReport, outcome: Result<&Reply, &str>) {
        if report.act == message::Act::Claim {
            let answer = if outcome.is_ok() { "granted" } else { "refused" };
            metrics::counter!(names::CLAIMS_TOTAL, "outcome" => answer).increment(1);
        }
        let Some(to) = &delivery.message.reply_to else { return };
        let reply = claim_reply(report, outcome);
        let id = Uuid::now_v7().to_string();
        // A lease is measured from here: by the registry's clock, as the lease itself.
        let time = reply.1.to_string();
        let event = CloudEvent::new(CLAIM_REPLY, id.clone(), SOURCE, &report.task_id, time, reply.0);
        let Ok(body) = serde_json::to_vec(&event) else { return };
        let mut message = Message::json(id, Routing::Reply, body);
        message.content_type = CONTENT_TYPE.into();
        message.correlation_id = Some(report.report_id.clone());
        if let Err(error) = self.transport.reply(to, &message).await {
            // The worker is gone, or asks again.
            tracing::debug!(task.id = report.task_id, cause = %error, "a claim could not be answered");
        }
    }
}

/// The answer, and its time.
fn claim_reply(report: &StatusReport, outcome: Result<&Reply, &str>) -> (ClaimReply, Timestamp) {
    let taken = outcome.ok().and_then(|reply| reply.report.as_ref());
    let at = taken.map_or_else(crate::clock::now, |reply| Timestamp(reply.at));
    let reply = ClaimReply {
        report_id: report.report_id.clone(),
        task_id: report.task_id.clone(),
        answer: if outcome.is_ok() { Answer::Granted } else { Answer::Refused },
        task_version: taken.map(|reply| reply.task_version),
        lease_until: taken.and_then(|reply| reply.lease_until).map(|until| Timestamp(until).to_string()),
        reason: outcome.err().map(str::to_owned),
    };
    (reply, at)
}

async fn park(delivery: Delivery, why: &str) {
    count("parked");
    metrics::counter!(names::PARKED_TOTAL, "queue" => "reports").increment(1);
    tracing::warn!(message.id = delivery.message.id, why, "report parked");
    delivery.park(why).await;
}

/// What is wrong with a message's shape, without a word of what it says.
fn shape(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Syntax | Category::Eof => "not JSON",
        Category::Data | Category::Io => "not the shape of a status report",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

fn count(outcome: &'static str) {
    metrics::counter!(names::REPORTS_TOTAL, "outcome" => outcome).increment(1);
}
