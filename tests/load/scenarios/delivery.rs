//! How long a message takes from the commit to whoever reads its queue: a plain consumer holds the time in each message
//! against the clock, which is the same machine's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use lapin::Connection;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use schemas::time::Timestamp;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::work_queues;
use crate::drive::histogram;
use crate::post;
use crate::stand::Stand;

const PREFETCH: u16 = 1000;

/// Reads the queues of work until it is dropped.
pub(super) struct Delivery {
    latencies: Arc<Mutex<Histogram<u64>>>,
    _consumers: JoinSet<Result<()>>,
    _connection: Connection,
}

#[derive(Deserialize)]
struct Head<'a> {
    time: &'a str,
}

impl Delivery {
    pub(super) async fn watch(stand: &Stand) -> Result<Self> {
        let connection = post::connect(&stand.queue()).await?;
        let latencies = Arc::new(Mutex::new(histogram()));
        let mut consumers = JoinSet::new();
        for queue in work_queues() {
            let channel = connection.create_channel().await?;
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let mut consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, none).await?;
            let latencies = latencies.clone();
            consumers.spawn(async move {
                while let Some(delivery) = consumer.next().await {
                    let delivery = delivery?;
                    if let Some(late) = late_us(&delivery.data) {
                        latencies.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(late);
                    }
                    delivery.ack(BasicAckOptions::default()).await?;
                }
                Ok(())
            });
        }
        Ok(Self { latencies, _consumers: consumers, _connection: connection })
    }

    /// Of all messages so far; none is known any more after that.
    pub(super) fn taken(&self) -> Histogram<u64> {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *latencies, histogram())
    }
}

fn late_us(body: &[u8]) -> Option<u64> {
    let head: Head = serde_json::from_slice(body).ok()?;
    let (said, _) = Timestamp::range(head.time)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_micros();
    u64::try_from(i64::try_from(now).ok()?.saturating_sub(said.0)).ok()
}
