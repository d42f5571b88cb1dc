//! How long a message takes to whoever reads its queue: from the decision, whose moment stands in the message, and from
//! the commit, whose moment PostgreSQL knows. All clocks are the same machine's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use lapin::Connection;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use schemas::ids::TaskId;
use schemas::time::Timestamp;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::work_queues;
use crate::drive::histogram;
use crate::post;
use crate::stand::Stand;

const PREFETCH: u16 = 1000;

/// When the transactions were done that wrote these orders first: PostgreSQL takes the time before it writes the commit to
/// its log, so the disk is within what is counted.
const COMMITTED: &str = "
    SELECT root, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint FROM head WHERE root = ANY ($1)";

/// Reads the queues of work until it is dropped.
pub(super) struct Delivery {
    seen: Arc<Mutex<Vec<Seen>>>,
    consumers: JoinSet<Result<()>>,
    _connection: Connection,
}

/// A message, which is about an order that nobody works on.
struct Seen {
    root: Uuid,
    decided_us: i64,
    delivered_us: i64,
}

/// How long messages took.
pub(super) struct Taken {
    pub(super) from_decision: Histogram<u64>,
    pub(super) from_commit: Histogram<u64>,
}

#[derive(Deserialize)]
struct Head<'a> {
    /// Its Task, as a reference.
    subject: &'a str,
    time: &'a str,
}

impl Delivery {
    pub(super) async fn watch(stand: &Stand) -> Result<Self> {
        let connection = post::connect(&stand.queue()).await?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut consumers = JoinSet::new();
        for queue in work_queues() {
            let channel = connection.create_channel().await?;
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let mut consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, none).await?;
            let seen = seen.clone();
            consumers.spawn(async move {
                while let Some(delivery) = consumer.next().await {
                    let delivery = delivery?;
                    let message = Seen::now(&delivery.data)?;
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                    delivery.ack(BasicAckOptions::default()).await?;
                }
                Ok(())
            });
        }
        Ok(Self { seen, consumers, _connection: connection })
    }

    /// Of all messages so far; none is known any more after that.
    pub(super) async fn taken(&mut self, database: &str) -> Result<Taken> {
        if let Some(ended) = self.consumers.try_join_next() {
            ended??;
            bail!("a queue is no longer read");
        }
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        ensure!(!seen.is_empty(), "no message was delivered");
        let roots: Vec<Uuid> = seen.iter().map(|message| message.root).collect();
        let mut registry = PgConnection::connect(database).await?;
        let committed = sqlx::query_as::<_, (Uuid, i64)>(COMMITTED).bind(roots).fetch_all(&mut registry).await?;
        let committed: HashMap<Uuid, i64> = committed.into_iter().collect();
        let mut taken = Taken { from_decision: histogram(), from_commit: histogram() };
        let micros = |from: i64, to: i64| u64::try_from(to - from).unwrap_or_default();
        for message in &seen {
            taken.from_decision.saturating_record(micros(message.decided_us, message.delivered_us));
            let committed_us = committed.get(&message.root).context("a message came of an order that is not there")?;
            taken.from_commit.saturating_record(micros(*committed_us, message.delivered_us));
        }
        Ok(taken)
    }
}

impl Seen {
    fn now(body: &[u8]) -> Result<Self> {
        let delivered = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let head: Head = serde_json::from_slice(body)?;
        let task = head.subject.strip_prefix("Task/").and_then(|id| id.parse::<TaskId>().ok());
        let decided = Timestamp::range(head.time);
        let ((decided, _), task) = decided.zip(task).context("a message that is not the hub's")?;
        Ok(Self { root: task.root, decided_us: decided.0, delivered_us: i64::try_from(delivered)? })
    }
}
