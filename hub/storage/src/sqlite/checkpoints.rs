//! Brings what the log holds to its place in the file, beside the writer.
//!
//! SQLite by itself does it within a commit, when the log has grown long, and everybody waits meanwhile. A connection of its
//! own keeps nobody waiting: what is committed meanwhile it brings next, which is less each time, until it has caught up and
//! the log begins anew.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::changes::Changes;

/// When the log has grown by about so many pages they are brought to their places, one that many commits changed once.
const LOG_PAGES: usize = 24_576;
/// Pages that a version changes beside those of its body: its own, and those of its index rows.
const VERSION_PAGES: usize = 3;
const PAGE_BYTES: usize = 4096;
/// A commit that was under way when all was brought has added to the log: then that is brought as well.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Who has not caught up after so many looks goes on when the log has grown once more.
const LOOKS_MAX: usize = 64;

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

    pub(super) fn of(connect: SqliteConnectOptions) -> Self {
        let (pages, written) = unbounded_channel();
        Self(Mutex::new(Some(Job { pages, ends: tokio::spawn(bring_all(connect, written)) })))
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

async fn bring_all(connect: SqliteConnectOptions, mut written: UnboundedReceiver<usize>) {
    let (mut connection, mut pages) = (None, 0);
    while let Some(more) = written.recv().await {
        pages += more;
        if pages < LOG_PAGES {
            continue;
        }
        pages = 0;
        let brought = bring(connection.take(), &connect).await;
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
) -> Result<SqliteConnection, sqlx::Error> {
    const BRING: &str = "-- checkpoint\nPRAGMA wal_checkpoint(PASSIVE)";
    let mut connection = match connection {
        Some(connection) => connection,
        None => connect.connect().await?,
    };
    let mut before = 0;
    for _ in 0..LOOKS_MAX {
        let (_, there, _): (i64, i64, i64) = sqlx::query_as(BRING).fetch_one(&mut connection).await?;
        // It has begun anew.
        if there < before {
            break;
        }
        before = there;
        sleep(LOOK_AGAIN).await;
    }
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteJournalMode;
    use tokio::time::Instant;

    use super::*;

    /// How often the log has begun anew: its header counts.
    fn beginnings(log: &std::path::Path) -> u32 {
        let header = std::fs::read(log).unwrap();
        u32::from_be_bytes(header[12..16].try_into().unwrap())
    }

    #[tokio::test]
    async fn a_log_that_has_grown_begins_anew_while_others_write() {
        let folder = std::env::temp_dir().join(format!("hub-checkpoints-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let connect = SqliteConnectOptions::new().filename(folder.join("hub.db")).create_if_missing(true);
        let connect = connect.journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", "0");
        let mut writer = connect.connect().await.unwrap();
        sqlx::query("CREATE TABLE a (a INTEGER)").execute(&mut writer).await.unwrap();
        let log = folder.join("hub.db-wal");
        let before = beginnings(&log);

        let checkpoints = Checkpoints::of(connect);
        checkpoints.grew(LOG_PAGES - 1);
        let write = async |writer: &mut SqliteConnection| {
            sqlx::query("INSERT INTO a VALUES (1)").execute(writer).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        };
        for _ in 0..100 {
            write(&mut writer).await;
        }
        assert_eq!(beginnings(&log), before, "it is not long enough");
        checkpoints.grew(1);
        let until = Instant::now() + Duration::from_secs(30);
        while beginnings(&log) == before {
            assert!(Instant::now() < until, "it goes on growing");
            write(&mut writer).await;
        }
        checkpoints.end().await;
        writer.close().await.unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
