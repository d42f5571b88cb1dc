//! Scenes for a batch: a few statements in one read transaction, so that they are of one moment.

use hub_domain::query;
use hub_domain::registry::Trouble;
use hub_domain::scene::{Identifier, Needs, Scene};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::Sqlite;
use crate::clock;
use crate::errors::trouble;
use crate::load::{Found, Wanted};
use crate::outcome::json;
use crate::rows::VersionRow;
use crate::values;

/// The newest version of each key of a list `[[kind, id], …]`.
const NEWEST: &str = "-- load_resources
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM json_each($1) AS wanted CROSS JOIN version AS v
     WHERE v.kind = wanted.value ->> 0 AND v.id = wanted.value ->> 1
       AND v.version = (SELECT max(version) FROM version
                         WHERE kind = wanted.value ->> 0 AND id = wanted.value ->> 1)";
const EXISTING: &str = "-- load_existing
    SELECT v.kind, v.id
      FROM json_each($1) AS wanted CROSS JOIN version AS v
     WHERE v.kind = wanted.value ->> 0 AND v.id = wanted.value ->> 1 AND v.method <> 3
       AND v.version = (SELECT max(version) FROM version
                         WHERE kind = wanted.value ->> 0 AND id = wanted.value ->> 1)";
const HEADS: &str = "-- load_heads
    SELECT root, version, last, run FROM head WHERE root IN (SELECT unhex(value) FROM json_each($1))";
const RECEIPTS: &str = "-- load_receipts
    SELECT key, fingerprint, answer FROM receipt WHERE key IN (SELECT value FROM json_each($1))";
const HOLDER: &str = "-- load_claims
    SELECT holder FROM claim WHERE kind = $1 AND system = $2 AND value = $3";
const CARRIERS: &str = "-- load_carriers
    SELECT coalesce(t.id, r.id) FROM (
        SELECT seq FROM search_token WHERE value = $1 AND system = $2 ORDER BY seq LIMIT 2) AS s
      LEFT JOIN task AS t ON $3 = 'Task' AND t.seq = s.seq
      LEFT JOIN resource AS r ON $3 <> 'Task' AND r.seq = s.seq
    UNION ALL
    SELECT id FROM task WHERE $3 = 'Task' AND $4 = 'urn:fhir-workflow-hub:task' AND id = $5";
const PLANS: &str = "-- load_plans
    SELECT hash, body FROM plan WHERE hash IN (SELECT value FROM json_each($1))";

impl Sqlite {
    pub(super) async fn load_scenes(&self, needs: &[Needs]) -> Result<(Vec<Scene>, Timestamp), Trouble> {
        let wanted = Wanted::of(needs);
        let mut transaction = self.readers.begin().await.map_err(trouble)?;
        let found = find(&mut transaction, &wanted).await?;
        // After the snapshot: never behind what was seen in it.
        let moment = clock::moment(self.now_us(), self.shown_us().into_values().max());
        let missing = found.missing_plans(&self.plans);
        if !missing.is_empty() {
            let rows = sqlx::query_as::<_, (String, String)>(PLANS).bind(json(&missing));
            for (hash, text) in rows.fetch_all(&mut *transaction).await.map_err(trouble)? {
                self.plans.add(hash, &text)?;
            }
        }
        transaction.commit().await.map_err(trouble)?;
        Ok((found.scenes(needs, &self.plans)?, moment))
    }
}

async fn find(connection: &mut SqliteConnection, wanted: &Wanted<'_>) -> Result<Found, Trouble> {
    let mut found = Found::default();
    if !wanted.resources.is_empty() {
        let rows = sqlx::query_as::<_, VersionRow>(NEWEST).bind(pairs(wanted.resources.iter().copied()));
        found.versions = rows.fetch_all(&mut *connection).await.map_err(trouble)?;
    }
    let roots: Vec<Uuid> = wanted.roots.iter().copied().chain(found.versions.iter().map(|row| row.root)).collect();
    if !roots.is_empty() {
        let roots: Vec<String> = roots.iter().map(|root| root.simple().to_string()).collect();
        let rows = sqlx::query_as::<_, (Uuid, i64, i64, Option<String>)>(HEADS).bind(json(&roots));
        for (root, version, last, run) in rows.fetch_all(&mut *connection).await.map_err(trouble)? {
            found.head(root, version, last, run.as_deref())?;
        }
    }
    if !wanted.existence.is_empty() {
        let rows = sqlx::query_as::<_, (String, String)>(EXISTING).bind(pairs(wanted.existence.iter().copied()));
        let rows = rows.fetch_all(&mut *connection).await.map_err(trouble)?;
        found.existing = rows.into_iter().filter_map(|(kind, id)| Some(Key::new(Kind::parse(&kind)?, id))).collect();
    }
    if !wanted.receipts.is_empty() {
        let keys: Vec<_> = wanted.receipts.iter().filter_map(|key| values::key(key)).collect();
        let rows = sqlx::query_as::<_, (String, String, String)>(RECEIPTS).bind(json(&keys));
        let rows = rows.fetch_all(&mut *connection).await.map_err(trouble)?;
        found.receipts = rows.into_iter().map(|(key, fingerprint, answer)| (key, (fingerprint, answer))).collect();
    }
    for identifier in &wanted.identifiers {
        identified(connection, identifier, &mut found).await.map_err(trouble)?;
    }
    Ok(found)
}

/// Who holds an identifier, then who carries it.
async fn identified(
    connection: &mut SqliteConnection,
    identifier: &Identifier,
    found: &mut Found,
) -> Result<(), sqlx::Error> {
    let Some((system, value)) = values::key(&identifier.system).zip(values::key(&identifier.value)) else {
        return Ok(());
    };
    let kind = identifier.kind;
    let holder = sqlx::query_scalar::<_, String>(HOLDER).bind(kind.name()).bind(&*system).bind(&*value);
    if let Some(holder) = holder.fetch_optional(&mut *connection).await? {
        found.carrier(identifier, holder);
    }
    let Some(param) = query::find(kind, "identifier") else { return Ok(()) };
    let carriers = sqlx::query_scalar::<_, Option<String>>(CARRIERS);
    let carriers = carriers.bind(values::digest(kind, param, &identifier.value));
    let carriers =
        carriers.bind(values::system(Some(&identifier.system))).bind(kind.name()).bind(&*system).bind(&*value);
    for id in carriers.fetch_all(connection).await?.into_iter().flatten() {
        found.carrier(identifier, id);
    }
    Ok(())
}

/// Keys as the JSON `[[kind, id], …]`.
pub(super) fn pairs<'a>(keys: impl Iterator<Item = &'a Key>) -> String {
    json(&keys.map(|key| [key.kind.name(), key.id.as_str()]).collect::<Vec<_>>())
}
