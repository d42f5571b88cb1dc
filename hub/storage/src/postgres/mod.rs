//! The registry on PostgreSQL, for any number of hubs.

mod commit;
mod connections;
mod current;
mod indexed;
pub(crate) mod inspect;
mod load;
mod parts;
mod queues;
mod read;
mod retention;
mod search;
mod write;

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use hub_domain::decision::{Decision, Outgoing, OutgoingId, Timer};
use hub_domain::query::{Param, Query};
use hub_domain::registry::{Committed, Figures, HistoryOf, Page, Parked, Pointer, Registry, Stored, Trouble};
use hub_domain::scene::{Needs, Scene};
use schemas::resource::Key;
use schemas::time::Timestamp;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use self::connections::Connections;
use crate::Options;
use crate::clock::ToldClock;
use crate::errors::trouble;
use crate::history;
use crate::indexed::{Behind, index_anew};
use crate::load::PlanCache;
use crate::metered::metered;
use crate::outcome;
use crate::schema;

/// A transaction of ours that stands still for so long has lost its hub: its locks must not stay.
const ABANDONED_MS: u64 = 30_000;

pub(crate) struct Postgres {
    connect: PgConnectOptions,
    /// Loads and commits, and the queues.
    lanes: Connections,
    /// Reads and searches: however many there are, the lanes have connections.
    readers: Connections,
    options: Options,
    clock: ToldClock,
    plans: PlanCache,
    /// When this hub last moved a feed on.
    shown_at: Mutex<Option<Instant>>,
    behind: Behind,
}

impl Postgres {
    pub(crate) async fn open(url: &str, options: Options) -> Result<Self, Trouble> {
        let connect = PgConnectOptions::from_str(url)
            .map_err(|_| Trouble::Failed("a PostgreSQL database is named postgres://USER@HOST/DATABASE".into()))?
            .application_name(&indexed::application_name());
        let acquire = Duration::from_millis(options.acquire_timeout_ms);
        let mut first = direct(&connect, acquire).await?;
        migrate(&mut first).await?;
        let behind = Behind::default();
        behind.see(&indexed::start(&mut first).await?);
        first.close().await.map_err(trouble)?;

        Ok(Self {
            lanes: Connections::new(by_key(&connect), options.write_connections, acquire),
            readers: Connections::new(in_index_order(&connect, &options), options.read_connections, acquire),
            connect,
            options,
            clock: ToldClock::default(),
            plans: PlanCache::default(),
            shown_at: Mutex::default(),
            behind,
        })
    }

    fn offset_us(&self) -> i64 {
        self.options.clock_offset.us()
    }
}

/// Brings the schema up to date, under a lock that hubs which start at once wait for. It goes with the connection.
async fn migrate(connection: &mut PgConnection) -> Result<(), Trouble> {
    let migrations = schema::known(sqlx::migrate!("migrations/postgres"));
    migrations.run(&mut *connection).await.map_err(|error| trouble(error.into()))?;
    let applied = sqlx::query_scalar(schema::APPLIED).fetch_all(connection).await.map_err(trouble)?;
    schema::suits(&migrations, &applied)
}

/// Everything that a lane reads or changes it finds by its key. Told so, the planner does not keep a plan for later that
/// was the best while the tables were small, or that its estimates of an outbox prefer which is empty and full in turn;
/// and it makes a plan of each statement once.
fn by_key(connect: &PgConnectOptions) -> PgConnectOptions {
    let off = ["seqscan", "bitmapscan", "hashjoin", "mergejoin"].map(|what| (format!("enable_{what}"), "off"));
    let abandoned = [("idle_in_transaction_session_timeout", ABANDONED_MS.to_string())];
    connect.clone().options(off).options(abandoned).options([("plan_cache_mode", "force_generic_plan"), ("jit", "off")])
}

/// A search reads along an index and stops when its page is full. Told so, the planner does not prefer to read all and
/// sort, as it may by its estimates; and told to count rows, not pages, it does not walk along another index that lies
/// better on the disk but holds rows to throw away. Such a plan does for all values, and is made once.
fn in_index_order(connect: &PgConnectOptions, options: &Options) -> PgConnectOptions {
    let off = ["sort", "seqscan", "bitmapscan", "hashjoin", "mergejoin"].map(|what| (format!("enable_{what}"), "off"));
    let timeout = [("statement_timeout", options.search_timeout_ms.to_string())];
    let pages =
        [("seq_page_cost", "0"), ("random_page_cost", "0"), ("jit", "off"), ("plan_cache_mode", "force_generic_plan")];
    connect.clone().options(off).options(timeout).options(pages)
}

/// A connection without the pool, which tells a refused connection only as a timeout.
async fn direct(connect: &PgConnectOptions, within: Duration) -> Result<PgConnection, Trouble> {
    let connecting = timeout(within, PgConnection::connect_with(connect));
    connecting.await.map_err(|_| Trouble::Unavailable("no connection in time".into()))?.map_err(trouble)
}

#[async_trait]
impl Registry for Postgres {
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
        let root = sqlx::query_as::<_, (Uuid,)>(history::ROOT).bind(key.kind.name()).bind(&key.id);
        Ok(self.readers.first(root).await?.map(|(root,)| root))
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
        let within = Duration::from_millis(self.options.acquire_timeout_ms);
        direct(&self.connect, within).await?.close().await.map_err(trouble)
    }

    async fn close(&self) {
        self.readers.close().await;
        self.lanes.close().await;
    }
}
