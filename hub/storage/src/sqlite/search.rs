//! Searches on one file.

use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use hub_domain::query::{Param, Query};
use hub_domain::registry::{Page, Pointer, Trouble};
use schemas::resource::{Key, Kind};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::Sqlite;
use crate::errors::trouble;
use crate::indexed::Behind;
use crate::outcome::json;
use crate::rows::VersionRow;
use crate::search::{self, Arg, Candidate, Limits, PointerRow, Source, Statement};

const VERSIONS: &str = "-- search_bodies
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM json_each($2) AS wanted CROSS JOIN version AS v
     WHERE v.kind = $1 AND v.id = wanted.value ->> 0 AND v.version = wanted.value ->> 1";
const POINTERS: &str = "-- pointers
    SELECT t.system, r.kind, r.id, r.status
      FROM search_token AS t CROSS JOIN resource AS r
     WHERE t.value = $1 AND t.system IN (SELECT value FROM json_each($2)) AND r.seq = t.seq
     ORDER BY t.seq DESC LIMIT $3";
const NEWEST: &str = "-- newest
    SELECT max((SELECT max(updated) FROM version WHERE kind = value)) FROM json_each($1)";

impl Sqlite {
    pub(super) async fn read_search(&self, query: &Query) -> Result<Page, Trouble> {
        self.in_time(search::search(self, query, self.limits())).await
    }

    pub(super) async fn count_search(&self, query: &Query) -> Result<u64, Trouble> {
        self.in_time(search::count(self, query, self.limits())).await
    }

    pub(super) async fn read_pointing(
        &self,
        to: &[Key],
        by: &[&'static Param],
        limit: u32,
    ) -> Result<Vec<Pointer>, Trouble> {
        self.in_time(search::pointing(self, to, by, limit, self.limits())).await
    }

    fn limits(&self) -> Limits {
        Limits { rows: u64::from(self.options.search_rows_limit) }
    }

    async fn in_time<T>(&self, search: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let timeout = Duration::from_millis(self.options.search_timeout_ms);
        tokio::time::timeout(timeout, search).await.unwrap_or(Err(Trouble::TooCostly))
    }

    /// Up to where `kinds` may be read together in the order of time: later nothing is committed behind it.
    pub(super) async fn show_us(&self, kinds: &[Kind]) -> Result<i64, Trouble> {
        // The writer's turn: no commit is under way.
        let mut writer = self.writer.acquire().await.map_err(trouble)?;
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let newest = sqlx::query_scalar::<_, Option<i64>>(NEWEST).bind(json(&names));
        let newest = newest.fetch_one(&mut *writer).await.map_err(trouble)?.unwrap_or(0);
        let mut shown = self.shown_us.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in kinds {
            let of_kind = shown.entry(*kind).or_default();
            *of_kind = newest.max(*of_kind);
        }
        Ok(kinds.iter().filter_map(|kind| shown.get(kind).copied()).min().unwrap_or(newest))
    }
}

#[async_trait]
impl Source for Sqlite {
    fn plans_arms_alone(&self) -> bool {
        false
    }

    async fn candidates(&self, statement: Statement) -> Result<Vec<Candidate>, Trouble> {
        let query = sqlx::query_as(AssertSqlSafe(statement.text));
        let query = statement.args.into_iter().fold(query, |query, arg| match arg {
            Arg::Text(text) => query.bind(text),
            Arg::Digest(digest) => query.bind(digest),
            Arg::Number(number) => query.bind(number),
        });
        query.fetch_all(&self.readers).await.map_err(trouble)
    }

    async fn versions(&self, kind: Kind, wanted: &[(String, i32)]) -> Result<Vec<VersionRow>, Trouble> {
        let query = sqlx::query_as(VERSIONS).bind(kind.name()).bind(json(wanted));
        query.fetch_all(&self.readers).await.map_err(trouble)
    }

    async fn pointers(&self, links: &[Uuid], elements: &[i64], limit: u32) -> Result<Vec<PointerRow>, Trouble> {
        let mut found = Vec::new();
        for link in links {
            let query = sqlx::query_as(POINTERS).bind(link).bind(json(elements)).bind(i64::from(limit));
            found.extend(query.fetch_all(&self.readers).await.map_err(trouble)?);
        }
        Ok(found)
    }

    fn behind(&self) -> &Behind {
        &self.behind
    }

    async fn horizon_us(&self, kind: Kind) -> Result<i64, Trouble> {
        self.show_us(&[kind]).await
    }
}
