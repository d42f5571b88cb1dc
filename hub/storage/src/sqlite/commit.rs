//! One transaction for a batch of decisions.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use hub_domain::decision::{Decision, OutgoingId};
use hub_domain::registry::Trouble;
use hub_domain::scene::Identifier;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::Sqlite;
use super::numbers::Numbers;
use crate::batch::{Standing, holding};
use crate::changes::{Batch, Changes};
use crate::errors::{Failure, corrupt};
use crate::outcome::{self, Attempt, Outcome};
use crate::values;

#[async_trait]
impl Attempt for Sqlite {
    async fn attempt(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>, Failure> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let standing = self.standing(&mut transaction, batch).await?;
        let holds = holding(batch.decisions, &standing);
        if !holds.contains(&true) {
            transaction.rollback().await?;
            return Ok(outcome::of(batch.decisions, &holds, Vec::new()));
        }
        let changes = batch.changes(&holds);
        let ids = self.write(&mut transaction, &changes).await?;
        transaction.commit().await?;
        self.checkpoints.wrote(&changes);
        changes.remember_plans(&self.plans);
        Ok(outcome::of(batch.decisions, &holds, ids))
    }
}

impl Sqlite {
    async fn write(
        &self,
        connection: &mut SqliteConnection,
        changes: &Changes<'_, '_>,
    ) -> Result<Vec<OutgoingId>, Failure> {
        let now_us = self.now_us();
        let mut numbers = Numbers::read(connection).await?;
        super::write::heads(connection, changes).await?;
        super::write::keys(connection, changes, now_us).await?;
        super::write::plans(connection, changes, &self.plans).await?;
        super::write::versions(connection, changes).await?;
        super::current::write(connection, changes, &mut numbers).await?;
        super::write::timers(connection, changes).await?;
        super::write::outbox(connection, changes, &mut numbers, now_us, now_us + self.fresh_lease_us()).await
    }

    pub(super) fn fresh_lease_us(&self) -> i64 {
        i64::try_from(self.options.fresh_lease_ms).unwrap_or(i64::MAX / 2000).saturating_mul(1000)
    }

    /// What stands before the batch. The transaction holds the only write lock, so it can look and then write.
    async fn standing<'a>(
        &self,
        connection: &mut SqliteConnection,
        batch: &Batch<'a>,
    ) -> Result<Standing<'a>, Failure> {
        Ok(Standing {
            heads: heads(connection, batch).await?,
            shown_us: self.shown_us(),
            receipts: receipts(connection, batch.decisions).await?,
            claims: claims(connection, batch.decisions).await?,
        })
    }
}

async fn heads(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Result<HashMap<Uuid, u64>, Failure> {
    const HEADS: &str = "-- heads
        SELECT root, version FROM head WHERE root IN (SELECT unhex(value) FROM json_each($1))";
    let roots: Vec<String> = batch.roots().iter().map(|root| root.simple().to_string()).collect();
    let rows = sqlx::query_as::<_, (Uuid, i64)>(HEADS).bind(outcome::json(&roots)).fetch_all(connection).await?;
    let version =
        |(root, version)| Ok((root, u64::try_from(version).map_err(|_| corrupt("head", root, "negative version"))?));
    rows.into_iter().map(version).collect::<Result<_, Trouble>>().map_err(Failure::from)
}

async fn receipts<'a>(
    connection: &mut SqliteConnection,
    decisions: &'a [Decision],
) -> Result<HashSet<&'a str>, Failure> {
    const TAKEN: &str = "-- receipts_taken
        SELECT key FROM receipt WHERE key IN (SELECT value FROM json_each($1))";
    let receipts = decisions.iter().flat_map(|decision| &decision.receipts);
    let keys: HashMap<String, &str> =
        receipts.filter_map(|r| Some((values::key(&r.key)?.into_owned(), r.key.as_str()))).collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let wanted = outcome::json(&keys.keys().collect::<Vec<_>>());
    let taken = sqlx::query_scalar::<_, String>(TAKEN).bind(wanted).fetch_all(connection).await?;
    Ok(taken.iter().filter_map(|key| keys.get(key).copied()).collect())
}

async fn claims<'a>(
    connection: &mut SqliteConnection,
    decisions: &'a [Decision],
) -> Result<HashSet<(&'a Identifier, &'a str)>, Failure> {
    const HOLDER: &str = "-- claim_holder
        SELECT holder FROM claim WHERE kind = $1 AND system = $2 AND value = $3";
    let mut held = HashSet::new();
    for (identifier, id) in decisions.iter().flat_map(|decision| &decision.claims) {
        let query = sqlx::query_scalar::<_, String>(HOLDER).bind(identifier.kind.name());
        let query = query.bind(values::key(&identifier.system)).bind(values::key(&identifier.value));
        if query.fetch_optional(&mut *connection).await?.is_some_and(|holder| holder != *id) {
            held.insert((identifier, id.as_str()));
        }
    }
    Ok(held)
}
