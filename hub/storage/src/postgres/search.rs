//! Searches, and reading in the order of time while others commit.

use std::time::Duration;

use async_trait::async_trait;
use hub_domain::query::{Param, Query};
use hub_domain::registry::{Page, Pointer, Trouble};
use schemas::resource::{Key, Kind};
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::Postgres;
use crate::errors::trouble;
use crate::indexed::Behind;
use crate::rows::VersionRow;
use crate::search::{self, Arg, Candidate, Limits, PointerRow, Source, Statement};

const VERSIONS: &str = "-- search_bodies
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM unnest($2::text[], $3::integer[]) AS wanted (id, version)
      JOIN version AS v ON v.kind = $1 AND v.id = wanted.id AND v.version = wanted.version";
/// Each resource is looked up by its number, however many rows are expected of a link.
const POINTERS: &str = "-- pointers
    SELECT t.system, r.kind, r.id, r.status
      FROM unnest($1::uuid[]) AS link (value)
     CROSS JOIN LATERAL (SELECT seq, system FROM search_token
                          WHERE value = link.value AND system = ANY($2::bigint[]) ORDER BY seq DESC LIMIT $3) AS t
     CROSS JOIN LATERAL (SELECT kind, id, status FROM resource WHERE seq = t.seq LIMIT 1) AS r
     ORDER BY t.seq DESC";
/// The newest of all these types, and up to where the least shown of them was shown.
const SHOWN: &str = "-- shown
    SELECT max(v.updated), min(coalesce(f.shown, '-9223372036854775808'))
      FROM unnest($1::text[]) AS k (kind)
      LEFT JOIN LATERAL (SELECT updated FROM version WHERE kind = k.kind ORDER BY updated DESC, seq DESC LIMIT 1) AS v
        ON true
      LEFT JOIN feed AS f ON f.kind = k.kind";
/// The lock that commits share by `commit_holds`; the number is `feed` in ASCII.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock(1717921124)";
const SHOW: &str = "-- show
    INSERT INTO feed (kind, shown)
    SELECT k.kind, newest.updated
      FROM unnest($1::text[]) AS k (kind)
     CROSS JOIN (SELECT max(v.updated) AS updated FROM unnest($1::text[]) AS n (kind)
                  CROSS JOIN LATERAL (SELECT updated FROM version
                                       WHERE kind = n.kind ORDER BY updated DESC, seq DESC LIMIT 1) AS v) AS newest
     WHERE newest.updated IS NOT NULL
     ORDER BY k.kind
    ON CONFLICT (kind) DO UPDATE SET shown = greatest(feed.shown, excluded.shown)
    RETURNING shown";
/// A hub moves its feeds on no more often: it makes commits wait a moment, and some decisions be made again.
const SHOW_EVERY: Duration = Duration::from_millis(20);

impl Postgres {
    pub(super) async fn read_search(&self, query: &Query) -> Result<Page, Trouble> {
        search::search(self, query, self.limits()).await
    }

    pub(super) async fn count_search(&self, query: &Query) -> Result<u64, Trouble> {
        search::count(self, query, self.limits()).await
    }

    pub(super) async fn read_pointing(
        &self,
        to: &[Key],
        by: &[&'static Param],
        limit: u32,
    ) -> Result<Vec<Pointer>, Trouble> {
        search::pointing(self, to, by, limit, self.limits()).await
    }

    fn limits(&self) -> Limits {
        Limits { rows: u64::from(self.options.search_rows_limit) }
    }

    /// Up to where `kinds` may be read together in the order of time, so that nothing is committed behind it later.
    ///
    /// A version's time is read before its transaction begins, so a late one could land behind what was shown, and who
    /// asks for "later than the last I saw" would never see it. Therefore what is shown is written down, while no commit
    /// is under way; and commits refuse (as stale) what would lie behind it.
    pub(super) async fn show_us(&self, kinds: &[Kind]) -> Result<i64, Trouble> {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        if let Some(shown) = self.shown_us(&kinds).await? {
            return Ok(shown);
        }
        let mut shown_at = self.shown_at.lock().await;
        if let Some(before) = *shown_at {
            sleep_until(before + SHOW_EVERY).await;
        }
        if let Some(shown) = self.shown_us(&kinds).await? {
            return Ok(shown);
        }
        let mut taken = self.lanes.take().await.map_err(trouble)?;
        let mut transaction = taken.connection().begin_with(BEGIN).await.map_err(trouble)?;
        let shown = sqlx::query_scalar::<_, i64>(SHOW).bind(&kinds);
        let shown = shown.fetch_all(&mut *transaction).await.map_err(trouble)?;
        transaction.commit().await.map_err(trouble)?;
        taken.keep();
        *shown_at = Some(Instant::now());
        Ok(shown.into_iter().min().unwrap_or(0))
    }

    /// What was shown, when nothing newer is there.
    async fn shown_us(&self, kinds: &[&str]) -> Result<Option<i64>, Trouble> {
        let row = sqlx::query_as::<_, (Option<i64>, Option<i64>)>(SHOWN).bind(kinds);
        let (newest, shown) = self.readers.first(row).await?.unwrap_or_default();
        Ok(match (newest, shown) {
            (None, _) => Some(0),
            (Some(newest), Some(shown)) if newest <= shown => Some(shown),
            _ => None,
        })
    }
}

#[async_trait]
impl Source for Postgres {
    fn plans_arms_alone(&self) -> bool {
        true
    }

    async fn candidates(&self, statement: Statement) -> Result<Vec<Candidate>, Trouble> {
        let query = sqlx::query_as(AssertSqlSafe(statement.text));
        let query = statement.args.into_iter().fold(query, |query, arg| match arg {
            Arg::Text(text) => query.bind(text),
            Arg::Digest(digest) => query.bind(digest),
            Arg::Number(number) => query.bind(number),
        });
        self.readers.all(query).await
    }

    async fn versions(&self, kind: Kind, wanted: &[(String, i32)]) -> Result<Vec<VersionRow>, Trouble> {
        let (ids, versions): (Vec<&str>, Vec<i32>) = wanted.iter().map(|(id, version)| (id.as_str(), *version)).unzip();
        let query = sqlx::query_as(VERSIONS).bind(kind.name()).bind(ids).bind(versions);
        self.readers.all(query).await
    }

    async fn pointers(&self, links: &[Uuid], elements: &[i64], limit: u32) -> Result<Vec<PointerRow>, Trouble> {
        self.readers.all(sqlx::query_as(POINTERS).bind(links).bind(elements).bind(i64::from(limit))).await
    }

    fn behind(&self) -> &Behind {
        &self.behind
    }

    async fn horizon_us(&self, kind: Kind) -> Result<i64, Trouble> {
        self.show_us(&[kind]).await
    }
}
