//! Indexing anew, in the writer's turn.

use async_trait::async_trait;
use hub_domain::registry::Trouble;
use schemas::resource::Kind;
use sqlx::sqlite::SqliteConnection;

use super::Sqlite;
use crate::errors::{Failure, trouble};
use crate::indexed::{self, Indexed, State, ToIndex};

const STATES: &str = "-- indexed\nSELECT kind, elements, coming, seq FROM indexed";
const STORED: &str = "-- stored_types\nSELECT EXISTS (SELECT 1 FROM resource WHERE kind = $1)";
const STORED_TASKS: &str = "-- stored_tasks\nSELECT EXISTS (SELECT 1 FROM task)";
const START: &str = "-- start_indexed
    INSERT INTO indexed (kind, elements, coming, seq) VALUES ($1, $2, '', 0)
    ON CONFLICT (kind) DO UPDATE SET elements = excluded.elements";
const TASKS: &str = "-- tasks_to_index
    SELECT t.seq, v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM task AS t CROSS JOIN version AS v ON v.kind = $1 AND v.id = t.id AND v.version = t.version
     WHERE t.seq > $2 ORDER BY t.seq LIMIT $3";
const RESOURCES: &str = "-- resources_to_index
    SELECT r.seq, v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM resource AS r CROSS JOIN version AS v ON v.kind = r.kind AND v.id = r.id AND v.version = r.version
     WHERE r.kind = $1 AND r.seq > $2 ORDER BY r.seq LIMIT $3";
const ADVANCE: &str = "-- advance_indexed
    UPDATE indexed SET elements = $2, coming = $3, seq = $4
     WHERE kind = $1 AND elements = $5 AND coming = $6 AND seq = $7";

/// Writes down what this hub finds, and what it will not keep up; then all that is written down.
pub(super) async fn start(connection: &mut SqliteConnection) -> Result<Vec<State>, Trouble> {
    let states: Vec<State> = sqlx::query_as(STATES).fetch_all(&mut *connection).await.map_err(trouble)?;
    let mut stored = Vec::new();
    for kind in Kind::ALL.iter().filter(|kind| !states.iter().any(|state| state.kind == kind.name())) {
        let query = sqlx::query_scalar(if *kind == Kind::TASK { STORED_TASKS } else { STORED });
        let query = if *kind == Kind::TASK { query } else { query.bind(kind.name()) };
        if query.fetch_one(&mut *connection).await.map_err(trouble)? {
            stored.push(*kind);
        }
    }
    for state in indexed::at_start(&states, |kind| stored.contains(&kind)) {
        let query = sqlx::query(START).bind(&state.kind).bind(&state.elements);
        query.execute(&mut *connection).await.map_err(trouble)?;
    }
    sqlx::query_as(STATES).fetch_all(connection).await.map_err(trouble)
}

#[async_trait]
impl Indexed for Sqlite {
    async fn states(&self) -> Result<Vec<State>, Trouble> {
        sqlx::query_as(STATES).fetch_all(&self.readers).await.map_err(trouble)
    }

    /// A file is one hub's.
    async fn has_others(&self) -> Result<bool, Trouble> {
        Ok(false)
    }

    async fn advance(&self, state: &State, elements: &str, limit: u32) -> Result<Option<u64>, Trouble> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(trouble)?;
        let sql = if state.kind == Kind::TASK.name() { TASKS } else { RESOURCES };
        let rows = sqlx::query_as::<_, ToIndex>(sql).bind(&state.kind).bind(state.after(elements)).bind(limit);
        let rows = rows.fetch_all(&mut *transaction).await.map_err(trouble)?;
        let then = state.then(elements, &rows, limit);
        let moved = sqlx::query(ADVANCE).bind(&state.kind).bind(&then.elements).bind(&then.coming).bind(then.seq);
        let moved = moved.bind(&state.elements).bind(&state.coming).bind(state.seq);
        if moved.execute(&mut *transaction).await.map_err(trouble)?.rows_affected() == 0 {
            return Ok(None);
        }
        let changes = indexed::changes(&rows)?;
        super::current::write_index(&mut transaction, &changes).await.map_err(|failure| match failure {
            Failure::Trouble(trouble) => trouble,
            Failure::Again | Failure::Taken => Trouble::Unavailable("the file is in use".into()),
        })?;
        transaction.commit().await.map_err(trouble)?;
        Ok(Some(rows.len() as u64))
    }
}
