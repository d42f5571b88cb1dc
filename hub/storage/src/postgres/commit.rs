//! One transaction for a batch of decisions: what stands is locked and looked at in one statement, and what holds is
//! written in another.
//!
//! Locks are taken in one order by everybody, so that no two commits wait for each other: the feeds' (shared), new heads
//! by id, old heads by id, receipts, claims.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use hub_domain::decision::{Decision, HeadWrite};
use hub_domain::registry::Trouble;
use hub_domain::scene::Identifier;
use schemas::resource::Kind;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::current::{self, Numbers};
use super::parts::Parts;
use super::{Postgres, write};
use crate::batch::{Standing, holding, still_holding};
use crate::changes::Batch;
use crate::errors::{Failure, corrupt};
use crate::outcome::{self, Attempt, Outcome};
use crate::values;

/// The lock that commits share, and that moving a feed on takes alone. The number is `feed` in ASCII.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock_shared(1717921124)";
/// $1: old heads. $2 to $5: new ones. $6, $7: how many new rows of `task` and `resource` want a number. `what` says which
/// columns of a row mean something.
const STAND: &str = "-- stand
    WITH fresh AS (
        INSERT INTO head (root, version, last, run)
        SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::text[]) AS n (root, version, last, run)
         ORDER BY root
        ON CONFLICT DO NOTHING RETURNING root)
    SELECT 1 AS what, root, NULL::bigint AS number, NULL AS kind FROM fresh
    UNION ALL
    SELECT 2, root, version, NULL
      FROM (SELECT root, version FROM head WHERE root = ANY ($1) ORDER BY root FOR UPDATE) AS locked
    UNION ALL SELECT 3, NULL, shown, kind FROM feed
    UNION ALL SELECT 4, NULL, nextval('task_seq_seq'), NULL FROM generate_series(1, $6)
    UNION ALL SELECT 5, NULL, nextval('resource_seq_seq'), NULL FROM generate_series(1, $7)";
const RECEIPTS: &str = "-- commit_receipts
    INSERT INTO receipt (key, fingerprint, answer, at)
    SELECT key, fingerprint, answer, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $4
      FROM unnest($1::text[], $2::text[], $3::text[]) AS n (key, fingerprint, answer) ORDER BY key
    ON CONFLICT DO NOTHING RETURNING key";
const CLAIMS: &str = "-- commit_claims
    INSERT INTO claim (kind, system, value, holder)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (kind, system, value, holder)
     ORDER BY kind, system, value
    ON CONFLICT DO NOTHING RETURNING kind, system, value";
const HOLDERS: &str = "-- claim_holders
    SELECT c.kind, c.system, c.value
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (kind, system, value, holder)
      JOIN claim AS c ON c.kind = n.kind AND c.system = n.system AND c.value = n.value AND c.holder = n.holder";
const RECEIPTS_BACK: &str = "-- withdraw_receipts\nDELETE FROM receipt WHERE key = ANY ($1)";
const CLAIMS_BACK: &str = "-- withdraw_claims
    DELETE FROM claim AS c USING unnest($1::text[], $2::text[], $3::text[]) AS n (kind, system, value)
     WHERE c.kind = n.kind AND c.system = n.system AND c.value = n.value";

#[async_trait]
impl Attempt for Postgres {
    async fn attempt(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>, Failure> {
        let mut taken = self.lanes.take().await?;
        let mut transaction = taken.connection().begin_with(BEGIN).await?;
        let Stand { standing, fresh, numbers } = Stand::take(&mut transaction, batch).await?;
        let holds = holding(batch.decisions, &standing);
        let holds = keys(&mut transaction, batch.decisions, standing, holds, self.offset_us()).await?;
        if !holds.contains(&true) {
            transaction.rollback().await?;
            taken.keep();
            return Ok(outcome::of(batch.decisions, &holds, Vec::new()));
        }
        let changes = batch.changes(&holds);
        let fresh_lease_us = i64::try_from(self.options.fresh_lease_ms).unwrap_or(i64::MAX / 2000) * 1000;
        let mut parts = Parts::default();
        fresh.settle(&mut parts, &changes.heads)?;
        write::plans(&mut parts, &changes)?;
        write::versions(&mut parts, &changes)?;
        current::write(&mut parts, &changes, numbers)?;
        write::timers(&mut parts, &changes)?;
        write::outbox(&mut parts, &changes, self.offset_us(), fresh_lease_us)?;
        let told = parts.execute(&mut transaction).await?;
        current::settle(&mut transaction, &changes, &told).await?;
        transaction.commit().await?;
        taken.keep();
        Ok(outcome::of(batch.decisions, &holds, told.outbox()))
    }
}

/// What the locks of the commit show, and what it may take.
struct Stand<'a> {
    standing: Standing<'a>,
    fresh: Fresh<'a>,
    numbers: Numbers,
}

#[derive(sqlx::FromRow)]
struct StandRow {
    what: i32,
    root: Option<Uuid>,
    number: Option<i64>,
    kind: Option<String>,
}

impl<'a> Stand<'a> {
    /// Inserts new heads and locks the old ones. A head that somebody else inserted meanwhile has a version that nobody
    /// expects.
    async fn take(connection: &mut PgConnection, batch: &Batch<'a>) -> Result<Self, Failure> {
        let roots = batch.roots();
        let mut fresh = Fresh::of(&roots);
        let old: Vec<Uuid> = roots.into_keys().filter(|root| !fresh.presumed.contains_key(root)).collect();
        let new: Vec<&HeadWrite> = fresh.presumed.values().copied().collect();
        let (new_roots, versions, lasts) = write::columns(&new);
        let query = sqlx::query_as::<_, StandRow>(STAND).bind(old).bind(new_roots).bind(versions).bind(lasts);
        let query = query.bind(run_texts(&new)?).bind(batch.creates(true)).bind(batch.creates(false));
        let (mut standing, mut numbers) = (Standing::default(), Numbers::default());
        for row in query.fetch_all(connection).await? {
            let number = row.number.unwrap_or_default();
            match (row.what, row.root, row.kind.as_deref().and_then(Kind::parse)) {
                (1, Some(root), _) => {
                    fresh.won.insert(root);
                }
                (2, Some(root), _) => {
                    let version = u64::try_from(number).map_err(|_| corrupt("head", root, "negative version"))?;
                    standing.heads.insert(root, version);
                }
                (3, _, Some(kind)) => {
                    standing.shown_us.insert(kind, number);
                }
                (4, ..) => numbers.tasks.push(number),
                (5, ..) => numbers.resources.push(number),
                _ => {}
            }
        }
        let lost = fresh.presumed.keys().filter(|root| !fresh.won.contains(root));
        standing.heads.extend(lost.map(|root| (*root, u64::MAX)));
        Ok(Self { standing, fresh, numbers })
    }
}

/// Heads that are new, inserted in the state that the whole batch would leave them in: as a rule the batch holds, and
/// each is written once.
struct Fresh<'a> {
    presumed: BTreeMap<Uuid, &'a HeadWrite>,
    /// Those that were indeed new.
    won: HashSet<Uuid>,
}

impl<'a> Fresh<'a> {
    fn of(roots: &BTreeMap<Uuid, Vec<&'a HeadWrite>>) -> Self {
        let new = roots.iter().filter(|(_, writes)| writes.first().is_some_and(|write| write.expected.is_none()));
        let presumed = new.filter_map(|(root, writes)| Some((*root, writes.last().copied()?))).collect();
        Self { presumed, won: HashSet::new() }
    }

    /// Brings every head to the state that what holds leaves it in.
    fn settle(&self, parts: &mut Parts, heads: &BTreeMap<Uuid, &'a HeadWrite>) -> Result<(), Failure> {
        let is_written = |write: &&HeadWrite| {
            let presumed = self.presumed.get(&write.root).filter(|_| self.won.contains(&write.root));
            presumed.is_some_and(|presumed| std::ptr::eq(*presumed, *write))
        };
        let moved: Vec<&HeadWrite> = heads.values().copied().filter(|write| !is_written(write)).collect();
        let unwanted: Vec<Uuid> = self.won.iter().copied().filter(|root| !heads.contains_key(root)).collect();
        write::heads(parts, &moved)?;
        write::no_heads(parts, unwanted)
    }
}

/// Takes the unique keys of what holds; who comes too late for one holds no longer, nor does what builds on it.
async fn keys<'a>(
    connection: &mut PgConnection,
    decisions: &'a [Decision],
    mut standing: Standing<'a>,
    holds: Vec<bool>,
    offset_us: i64,
) -> Result<Vec<bool>, Failure> {
    let held = |holds: &[bool], wanted: bool| -> Vec<&'a Decision> {
        decisions.iter().zip(holds).filter(|(_, holds)| **holds == wanted).map(|(decision, _)| decision).collect()
    };
    let hopeful = held(&holds, true);
    let mut inserted = Inserted::default();
    standing.receipts = inserted.take_receipts(connection, &hopeful, offset_us).await?;
    standing.claims = inserted.take_claims(connection, &hopeful).await?;
    if standing.receipts.is_empty() && standing.claims.is_empty() {
        return Ok(holds);
    }
    let after = still_holding(decisions, &standing, &holds);
    let fallen: Vec<bool> = holds.iter().zip(&after).map(|(before, after)| *before && !*after).collect();
    inserted.withdraw(connection, &held(&fallen, true)).await?;
    Ok(after)
}

/// The unique rows that this transaction inserted.
#[derive(Default)]
struct Inserted {
    receipts: HashSet<String>,
    claims: HashSet<ClaimKey>,
}

impl Inserted {
    /// Inserts receipts; those that somebody else has.
    async fn take_receipts<'a>(
        &mut self,
        connection: &mut PgConnection,
        decisions: &[&'a Decision],
        offset_us: i64,
    ) -> Result<HashSet<&'a str>, Failure> {
        let receipts: Vec<_> = decisions.iter().flat_map(|decision| &decision.receipts).collect();
        if receipts.is_empty() {
            return Ok(HashSet::new());
        }
        let keys: Vec<String> = receipts.iter().map(|receipt| receipt_key(&receipt.key)).collect();
        let fingerprints: Vec<&str> = receipts.iter().map(|receipt| receipt.fingerprint.as_str()).collect();
        let answers: Vec<&str> = receipts.iter().map(|receipt| receipt.answer.as_str()).collect();
        let query = sqlx::query_scalar(RECEIPTS).bind(&keys).bind(fingerprints).bind(answers).bind(offset_us);
        self.receipts = query.fetch_all(connection).await?.into_iter().collect();
        let lost = receipts.iter().zip(&keys).filter(|(_, key)| !self.receipts.contains(*key));
        Ok(lost.map(|(receipt, _)| receipt.key.as_str()).collect())
    }

    /// Inserts claims; the identifiers that somebody else holds.
    async fn take_claims<'a>(
        &mut self,
        connection: &mut PgConnection,
        decisions: &[&'a Decision],
    ) -> Result<HashSet<(&'a Identifier, &'a str)>, Failure> {
        let claims: Vec<_> = decisions.iter().flat_map(|decision| &decision.claims).collect();
        if claims.is_empty() {
            return Ok(HashSet::new());
        }
        let keys: Vec<ClaimKey> = claims.iter().map(|(identifier, _)| claim_key(identifier)).collect();
        let holders: Vec<&str> = claims.iter().map(|(_, holder)| holder.as_str()).collect();
        let [kinds, systems, values] = claim_columns(&keys);
        let query = sqlx::query_as::<_, ClaimKey>(CLAIMS).bind(&kinds).bind(&systems).bind(&values).bind(&holders);
        self.claims = query.fetch_all(&mut *connection).await?.into_iter().collect();
        let mut ours = self.claims.clone();
        if keys.iter().any(|key| !ours.contains(key)) {
            // Perhaps the same resource holds it already.
            let query = sqlx::query_as::<_, ClaimKey>(HOLDERS).bind(&kinds).bind(&systems).bind(&values).bind(&holders);
            ours.extend(query.fetch_all(connection).await?);
        }
        let lost = claims.iter().zip(&keys).filter(|(_, key)| !ours.contains(*key));
        Ok(lost.map(|((identifier, id), _)| (identifier, id.as_str())).collect())
    }

    /// Takes back what was inserted for decisions that hold no longer.
    async fn withdraw(&self, connection: &mut PgConnection, decisions: &[&Decision]) -> Result<(), Failure> {
        let receipts = decisions.iter().flat_map(|decision| &decision.receipts);
        let receipts: Vec<String> = receipts.map(|receipt| receipt_key(&receipt.key)).collect();
        let receipts: Vec<String> = receipts.into_iter().filter(|key| self.receipts.contains(key)).collect();
        sqlx::query(RECEIPTS_BACK).bind(receipts).execute(&mut *connection).await?;
        let claims = decisions.iter().flat_map(|decision| &decision.claims);
        let claims = claims.map(|(identifier, _)| claim_key(identifier));
        let claims: Vec<ClaimKey> = claims.filter(|key| self.claims.contains(key)).collect();
        let [kinds, systems, values] = claim_columns(&claims);
        sqlx::query(CLAIMS_BACK).bind(kinds).bind(systems).bind(values).execute(connection).await?;
        Ok(())
    }
}

fn receipt_key(key: &str) -> String {
    values::key(key).unwrap_or_default().into_owned()
}

type ClaimKey = (String, String, String);

fn claim_key(identifier: &Identifier) -> ClaimKey {
    let key = |text| values::key(text).unwrap_or_default().into_owned();
    (identifier.kind.name().to_owned(), key(&identifier.system), key(&identifier.value))
}

fn claim_columns(keys: &[ClaimKey]) -> [Vec<&str>; 3] {
    [
        keys.iter().map(|key| key.0.as_str()).collect(),
        keys.iter().map(|key| key.1.as_str()).collect(),
        keys.iter().map(|key| key.2.as_str()).collect(),
    ]
}

pub(super) fn run_texts(heads: &[&HeadWrite]) -> Result<Vec<Option<String>>, Trouble> {
    heads.iter().map(|write| crate::changes::run_text(write)).collect()
}
