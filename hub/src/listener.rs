//! Reports off the queue: a `Command` each, committed, answered, and only then acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hub_domain::command::{Act, Caller, Command, Role};
use hub_domain::decision::{ReportReply, Reply};
use hub_domain::refusal::RefusalKind;
use hub_telemetry::names;
use hub_transport::{Consumer, Delivery, Message, Routing, Source, Transport};
use schemas::message::{
    Answer, CLAIM_REPLY, CONTENT_TYPE, ClaimReply, CloudEvent, STATUS_REPORT, StatusReport,
};
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;
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
                Ok((command, report)) => {
                    let pending = self.engine.put(command).await;
                    read.push(Read { delivery, report, pending });
                }
                Err(why) => park(delivery, &why).await,
            }
        }
        for one in read {
            self.answer(one).await;
        }
    }

    fn read(&self, delivery: &Delivery) -> Result<(Command, StatusReport), String> {
        let event: CloudEvent<StatusReport> =
            serde_json::from_slice(&delivery.message.body).map_err(|error| shape(&error))?;
        if event.kind != STATUS_REPORT {
            return Err(format!("the event's type is not {STATUS_REPORT}"));
        }
        let report = event.data;
        let traceparent = event.traceparent.or_else(|| delivery.message.header("traceparent").map(str::to_owned));
        let caller = self.caller(delivery.user_id.as_deref())?;
        let act = Act::Report(report.clone());
        Ok((Command { id: Uuid::now_v7(), caller, act, repeat: None, traceparent }, report))
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
        let Read { delivery, report, pending } = one;
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
        let Some(to) = &delivery.message.reply_to else { return };
        let reply = claim_reply(report, outcome);
        let id = Uuid::now_v7().to_string();
        let time = Timestamp::default().to_string();
        let event = CloudEvent::new(CLAIM_REPLY, id.clone(), SOURCE, &report.task_id, time, reply);
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

fn claim_reply(report: &StatusReport, outcome: Result<&Reply, &str>) -> ClaimReply {
    let taken = outcome.ok().and_then(|reply| reply.report.as_ref());
    ClaimReply {
        report_id: report.report_id.clone(),
        task_id: report.task_id.clone(),
        answer: if outcome.is_ok() { Answer::Granted } else { Answer::Refused },
        task_version: taken.map(|reply: &ReportReply| reply.task_version),
        lease_until: taken.and_then(|reply| reply.lease_until).map(|until| Timestamp(until).to_string()),
        reason: outcome.err().map(str::to_owned),
    }
}

async fn park(delivery: Delivery, why: &str) {
    count("parked");
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

