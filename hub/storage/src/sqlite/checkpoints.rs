//! Brings what the log holds to its place in the file, beside the writer.
//!
//! SQLite by itself does it within a commit, when the log has grown long, and everybody waits meanwhile. A connection of its
//! own keeps nobody waiting: what is committed meanwhile it brings next, which is less each time. The log begins anew with a
//! commit that finds all in its place, and under load one commit follows the other: so the next one waits for the little that
//! is left.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, SqlitePool};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::changes::Changes;

/// When the log has grown by about so many pages they are brought to their places, one that many commits changed once.
const LOG_PAGES: usize = 24_576;
/// Pages that a version changes beside those of its body: its own, and those of its index rows.
const VERSION_PAGES: usize = 3;
const PAGE_BYTES: usize = 4096;
/// For so few a commit may wait: some tens of milliseconds.
const FEW_PAGES: i64 = 2048;
/// Who has not come down to that after so many looks has the commits wait for more: a log that grows and grows is worse.
const LOOKS_MAX: usize = 8;

/// Ends with [`Checkpoints::end`], or when it is dropped.
pub(super) struct Checkpoints(Mutex<Option<Job>>);

struct Job {
    pages: UnboundedSender<usize>,
    ends: JoinHandle<()>,
}

impl Checkpoints {
    /// A database in memory has no log.
    pub(super) fn none() -> Self {
        Self(Mutex::default())
    }

    /// On a connection made by `connect`, keeping `writer` from others for a moment.
    pub(super) fn of(connect: SqliteConnectOptions, writer: SqlitePool) -> Self {
        let (pages, written) = unbounded_channel();
        Self(Mutex::new(Some(Job { pages, ends: tokio::spawn(bring_all(connect, writer, written)) })))
    }

    pub(super) fn wrote(&self, changes: &Changes<'_, '_>) {
        let of = |bytes: usize| VERSION_PAGES + bytes.div_ceil(PAGE_BYTES);
        self.grew(changes.versions.iter().map(|row| of(row.body.len())).sum());
    }

    fn grew(&self, pages: usize) {
        if let Some(job) = &*self.job() {
            // Nobody hears it when the runtime ends.
            let _ = job.pages.send(pages);
        }
    }

    pub(super) async fn end(&self) {
        let job = self.job().take();
        if let Some(Job { pages, ends }) = job {
            drop(pages);
            let _ = ends.await;
        }
    }

    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bring_all(connect: SqliteConnectOptions, writer: SqlitePool, mut written: UnboundedReceiver<usize>) {
    let (mut connection, mut pages) = (None, 0);
    while let Some(more) = written.recv().await {
        pages += more;
        if pages < LOG_PAGES {
            continue;
        }
        pages = 0;
        let brought = bring(connection.take(), &connect, &writer).await;
        let told = brought.inspect_err(|cause| tracing::warn!(%cause, "the database's log goes on growing"));
        connection = told.ok();
    }
    if let Some(connection) = connection {
        let _ = connection.close().await;
    }
}

async fn bring(
    connection: Option<SqliteConnection>,
    connect: &SqliteConnectOptions,
    writer: &SqlitePool,
) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => connect.connect().await?,
    };
    let mut before = 0;
    for _ in 0..LOOKS_MAX {
        let brought = look(&mut connection).await?;
        if brought - before < FEW_PAGES {
            break;
        }
        before = brought;
    }
    let _nobody_commits = writer.acquire().await?;
    look(&mut connection).await?;
    Ok(connection)
}

/// Brings what is there now; of how many pages of the log that has been done.
async fn look(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    const BRING: &str = "-- checkpoint\nPRAGMA wal_checkpoint(PASSIVE)";
    let (_busy, _there, brought): (i64, i64, i64) = sqlx::query_as(BRING).fetch_one(connection).await?;
    Ok(brought)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::sqlite::{SqliteJournalMode, SqlitePoolOptions};
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// How often the log has begun anew: its header counts.
    fn beginnings(log: &std::path::Path) -> u32 {
        let header = std::fs::read(log).unwrap();
        u32::from_be_bytes(header[12..16].try_into().unwrap())
    }

    /// As it is under load: whoever has committed finds the next one waiting.
    #[tokio::test]
    async fn a_log_that_has_grown_begins_anew_while_one_commit_follows_the_other() {
        let folder = std::env::temp_dir().join(format!("hub-checkpoints-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let connect = SqliteConnectOptions::new().filename(folder.join("hub.db")).create_if_missing(true);
        let connect = connect.journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", "0");
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(connect.clone()).await.unwrap();
        sqlx::query("CREATE TABLE a (a BLOB)").execute(&writer).await.unwrap();
        let log = folder.join("hub.db-wal");
        let before = beginnings(&log);
        let mut commits = JoinSet::new();
        for _ in 0..2 {
            let writer = writer.clone();
            commits.spawn(async move {
                loop {
                    sqlx::query("INSERT INTO a VALUES (randomblob(40000))").execute(&writer).await.unwrap();
                }
            });
        }

        let checkpoints = Checkpoints::of(connect, writer.clone());
        checkpoints.grew(LOG_PAGES - 1);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(beginnings(&log), before, "it is not long enough");
        checkpoints.grew(1);
        let until = Instant::now() + Duration::from_secs(30);
        while beginnings(&log) == before {
            assert!(Instant::now() < until, "it goes on growing");
            sleep(Duration::from_millis(1)).await;
        }
        commits.shutdown().await;
        checkpoints.end().await;
        writer.close().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
