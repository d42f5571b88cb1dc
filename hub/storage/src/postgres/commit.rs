//! A batch of decisions as one statement: all of it is written, or nothing.
//!
//! It is sent on trust that everything stands as it was when the decisions were made, and refuses itself when it does
//! not: a head has another version, somebody else has a unique key, or a feed was shown past. Only then it is looked at
//! what stands, and what still holds is sent once more. No lock is held while anything travels.

use std::collections::HashMap;

use async_trait::async_trait;
use hub_domain::decision::{Decision, OutgoingId};
use hub_domain::registry::Trouble;
use hub_domain::scene::Identifier;
use schemas::resource::Kind;
use uuid::Uuid;

use super::parts::Parts;
use super::{Postgres, current, write};
use crate::batch::{Standing, holding};
use crate::changes::Batch;
use crate::errors::{Failure, corrupt};
use crate::outcome::{self, Attempt, Outcome};
use crate::rows::Prepared;
use crate::values;

/// $1: roots. $2: keys of receipts. $3 to $6: claims, as type, system, value and who wants to hold it. `what` says which
/// columns of a row mean something.
const STANDING: &str = "-- standing
    SELECT 1 AS what, root, version AS number, NULL AS text FROM head WHERE root = ANY ($1)
    UNION ALL SELECT 2, NULL, shown, kind FROM feed
    UNION ALL SELECT 3, NULL, NULL, key FROM receipt WHERE key = ANY ($2)
    UNION ALL
    SELECT 4, NULL, n.place, NULL
      FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
           AS n (kind, system, value, holder, place)
      JOIN claim AS c ON c.kind = n.kind AND c.system = n.system AND c.value = n.value
     WHERE c.holder <> n.holder";

/// What a version takes beside its body, with its index rows.
const ROWS_BYTES: usize = 1024;

#[async_trait]
impl Attempt for Postgres {
    async fn attempt(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>, Failure> {
        let expected = Standing::expected(batch.decisions);
        let holds = holding(batch.decisions, &expected);
        match self.write(batch, &holds).await {
            Ok(ids) => return Ok(outcome::of(batch.decisions, &holds, ids)),
            Err(Failure::Taken) => metrics::counter!("hub_storage_overtaken_total").increment(1),
            Err(failure) => return Err(failure),
        }
        // A feed may have been shown past its moment: the next load is told so, with the time.
        self.clock.forget();
        let standing = self.standing(batch).await?;
        let holds = holding(batch.decisions, &standing);
        match self.write(batch, &holds).await {
            Ok(ids) => Ok(outcome::of(batch.decisions, &holds, ids)),
            // Somebody was in between once more.
            Err(Failure::Taken) => Err(Failure::Again),
            Err(failure) => Err(failure),
        }
    }
}

impl Postgres {
    async fn write(&self, batch: &Batch<'_>, holds: &[bool]) -> Result<Vec<OutgoingId>, Failure> {
        if !holds.contains(&true) {
            return Ok(Vec::new());
        }
        let changes = batch.changes(holds);
        let fresh_lease_us = i64::try_from(self.options.fresh_lease_ms).unwrap_or(i64::MAX / 2000) * 1000;
        let bytes = |version: &&Prepared<'_>| version.body.len() + ROWS_BYTES;
        let mut parts = Parts::with_room(changes.versions.iter().map(bytes).sum());
        write::heads(&mut parts, &changes)?;
        write::keys(&mut parts, &changes, self.offset_us())?;
        write::plans(&mut parts, &changes, &self.plans)?;
        write::versions(&mut parts, &changes)?;
        current::write(&mut parts, &changes)?;
        write::timers(&mut parts, &changes)?;
        write::outbox(&mut parts, &changes, self.offset_us(), fresh_lease_us)?;
        let mut taken = self.lanes.take().await?;
        let written = parts.execute(taken.connection(), &changes.moments()).await;
        if matches!(written, Ok(_) | Err(Failure::Taken | Failure::Again)) {
            taken.keep();
        }
        let (now_us, ids) = written?;
        self.clock.tell(now_us);
        changes.remember_plans(&self.plans);
        Ok(ids)
    }

    /// What stands of all that a batch leans on.
    async fn standing<'a>(&self, batch: &Batch<'a>) -> Result<Standing<'a>, Failure> {
        let (decisions, roots): (&'a [Decision], Vec<Uuid>) = (batch.decisions, batch.roots().into_iter().collect());
        let receipts = decisions.iter().flat_map(|decision| &decision.receipts);
        let receipts: HashMap<String, &'a str> =
            receipts.filter_map(|r| Some((values::key(&r.key)?.into_owned(), r.key.as_str()))).collect();
        let claims: Vec<&'a (Identifier, String)> = decisions.iter().flat_map(|decision| &decision.claims).collect();
        let text = |text: &str| values::key(text).unwrap_or_default().into_owned();
        let query = sqlx::query_as::<_, StandingRow>(STANDING).bind(roots);
        let query = query.bind(receipts.keys().map(String::as_str).collect::<Vec<_>>());
        let query = query.bind(claims.iter().map(|(identifier, _)| identifier.kind.name()).collect::<Vec<_>>());
        let query = query.bind(claims.iter().map(|(identifier, _)| text(&identifier.system)).collect::<Vec<_>>());
        let query = query.bind(claims.iter().map(|(identifier, _)| text(&identifier.value)).collect::<Vec<_>>());
        let query = query.bind(claims.iter().map(|(_, holder)| holder.as_str()).collect::<Vec<_>>());
        let mut standing = Standing::default();
        for row in self.lanes.all(query).await? {
            row.put(&receipts, &claims, &mut standing)?;
        }
        Ok(standing)
    }
}

#[derive(sqlx::FromRow)]
struct StandingRow {
    what: i32,
    root: Option<Uuid>,
    number: Option<i64>,
    text: Option<String>,
}

impl StandingRow {
    fn put<'a>(
        self,
        receipts: &HashMap<String, &'a str>,
        claims: &[&'a (Identifier, String)],
        standing: &mut Standing<'a>,
    ) -> Result<(), Trouble> {
        let number = self.number.unwrap_or_default();
        let text = self.text.as_deref().unwrap_or_default();
        match (self.what, self.root) {
            (1, Some(root)) => {
                let version = u64::try_from(number).map_err(|_| corrupt("head", root, "negative version"))?;
                standing.heads.insert(root, version);
            }
            (2, _) => standing.shown_us.extend(Kind::parse(text).map(|kind| (kind, number))),
            (3, _) => standing.receipts.extend(receipts.get(text)),
            _ => {
                let claim = usize::try_from(number - 1).ok().and_then(|place| claims.get(place));
                standing.claims.extend(claim.map(|(identifier, holder)| (identifier, holder.as_str())));
            }
        }
        Ok(())
    }
}
