//! What should not be in the database when all is over, and what should.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::TERMINAL;
use super::ledger::Ledger;
use super::prescriptions;
use super::verdict::{Fault, Verdict};
use crate::diary::Entry;

const OUTBOX: &str = "SELECT task, version, work FROM outbox ORDER BY id";
/// A clock that looks every second is late by a few of them at most.
const TIMERS: &str = "SELECT root, name, due < (extract(epoch FROM now()) * 1000000)::bigint - 5000000 FROM timer";
const PARKED: &str = "SELECT message_id, queue, why FROM parked ORDER BY id";
/// Behind the caller and the interaction stands the client's own key, which has no space.
const RECEIPTS: &str = "SELECT key FROM receipt";

pub(super) async fn look(
    database: &mut PgConnection,
    diary: &[Entry],
    ledger: &Ledger,
    verdict: &mut Verdict,
) -> Result<()> {
    outbox(database, verdict).await?;
    timers(database, ledger, verdict).await?;
    parked(database, diary, verdict).await?;
    receipts(database, diary, verdict).await
}

async fn outbox(database: &mut PgConnection, verdict: &mut Verdict) -> Result<()> {
    let mut rows = sqlx::query_as::<_, (String, i32, String)>(OUTBOX).fetch(database);
    while let Some((task, version, work)) = rows.try_next().await? {
        verdict.blame(Fault::Unsent, || format!("Task/{task} version {version}, for {work}"));
    }
    Ok(())
}

async fn timers(database: &mut PgConnection, ledger: &Ledger, verdict: &mut Verdict) -> Result<()> {
    let mut rows = sqlx::query_as::<_, (Uuid, String, bool)>(TIMERS).fetch(database);
    while let Some((root, name, is_overdue)) = rows.try_next().await? {
        let fulfilment = ledger.fulfilment(root);
        // Time goes on with a prescription that is over, or was cancelled before it came: nobody claims for it, and in
        // the end it is forgotten.
        let is_prescription = name == prescriptions::TIMER;
        if !is_prescription && fulfilment.is_none_or(|task| TERMINAL.contains(&task.status.as_str())) {
            verdict.blame(Fault::Timer, || format!("{name} of order {root}, which is over"));
        } else if is_overdue {
            verdict.blame(Fault::Timer, || format!("{name} of order {root} is overdue"));
        }
    }
    Ok(())
}

async fn parked(database: &mut PgConnection, diary: &[Entry], verdict: &mut Verdict) -> Result<()> {
    let poisoned = diary.iter().filter_map(|entry| match entry {
        Entry::Poisoned { message_id, queue } => Some((message_id.as_str(), (queue, 0))),
        _ => None,
    });
    let mut poisoned: HashMap<&str, (&String, usize)> = poisoned.collect();
    let mut rows = sqlx::query_as::<_, (String, String, String)>(PARKED).fetch(database);
    while let Some((message_id, queue, why)) = rows.try_next().await? {
        match poisoned.get_mut(message_id.as_str()) {
            Some((_, times)) => *times += 1,
            None => verdict.blame(Fault::Parked, || format!("{message_id} from {queue}: {why}")),
        }
    }
    for (message_id, (queue, times)) in poisoned.into_iter().filter(|(_, (_, times))| *times != 1) {
        verdict.blame(Fault::NotParked, || format!("{message_id}, sent to {queue}, is parked {times} times"));
    }
    Ok(())
}

async fn receipts(database: &mut PgConnection, diary: &[Entry], verdict: &mut Verdict) -> Result<()> {
    let acknowledged = diary.iter().filter_map(|entry| match entry {
        Entry::Submitted { key, identifier, request, .. } if !request.is_empty() => Some((key.as_str(), identifier)),
        Entry::Prescribed { message, number, done: true, .. } => Some((message.as_str(), number)),
        Entry::Referred { key, number, request, .. } if !request.is_empty() => Some((key.as_str(), number)),
        _ => None,
    });
    let acknowledged: Vec<(&str, &String)> = acknowledged.collect();
    let mut missing: HashSet<&str> = acknowledged.iter().map(|(key, _)| *key).collect();
    let mut rows = sqlx::query_scalar::<_, String>(RECEIPTS).fetch(database);
    while let Some(key) = rows.try_next().await? {
        missing.remove(key.rsplit(' ').next().unwrap_or_default());
    }
    for (key, identifier) in acknowledged.into_iter().filter(|(key, _)| missing.contains(key)) {
        verdict.blame(Fault::NoReceipt, || format!("{identifier} has none for {key}"));
    }
    Ok(())
}
