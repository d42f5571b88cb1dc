//! The registry in one SQLite file: one writer, many readers, and the system's clock.

mod checkpoints;
mod commit;
mod current;
mod indexed;
mod insert;
pub(crate) mod inspect;
mod load;
mod numbers;
mod queues;
mod read;
mod retention;
mod search;
mod write;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hub_domain::decision::{Decision, Outgoing, OutgoingId, Timer};
use hub_domain::query::{Param, Query};
use hub_domain::registry::{Committed, Figures, HistoryOf, Page, Parked, Pointer, Registry, Stored, Trouble};
use hub_domain::scene::{Needs, Scene};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};
use uuid::Uuid;

use self::checkpoints::Checkpoints;
use crate::Options;
use crate::clock::SystemClock;
use crate::errors::{is_busy, trouble};
use crate::history;
use crate::indexed::{Behind, index_anew};
use crate::load::PlanCache;
use crate::metered::metered;
use crate::outcome;
use crate::schema;

/// How long a reader or the writer waits for a lock of another process, such as a backup.
const BUSY: Duration = Duration::from_secs(5);
/// After this long, what nobody waits for is tried again.
const BUSY_AGAIN: Duration = Duration::from_millis(10);
/// When the log has grown by so many pages (of 4 kB) the writer itself brings them to their places: nobody else did.
const LOG_PAGES: &str = "131072";
/// To this the log shrinks when it begins anew, after a reader of many minutes has made it long.
const LOG_LIMIT_BYTES: &str = "268435456";
/// Pages that the writer keeps in memory, in kB (the sign says so to SQLite): the branches of all its indexes, and the
/// leaves of today.
const WRITER_CACHE_KB: &str = "-16384";
/// When the last version was written.
const NEWEST: &str = "-- newest\nSELECT updated FROM version ORDER BY seq DESC LIMIT 1";
/// Room for the multi-row inserts in each of their sizes.
const STATEMENTS_KEPT: usize = 300;

pub(crate) struct Sqlite {
    /// One connection: SQLite has one writer, and waiting here is fairer than its lock.
    writer: SqlitePool,
    /// The writer's own when the database is in memory: another connection would be another database.
    readers: SqlitePool,
    checkpoints: Checkpoints,
    options: Options,
    clock: SystemClock,
    plans: PlanCache,
    /// Up to which moment each type was shown in the order of time. Nobody else writes here, so memory will do.
    shown_us: Mutex<HashMap<Kind, i64>>,
    behind: Behind,
}

impl Sqlite {
    pub(crate) async fn open(url: &str, options: Options) -> Result<Self, Trouble> {
        // Without a path it is a database in memory.
        let url = if url == "sqlite:" { "sqlite::memory:" } else { url };
        let connect = SqliteConnectOptions::from_str(url)
            .map_err(|_| Trouble::Failed("a SQLite database is named sqlite:PATH or sqlite::memory:".into()))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .pragma("journal_size_limit", LOG_LIMIT_BYTES)
            .pragma("wal_autocheckpoint", LOG_PAGES)
            .pragma("temp_store", "memory")
            .statement_cache_capacity(STATEMENTS_KEPT);
        // A database in memory lives as long as its connection.
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        let pool = SqlitePoolOptions::new()
            .after_release(move |connection, _| Box::pin(async move { Ok(in_memory || is_settled(connection).await?) }))
            .acquire_timeout(Duration::from_millis(options.acquire_timeout_ms))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let writer = pool.clone().max_connections(1);
        let writer =
            once_not_busy(|| writer.clone().connect_with(connect.clone().pragma("cache_size", WRITER_CACHE_KB)))
                .await?;
        migrate(&writer).await?;
        let behind = Behind::default();
        behind.see(&indexed::start(&mut *writer.acquire().await.map_err(trouble)?).await?);
        let checkpoints =
            if in_memory { Checkpoints::none() } else { Checkpoints::of(connect.clone(), writer.clone()) };
        let readers = if in_memory {
            writer.clone()
        } else {
            pool.max_connections(options.read_connections.max(1)).connect_lazy_with(connect.read_only(true))
        };
        let (clock, plans, shown_us): (SystemClock, _, _) = Default::default();
        let newest: Option<i64> = sqlx::query_scalar(NEWEST).fetch_optional(&writer).await.map_err(trouble)?;
        clock.goes_on_from(newest.unwrap_or(i64::MIN).saturating_sub(options.clock_offset.us()));
        Ok(Self { writer, readers, checkpoints, options, clock, plans, shown_us, behind })
    }

    fn now_us(&self) -> i64 {
        self.clock.now_us().saturating_add(self.options.clock_offset.us())
    }

    fn shown_us(&self) -> HashMap<Kind, i64> {
        self.shown_us.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Connects, and again as long as another hub makes the file one with a log: SQLite has nobody wait for that, whatever
/// timeout was asked for.
async fn once_not_busy<F>(connect: impl Fn() -> F) -> Result<SqlitePool, Trouble>
where
    F: Future<Output = Result<SqlitePool, sqlx::Error>>,
{
    let until = Instant::now() + BUSY;
    loop {
        match connect().await {
            Err(error) if is_busy(&error) && Instant::now() < until => tokio::time::sleep(BUSY_AGAIN).await,
            connected => return connected.map_err(trouble),
        }
    }
}

/// Brings the schema up to date in one transaction, which hubs that start at once wait for: sqlx has no lock here.
async fn migrate(writer: &SqlitePool) -> Result<(), Trouble> {
    let migrations = schema::known(sqlx::migrate!("migrations/sqlite"));
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(trouble)?;
    migrations.run(&mut *transaction).await.map_err(|error| trouble(error.into()))?;
    let applied = sqlx::query_scalar(schema::APPLIED).fetch_all(&mut *transaction).await.map_err(trouble)?;
    schema::suits(&migrations, &applied)?;
    transaction.commit().await.map_err(trouble)
}

/// Whether a connection that comes back to its pool may be used again.
///
/// When the disk is full or fails, SQLite ends the transaction by itself. The rollback that sqlx then sends has nothing
/// to roll back and fails, and sqlx counts the transaction as open for good: no other could begin on this connection.
async fn is_settled(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback that was sent when its transaction was dropped is done when this is answered.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

#[async_trait]
impl Registry for Sqlite {
    async fn load(&self, needs: &[Needs]) -> Result<(Vec<Scene>, Timestamp), Trouble> {
        metered("load", self.load_scenes(needs)).await
    }

    async fn commit(&self, decisions: &[Decision]) -> Result<Vec<(Committed, Vec<OutgoingId>)>, Trouble> {
        metrics::histogram!("hub_storage_batch_decisions").record(decisions.len() as f64);
        metered("commit", outcome::commit(self, decisions)).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Stored>, Trouble> {
        metered("read", self.read_current(keys)).await
    }

    async fn version(&self, key: &Key, version: Option<u32>) -> Result<Option<Stored>, Trouble> {
        metered("version", self.read_version(key, version)).await
    }

    async fn root_of(&self, key: &Key) -> Result<Option<Uuid>, Trouble> {
        let root = sqlx::query_scalar(history::ROOT).bind(key.kind.name()).bind(&key.id);
        root.fetch_optional(&self.readers).await.map_err(trouble)
    }

    async fn search(&self, query: &Query) -> Result<Page, Trouble> {
        metered("search", self.read_search(query)).await
    }

    async fn count(&self, query: &Query) -> Result<u64, Trouble> {
        metered("count", self.count_search(query)).await
    }

    async fn pointing(&self, to: &[Key], by: &[&'static Param], limit: u32) -> Result<Vec<Pointer>, Trouble> {
        metered("pointing", self.read_pointing(to, by, limit)).await
    }

    async fn history(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        metered("history", self.read_history(of)).await
    }

    async fn parts_of(&self, root: Uuid) -> Result<Vec<Stored>, Trouble> {
        metered("parts_of", self.read_parts_of(root)).await
    }

    async fn outgoing(&self, limit: u32, lease: Duration) -> Result<Vec<Outgoing>, Trouble> {
        metered("outgoing", self.lease_outgoing(limit, lease)).await
    }

    async fn sent(&self, ids: &[OutgoingId]) -> Result<(), Trouble> {
        metered("sent", self.forget_sent(ids)).await
    }

    async fn republish(&self) -> Result<u64, Trouble> {
        metered("republish", self.republish_offers()).await
    }

    async fn due(&self, limit: u32, lease: Duration) -> Result<Vec<Timer>, Trouble> {
        metered("due", self.lease_due(limit, lease)).await
    }

    async fn park(&self, messages: &[Parked]) -> Result<(), Trouble> {
        metered("park", self.park_messages(messages)).await
    }

    async fn parked(&self, after: i64, limit: u32) -> Result<Vec<Parked>, Trouble> {
        metered("parked", self.read_parked(after, limit)).await
    }

    async fn unpark(&self, id: i64) -> Result<bool, Trouble> {
        metered("unpark", self.forget_parked(id)).await
    }

    async fn prune(&self, kept: Duration, limit: u32) -> Result<u64, Trouble> {
        metered("prune", self.prune_receipts(kept, limit)).await
    }

    async fn index_anew(&self, limit: u32) -> Result<Option<u64>, Trouble> {
        metered("index_anew", index_anew(self, &self.behind, limit)).await
    }

    async fn outbox_depth(&self, limit: u64) -> Result<u64, Trouble> {
        metered("outbox_depth", self.count_outbox(limit)).await
    }

    async fn figures(&self) -> Result<Figures, Trouble> {
        self.count_figures().await
    }

    async fn health(&self) -> Result<(), Trouble> {
        sqlx::query("-- health\nSELECT 1").execute(&self.readers).await.map(drop).map_err(trouble)
    }

    async fn close(&self) {
        self.checkpoints.end().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}
