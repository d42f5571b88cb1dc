//! Messages by plain lapin: published with a window of confirms, consumed and acknowledged in bulk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm};
use tokio::task::JoinSet;

use crate::specimen::Letter;

const PERSISTENT: u8 = 2;
const PREFETCH: u16 = 1000;
/// Deliveries that are acknowledged together.
const ACKNOWLEDGED: u64 = 50;

/// A message that is ready to go, as often as one likes.
pub(crate) struct Envelope {
    exchange: ShortString,
    key: ShortString,
    properties: BasicProperties,
    body: Vec<u8>,
}

impl Envelope {
    /// To where the hub sends it.
    pub(crate) fn to_hub(letter: &Letter) -> Self {
        Self::new(letter, "hub.v1.work", &letter.place)
    }

    /// To a queue of the same kind that nobody else knows.
    fn to_ours(letter: &Letter) -> Self {
        Self::new(letter, "", &queue_of(&letter.place))
    }

    fn new(letter: &Letter, exchange: &str, key: &str) -> Self {
        let mut headers = FieldTable::default();
        headers.insert("x-hub-routing".into(), AMQPValue::LongString(letter.place.as_str().into()));
        if let Some(trace) = &letter.trace {
            headers.insert("traceparent".into(), AMQPValue::LongString(trace.as_str().into()));
        }
        let properties = BasicProperties::default()
            .with_message_id(letter.id.as_str().into())
            .with_content_type(letter.content.as_str().into())
            .with_delivery_mode(PERSISTENT)
            .with_user_id("guest".into())
            .with_headers(headers);
        Self { exchange: exchange.into(), key: key.into(), properties, body: letter.body.clone() }
    }

    /// Publishes, and waits for the broker's word.
    pub(crate) async fn confirmed(&self, channel: &Channel) -> Result<()> {
        is_taken(&self.sent(channel).await?.await?)
    }

    async fn sent(&self, channel: &Channel) -> lapin::Result<PublisherConfirm> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.exchange.clone(), self.key.clone());
        channel.basic_publish(exchange, key, options, &self.body, self.properties.clone()).await
    }
}

fn is_taken(confirmation: &Confirmation) -> Result<()> {
    ensure!(matches!(confirmation, Confirmation::Ack(None)), "the broker did not take a message");
    Ok(())
}

fn queue_of(place: &str) -> String {
    format!("load.floor.{place}")
}

pub(crate) async fn connect(url: &str) -> Result<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

/// Publishes, with at most so many confirms awaited.
pub(crate) struct Publisher {
    channel: Channel,
    window: usize,
    awaited: FuturesUnordered<PublisherConfirm>,
}

impl Publisher {
    pub(crate) async fn new(connection: &Connection, window: usize) -> Result<Self> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, window, awaited: FuturesUnordered::new() })
    }

    pub(crate) async fn publish(&mut self, envelope: &Envelope) -> Result<()> {
        self.awaited.push(envelope.sent(&self.channel).await?);
        self.confirmed(self.window).await
    }

    /// Waits until no more than so many are unconfirmed.
    pub(crate) async fn confirmed(&mut self, most: usize) -> Result<()> {
        while self.awaited.len() > most {
            if let Some(confirmation) = self.awaited.next().await {
                is_taken(&confirmation?)?;
            }
        }
        Ok(())
    }
}

/// Queues of the benchmark's own, with the hub's arguments.
pub(crate) struct Queues {
    connection: Connection,
    places: BTreeSet<String>,
    /// For each order of the specimen.
    pub(crate) envelopes: Vec<Vec<Envelope>>,
}

impl Queues {
    pub(crate) async fn declare(url: &str, orders: &[Vec<Letter>]) -> Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        let places: BTreeSet<String> = orders.iter().flatten().map(|letter| letter.place.clone()).collect();
        for place in &places {
            let arguments = if place == Letter::REPLIES { classic() } else { quorum() };
            channel.queue_declare(queue_of(place).as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
        }
        let envelopes = orders.iter().map(|letters| letters.iter().map(Envelope::to_ours).collect()).collect();
        Ok(Self { connection, places, envelopes })
    }

    pub(crate) async fn publisher(&self, window: usize) -> Result<Publisher> {
        Publisher::new(&self.connection, window).await
    }

    /// Consumes and acknowledges, and counts, until the set is dropped.
    pub(crate) async fn consume(&self, count: Arc<AtomicU64>) -> Result<JoinSet<Result<()>>> {
        let mut consumers = JoinSet::new();
        for place in &self.places {
            let channel = self.connection.create_channel().await?;
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            consumers.spawn(take_all(channel, queue_of(place), count.clone()));
        }
        Ok(consumers)
    }

    pub(crate) async fn purge(&self) -> Result<()> {
        let queues: Vec<String> = self.places.iter().map(|place| queue_of(place)).collect();
        purge(&self.connection, &queues).await
    }
}

async fn take_all(channel: Channel, queue: String, count: Arc<AtomicU64>) -> Result<()> {
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, none).await?;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        count.fetch_add(1, Ordering::Relaxed);
        if delivery.delivery_tag % ACKNOWLEDGED == 0 {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}

/// Empties queues, as far as they are there.
pub(crate) async fn purge(connection: &Connection, queues: &[String]) -> Result<()> {
    for queue in queues {
        let channel = connection.create_channel().await?;
        // The "no" to a queue that is not there costs the channel.
        let _ = channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await;
    }
    Ok(())
}

/// As in the hub's own topology.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", "quorum"),
        ("x-overflow", "reject-publish"),
        ("x-dead-letter-exchange", "hub.v1.parked"),
        ("x-dead-letter-strategy", "at-least-once"),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(50));
    arguments
}

fn classic() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments
}
