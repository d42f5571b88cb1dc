//! Outbox and timers: rows to be handed to somebody, one at a time. Who comes second skips what is locked.

use std::time::Duration;

use hub_domain::decision::{Outgoing, OutgoingId, Timer};
use hub_domain::registry::{Figures, Parked, Trouble};

use super::Postgres;
use crate::queues::{DEPTH, FigureRow, OutgoingRow, PARKED, ParkedRow, TimerRow, UNPARK, figures, lease_us};

/// In each: $1 is the offset of the clock. What is leased is named as an array, which is looked up by the key whatever the
/// table was like when the plan was made. A join with `free`, planned while the table was empty, reads all of the table and
/// holds each row of it against all that are free.
const OUTGOING: &str = "-- outgoing
    WITH clock AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1 AS now),
         free AS MATERIALIZED (SELECT id FROM outbox WHERE leased_until <= (SELECT now FROM clock)
                                ORDER BY priority, id LIMIT $3 FOR UPDATE SKIP LOCKED)
    UPDATE outbox AS o SET leased_until = clock.now + $2 FROM clock WHERE o.id = ANY (ARRAY(SELECT id FROM free))
    RETURNING o.id, o.task, o.version, o.work, o.step, o.owner, o.priority, o.traceparent, o.since";
/// Not waited for until it is on disk: what a crash brings back is sent twice, which every consumer can bear.
const SENT: &str = "-- sent
    WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    DELETE FROM outbox USING unhurried WHERE id = ANY ($1)";
/// What lies in the outbox already is told apart by two lists held against each other: `NOT EXISTS`, by a connection that
/// joins by keys alone, reads the outbox once for each Task on offer.
const REPUBLISH: &str = "-- republish
    INSERT INTO outbox (task, version, work, step, owner, priority, traceparent, since, leased_until)
    SELECT t.id, t.version, t.work, coalesce(t.step, ''), t.owner, t.priority, NULL,
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1, $2
      FROM task AS t
     WHERE t.id = ANY (ARRAY(SELECT id FROM task
                              WHERE status IN ('requested', 'ready') AND open = 1 AND work IS NOT NULL
                             EXCEPT SELECT task FROM outbox))
     ORDER BY t.seq";
const DUE: &str = "-- due
    WITH clock AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1 AS now),
         free AS MATERIALIZED (SELECT root, name FROM timer
                                WHERE due <= (SELECT now FROM clock) AND leased_until <= (SELECT now FROM clock)
                                ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED)
    UPDATE timer AS t SET leased_until = clock.now + $2 FROM clock
     WHERE t.root = ANY (ARRAY(SELECT root FROM free)) AND (t.root, t.name) IN (SELECT root, name FROM free)
    RETURNING t.root, t.name, t.due";
pub(super) const FIGURES: &str = "-- figures
    WITH clock AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1 AS now)
    SELECT 'task' AS what, coalesce(work, '') AS work, status, count(*) AS number
      FROM task WHERE open = 1 GROUP BY 2, 3
    UNION ALL SELECT 'depth', '', '', count(*) FROM outbox
    UNION ALL SELECT 'oldest', '', '', min(since) FROM outbox
    UNION ALL SELECT 'offered', coalesce(work, ''), '', min(updated)
      FROM task WHERE open = 1 AND status IN ('requested', 'ready') AND work IS NOT NULL GROUP BY 2
    UNION ALL SELECT 'parked', '', '', count(*) FROM parked
    UNION ALL SELECT 'overdue', '', '', count(*) FROM timer WHERE due <= (SELECT now FROM clock)
    UNION ALL SELECT 'now', '', '', now FROM clock";

/// One that is parked once more gets a new id: whoever sent the old one again forgets that one, not this.
const PARK: &str = "-- park
    INSERT INTO parked (at, queue, why, message_id, content_type, attempts, headers, body, digest)
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1,
           queue, why, message_id, content_type, attempts, headers, body, digest
      FROM (SELECT DISTINCT ON (digest, message_id, queue) *
              FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::bytea[],
                          $9::bigint[]) WITH ORDINALITY
                   AS n (queue, why, message_id, content_type, attempts, headers, body, digest, place)
             ORDER BY digest, message_id, queue, place) AS once
     ORDER BY place
    ON CONFLICT (digest, message_id, queue)
    DO UPDATE SET id = DEFAULT, at = excluded.at, why = excluded.why, attempts = excluded.attempts,
                  headers = excluded.headers";

impl Postgres {
    pub(super) async fn lease_outgoing(&self, limit: u32, lease: Duration) -> Result<Vec<Outgoing>, Trouble> {
        let rows = sqlx::query_as::<_, OutgoingRow>(OUTGOING).bind(self.offset_us()).bind(lease_us(lease));
        OutgoingRow::in_order(self.lanes.all(rows.bind(i64::from(limit))).await?)
    }

    pub(super) async fn forget_sent(&self, ids: &[OutgoingId]) -> Result<(), Trouble> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        self.lanes.run(sqlx::query(SENT).bind(ids)).await.map(drop)
    }

    pub(super) async fn republish_offers(&self) -> Result<u64, Trouble> {
        let query = sqlx::query(REPUBLISH).bind(self.offset_us()).bind(i64::MIN);
        self.lanes.run(query).await
    }

    pub(super) async fn lease_due(&self, limit: u32, lease: Duration) -> Result<Vec<Timer>, Trouble> {
        let rows = sqlx::query_as::<_, TimerRow>(DUE).bind(self.offset_us()).bind(lease_us(lease));
        Ok(TimerRow::in_order(self.lanes.all(rows.bind(i64::from(limit))).await?))
    }

    pub(super) async fn park_messages(&self, messages: &[Parked]) -> Result<(), Trouble> {
        let rows: Vec<ParkedRow> = messages.iter().map(ParkedRow::of).collect();
        let query = sqlx::query(PARK).bind(self.offset_us());
        let query = query.bind(rows.iter().map(|row| row.queue.as_str()).collect::<Vec<_>>());
        let query = query.bind(rows.iter().map(|row| row.why.as_str()).collect::<Vec<_>>());
        let query = query.bind(rows.iter().map(|row| row.message_id.as_str()).collect::<Vec<_>>());
        let query = query.bind(rows.iter().map(|row| row.content_type.as_str()).collect::<Vec<_>>());
        let query = query.bind(rows.iter().map(|row| row.attempts).collect::<Vec<_>>());
        let query = query.bind(rows.iter().map(|row| row.headers.as_str()).collect::<Vec<_>>());
        let query = query.bind(rows.iter().map(|row| row.body.as_slice()).collect::<Vec<_>>());
        let query = query.bind(rows.iter().map(ParkedRow::digest).collect::<Vec<_>>());
        self.lanes.run(query).await.map(drop)
    }

    pub(super) async fn read_parked(&self, after: i64, limit: u32) -> Result<Vec<Parked>, Trouble> {
        let rows = sqlx::query_as::<_, ParkedRow>(PARKED).bind(after).bind(i64::from(limit));
        let rows = self.lanes.all(rows).await?;
        rows.into_iter().map(ParkedRow::parked).collect()
    }

    pub(super) async fn forget_parked(&self, id: i64) -> Result<bool, Trouble> {
        Ok(self.lanes.run(sqlx::query(UNPARK).bind(id)).await? > 0)
    }

    pub(super) async fn count_outbox(&self, limit: u64) -> Result<u64, Trouble> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let depth = self.lanes.all(sqlx::query_as::<_, (i64,)>(DEPTH).bind(limit)).await?;
        Ok(depth.first().map_or(0, |(depth,)| u64::try_from(*depth).unwrap_or(0)))
    }

    pub(super) async fn count_figures(&self) -> Result<Figures, Trouble> {
        let rows = sqlx::query_as::<_, FigureRow>(FIGURES).bind(self.offset_us());
        Ok(figures(self.lanes.all(rows).await?))
    }
}
