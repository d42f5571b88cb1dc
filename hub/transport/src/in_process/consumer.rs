//! Hands out what waits, and takes the answers.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Memory;
use super::queues::{PARKED, REPLIES_PREFIX, REPORTS, Waiting};
use crate::queue::{Answered, Consumer, Delivery, PAUSE_BEFORE_BACK, Receipt, Routing, Source, Tier};
use crate::turns::Turns;
use crate::{counters, resting};

pub(super) struct MemoryConsumer {
    memory: Arc<Memory>,
    subscriptions: Vec<Subscription>,
    prefetch: usize,
    turns: Turns,
    reply_address: Option<String>,
}

struct Subscription {
    queue: String,
    tier: Tier,
    /// Handed out and not answered.
    held: Arc<AtomicUsize>,
}

impl MemoryConsumer {
    pub(super) fn new(memory: Arc<Memory>, source: Source, prefetch: u16) -> MemoryConsumer {
        let mut reply_address = None;
        let queues = match source {
            Source::Reports => vec![(REPORTS.to_owned(), Tier::Routine)],
            Source::Parked => vec![(PARKED.to_owned(), Tier::Routine)],
            Source::Replies => {
                let queue = format!("{REPLIES_PREFIX}{}", Uuid::new_v4());
                memory.lock().make(&queue);
                reply_address = Some(queue.clone());
                vec![(queue, Tier::Routine)]
            }
            Source::Work { places } => {
                let tiers = |place| Tier::BOTH.map(|tier| (Routing::work(Clone::clone(place), tier).key(), tier));
                places.iter().flat_map(tiers).collect()
            }
        };
        let subscribe = |(queue, tier)| Subscription { queue, tier, held: Arc::default() };
        MemoryConsumer {
            memory,
            subscriptions: queues.into_iter().map(subscribe).collect(),
            prefetch: prefetch.max(1).into(),
            turns: Turns::default(),
            reply_address,
        }
    }

    fn take(&mut self) -> Option<Delivery> {
        for tier in self.turns.order() {
            for index in 0..self.subscriptions.len() {
                let subscription = &self.subscriptions[index];
                if subscription.tier != tier || subscription.held.load(Ordering::SeqCst) >= self.prefetch {
                    continue;
                }
                let Some(waiting) = self.memory.lock().take(&subscription.queue) else { continue };
                let delivery = hand_out(&self.memory, subscription, waiting);
                self.turns.handed_out(tier);
                // Behind the others, so that the next place has the next turn.
                self.subscriptions[index..].rotate_left(1);
                return Some(delivery);
            }
        }
        None
    }
}

fn hand_out(memory: &Arc<Memory>, from: &Subscription, waiting: Waiting) -> Delivery {
    from.held.fetch_add(1, Ordering::SeqCst);
    let receipt = MemoryReceipt {
        memory: memory.clone(),
        queue: from.queue.clone(),
        held: from.held.clone(),
        unsettled: Some(waiting.clone()),
    };
    let mut delivery = Delivery::new(waiting.message, Box::new(receipt));
    delivery.attempts = waiting.attempts;
    delivery.redelivered = waiting.redelivered;
    delivery.parked_why = waiting.parked_why;
    delivery
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let memory = self.memory.clone();
        loop {
            // Listening begins before looking: what arrives in between must not be slept through.
            let mut changed = pin!(memory.changed.notified());
            changed.as_mut().enable();
            if memory.lock().is_closed() {
                return None;
            }
            if let Some(delivery) = self.take() {
                return Some(delivery);
            }
            changed.await;
        }
    }

    async fn next_batch(&mut self, max: usize) -> Vec<Delivery> {
        let mut batch: Vec<Delivery> = self.next().await.into_iter().collect();
        while !batch.is_empty() && batch.len() < max {
            let Some(delivery) = self.take() else { break };
            batch.push(delivery);
        }
        batch
    }

    fn reply_address(&self) -> Option<&str> {
        self.reply_address.as_deref()
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        if let Some(address) = &self.reply_address {
            self.memory.lock().remove(address);
        }
    }
}

struct MemoryReceipt {
    memory: Arc<Memory>,
    queue: String,
    held: Arc<AtomicUsize>,
    /// `None` once it is settled.
    unsettled: Option<Waiting>,
}

#[async_trait]
impl Receipt for MemoryReceipt {
    async fn done(mut self: Box<Self>) {
        self.unsettled = None;
    }

    async fn put_off(mut self: Box<Self>, delivery: Answered<'_>, after: Duration) {
        let Some(waiting) = self.unsettled.take() else { return };
        let waiting = Waiting { attempts: delivery.attempts, redelivered: false, ..waiting };
        counters::retried();
        let (memory, queue) = (self.memory.clone(), self.queue.clone());
        let rest = memory.resting.next(resting::step(after));
        memory.lock().rests(&queue);
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            memory.lock().rested(&queue, waiting);
            memory.changed.notify_waiters();
        });
    }

    async fn park(mut self: Box<Self>, delivery: Answered<'_>, why: &str) {
        let Some(waiting) = self.unsettled.clone() else { return };
        let parked = Waiting { parked_why: Some(why.to_owned()), redelivered: false, ..waiting };
        let moved = self.memory.lock().put(PARKED, parked);
        match moved {
            Ok(()) => {
                self.unsettled = None;
                counters::parked();
            }
            // It stays unsettled, and so goes back.
            Err(error) => {
                tracing::warn!(message.id = delivery.message.id, %error, "a delivery goes back to its queue");
                tokio::time::sleep(PAUSE_BEFORE_BACK).await;
            }
        }
    }
}

impl Drop for MemoryReceipt {
    fn drop(&mut self) {
        if let Some(waiting) = self.unsettled.take() {
            self.memory.lock().put_back(&self.queue, Waiting { redelivered: true, ..waiting });
        }
        self.held.fetch_sub(1, Ordering::SeqCst);
        // Either there is a message to take, or a place in somebody's prefetch.
        self.memory.changed.notify_waiters();
    }
}
