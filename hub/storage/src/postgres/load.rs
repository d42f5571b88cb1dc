//! Scenes for a batch: one statement of what is asked, so one round trip and one moment.

use hub_domain::query;
use hub_domain::registry::Trouble;
use hub_domain::scene::{Identifier, Needs, Scene};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::Postgres;
use super::parts::Questions;
use crate::errors::corrupt;
use crate::load::{Found, Wanted};
use crate::rows::VersionRow;
use crate::{clock, values};

/// `what` says which columns of a row mean something. First the moment.
const NOW: &str = "
    SELECT 0 AS what, NULL AS kind, NULL AS id, (SELECT max(shown) FROM feed) AS number, NULL::uuid AS root,
           NULL::smallint AS method, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS updated,
           NULL::bytea AS body, NULL AS more";
/// Resources by type and id, each with the head of its order.
const RESOURCES: &str = "
    (WITH resources AS MATERIALIZED (
        SELECT v.* FROM unnest($1::text[], $2::text[]) AS w (kind, id)
         CROSS JOIN LATERAL (SELECT * FROM version
                              WHERE kind = w.kind AND id = w.id ORDER BY version DESC LIMIT 1) AS v)
    SELECT 1, kind, id, version::bigint, root, method, updated, body, NULL FROM resources
    UNION ALL
    SELECT 2, NULL, NULL, version, root, NULL, last, NULL, run
      FROM head WHERE root = ANY (ARRAY(SELECT root FROM resources)))";
const HEADS: &str = "
    SELECT 2, NULL, NULL, version, root, NULL, last, NULL, run FROM head WHERE root = ANY ($1)";
/// By type and id.
const EXISTING: &str = "
    SELECT 3, w.kind, w.id, NULL, NULL, NULL, NULL, NULL, NULL
      FROM unnest($1::text[], $2::text[]) AS w (kind, id)
     CROSS JOIN LATERAL (SELECT method FROM version
                          WHERE kind = w.kind AND id = w.id ORDER BY version DESC LIMIT 1) AS v
     WHERE v.method <> 3";
const RECEIPTS: &str = "
    SELECT 4, fingerprint, key, NULL, NULL, NULL, NULL, NULL, answer FROM receipt WHERE key = ANY ($1)";
/// By type, system and value.
const HOLDERS: &str = "
    SELECT 5, NULL, c.holder, w.number, NULL, NULL, NULL, NULL, NULL
      FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS w (kind, system, value, number)
      JOIN claim AS c ON c.kind = w.kind AND c.system = w.system AND c.value = w.value
    UNION ALL
    SELECT 6, NULL, t.id, w.number, NULL, NULL, NULL, NULL, NULL
      FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS w (kind, system, value, number)
      JOIN task AS t ON t.id = w.value
     WHERE w.kind = 'Task' AND w.system = 'urn:fhir-workflow-hub:task'";
/// By type, and what stands for value and system in search_token.
const CARRIERS: &str = "
    SELECT 6, NULL, coalesce(t.id, r.id), w.number, NULL, NULL, NULL, NULL, NULL
      FROM unnest($1::text[], $2::uuid[], $3::bigint[]) WITH ORDINALITY AS w (kind, value, system, number)
     CROSS JOIN LATERAL (SELECT seq FROM search_token WHERE value = w.value AND system = w.system
                          ORDER BY seq LIMIT 2) AS s
      LEFT JOIN task AS t ON w.kind = 'Task' AND t.seq = s.seq
      LEFT JOIN resource AS r ON w.kind <> 'Task' AND r.seq = s.seq";
const PLANS: &str = "-- load_plans\nSELECT hash, body FROM plan WHERE hash = ANY ($1)";

#[derive(Debug, sqlx::FromRow)]
struct LoadRow {
    what: i32,
    kind: Option<String>,
    id: Option<String>,
    number: Option<i64>,
    root: Option<Uuid>,
    method: Option<i16>,
    updated: Option<i64>,
    body: Option<Vec<u8>>,
    more: Option<String>,
}

impl Postgres {
    pub(super) async fn load_scenes(&self, needs: &[Needs]) -> Result<(Vec<Scene>, Timestamp), Trouble> {
        let wanted = Wanted::of(needs);
        let (found, moment) = match self.clock.now_us().filter(|_| wanted.is_empty()) {
            // New orders see nothing but the time.
            Some(now_us) => (Found::default(), clock::moment(now_us.saturating_add(self.offset_us()), None)),
            None => self.find(&wanted).await?,
        };
        let missing = found.missing_plans(&self.plans);
        if !missing.is_empty() {
            let rows = sqlx::query_as::<_, (String, String)>(PLANS).bind(missing);
            for (hash, text) in self.lanes.all(rows).await? {
                self.plans.add(hash, &text)?;
            }
        }
        Ok((found.scenes(needs, &self.plans)?, moment))
    }

    async fn find(&self, wanted: &Wanted<'_>) -> Result<(Found, Timestamp), Trouble> {
        let identifiers = Identifiers::of(wanted.identifiers.iter().copied());
        let roots: Vec<Uuid> = wanted.roots.iter().copied().collect();
        let receipts: Vec<String> =
            wanted.receipts.iter().filter_map(|key| Some(values::key(key)?.into_owned())).collect();
        let mut questions = Questions::default();
        questions.ask(NOW);
        if !wanted.resources.is_empty() {
            questions.ask(RESOURCES).bind(kinds(&wanted.resources))?.bind(ids(&wanted.resources))?;
        }
        if !roots.is_empty() {
            questions.ask(HEADS).bind(roots)?;
        }
        if !wanted.existence.is_empty() {
            questions.ask(EXISTING).bind(kinds(&wanted.existence))?.bind(ids(&wanted.existence))?;
        }
        if !receipts.is_empty() {
            questions.ask(RECEIPTS).bind(receipts)?;
        }
        if !identifiers.all.is_empty() {
            let Identifiers { kinds, systems, values, digests, stored_systems, .. } = &identifiers;
            questions.ask(HOLDERS).bind(kinds)?.bind(systems)?.bind(values)?;
            questions.ask(CARRIERS).bind(kinds)?.bind(digests)?.bind(stored_systems)?;
        }
        let rows = self.lanes.all(questions.query::<LoadRow>("load")).await?;

        let mut found = Found::default();
        let mut moment = Timestamp::default();
        for row in rows {
            if row.what == 0 {
                let now_us = row.updated.unwrap_or_default();
                self.clock.tell(now_us);
                moment = clock::moment(now_us.saturating_add(self.offset_us()), row.number);
            } else {
                row.put(&identifiers.all, &mut found)?;
            }
        }
        Ok((found, moment))
    }
}

impl LoadRow {
    fn put(self, identifiers: &[&Identifier], found: &mut Found) -> Result<(), Trouble> {
        let number = self.number.unwrap_or_default();
        let identifier = || usize::try_from(number - 1).ok().and_then(|at| identifiers.get(at));
        match (self.what, self.kind, self.id) {
            (1, Some(kind), Some(id)) => {
                let version = i32::try_from(number).unwrap_or(-1);
                let (root, method) = (self.root.unwrap_or_default(), self.method.unwrap_or_default());
                let (updated, body) = (self.updated.unwrap_or_default(), self.body.unwrap_or_default());
                found.versions.push(VersionRow { kind, id, version, root, method, updated, body });
            }
            (2, ..) => {
                let root = self.root.ok_or_else(|| corrupt("head", "?", "no root"))?;
                found.head(root, number, self.updated.unwrap_or_default(), self.more.as_deref())?;
            }
            (3, Some(kind), Some(id)) => found.existing.extend(Kind::parse(&kind).map(|kind| Key::new(kind, id))),
            (4, Some(fingerprint), Some(key)) => {
                found.receipts.insert(key, (fingerprint, self.more.unwrap_or_default()));
            }
            // Holders (5) come before carriers (6): the parts of a UNION ALL are read one after another.
            (5 | 6, _, Some(id)) => {
                if let Some(identifier) = identifier() {
                    found.carrier(identifier, id);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Identifiers as columns; those that no index can hold are left out.
#[derive(Default)]
struct Identifiers<'a> {
    all: Vec<&'a Identifier>,
    kinds: Vec<&'static str>,
    systems: Vec<String>,
    values: Vec<String>,
    digests: Vec<Uuid>,
    stored_systems: Vec<i64>,
}

impl<'a> Identifiers<'a> {
    fn of(wanted: impl Iterator<Item = &'a Identifier>) -> Self {
        let mut columns = Self::default();
        for identifier in wanted {
            let kind = identifier.kind;
            let Some((system, value)) = values::key(&identifier.system).zip(values::key(&identifier.value)) else {
                continue;
            };
            let digest = |param| values::digest(kind, param, &identifier.value);
            columns.digests.push(query::find(kind, "identifier").map(digest).unwrap_or_default());
            columns.stored_systems.push(values::system(Some(&identifier.system)));
            columns.all.push(identifier);
            columns.kinds.push(kind.name());
            columns.systems.push(system.into_owned());
            columns.values.push(value.into_owned());
        }
        columns
    }
}

pub(super) fn kinds<'a>(keys: impl IntoIterator<Item = &'a &'a Key>) -> Vec<&'static str> {
    keys.into_iter().map(|key| key.kind.name()).collect()
}

pub(super) fn ids<'a>(keys: impl IntoIterator<Item = &'a &'a Key>) -> Vec<&'a str> {
    keys.into_iter().map(|key| key.id.as_str()).collect()
}
