//! What is not kept for ever.

use std::time::Duration;

use hub_domain::registry::Trouble;

use super::Postgres;
use crate::queues::lease_us;

/// Skips what another hub is about to delete. The keys are an array, which is looked up whatever the table was like when
/// the plan was made.
const PRUNE: &str = "-- prune_receipts
    WITH old AS MATERIALIZED (SELECT key FROM receipt
                               WHERE at < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1 - $2
                               ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED)
    DELETE FROM receipt WHERE key = ANY (ARRAY(SELECT key FROM old))";

impl Postgres {
    pub(super) async fn prune_receipts(&self, kept: Duration, limit: u32) -> Result<u64, Trouble> {
        let query = sqlx::query(PRUNE).bind(self.offset_us()).bind(lease_us(kept)).bind(i64::from(limit));
        self.lanes.run(query).await
    }
}
