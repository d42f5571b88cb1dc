//! A fresh database for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use hub_domain::registry::Registry;
use hub_storage::Options;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) url: String,
    server: Option<String>,
    /// A file that goes with the last of those who know it.
    _folder: Option<Arc<tempfile::TempDir>>,
}

pub(crate) fn options() -> Options {
    Options { fresh_lease_ms: 300, ..Options::default() }
}

impl Place {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("hub.db").display());
        let registry = hub_storage::open(&url, options()).await.unwrap();
        Self { registry, url, server: None, _folder: Some(Arc::new(folder)) }
    }

    pub(crate) async fn postgres() -> Option<Self> {
        static LEFT_OUT: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("HUB_TEST_POSTGRES") else {
            LEFT_OUT.call_once(|| eprintln!("left out: PostgreSQL (HUB_TEST_POSTGRES names no server)"));
            return None;
        };
        let name = format!("hub_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&server).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        let registry = hub_storage::open(&url, options()).await.unwrap();
        Some(Self { registry, url, server: Some(server), _folder: None })
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.server.is_some()
    }

    /// The same database, opened once more.
    pub(crate) async fn again(&self, options: Options) -> Self {
        let registry = hub_storage::open(&self.url, options).await.unwrap();
        Self { registry, ..self.clone() }
    }

    /// As a failover does; nothing where there are no connections to cut.
    pub(crate) async fn cut_connections(&self) {
        if self.server.is_some() {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                           WHERE datname = current_database() AND pid <> pg_backend_pid()";
            sqlx::query(others).execute(&mut connection).await.unwrap();
            pass(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn drop_database(&self) {
        self.registry.close().await;
        let name = self.url.rsplit_once('/').unwrap().1;
        let mut connection = PgConnection::connect(self.server.as_ref().unwrap()).await.unwrap();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
