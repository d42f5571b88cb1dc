//! Indexing anew beside hubs that commit.
//!
//! A commit deletes the index rows that a resource had, as far as its statement could see them when it began. So rows are
//! added only while no commit is under way, and with them the feed of the type is moved on to now: a statement that began
//! before this is refused, and decided again. Rows that are there are looked for and not inserted once more: that would wait
//! for a commit that is about to delete one, and which waits for this.

use async_trait::async_trait;
use hub_domain::registry::Trouble;
use schemas::resource::Kind;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::Postgres;
use super::search::BEGIN;
use crate::errors::trouble;
use crate::indexed::{self, Indexed, State, ToIndex};
use crate::rows::RangeRow;

const STATES: &str = "-- indexed\nSELECT kind, elements, coming, seq FROM indexed";
/// The first that is not before a type is found by an index. One of just that type would be looked for in all rows, for
/// each type that has none, once the planner knows that most rows are of few types.
const STORED: &str = "-- stored_types
    SELECT n.kind FROM unnest($1::text[]) AS n (kind)
     WHERE n.kind = (SELECT r.kind FROM resource AS r WHERE r.kind >= n.kind ORDER BY r.kind LIMIT 1)
        OR n.kind = 'Task' AND EXISTS (SELECT 1 FROM task)";
const START: &str = "-- start_indexed
    INSERT INTO indexed (kind, elements, coming, seq)
    SELECT unnest($1::text[]), unnest($2::text[]), '', 0
    ON CONFLICT (kind) DO UPDATE SET elements = excluded.elements";
/// Hubs are told apart by the name that their connections have.
const OTHERS: &str = "-- other_hubs
    SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name <> $1
                      AND (application_name = 'fhir-workflow-hub' OR application_name LIKE 'fhir-workflow-hub #%'))";
const TASKS: &str = "-- tasks_to_index
    SELECT t.seq, v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM task AS t JOIN version AS v ON v.kind = $1 AND v.id = t.id AND v.version = t.version
     WHERE t.seq > $2 ORDER BY t.seq LIMIT $3";
const RESOURCES: &str = "-- resources_to_index
    SELECT r.seq, v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM resource AS r JOIN version AS v ON v.kind = r.kind AND v.id = r.id AND v.version = r.version
     WHERE r.kind = $1 AND r.seq > $2 ORDER BY r.seq LIMIT $3";
const ADVANCE: &str = "-- advance_indexed
    UPDATE indexed SET elements = $2, coming = $3, seq = $4
     WHERE kind = $1 AND elements = $5 AND coming = $6 AND seq = $7";
const TOKENS: &str = "-- index_tokens
    INSERT INTO search_token (value, seq, system)
    SELECT n.value, n.seq, n.system
      FROM (SELECT unnest($1::uuid[]) AS value, unnest($2::bigint[]) AS seq, unnest($3::bigint[]) AS system) AS n
     WHERE NOT EXISTS (SELECT 1 FROM search_token AS x
                        WHERE x.value = n.value AND x.seq = n.seq AND x.system = n.system)
    ON CONFLICT DO NOTHING";
const FENCE: &str = "-- fence
    INSERT INTO feed (kind, shown) VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2)
    ON CONFLICT (kind) DO UPDATE SET shown = greatest(feed.shown, excluded.shown)";

/// What a hub calls its connections: hubs that index alike are called alike.
pub(super) fn application_name() -> String {
    format!("fhir-workflow-hub #{:016x}", indexed::fingerprint())
}

/// Writes down what this hub finds, and what it will not keep up; then all that is written down.
pub(super) async fn start(connection: &mut PgConnection) -> Result<Vec<State>, Trouble> {
    let states = states(connection).await?;
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let stored =
        sqlx::query_scalar::<_, String>(STORED).bind(kinds).fetch_all(&mut *connection).await.map_err(trouble)?;
    let new = indexed::at_start(&states, |kind| stored.iter().any(|stored| stored == kind.name()));
    if new.is_empty() {
        return Ok(states);
    }
    let (kinds, elements): (Vec<&str>, Vec<&str>) =
        new.iter().map(|state| (state.kind.as_str(), state.elements.as_str())).unzip();
    sqlx::query(START).bind(kinds).bind(elements).execute(&mut *connection).await.map_err(trouble)?;
    self::states(connection).await
}

async fn states(connection: &mut PgConnection) -> Result<Vec<State>, Trouble> {
    sqlx::query_as(STATES).fetch_all(connection).await.map_err(trouble)
}

#[async_trait]
impl Indexed for Postgres {
    async fn states(&self) -> Result<Vec<State>, Trouble> {
        self.lanes.all(sqlx::query_as(STATES)).await
    }

    async fn has_others(&self) -> Result<bool, Trouble> {
        let others = self.lanes.first(sqlx::query_as::<_, (bool,)>(OTHERS).bind(application_name())).await?;
        Ok(others.is_some_and(|(others,)| others))
    }

    async fn advance(&self, state: &State, elements: &str, limit: u32) -> Result<Option<u64>, Trouble> {
        let mut taken = self.lanes.take().await.map_err(trouble)?;
        let mut transaction = taken.connection().begin_with(BEGIN).await.map_err(trouble)?;
        let sql = if state.kind == Kind::TASK.name() { TASKS } else { RESOURCES };
        let rows =
            sqlx::query_as::<_, ToIndex>(sql).bind(&state.kind).bind(state.after(elements)).bind(i64::from(limit));
        let rows = rows.fetch_all(&mut *transaction).await.map_err(trouble)?;
        let then = state.then(elements, &rows, limit);
        let moved = sqlx::query(ADVANCE).bind(&state.kind).bind(&then.elements).bind(&then.coming).bind(then.seq);
        let moved = moved.bind(&state.elements).bind(&state.coming).bind(state.seq);
        let moved = moved.execute(&mut *transaction).await.map_err(trouble)?.rows_affected();
        if moved > 0 {
            write(&mut transaction, &rows).await?;
            let fence = sqlx::query(FENCE).bind(&state.kind).bind(self.offset_us());
            fence.execute(&mut *transaction).await.map_err(trouble)?;
        }
        transaction.commit().await.map_err(trouble)?;
        taken.keep();
        Ok((moved > 0).then_some(rows.len() as u64))
    }
}

async fn write(connection: &mut PgConnection, rows: &[ToIndex]) -> Result<(), Trouble> {
    let changes = indexed::changes(rows)?;
    let tokens = &changes.tokens;
    let query = sqlx::query(TOKENS).bind(tokens.iter().map(|(_, row)| row.value).collect::<Vec<Uuid>>());
    let query = query.bind(tokens.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
    let query = query.bind(tokens.iter().map(|(_, row)| row.system).collect::<Vec<_>>());
    query.execute(&mut *connection).await.map_err(trouble)?;
    ranges(connection, "search_date", &changes.dates).await?;
    ranges(connection, "search_value", &changes.values).await
}

async fn ranges(connection: &mut PgConnection, table: &str, rows: &[(i64, RangeRow)]) -> Result<(), Trouble> {
    let text = format!(
        "-- index_{table}
    INSERT INTO {table} (param, low, seq, high)
    SELECT n.param, n.low, n.seq, n.high
      FROM (SELECT unnest($1::integer[]) AS param, unnest($2::bigint[]) AS low, unnest($3::bigint[]) AS seq,
                   unnest($4::bigint[]) AS high) AS n
     WHERE NOT EXISTS (SELECT 1 FROM {table} AS x
                        WHERE x.param = n.param AND x.low = n.low AND x.seq = n.seq AND x.high = n.high)
    ON CONFLICT DO NOTHING"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(rows.iter().map(|(_, row)| row.param).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|(_, row)| row.low).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
    let query = query.bind(rows.iter().map(|(_, row)| row.high).collect::<Vec<_>>());
    query.execute(connection).await.map(drop).map_err(trouble)
}
