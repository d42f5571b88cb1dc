//! Takes the answer to a delivery: what is put off or parked is safe elsewhere before it is acknowledged here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Channel};
use tokio::time::sleep;

use super::{Broker, topology, wire};
use crate::counters;
use crate::queue::{Answered, PublishError, Receipt};

/// Before a delivery that could not be put off goes back, so that a full retry queue makes no busy loop.
const PAUSE_BEFORE_BACK: Duration = Duration::from_secs(1);

/// lapin's acknowledger, which works once and knows whether its channel still lives.
pub(super) struct BrokerReceipt {
    broker: Arc<Broker>,
    /// Held open: a delivery may be answered after its consumer was dropped.
    channel: Channel,
    acker: Acker,
    queue: String,
}

impl BrokerReceipt {
    pub(super) fn new(broker: Arc<Broker>, channel: Channel, acker: Acker, queue: String) -> BrokerReceipt {
        BrokerReceipt { broker, channel, acker, queue }
    }

    async fn settle(&self) {
        // A failure means that the channel is gone; then the broker delivers again, which everybody expects.
        if let Err(error) = self.acker.ack(BasicAckOptions::default()).await {
            tracing::debug!(%error, "an acknowledgement was too late");
        }
    }

    /// Settled only when it is safe elsewhere. Otherwise the receipt is dropped, and so the delivery goes back.
    async fn settle_if(&self, moved: Result<(), PublishError>, id: &str, count: fn()) {
        match moved {
            Ok(()) => {
                count();
                self.settle().await;
            }
            Err(error) => {
                tracing::warn!(message.id = id, %error, "a delivery goes back to its queue");
                sleep(PAUSE_BEFORE_BACK).await;
            }
        }
    }
}

#[async_trait]
impl Receipt for BrokerReceipt {
    async fn done(self: Box<Self>) {
        self.settle().await;
    }

    async fn again(self: Box<Self>, delivery: Answered<'_>, after: Duration) {
        let attempts = delivery.attempts.saturating_add(1);
        let envelope = wire::envelope_again(&delivery, attempts, None, &self.broker.user)
            .map(|envelope| envelope.for_exchange(&topology::retry_exchange(after), &self.queue));
        let moved = self.broker.channels.publish_one(&self.broker.link, envelope).await;
        self.settle_if(moved, &delivery.message.id, counters::retried).await;
    }

    async fn park(self: Box<Self>, delivery: Answered<'_>, why: &str) {
        let envelope = wire::envelope_again(&delivery, delivery.attempts, Some(why), &self.broker.user)
            .map(|envelope| envelope.for_exchange(topology::PARKED, &self.queue));
        let moved = self.broker.channels.publish_one(&self.broker.link, envelope).await;
        self.settle_if(moved, &delivery.message.id, counters::parked).await;
    }
}

impl Drop for BrokerReceipt {
    fn drop(&mut self) {
        if self.acker.usable() {
            let (acker, channel) = (self.acker.clone(), self.channel.clone());
            self.broker.runtime.spawn(async move {
                // Too late is as good: a closed channel gives back everything.
                let _ = acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await;
                drop(channel);
            });
        }
    }
}
