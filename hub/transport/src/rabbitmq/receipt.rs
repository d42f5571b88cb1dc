//! Takes the answer to a delivery: what is put off or parked is safe elsewhere before it is acknowledged here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Channel};
use tokio::time::sleep;

use super::{Broker, topology, wire};
use crate::queue::{Answered, PAUSE_BEFORE_BACK, PublishError, Receipt};
use crate::{counters, resting};

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

    async fn put_off(self: Box<Self>, delivery: Answered<'_>, after: Duration) {
        let step = resting::step(after);
        let rest = self.broker.resting.next(step);
        let envelope = wire::envelope_again(&delivery, None, &self.broker.user)
            .map(|envelope| envelope.expires_in(rest).for_exchange(&topology::retry_name(step), &self.queue));
        let moved = self.broker.channels.publish_one(&self.broker.link, envelope).await;
        self.settle_if(moved, &delivery.message.id, counters::retried).await;
    }

    async fn park(self: Box<Self>, delivery: Answered<'_>, why: &str) {
        let envelope = wire::envelope_again(&delivery, Some(why), &self.broker.user)
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
