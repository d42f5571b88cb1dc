//! Outbox and timers: rows to be handed to somebody, one at a time.

use std::time::Duration;

use hub_domain::decision::{Outgoing, OutgoingId, Timer};
use hub_domain::registry::{Figures, Parked, Trouble};

use super::Sqlite;
use super::insert::Insert;
use crate::errors::trouble;
use crate::outcome::json;
use crate::queues::{DEPTH, FigureRow, OutgoingRow, PARKED, ParkedRow, TimerRow, UNPARK, figures, lease_us};

const OUTGOING: &str = "-- outgoing
    UPDATE outbox SET leased_until = $2
     WHERE id IN (SELECT id FROM outbox WHERE leased_until <= $1 ORDER BY priority, id LIMIT $3)
    RETURNING id, task, version, work, step, owner, priority, traceparent, since";
const SENT: &str = "-- sent\nDELETE FROM outbox WHERE id IN (SELECT value FROM json_each($1))";
const REPUBLISH: &str = "-- republish
    INSERT INTO outbox (task, version, work, step, owner, priority, traceparent, since, leased_until)
    SELECT t.id, t.version, t.work, coalesce(t.step, ''), t.owner, t.priority, NULL, $1, $2
      FROM task AS t
     WHERE t.status IN ('requested', 'ready') AND t.open = 1 AND t.work IS NOT NULL
       AND t.id NOT IN (SELECT task FROM outbox)
     ORDER BY t.seq";
const DUE: &str = "-- due
    UPDATE timer SET leased_until = $2
     WHERE (root, name) IN (SELECT root, name FROM timer WHERE due <= $1 AND leased_until <= $1
                             ORDER BY due LIMIT $3)
    RETURNING root, name, due";
pub(super) const FIGURES: &str = "-- figures
    SELECT 'task' AS what, coalesce(work, '') AS work, status, count(*) AS number
      FROM task WHERE open = 1 GROUP BY work, status
    UNION ALL SELECT 'depth', '', '', count(*) FROM outbox
    UNION ALL SELECT 'oldest', '', '', min(since) FROM outbox
    UNION ALL SELECT 'offered', coalesce(work, ''), '', min(updated)
      FROM task WHERE open = 1 AND status IN ('requested', 'ready') AND work IS NOT NULL GROUP BY work
    UNION ALL SELECT 'parked', '', '', count(*) FROM parked
    UNION ALL SELECT 'overdue', '', '', count(*) FROM timer WHERE due <= $1
    UNION ALL SELECT 'now', '', '', $1";

/// One that is parked once more gets a new id: whoever sent the old one again forgets that one, not this.
const PARK: Insert = Insert {
    name: "park",
    insert: "INSERT OR FAIL INTO parked (at, queue, why, message_id, content_type, attempts, headers, body, digest)",
    columns: 9,
    tail: "ON CONFLICT (digest, message_id, queue)
    DO UPDATE SET id = (SELECT max(id) + 1 FROM parked), at = excluded.at, why = excluded.why,
                  attempts = excluded.attempts, headers = excluded.headers",
};

impl Sqlite {
    pub(super) async fn lease_outgoing(&self, limit: u32, lease: Duration) -> Result<Vec<Outgoing>, Trouble> {
        let now_us = self.now_us();
        let rows = sqlx::query_as::<_, OutgoingRow>(OUTGOING).bind(now_us).bind(now_us + lease_us(lease)).bind(limit);
        OutgoingRow::in_order(rows.fetch_all(&self.writer).await.map_err(trouble)?)
    }

    pub(super) async fn forget_sent(&self, ids: &[OutgoingId]) -> Result<(), Trouble> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        sqlx::query(SENT).bind(json(&ids)).execute(&self.writer).await.map(drop).map_err(trouble)
    }

    pub(super) async fn republish_offers(&self) -> Result<u64, Trouble> {
        let query = sqlx::query(REPUBLISH).bind(self.now_us()).bind(i64::MIN);
        Ok(query.execute(&self.writer).await.map_err(trouble)?.rows_affected())
    }

    pub(super) async fn lease_due(&self, limit: u32, lease: Duration) -> Result<Vec<Timer>, Trouble> {
        let now_us = self.now_us();
        let rows = sqlx::query_as::<_, TimerRow>(DUE).bind(now_us).bind(now_us + lease_us(lease)).bind(limit);
        Ok(TimerRow::in_order(rows.fetch_all(&self.writer).await.map_err(trouble)?))
    }

    pub(super) async fn park_messages(&self, messages: &[Parked]) -> Result<(), Trouble> {
        let rows: Vec<ParkedRow> = messages.iter().map(ParkedRow::of).collect();
        let now_us = self.now_us();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(trouble)?;
        let insert = PARK.rows(&mut transaction, &rows, |query, row| {
            let query = query.bind(now_us).bind(row.queue.clone()).bind(row.why.clone()).bind(row.message_id.clone());
            let query = query.bind(row.content_type.clone()).bind(row.attempts).bind(row.headers.clone());
            query.bind(row.body.clone()).bind(row.digest())
        });
        insert.await.map_err(trouble)?;
        transaction.commit().await.map_err(trouble)
    }

    pub(super) async fn read_parked(&self, after: i64, limit: u32) -> Result<Vec<Parked>, Trouble> {
        let rows = sqlx::query_as::<_, ParkedRow>(PARKED).bind(after).bind(i64::from(limit));
        let rows = rows.fetch_all(&self.readers).await.map_err(trouble)?;
        rows.into_iter().map(ParkedRow::parked).collect()
    }

    pub(super) async fn forget_parked(&self, id: i64) -> Result<bool, Trouble> {
        let done = sqlx::query(UNPARK).bind(id).execute(&self.writer).await.map_err(trouble)?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn count_outbox(&self, limit: u64) -> Result<u64, Trouble> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let depth: i64 = sqlx::query_scalar(DEPTH).bind(limit).fetch_one(&self.readers).await.map_err(trouble)?;
        Ok(u64::try_from(depth).unwrap_or(0))
    }

    pub(super) async fn count_figures(&self) -> Result<Figures, Trouble> {
        let rows = sqlx::query_as::<_, FigureRow>(FIGURES).bind(self.now_us());
        Ok(figures(rows.fetch_all(&self.readers).await.map_err(trouble)?))
    }
}
