//! Outbox to transport: publish, await the confirm, forget.
//!
//! Fresh messages come from the lanes of this hub, in memory. What a hub left behind (it died, the broker was away, the
//! relay was behind) is found by looking at the outbox. A broker that came up empty, as the in-process one always
//! does, gets every Task that is on offer once more: one path for both.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hub_domain::decision::{Message, Outgoing, OutgoingId};
use hub_domain::registry::{Registry, Trouble};
use hub_telemetry::names;
use hub_transport::{Message as Sealed, Place, Routing, Tier, Transport};
use schemas::message::{CONTENT_TYPE, CloudEvent, Payload, WORK_ORDER, WorkOrder};
use schemas::resource::{Body, Document, Key, Resource, text_at};
use schemas::task::{TaskStatus, focus, owner};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::config::Payloads;
use crate::engine::Fresh;

/// Batches on their way to the broker at once: while one is confirmed, the next one is made. Of two versions of a Task
/// the earlier may then come last, which every consumer can bear.
const SENDS_LIMIT: usize = 3;

/// How long messages that were sent wait for others to be forgotten with, unless they are many. Those of a hub that dies
/// meanwhile are sent again.
const FORGET_AFTER: Duration = Duration::from_millis(100);
const FORGET_AT_ONCE: usize = 256;

/// Room for what stands around the resources of a message.
const ENVELOPE_BYTES: usize = 1024;

/// Who the hub is in the messages it sends.
pub(crate) const SOURCE: &str = "urn:fhir-workflow-hub";

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Most messages of one publish.
    pub(crate) batch_limit_messages: u32,
    /// How often the outbox is looked at for what was left.
    pub(crate) poll: Duration,
    /// How long a message that was taken from the outbox is this hub's.
    pub(crate) lease: Duration,
    /// Performers with a queue of their own.
    pub(crate) performers: BTreeSet<String>,
    /// What goes over the broker, by kind of work.
    pub(crate) payload: Payloads,
}

/// Where what was sent goes to be forgotten.
type Sent = mpsc::UnboundedSender<Vec<OutgoingId>>;

pub(crate) struct Relay {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) options: Options,
}

impl Relay {
    pub(crate) async fn run(self, mut fresh: mpsc::Receiver<Fresh>, stop: CancellationToken) {
        let relay = Arc::new(self);
        let (sent, forgettable) = mpsc::unbounded_channel();
        let forgetting = tokio::spawn(relay.clone().forget(forgettable));
        let mut generation = relay.transport.generation();
        generation.mark_changed();
        let mut poll = tokio::time::interval(relay.options.poll);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Jobs of their own: one that nobody drives would keep the connection to the database that the others wait for. And
        // what has just been committed does not wait until all that was left is sent.
        let (mut under_way, mut sweeping) = (JoinSet::new(), JoinSet::new());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = generation.changed() => match changed {
                    Ok(()) => relay.refill(&mut generation).await,
                    Err(_) => break,
                },
                Some(_) = under_way.join_next() => {}
                Some(_) = sweeping.join_next() => {}
                first = fresh.recv(), if under_way.len() < SENDS_LIMIT => match first {
                    Some(first) => {
                        let fresh = relay.and_more(first, &mut fresh);
                        let (relay, sent) = (relay.clone(), sent.clone());
                        under_way.spawn(async move { relay.send(fresh, &sent).await });
                    }
                    None => break,
                },
                _ = poll.tick(), if sweeping.is_empty() => {
                    let (relay, sent, stop) = (relay.clone(), sent.clone(), stop.clone());
                    sweeping.spawn(async move { relay.sweep(&sent, &stop).await });
                }
            }
        }
        while under_way.join_next().await.is_some() {}
        while sweeping.join_next().await.is_some() {}
        drop(sent);
        let _ = forgetting.await;
    }

    /// Takes out of the outbox what was sent: what came within a moment together.
    async fn forget(self: Arc<Self>, mut sent: mpsc::UnboundedReceiver<Vec<OutgoingId>>) {
        while let Some(mut ids) = sent.recv().await {
            let more = async {
                while ids.len() < FORGET_AT_ONCE
                    && let Some(more) = sent.recv().await
                {
                    ids.extend(more);
                }
            };
            let _ = tokio::time::timeout(FORGET_AFTER, more).await;
            match self.registry.sent(&ids).await {
                Ok(()) => self.backlog.shrank(ids.len()),
                // They will be sent twice, which every consumer can bear.
                Err(trouble) => tracing::warn!(cause = %trouble, "sent messages could not be forgotten"),
            }
        }
    }

    /// With what else has come meanwhile: the fuller a batch, the less each message costs.
    fn and_more(&self, mut first: Fresh, fresh: &mut mpsc::Receiver<Fresh>) -> Fresh {
        while first.messages.len() < self.options.batch_limit_messages as usize
            && let Ok(more) = fresh.try_recv()
        {
            first.messages.extend(more.messages);
            first.written.extend(more.written);
        }
        first
    }

    /// A broker without memory is told of every Task on offer.
    async fn refill(&self, generation: &mut watch::Receiver<hub_transport::Generation>) {
        let seen = *generation.borrow_and_update();
        if !seen.empty {
            return;
        }
        match self.registry.republish().await {
            Ok(tasks) => {
                tracing::info!(queue.tasks = tasks, "the transport is empty: every Task on offer is published again");
                // They are in the outbox: whatever dies now, they will be sent. A broker takes its time to be sure of
                // its new queues, which nothing here waits for.
                let transport = self.transport.clone();
                tokio::spawn(async move {
                    if let Err(trouble) = transport.filled().await {
                        tracing::warn!(cause = %trouble, "the transport could not be marked as filled");
                    }
                });
            }
            Err(trouble) => {
                tracing::warn!(cause = %trouble, "Tasks on offer could not be put into the outbox; trying again");
                tokio::time::sleep(self.options.poll).await;
                generation.mark_changed();
            }
        }
    }

    /// Sends what lies in the outbox, until it is empty or something stops it. Where there is more than one batch, several
    /// at once: whoever takes from it skips what another has taken.
    async fn sweep(&self, sent: &Sent, stop: &CancellationToken) {
        if self.sweep_some(sent).await {
            join_all((0..SENDS_LIMIT).map(|_| async { while !stop.is_cancelled() && self.sweep_some(sent).await {} }))
                .await;
        }
    }

    /// One batch; whether there may be more.
    async fn sweep_some(&self, sent: &Sent) -> bool {
        if self.transport.health().is_err() {
            return false;
        }
        let limit = self.options.batch_limit_messages;
        match self.registry.outgoing(limit, self.options.lease).await {
            Ok(messages) => {
                let is_full = messages.len() >= limit as usize;
                if !messages.is_empty() {
                    self.send(Fresh { messages, written: Vec::new() }, sent).await;
                }
                is_full
            }
            Err(trouble) => {
                tracing::warn!(cause = %trouble, "the outbox cannot be read");
                false
            }
        }
    }

    /// Publishes, and gives what was confirmed or is no longer wanted to be forgotten. The rest stays in the outbox.
    async fn send(&self, fresh: Fresh, sent: &Sent) {
        if self.transport.health().is_err() {
            // Reading what they are about would be in vain. The sweep finds them when the broker is back.
            return;
        }
        let Fresh { messages, written } = fresh;
        let (mut done, mut sealed) = (Vec::new(), Vec::new());
        match self.seal(&messages, written).await {
            Ok(results) => {
                for (outgoing, result) in messages.iter().zip(results) {
                    match result {
                        Some(message) => sealed.push((outgoing.id, (outgoing.message.work.clone(), message))),
                        None => done.push(outgoing.id),
                    }
                }
            }
            Err(trouble) => return tracing::warn!(cause = %trouble, "messages stay in the outbox"),
        }
        done.extend(self.publish(sealed).await);
        if !done.is_empty() {
            // Who forgets ends after the last of those who send.
            let _ = sent.send(done);
        }
    }

    async fn publish(&self, sealed: Vec<(OutgoingId, (String, Sealed))>) -> Vec<OutgoingId> {
        let (ids, (works, messages)): (Vec<_>, (Vec<_>, Vec<_>)) = sealed.into_iter().unzip();
        if messages.is_empty() {
            return ids;
        }
        let results = self.transport.publish(&messages).await;
        let mut sent = Vec::new();
        for (((id, work), message), result) in ids.into_iter().zip(works).zip(&messages).zip(results) {
            match result {
                Ok(()) => {
                    metrics::counter!(names::PUBLISHED_TOTAL, "work" => work).increment(1);
                    sent.push(id);
                }
                Err(error) => {
                    tracing::warn!(message.id = message.id, cause = %error, "not published; it stays in the outbox");
                }
            }
        }
        sent
    }

    /// For each: the message as it travels, or None when nobody wants it any more.
    async fn seal(&self, outgoing: &[Outgoing], written: Vec<Resource>) -> Result<Vec<Option<Sealed>>, Trouble> {
        let mut known = Known::of(written);
        known.read(&*self.registry, outgoing.iter().map(|o| &o.message.task)).await?;
        let full = outgoing.iter().filter(|o| self.options.payload.of(&o.message.work) == Payload::Full);
        let tasks = full.filter_map(|o| known.find(&o.message.task));
        let pointed_to: BTreeSet<Key> = tasks.flat_map(|(_, task)| companions(task)).collect();
        known.read(&*self.registry, &pointed_to).await?;
        Ok(outgoing.iter().map(|o| self.seal_one(&o.message, &known)).collect())
    }

    fn seal_one(&self, message: &Message, known: &Known) -> Option<Sealed> {
        let (version, task) = known.find(&message.task)?;
        let status = TaskStatus::of(task).filter(|status| status.is_offered())?;
        let place = self.place(message)?;
        let payload = self.options.payload.of(&message.work);
        let full = payload == Payload::Full;
        let companions = if full { companions(task) } else { Vec::new() };
        let order = WorkOrder {
            task_id: message.task.id.clone(),
            task_version: version,
            task_status: status.code().into(),
            work: message.work.clone(),
            step: message.step.clone(),
            priority: message.priority.code().into(),
            owner: owner(task).map(str::to_owned),
            focus: focus(task).map(str::to_owned),
            payload,
            task: full.then(|| task.text()),
            resources: companions.iter().filter_map(|key| known.find(key)).map(|(_, body)| body.text()).collect(),
        };
        let tier = Tier::of_priority(Some(message.priority.code()));
        let time = text_at(task, &["lastModified"]).unwrap_or_default();
        seal_event(message, order, time, Routing::work(place, tier))
    }

    /// The queue of a message. A directed Task of a performer without one is polled for over REST.
    fn place(&self, message: &Message) -> Option<Place> {
        match &message.owner {
            None => Place::open(&message.work).ok(),
            Some(owner) if self.options.performers.contains(owner) => Place::performer(owner).ok(),
            Some(_) => {
                metrics::counter!(names::UNROUTABLE_POLLED_TOTAL).increment(1);
                None
            }
        }
    }
}

/// What messages are made of: what the lanes have just written, and what was read beside it.
struct Known(HashMap<Key, (u32, Document)>);

impl Known {
    /// Of several versions the last.
    fn of(written: Vec<Resource>) -> Self {
        Self(written.into_iter().map(|resource| (resource.key, (resource.version, resource.body))).collect())
    }

    fn find(&self, key: &Key) -> Option<(u32, &Document)> {
        self.0.get(key).map(|(version, body)| (*version, body))
    }

    /// Reads what is not known yet, as far as it is there.
    async fn read(&mut self, registry: &dyn Registry, keys: impl IntoIterator<Item = &Key>) -> Result<(), Trouble> {
        let unknown: BTreeSet<&Key> = keys.into_iter().filter(|key| !self.0.contains_key(key)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown: Vec<Key> = unknown.into_iter().cloned().collect();
        for stored in registry.read(&unknown).await? {
            if let Ok(body) = Document::read(&stored.body) {
                self.0.insert(stored.key, (stored.version, body));
            }
        }
        Ok(())
    }
}

/// In a span of its own, so that the trace shows when the message left the outbox.
fn seal_event(message: &Message, order: WorkOrder<&RawValue>, time: &str, routing: Routing) -> Option<Sealed> {
    let span = tracing::info_span!("publish", otel.kind = "producer", task.id = order.task_id, work = order.work);
    hub_telemetry::continue_from(&span, message.traceparent.as_deref());
    let traceparent = span.in_scope(hub_telemetry::current_traceparent).or_else(|| message.traceparent.clone());
    let id = format!("{}/{}", order.task_id, order.task_version);
    let mut event = CloudEvent::new(WORK_ORDER, id.clone(), SOURCE, &message.task.id, time.to_owned(), order);
    event.traceparent.clone_from(&traceparent);
    let carried = event.data.task.iter().chain(&event.data.resources).map(|text| text.get().len()).sum::<usize>();
    let mut body = Vec::with_capacity(carried + ENVELOPE_BYTES);
    serde_json::to_writer(&mut body, &event).ok()?;
    let mut sealed = Sealed::json(id, routing, body);
    sealed.content_type = CONTENT_TYPE.into();
    sealed.headers.extend(traceparent.map(|trace| ("traceparent".to_owned(), trace)));
    Some(sealed)
}

/// What a filler needs beside the Task: its focus and whom it is for, as far as they are here.
fn companions(task: &Body) -> Vec<Key> {
    let based_on = schemas::resource::list(task, "basedOn").filter_map(|r| r["reference"].as_str());
    let named = [focus(task), text_at(task, &["for", "reference"])].into_iter().flatten();
    let mut keys: Vec<Key> = named.chain(based_on).filter_map(Key::of_reference).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;
    use hub_domain::command::{Act, Caller, Command, Interaction};
    use hub_domain::decide::Policy;
    use hub_transport::{Consumer, Depth, Generation, PublishError, Publisher, Source};
    use schemas::resource::Kind;
    use serde_json::json;
    use tokio::sync::{Semaphore, mpsc};
    use tokio_util::task::TaskTracker;
    use uuid::Uuid;

    use super::*;
    use crate::engine::{Engine, Options as Lanes};

    /// A broker that takes so many batches, and keeps the next one waiting.
    struct Slow {
        batches: Semaphore,
        taken: mpsc::UnboundedSender<usize>,
        generation: watch::Sender<Generation>,
    }

    #[async_trait]
    impl Publisher for Slow {
        async fn publish(&self, messages: &[Sealed]) -> Vec<Result<(), PublishError>> {
            self.taken.send(messages.len()).unwrap();
            self.batches.acquire().await.unwrap().forget();
            messages.iter().map(|_| Ok(())).collect()
        }
    }

    #[async_trait]
    impl Transport for Slow {
        async fn consume(&self, _: Source, _: u16) -> Result<Box<dyn Consumer>, hub_transport::Trouble> {
            Err(hub_transport::Trouble::Refused("nobody reads".into()))
        }
        async fn reply(&self, _: &str, _: &Sealed) -> Result<(), PublishError> {
            Ok(())
        }
        async fn ensure(&self, _: &[Place]) -> Result<(), hub_transport::Trouble> {
            Ok(())
        }
        fn generation(&self) -> watch::Receiver<Generation> {
            self.generation.subscribe()
        }
        async fn filled(&self) -> Result<(), hub_transport::Trouble> {
            Ok(())
        }
        fn health(&self) -> Result<(), String> {
            Ok(())
        }
        async fn depths(&self) -> Result<Vec<Depth>, hub_transport::Trouble> {
            Ok(Vec::new())
        }
        async fn close(&self) {}
    }

    fn task() -> Command {
        let body = json!({ "resourceType": "Task", "status": "requested", "intent": "order" });
        let body = body.as_object().unwrap().clone();
        let create = Interaction::Create { kind: Kind::TASK, body: body.into(), unless: None };
        Command { id: Uuid::now_v7(), caller: Caller::Local, act: Act::alone(create), repeat: None, traceparent: None }
    }

    fn lane(registry: &Arc<dyn Registry>, fresh: mpsc::Sender<Fresh>, backlog: &Arc<Backlog>) -> Engine {
        let lanes = Lanes { lanes: 1, one_writer: true, batch_limit_commands: 16, queue_limit_commands: 16 };
        let policy = Arc::new(Policy::default());
        Engine::start(registry.clone(), policy, lanes, fresh, backlog.clone(), &TaskTracker::new())
    }

    #[tokio::test]
    async fn what_was_left_keeps_neither_what_is_new_nor_the_end() {
        let options = hub_storage::Options { fresh_lease_ms: 0, ..hub_storage::Options::default() };
        let registry = hub_storage::open("sqlite::memory:", options).await.unwrap();
        let backlog = Arc::new(Backlog::new(1000));
        // Left by a hub whose relay was gone.
        let (gone, _) = mpsc::channel(1);
        let left = lane(&registry, gone, &backlog);
        for _ in 0..20 {
            left.execute(task()).await.unwrap();
        }
        let (taken, mut published) = mpsc::unbounded_channel();
        let generation = watch::Sender::new(Generation { number: 1, empty: false });
        let broker = Arc::new(Slow { batches: Semaphore::new(0), taken, generation });
        let options = Options {
            batch_limit_messages: 2,
            poll: Duration::from_millis(10),
            lease: Duration::from_secs(60),
            performers: BTreeSet::new(),
            payload: Payloads::new(BTreeMap::new(), Payload::Full),
        };
        let relay = Relay { registry: registry.clone(), transport: broker.clone(), backlog: backlog.clone(), options };
        let (fresh, new) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let running = tokio::spawn(relay.run(new, stop.clone()));
        assert_eq!(published.recv().await, Some(2), "the first batch of what was left");

        lane(&registry, fresh.clone(), &backlog).execute(task()).await.unwrap();
        assert_eq!(published.recv().await, Some(1), "what is new is sent beside it");

        stop.cancel();
        broker.batches.add_permits(1000);
        running.await.unwrap();
        assert!(registry.outbox_depth(100).await.unwrap() >= 12, "the rest is left to the next hub");
    }
}
