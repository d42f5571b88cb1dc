//! Takes work while there are hands for it, and ends in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use hub_transport::{Consumer, Delivery, Place, Source, Transport};
use schemas::message::{CLAIM_REPLY, ClaimReply, CloudEvent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use crate::claim::Claims;
use crate::filler::Filler;
use crate::post::Post;
use crate::shutdown::Shutdown;
use crate::stops::Stops;

/// Answers are taken as they come, so this bounds only what is under way.
const REPLIES_PREFETCH: u16 = 256;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Options {
    /// In whose name it claims, a reference such as `Organization/lab-1`: then it also does what is directed to that
    /// performer. Without one it claims as `Organization/simulated-<work>` and does open work only.
    pub performer: Option<String>,
    /// Work orders in hand at once.
    pub concurrency: u16,
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { performer: None, concurrency: 8, limits: Limits::default() }
    }
}

/// How long a worker waits for what, and how often.
#[derive(Debug, Clone)]
pub struct Limits {
    /// For the answer to a claim, before the work order is put off.
    pub answer: Duration,
    /// For an answer that comes after that. No longer than an idle reply queue lives.
    pub late_answer: Duration,
    /// Between two claims of one order while the hub says nothing to anybody: by then it may be back.
    pub silence: Duration,
    /// For the broker to confirm a report.
    pub report: Duration,
    /// With all hands full, before prefetched work orders are given back to whoever has a hand free.
    pub hoarding: Duration,
    /// So often is a work order put off that this worker can do nothing about; then it is parked, where a person sees
    /// it. The last steps of backoff are of an hour.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            late_answer: Duration::from_secs(10 * 60),
            silence: Duration::from_secs(5),
            report: Duration::from_secs(24 * 60 * 60),
            hoarding: Duration::from_secs(60),
            attempts: 20,
        }
    }
}

/// Works until `shutdown` says otherwise, or the transport is closed.
pub async fn run(
    transport: Arc<dyn Transport>,
    filler: Arc<dyn Filler>,
    options: Options,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let source = source(filler.work(), options.performer.as_deref())?;
    let replies = transport.consume(Source::Replies, REPLIES_PREFETCH).await?;
    let runner = Arc::new(Runner::new(transport, filler, &options, shutdown.clone(), replies.as_ref())?);
    let mut jobs = JoinSet::new();
    let work = async {
        runner.take_work(source, options.concurrency, &mut jobs).await?;
        // Drained: each job ends with its last report confirmed.
        while jobs.join_next().await.is_some() {}
        Ok(())
    };
    tokio::select! {
        ended = work => ended,
        () = runner.hear(replies) => Ok(()),
        () = shutdown.stop.cancelled() => Ok(()),
    }
}

/// What all jobs of one worker share.
pub(crate) struct Runner {
    transport: Arc<dyn Transport>,
    pub(crate) filler: Arc<dyn Filler>,
    pub(crate) performer: String,
    pub(crate) limits: Limits,
    pub(crate) claims: Claims,
    pub(crate) post: Arc<Post>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) stops: Stops,
    pub(crate) shutdown: Shutdown,
}

impl Runner {
    fn new(
        transport: Arc<dyn Transport>,
        filler: Arc<dyn Filler>,
        options: &Options,
        shutdown: Shutdown,
        replies: &dyn Consumer,
    ) -> anyhow::Result<Self> {
        let worker = Uuid::now_v7();
        let unnamed = || format!("Organization/simulated-{}", filler.work());
        let performer = options.performer.clone().unwrap_or_else(unnamed);
        let post = Post {
            transport: transport.clone(),
            source: format!("urn:fhir-workflow-hub:worker:{worker}"),
            reply_address: replies.reply_address().context("the transport gave no reply address")?.to_owned(),
            patience: options.limits.report,
        };
        Ok(Self {
            transport,
            filler,
            claims: Claims::new(worker, performer.clone()),
            performer,
            limits: options.limits.clone(),
            post: Arc::new(post),
            permits: Arc::new(Semaphore::new(options.concurrency.max(1).into())),
            stops: Stops::default(),
            shutdown,
        })
    }

    /// First a free hand and then a delivery: so the next one is chosen, the urgent before the routine, when it can
    /// start, and none waits unanswered in here.
    async fn take_work(self: &Arc<Self>, source: Source, prefetch: u16, jobs: &mut JoinSet<()>) -> anyhow::Result<()> {
        let mut consumer = None;
        loop {
            let permit = tokio::select! {
                biased;
                () = self.shutdown.drain.cancelled() => return Ok(()),
                permit = self.free_hand(&mut consumer) => permit?,
            };
            let from = match &mut consumer {
                Some(from) => from,
                none => none.insert(self.transport.consume(source.clone(), prefetch).await?),
            };
            let delivery = tokio::select! {
                biased;
                () = self.shutdown.drain.cancelled() => return Ok(()),
                delivery = from.next() => delivery,
            };
            let Some(delivery) = delivery else { return Ok(()) };
            jobs.spawn(self.clone().job(delivery, permit));
            while jobs.try_join_next().is_some() {}
        }
    }

    /// Real work takes days, and what was prefetched must not wait so long in here: an unanswered delivery makes the
    /// broker close the channel, and somebody else may be idle. So after a while it is given back.
    async fn free_hand(&self, consumer: &mut Option<Box<dyn Consumer>>) -> anyhow::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = timeout(self.limits.hoarding, self.permits.clone().acquire_owned()).await {
            return Ok(permit?);
        }
        *consumer = None;
        Ok(self.permits.clone().acquire_owned().await?)
    }

    /// Takes the hub's answers until the transport is closed.
    async fn hear(&self, mut replies: Box<dyn Consumer>) {
        loop {
            let batch = replies.next_batch(REPLIES_PREFETCH.into()).await;
            if batch.is_empty() {
                return;
            }
            join_all(batch.into_iter().map(|delivery| self.heard(delivery))).await;
        }
    }

    async fn heard(&self, delivery: Delivery) {
        match serde_json::from_slice::<CloudEvent<ClaimReply>>(&delivery.message.body) {
            Ok(reply) if reply.kind == CLAIM_REPLY => {
                if let Some(other) = self.claims.answered(reply) {
                    self.stops.answered(other);
                }
                delivery.done().await;
            }
            _ => delivery.park(&format!("not a {CLAIM_REPLY}")).await,
        }
    }
}

fn source(work: &str, performer: Option<&str>) -> anyhow::Result<Source> {
    let mut places = vec![Place::open(work)?];
    if let Some(performer) = performer {
        anyhow::ensure!(performer.contains('/'), "{performer} is no reference, such as Organization/lab-1");
        places.push(Place::performer(performer)?);
    }
    Ok(Source::Work { places })
}
