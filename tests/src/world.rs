//! Where a story takes place: a database of its own, a queue with nothing in it, a folder.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use services::{AMQP_VARIABLE, POSTGRES_VARIABLE};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;
use uuid::Uuid;

use crate::broker::{purge, take_turn};
use crate::by_hand::ByHand;
use crate::hub::Hub;
use crate::parts::{Database, Parts, Queue, server};
use crate::program::Program;

/// Clones are the same world.
#[derive(Clone)]
pub struct World {
    pub parts: Parts,
    folder: Arc<TempDir>,
    /// As `hub --database` takes it.
    pub database: String,
    /// As `hub --queue` takes it.
    pub queue: String,
}

/// Tells one story in a world of its own, and takes the world away after it.
pub fn tell<F>(parts: Parts, story: impl FnOnce(World) -> F)
where
    F: Future<Output = ()>,
{
    if !parts.are_given() {
        return;
    }
    // Held until the runtime is gone, and with it every connection of this story.
    let _turn = (parts.queue == Queue::RabbitMq).then(take_turn);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::open(parts).await;
        let told = AssertUnwindSafe(story(world.clone())).catch_unwind().await;
        world.close().await;
        told.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// Tells a story beside a server that it starts, kills and starts again itself: where such servers are at hand.
pub fn tell_beside<F>(queue_or_database: Parts, story: impl FnOnce() -> F)
where
    F: Future<Output = ()>,
{
    if queue_or_database.are_given() {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(story());
    }
}

/// Runs what blocks on a server, and gives it back.
pub async fn with<S: Send + 'static>(mut server: S, act: fn(&mut S)) -> S {
    let acting = move || {
        act(&mut server);
        server
    };
    tokio::task::spawn_blocking(acting).await.unwrap()
}

impl World {
    /// With a broker of the story's own.
    pub fn on_sqlite_and(queue: &str) -> Self {
        let folder = new_folder();
        let database = sqlite_in(&folder);
        Self { parts: Parts::SQLITE_RABBITMQ, folder, database, queue: queue.to_owned() }
    }

    /// With a database server of the story's own.
    pub fn on_embedded_and(database: &str) -> Self {
        let (database, queue) = (database.to_owned(), "embedded".to_owned());
        Self { parts: Parts::POSTGRES_EMBEDDED, folder: new_folder(), database, queue }
    }

    async fn open(parts: Parts) -> Self {
        hub_telemetry::install_tls_provider();
        let folder = new_folder();
        let database = match parts.database {
            Database::Sqlite => sqlite_in(&folder),
            Database::Postgres => create_database(&server(POSTGRES_VARIABLE).unwrap()).await,
        };
        let queue = match parts.queue {
            Queue::Embedded => "embedded".to_owned(),
            Queue::RabbitMq => server(AMQP_VARIABLE).unwrap(),
        };
        if parts.queue == Queue::RabbitMq {
            purge(&queue).await;
        }
        Self { parts, folder, database, queue }
    }

    async fn close(&self) {
        if self.parts.database == Database::Postgres {
            drop_database(&server(POSTGRES_VARIABLE).unwrap(), &self.database).await;
        }
    }

    /// For files that the story needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A hub in this process, configured as it comes.
    pub async fn hub(&self) -> Hub {
        self.hub_with(&[]).await
    }

    /// The same with some fields of its configuration set.
    pub async fn hub_with(&self, fields: &[(&str, &str)]) -> Hub {
        Hub::open(self, fields).await.unwrap_or_else(|why| panic!("the hub does not open: {why}"))
    }

    /// Why a hub with these fields does not open.
    pub async fn no_hub_with(&self, fields: &[(&str, &str)]) -> String {
        match Hub::open(self, fields).await {
            Ok(_) => panic!("the hub opens with {fields:?}"),
            Err(why) => why,
        }
    }

    /// A worker by hand with a connection of its own; on the embedded queue, ask the hub for one.
    pub async fn worker(&self, work: &str, performer: &str) -> ByHand {
        let transport = hub_transport::open(&self.queue, hub_transport::Options::worker()).await.unwrap();
        ByHand::at(transport, work, performer).await
    }

    /// `hub serve` in a process of its own, which can be killed.
    pub async fn hub_program(&self, arguments: &[&str]) -> Program {
        Program::hub(self, arguments).await
    }
}

fn new_folder() -> Arc<TempDir> {
    Arc::new(tempfile::Builder::new().prefix("hub-story-").tempdir().unwrap())
}

fn sqlite_in(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("hub.db").display())
}

async fn create_database(server: &str) -> String {
    let name = format!("story_{}", Uuid::new_v4().simple());
    run(server, format!("CREATE DATABASE {name}")).await;
    let (before, _) = server.rsplit_once('/').unwrap();
    format!("{before}/{name}")
}

async fn drop_database(server: &str, url: &str) {
    let (_, name) = url.rsplit_once('/').unwrap();
    run(server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn run(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}
