//! What is still in the broker's queues.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

use super::verdict::{Fault, Verdict};

/// What a hub is told to have no broker: its queues are in its own process.
const NO_BROKER: &str = "embedded";
const RETRY_STEPS: [&str; 5] = ["1s", "5s", "30s", "300s", "3600s"];

pub(super) async fn look(url: &str, works: &BTreeSet<String>, verdict: &mut Verdict) -> Result<()> {
    if url == NO_BROKER {
        return Ok(());
    }
    let connecting = Connection::connect(url, ConnectionProperties::default());
    let connection = connecting.await.context("the broker cannot be reached")?;
    for queue in names(works) {
        let messages = depth(&connection, &queue).await?;
        for _ in 0..messages {
            verdict.blame(Fault::Queued, || format!("one of {messages} in {queue}"));
        }
    }
    // A channel that is closing already makes an error of this, and nothing hangs on it.
    drop(connection.close(200, "looked".into()).await);
    Ok(())
}

/// The queues of all hubs and workers, also those of the workers' own performers. Answers to claims are not looked at: nobody waits for those that are left.
fn names(works: &BTreeSet<String>) -> Vec<String> {
    let places = |work: &String| [format!("open.{work}"), format!("performer.Organization_2Fchaos-{work}")];
    let tiers = |place: String| ["urgent", "routine"].map(|tier| format!("work.{place}.{tier}"));
    let retry = RETRY_STEPS.map(|step| format!("retry.{step}"));
    let others = ["reports", "parked"].map(str::to_owned);
    works
        .iter()
        .flat_map(places)
        .flat_map(tiers)
        .chain(retry)
        .chain(others)
        .map(|name| format!("hub.v1.{name}"))
        .collect()
}

/// Nothing is in a queue that is not there. To be told so costs the channel, so each question has its own.
async fn depth(connection: &Connection, queue: &str) -> Result<u32> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
        Ok(found) => Ok(found.message_count()),
        Err(_) if connection.status().connected() => Ok(0),
        Err(error) => Err(error).with_context(|| format!("the broker does not tell of {queue}")),
    }
}
