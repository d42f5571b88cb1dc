//! Takes the answer to a delivery: what is put off or parked is safe elsewhere before it is acknowledged here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::acknowledging::Ledger;
use super::publishing::publish_one;
use super::{Broker, topology, wire};
use crate::queue::{Answered, PAUSE_BEFORE_BACK, PublishError, Receipt};
use crate::{counters, resting};

/// The place of a delivery in the ledger of its channel, which it holds open: a delivery may be answered after its
/// consumer was dropped.
pub(super) struct BrokerReceipt {
    broker: Arc<Broker>,
    /// None when it was answered.
    ledger: Option<Arc<Ledger>>,
    number: u64,
    queue: String,
}

impl BrokerReceipt {
    pub(super) fn new(broker: Arc<Broker>, ledger: Arc<Ledger>, number: u64, queue: String) -> BrokerReceipt {
        BrokerReceipt { broker, ledger: Some(ledger), number, queue }
    }

    async fn settle(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.acknowledge(self.number).await;
        }
    }

    /// Settled only when it is safe elsewhere. Otherwise the receipt is dropped, and so the delivery goes back.
    async fn settle_if(&mut self, moved: Result<(), PublishError>, id: &str, count: fn()) {
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
    async fn done(mut self: Box<Self>) {
        self.settle().await;
    }

    async fn put_off(mut self: Box<Self>, delivery: Answered<'_>, after: Duration) {
        let step = resting::step(after);
        let rest = self.broker.resting.next(step);
        let envelope = wire::envelope_again(&delivery, None, &self.broker.user)
            .map(|envelope| envelope.expires_in(rest).for_exchange(&topology::retry_name(step), &self.queue));
        let moved = publish_one(&self.broker, envelope).await;
        self.settle_if(moved, &delivery.message.id, counters::retried).await;
    }

    async fn park(mut self: Box<Self>, delivery: Answered<'_>, why: &str) {
        let envelope = wire::envelope_again(&delivery, Some(why), &self.broker.user)
            .map(|envelope| envelope.for_exchange(topology::PARKED, &self.queue));
        let moved = publish_one(&self.broker, envelope).await;
        self.settle_if(moved, &delivery.message.id, counters::parked).await;
    }
}

impl Drop for BrokerReceipt {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.give_back(self.number);
        }
    }
}
