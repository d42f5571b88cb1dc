//! Reports off the queue: a `Command` each, committed, answered, and only then acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use hub_domain::command::{Act, Caller, Command, Role};
use hub_domain::decision::Reply;
use hub_domain::refusal::{Refusal, RefusalKind};
use hub_domain::registry::Registry;
use hub_telemetry::names;
use hub_transport::{Delivery, Message, Routing, Source, Transport};
use schemas::message::{self, Answer, CLAIM_REPLY, CONTENT_TYPE, ClaimReply, CloudEvent, STATUS_REPORT, StatusReport};
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::engine::{Engine, Failure, Pending, TroubleKind, settled};
use crate::relay::SOURCE;

/// Most reports that are handled together.
const BATCH_LIMIT_REPORTS: usize = 128;
/// Batches under way at once: while one is committed, the next ones are read and put into their lanes.
const BATCHES_LIMIT: usize = 4;
const PREFETCH_REPORTS: u16 = (BATCH_LIMIT_REPORTS * BATCHES_LIMIT) as u16;
/// A report that meets trouble comes again after this, and later each time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// So often, which takes some two hours; then it is parked. What the hub cannot do by then it will not do by itself.
const AGAIN_LIMIT_ATTEMPTS: u32 = 20;
/// While the database is away, it is asked at such intervals whether it is back.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(5);
/// So often are held reports tried on a database that says it is well. If it fails them each time, it may be them.
const HELD_LIMIT_TRIES: u32 = 8;

pub(crate) struct Listener {
    pub(crate) engine: Engine,
    pub(crate) registry: Arc<dyn Registry>,
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
    command: Command,
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
        let mut under_way = FuturesOrdered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(held) = under_way.next() => if !Vec::is_empty(&held) {
                    // Nothing newer overtakes them.
                    let later: Vec<Vec<Read>> = under_way.by_ref().collect().await;
                    self.hold([held].into_iter().chain(later).flatten().collect(), &stop).await;
                },
                batch = consumer.next_batch(BATCH_LIMIT_REPORTS), if under_way.len() < BATCHES_LIMIT => {
                    if batch.is_empty() {
                        break;
                    }
                    let reports = self.read_all(batch).await;
                    under_way.push_back(self.put(reports, true).await);
                }
            }
        }
        // Those that are held return to their queue.
        under_way.for_each(|_| std::future::ready(())).await;
    }

    /// What the database was away for is held, unacknowledged, and put into its lane again when that is back: nothing is
    /// wrong with it. On the way out it returns to its queue.
    async fn hold(&self, mut held: Vec<Read>, stop: &CancellationToken) {
        for tries in 1.. {
            tracing::warn!(reports = held.len(), "the database is away: reports are held");
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.registry_is_well(tries) => {}
            }
            held = self.put(held, tries + 1 < HELD_LIMIT_TRIES).await.await;
            if held.is_empty() {
                return;
            }
        }
    }

    async fn read_all(&self, batch: Vec<Delivery>) -> Vec<Read> {
        let mut all = Vec::with_capacity(batch.len());
        for delivery in batch {
            match self.read(&delivery) {
                Ok((command, report, span)) => all.push(Read { span, delivery, report, command }),
                Err(why) => park(delivery, &why).await,
            }
        }
        all
    }

    /// Puts all into their lanes, in the order they came. What is returned answers each when it is settled, and comes to
    /// those for which the database was away, unless they are not to be held any more.
    async fn put(&self, reports: Vec<Read>, hold: bool) -> impl Future<Output = Vec<Read>> {
        let mut pending = Vec::with_capacity(reports.len());
        for one in reports {
            let settling = self.engine.put(one.command.clone()).await;
            pending.push((one, settling));
        }
        let answers = pending.into_iter().map(move |(one, settling)| {
            let span = one.span.clone();
            self.answer(one, settling, hold).instrument(span)
        });
        join_all(answers).map(|held| held.into_iter().flatten().collect())
    }

    /// Waits until the registry answers. Not less long for having answered before: it may be back only half.
    async fn registry_is_well(&self, tries: u32) {
        let mut pause = PAUSE_FIRST * 2u32.pow(tries.min(8));
        loop {
            pause = pause.min(PAUSE_LAST);
            // Between one half and the whole: hubs that lost one database together do not all come back at once.
            tokio::time::sleep(pause / 2 + (pause / 2).mul_f64(f64::from(Uuid::new_v4().as_bytes()[0]) / 256.0)).await;
            if self.registry.health().await.is_ok() {
                return;
            }
            pause *= 2;
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
        let traceparent = traceparent.filter(|text| hub_telemetry::is_traceparent(text));
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

    /// Gives the report back when it is to be held.
    async fn answer(&self, one: Read, settling: Pending, hold: bool) -> Option<Read> {
        match settled(settling).await {
            Ok(done) => {
                count("taken");
                if one.report.act == message::Act::Claim || !one.report.quiet {
                    self.reply(&one.delivery, &one.report, Ok(&done.reply)).await;
                }
                one.delivery.done().await;
            }
            Err(Failure::Refused(refusal)) => self.refused(one, &refusal).await,
            Err(Failure::Trouble { kind: TroubleKind::Unavailable, .. }) if hold => return Some(one),
            Err(Failure::Trouble { id, .. }) => self.again(one, id).await,
        }
        None
    }

    async fn refused(&self, one: Read, refusal: &Refusal) {
        let Read { delivery, report, .. } = one;
        count("refused");
        tracing::info!(task.id = report.task_id, report.act = ?report.act, why = refusal.text(), "report refused");
        self.reply(&delivery, &report, Err(refusal.text())).await;
        if matches!(refusal.kind, RefusalKind::NotFound | RefusalKind::Gone) {
            park(delivery, "there is no such Task").await;
        } else {
            delivery.done().await;
        }
    }

    /// Later each time, and not for ever. Whoever claims is told at the end, and need not ask again.
    async fn again(&self, one: Read, trouble: Uuid) {
        let Read { delivery, report, .. } = one;
        if delivery.attempts < AGAIN_LIMIT_ATTEMPTS {
            count("again");
            let after = AGAIN_AFTER * 2u32.pow(delivery.attempts.min(8));
            return delivery.again(after).await;
        }
        if report.act == message::Act::Claim {
            self.reply(&delivery, &report, Err("the hub failed on this claim again and again")).await;
        }
        park(delivery, &format!("the hub failed on it again and again, the last time as error {trouble}")).await;
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
            tracing::debug!(task.id = report.task_id, cause = %error, "a report could not be answered");
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
