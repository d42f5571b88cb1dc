//! The messages of an order: what went over the broker's exchanges, from a queue that gets a copy of each, and the
//! hub's answers to workers, which go to each worker's own queue and are made up here as the hub makes them.

use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use schemas::message::{Act, Answer, CLAIM_REPLY, ClaimReply, CloudEvent, StatusReport};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

const QUEUE: &str = "load.tap";
const WORK: &str = "hub.v1.work";
const REPORTS: &str = "hub.v1.reports";
/// All is here when nothing came for so long.
const STILL: Duration = Duration::from_millis(300);

/// A message, as it is published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// What its queue is for: `work.open.laboratory.routine`, `reports`, `replies`.
    pub(crate) place: String,
    pub(crate) id: String,
    pub(crate) content: String,
    pub(crate) trace: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Letter {
    /// Where the hub answers workers.
    pub(crate) const REPLIES: &str = "replies";
}

pub(super) struct Tap {
    _connection: Connection,
    channel: Channel,
    consumer: Mutex<Consumer>,
}

impl Tap {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let (options, none) = (QueueDeclareOptions::default(), FieldTable::default());
        channel.queue_declare(QUEUE.into(), options, none.clone()).await?;
        for (exchange, key) in [(WORK, "#"), (REPORTS, "")] {
            let options = QueueBindOptions::default();
            channel.queue_bind(QUEUE.into(), exchange.into(), key.into(), options, none.clone()).await?;
        }
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(QUEUE.into(), "tap".into(), options, none).await?;
        Ok(Self { _connection: connection, channel, consumer: Mutex::new(consumer) })
    }

    /// What came since this was asked last, and the answers to it.
    pub(super) async fn taken(&self) -> Result<Vec<Letter>> {
        let mut letters = Vec::new();
        let mut consumer = self.consumer.lock().await;
        while let Ok(Some(delivery)) = timeout(STILL, consumer.next()).await {
            let delivery = delivery?;
            delivery.ack(BasicAckOptions::default()).await?;
            let properties = &delivery.properties;
            let text = |property: &Option<lapin::types::ShortString>| {
                property.as_ref().map(ToString::to_string).unwrap_or_default()
            };
            let headers = properties.headers().as_ref().map(FieldTable::inner);
            let trace = headers.and_then(|headers| headers.get("traceparent"));
            let is_report = delivery.exchange.as_str() == REPORTS;
            let letter = Letter {
                place: if is_report { "reports".to_owned() } else { delivery.routing_key.to_string() },
                id: text(properties.message_id()),
                content: text(properties.content_type()),
                trace: trace.and_then(|value| value.as_long_string()).map(ToString::to_string),
                body: delivery.data.clone(),
            };
            if is_report {
                letters.extend(reply_to(&letter)?);
            }
            letters.push(letter);
        }
        Ok(letters)
    }

    /// Without the copies the broker has nothing to do for us.
    pub(super) async fn close(self) -> Result<()> {
        self.channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    }
}

fn reply_to(report: &Letter) -> Result<Option<Letter>> {
    let event: CloudEvent<StatusReport> = serde_json::from_slice(&report.body)?;
    if event.data.act != Act::Claim && event.data.quiet {
        return Ok(None);
    }
    let reply = ClaimReply {
        report_id: event.data.report_id.clone(),
        task_id: event.data.task_id.clone(),
        answer: Answer::Granted,
        task_version: event.data.task_version.map(|version| version + 1),
        lease_until: Some(event.time.clone()),
        reason: None,
    };
    let id = event.data.report_id;
    let answer =
        CloudEvent::new(CLAIM_REPLY, id.clone(), "urn:fhir-workflow-hub", &reply.task_id.clone(), event.time, reply);
    Ok(Some(Letter { place: Letter::REPLIES.to_owned(), id, body: serde_json::to_vec(&answer)?, ..report.clone() }))
}
