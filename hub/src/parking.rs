//! Parked messages: from the broker's queue into the registry, where people find them; and from there, when they say
//! so, back to where they were.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hub_domain::registry::{Parked, Registry};
use hub_transport::{Delivery, Message, Routing, Source, Transport};
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;

const PREFETCH_MESSAGES: u16 = 64;
const BATCH_LIMIT_MESSAGES: usize = 64;
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) async fn run(registry: Arc<dyn Registry>, transport: Arc<dyn Transport>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = drain(&*registry, &*transport) => {}
        }
        // Something failed; what was in hand is back in its queue.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends when something fails.
async fn drain(registry: &dyn Registry, transport: &dyn Transport) {
    let mut consumer = match transport.consume(Source::Parked, PREFETCH_MESSAGES).await {
        Ok(consumer) => consumer,
        Err(trouble) => return tracing::warn!(cause = %trouble, "parked messages cannot be consumed"),
    };
    loop {
        let batch = consumer.next_batch(BATCH_LIMIT_MESSAGES).await;
        if batch.is_empty() {
            return;
        }
        let messages: Vec<Parked> = batch.iter().map(parked).collect();
        // Held meanwhile: to give them back again and again would count against them at the broker.
        while let Err(trouble) = registry.park(&messages).await {
            tracing::warn!(cause = %trouble, "parked messages wait for the database");
            tokio::time::sleep(PAUSE).await;
        }
        for delivery in batch {
            delivery.done().await;
        }
    }
}

fn parked(delivery: &Delivery) -> Parked {
    let message = &delivery.message;
    Parked {
        id: 0,
        at: Timestamp::default(),
        queue: message.routing.key(),
        why: delivery.parked_why.as_deref().map_or_else(|| "the broker gave no reason".into(), storable),
        message_id: storable(&message.id),
        content_type: storable(&message.content_type),
        attempts: delivery.attempts,
        headers: message.headers.iter().map(|(name, value)| (storable(name), storable(value))).collect(),
        body: message.body.to_vec(),
    }
}

/// No text of PostgreSQL holds a NUL, which a stranger may send: one such message would keep all others from being stored.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Sends a parked message to where it was, and forgets it when it is confirmed. What dies in between sends it twice,
/// which every consumer bears.
pub(crate) async fn retry(registry: &dyn Registry, transport: &dyn Transport, parked: Parked) -> anyhow::Result<()> {
    let routing = Routing::from_key(&parked.queue).with_context(|| format!("{} is no queue", parked.queue))?;
    let mut message = Message::json(parked.message_id, routing, Bytes::from(parked.body));
    message.content_type = parked.content_type;
    message.headers = parked.headers;
    for result in transport.publish(&[message]).await {
        result?;
    }
    registry.unpark(parked.id).await?;
    Ok(())
}
