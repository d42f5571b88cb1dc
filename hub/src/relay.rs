//! Outbox to transport: publish, await the confirm, forget.
//!
//! Fresh messages come from the lanes of this hub, in memory. What a hub left behind (it died, the broker was away, the
//! relay was behind) is found by looking at the outbox. A broker that came up empty, as the in-process one always
//! does, gets every Task that is on offer once more: one path for both.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hub_domain::decision::{Message, Outgoing, OutgoingId};
use hub_domain::registry::{Registry, Trouble};
use hub_telemetry::names;
use hub_transport::{Message as Sealed, Place, Routing, Tier, Transport};
use schemas::message::{CONTENT_TYPE, CloudEvent, Payload, WORK_ORDER, WorkOrder};
use schemas::resource::{Body, Key, text_at};
use schemas::task::{TaskStatus, focus, owner};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::config::Payloads;

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

pub(crate) struct Relay {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) fresh: mpsc::Receiver<Vec<Outgoing>>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) options: Options,
}

impl Relay {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut generation = self.transport.generation();
        generation.mark_changed();
        let mut poll = tokio::time::interval(self.options.poll);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = generation.changed() => match changed {
                    Ok(()) => self.refill(&mut generation).await,
                    Err(_) => return,
                },
                fresh = self.fresh.recv() => match fresh {
                    Some(messages) => {
                        let messages = self.and_more(messages);
                        self.send(messages).await;
                    }
                    None => return,
                },
                _ = poll.tick() => self.sweep().await,
            }
        }
    }

    /// With what else has come meanwhile: the fuller a batch, the less each message costs.
    fn and_more(&mut self, mut messages: Vec<Outgoing>) -> Vec<Outgoing> {
        while messages.len() < self.options.batch_limit_messages as usize
            && let Ok(more) = self.fresh.try_recv()
        {
            messages.extend(more);
        }
        messages
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

    /// Sends what lies in the outbox, until it is empty or something stops it.
    async fn sweep(&self) {
        while self.transport.health().is_ok() {
            match self.registry.outgoing(self.options.batch_limit_messages, self.options.lease).await {
                Ok(messages) if messages.is_empty() => return,
                Ok(messages) => self.send(messages).await,
                Err(trouble) => return tracing::warn!(cause = %trouble, "the outbox cannot be read"),
            }
        }
    }

    /// Publishes, and forgets what was confirmed or is no longer wanted. The rest stays in the outbox.
    async fn send(&self, messages: Vec<Outgoing>) {
        if self.transport.health().is_err() {
            // Reading what they are about would be in vain. The sweep finds them when the broker is back.
            return;
        }
        let (mut done, mut sealed) = (Vec::new(), Vec::new());
        match self.seal(&messages).await {
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
        match self.registry.sent(&done).await {
            Ok(()) => self.backlog.shrank(done.len()),
            // They will be sent twice, which every consumer can bear.
            Err(trouble) => tracing::warn!(cause = %trouble, "sent messages could not be forgotten"),
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
    async fn seal(&self, outgoing: &[Outgoing]) -> Result<Vec<Option<Sealed>>, Trouble> {
        let tasks = self.bodies(outgoing.iter().map(|o| o.message.task.clone()).collect()).await?;
        let mut pointed_to = BTreeSet::new();
        for outgoing in outgoing {
            if let Some(task) = tasks.get(&outgoing.message.task)
                && self.options.payload.of(&outgoing.message.work) == Payload::Full
            {
                pointed_to.extend(companions(&task.1));
            }
        }
        let companions = self.bodies(pointed_to.into_iter().collect()).await?;
        Ok(outgoing.iter().map(|o| self.seal_one(&o.message, &tasks, &companions)).collect())
    }

    async fn bodies(&self, keys: Vec<Key>) -> Result<HashMap<Key, (u32, Body)>, Trouble> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let stored = self.registry.read(&keys).await?;
        let parse = |stored: hub_domain::registry::Stored| {
            let body = serde_json::from_slice(&stored.body).ok()?;
            Some((stored.key, (stored.version, body)))
        };
        Ok(stored.into_iter().filter_map(parse).collect())
    }

    fn seal_one(
        &self,
        message: &Message,
        tasks: &HashMap<Key, (u32, Body)>,
        companions_of: &HashMap<Key, (u32, Body)>,
    ) -> Option<Sealed> {
        let (version, task) = tasks.get(&message.task)?;
        let status = TaskStatus::of(task).filter(|status| status.is_offered())?;
        let place = self.place(message)?;
        let payload = self.options.payload.of(&message.work);
        let full = payload == Payload::Full;
        let order = WorkOrder {
            task_id: message.task.id.clone(),
            task_version: *version,
            task_status: status.code().into(),
            work: message.work.clone(),
            step: message.step.clone(),
            priority: message.priority.code().into(),
            owner: owner(task).map(str::to_owned),
            focus: focus(task).map(str::to_owned),
            payload,
            task: full.then(|| task.clone()),
            resources: companions(task)
                .into_iter()
                .filter(|_| full)
                .filter_map(|key| companions_of.get(&key))
                .map(|(_, body)| body.clone())
                .collect(),
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

/// In a span of its own, so that the trace shows when the message left the outbox.
fn seal_event(message: &Message, order: WorkOrder, time: &str, routing: Routing) -> Option<Sealed> {
    let span = tracing::info_span!("publish", otel.kind = "producer", task.id = order.task_id, work = order.work);
    hub_telemetry::continue_from(&span, message.traceparent.as_deref());
    let traceparent = span.in_scope(hub_telemetry::current_traceparent).or_else(|| message.traceparent.clone());
    let id = format!("{}/{}", order.task_id, order.task_version);
    let mut event = CloudEvent::new(WORK_ORDER, id.clone(), SOURCE, &message.task.id, time.to_owned(), order);
    event.traceparent.clone_from(&traceparent);
    let mut sealed = Sealed::json(id, routing, serde_json::to_vec(&event).ok()?);
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
