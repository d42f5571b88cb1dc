//! What is not kept for ever; and the file stays as large as what is kept.

use std::time::Duration;

use hub_domain::registry::Trouble;
use sqlx::AssertSqlSafe;

use super::{BUSY, Sqlite};
use crate::errors::trouble;
use crate::queues::lease_us;

const PRUNE: &str = "-- prune_receipts
    DELETE FROM receipt WHERE key IN (SELECT key FROM receipt WHERE at < $1 ORDER BY at LIMIT $2)";
/// A log begins anew only at a moment when nobody reads from it, and among many readers there may be none. So one is
/// made: whoever comes after this reads from the file. A reader that takes longer, such as a backup, is not waited for,
/// since commits would wait as well.
const FOLD: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
const FOLD_WAIT: Duration = Duration::from_millis(100);

impl Sqlite {
    /// With the last of them the log is folded into the file: deleted rows leave pages for those that follow.
    pub(super) async fn prune_receipts(&self, kept: Duration, limit: u32) -> Result<u64, Trouble> {
        let query = sqlx::query(PRUNE).bind(self.now_us() - lease_us(kept)).bind(limit);
        let pruned = query.execute(&self.writer).await.map_err(trouble)?.rows_affected();
        if pruned < u64::from(limit) {
            self.fold_log().await?;
        }
        Ok(pruned)
    }

    async fn fold_log(&self) -> Result<(), Trouble> {
        let mut writer = self.writer.acquire().await.map_err(trouble)?;
        let waits = |time: Duration| AssertSqlSafe(format!("PRAGMA busy_timeout = {}", time.as_millis()));
        sqlx::query(waits(FOLD_WAIT)).execute(&mut *writer).await.map_err(trouble)?;
        let folded = sqlx::query(FOLD).execute(&mut *writer).await;
        sqlx::query(waits(BUSY)).execute(&mut *writer).await.map_err(trouble)?;
        folded.map(drop).map_err(trouble)
    }
}
