//! Messages that come twice, and messages that nobody can read.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::diary::{Diary, Entry};
use crate::stage::KINDS;

const WORK: &str = "hub.v1.work";
const REPORTS: &str = "hub.v1.reports";
/// So many of the last messages are kept for a second coming.
const KEPT: usize = 500;
const COPIES: usize = 40;
const POISONS: usize = 3;
/// A broker that dies at the wrong moment leaves a question without an answer, for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens to what is published, and publishes what should not be.
pub(crate) struct Strays {
    url: String,
    diary: Diary,
    overheard: Mutex<VecDeque<Overheard>>,
}

#[derive(Clone)]
struct Overheard {
    exchange: String,
    key: String,
    properties: BasicProperties,
    body: Vec<u8>,
}

impl Strays {
    pub(crate) fn new(url: &str, diary: Diary) -> Self {
        Self { url: url.to_owned(), diary, overheard: Mutex::default() }
    }

    /// Overhears what goes to workers and hubs. Ends only by being dropped: whatever breaks is begun anew.
    pub(crate) async fn listen(&self) {
        loop {
            let _ = self.overhear().await;
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn overhear(&self) -> lapin::Result<()> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        for (exchange, key) in [(WORK, "#"), (REPORTS, "")] {
            let (queue, none) = (queue.name().clone(), FieldTable::default());
            channel.queue_bind(queue, exchange.into(), key.into(), QueueBindOptions::default(), none).await?;
        }
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut heard = channel.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default()).await?;
        while let Some(delivery) = heard.next().await {
            let delivery = delivery?;
            let mut overheard = self.overheard.lock().unwrap_or_else(PoisonError::into_inner);
            overheard.push_back(Overheard {
                exchange: delivery.exchange.to_string(),
                key: delivery.routing_key.to_string(),
                properties: delivery.properties,
                body: delivery.data,
            });
            if overheard.len() > KEPT {
                overheard.pop_front();
            }
        }
        Ok(())
    }

    /// Some of what was overheard comes once more, in another order. Where the broker is away nothing does.
    pub(crate) async fn duplicate(&self, chance: &mut Rng) {
        let mut copies: Vec<Overheard> =
            self.overheard.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        chance.shuffle(&mut copies);
        copies.truncate(COPIES);
        let _ = timeout(PATIENCE, self.put_again(copies)).await;
    }

    async fn put_again(&self, copies: Vec<Overheard>) -> lapin::Result<()> {
        let channel = self.channel().await?;
        for copy in copies {
            let Overheard { exchange, key, properties, body } = copy;
            let message_id = properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
            let queue = if exchange == REPORTS { "reports".to_owned() } else { key.clone() };
            let options = BasicPublishOptions::default();
            channel.basic_publish(exchange.into(), key.into(), options, &body, properties).await?;
            self.diary.write(Entry::Duplicated { message_id, queue, copies: 1 });
        }
        Ok(())
    }

    /// Puts what nobody can read into the queues of workers and hubs, as often as it takes to be sure that it is there.
    pub(crate) async fn poison(&self, chance: &mut Rng) -> Result<()> {
        for _ in 0..POISONS {
            let kind = KINDS[chance.usize(0..KINDS.len())];
            let (exchange, key) = match chance.u8(0..3) {
                0 => (WORK, format!("work.open.{kind}.routine")),
                1 => (WORK, format!("work.open.{kind}.urgent")),
                _ => (REPORTS, String::new()),
            };
            let bodies: [&[u8]; 4] = [b"", b"no JSON at all", b"{\"specversion\":\"1.0\"}", &[0xff, 0xfe, 0x00]];
            let body = bodies[chance.usize(0..bodies.len())];
            let message_id = format!("poison-{}", Uuid::new_v4());
            let queue = if exchange == REPORTS { "reports".to_owned() } else { key.clone() };
            let properties =
                BasicProperties::default().with_message_id(message_id.as_str().into()).with_delivery_mode(2);
            let mut tries = 0;
            let put = || timeout(PATIENCE, self.put(exchange, &key, body, properties.clone()));
            while !matches!(put().await, Ok(Ok(()))) {
                tries += 1;
                ensure!(tries < 600, "the broker does not come back");
                sleep(Duration::from_millis(200)).await;
            }
            self.diary.write(Entry::Poisoned { message_id, queue });
        }
        Ok(())
    }

    async fn put(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) -> Result<()> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirmation = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?.await?;
        ensure!(confirmation.is_ack() && confirmation.take_message().is_none(), "not taken");
        Ok(())
    }

    /// Of a connection of its own, which ends with it.
    async fn channel(&self) -> lapin::Result<Channel> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        connection.create_channel().await
    }
}
