//! From a transaction to what each decision of its batch is told, and what to do when the transaction fails.

use async_trait::async_trait;
use hub_domain::decision::{Decision, OutgoingId};
use hub_domain::registry::{Committed, Trouble};

use crate::changes::Batch;
use crate::errors::Failure;

pub(crate) type Outcome = (Committed, Vec<OutgoingId>);

/// How often a transaction is tried that another one stood in the way of.
const TRIES_MAX: u32 = 5;

/// A database, as far as committing goes.
#[async_trait]
pub(crate) trait Attempt: Sync {
    /// One transaction for a batch: an outcome for each decision, or nothing has changed.
    async fn attempt(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>, Failure>;
}

/// Commits a batch by `database`. When the database refuses it, each decision is committed alone, once, so that a
/// poisoned one fails by itself.
pub(crate) async fn commit(database: &dyn Attempt, decisions: &[Decision]) -> Result<Vec<Outcome>, Trouble> {
    if decisions.is_empty() {
        return Ok(Vec::new());
    }
    match tries(database, decisions).await {
        Ok(outcomes) => Ok(outcomes),
        Err(Failure::Trouble(trouble @ Trouble::Unavailable(_))) => Err(trouble),
        Err(failure) if decisions.len() == 1 => Ok(vec![(refused(failure), Vec::new())]),
        Err(_) => {
            let mut outcomes = Vec::with_capacity(decisions.len());
            for alone in decisions.chunks(1) {
                match tries(database, alone).await {
                    Ok(outcome) => outcomes.extend(outcome),
                    // What was done is durable but not told: the caller comes again, and finds it done.
                    Err(Failure::Trouble(trouble @ Trouble::Unavailable(_))) => return Err(trouble),
                    Err(failure) => outcomes.push((refused(failure), Vec::new())),
                }
            }
            Ok(outcomes)
        }
    }
}

async fn tries(database: &dyn Attempt, decisions: &[Decision]) -> Result<Vec<Outcome>, Failure> {
    let batch = Batch::new(decisions);
    let mut left = TRIES_MAX;
    loop {
        left -= 1;
        match database.attempt(&batch).await {
            Err(Failure::Again) if left > 0 => metrics::counter!("hub_storage_retries_total").increment(1),
            done => return done,
        }
    }
}

fn refused(failure: Failure) -> Committed {
    match failure {
        Failure::Again | Failure::Taken => Committed::Stale,
        Failure::Trouble(trouble) => Committed::Failed(trouble.to_string()),
    }
}

/// Hands each decision that holds the ids of its messages, which come in the order of the decisions.
pub(crate) fn of(decisions: &[Decision], holds: &[bool], ids: Vec<OutgoingId>) -> Vec<Outcome> {
    let mut ids = ids.into_iter();
    let tell = |(decision, holds): (&Decision, &bool)| {
        if !*holds {
            return (Committed::Stale, Vec::new());
        }
        (Committed::Done, ids.by_ref().take(decision.outbox.len()).collect())
    };
    decisions.iter().zip(holds).map(tell).collect()
}

/// A list as the JSON that `json_each` unfolds.
pub(crate) fn json<T: serde::Serialize>(list: &[T]) -> String {
    // Strings and lists of strings: writing them cannot fail.
    serde_json::to_string(list).unwrap_or_default()
}
