//! Where it happens: servers, wires, hubs and workers, and what may be done to them.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use services::{Postgres, RabbitMq};
use sqlx::{Connection, Executor, PgConnection};
use tests::{Client, Programs, Proxy, Wire};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::process::Process;

pub(crate) const HUBS: usize = 2;
pub(crate) const WORKERS_OF_A_KIND: usize = 3;
pub(crate) const KINDS: [&str; 3] = ["clinic", "laboratory", "pharmacy"];
/// A claim over the queue holds for so long without a word.
pub(crate) const LEASE: Duration = Duration::from_secs(4);

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

pub(crate) struct Stage {
    pub(crate) database: String,
    pub(crate) queue: String,
    pub(crate) clients: Vec<Client>,
    pub(crate) wires: Wires,
    hubs: Vec<Process>,
    workers: Vec<Process>,
    postgres: Server<Postgres>,
    rabbitmq: Server<RabbitMq>,
    terminations: AtomicU32,
}

/// One for each hub to each server; the workers share theirs.
pub(crate) struct Wires {
    pub(crate) hub_to_database: Vec<Proxy>,
    pub(crate) hub_to_broker: Vec<Proxy>,
    pub(crate) workers_to_broker: Proxy,
}

/// A server that can be killed. Who kills it waits until whoever killed it before has started it again.
struct Server<S> {
    server: Mutex<Option<S>>,
    kills: AtomicU32,
}

/// How often what was killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kills {
    pub(crate) hubs: u32,
    pub(crate) workers: u32,
    pub(crate) broker: u32,
    pub(crate) database: u32,
    /// Rounds in which PostgreSQL ended every connection.
    pub(crate) terminations: u32,
}

impl Stage {
    /// Everything is started; the hubs may take a moment until they answer. `fault` and `arguments` are for the hubs.
    pub(crate) async fn set(
        programs: &Programs,
        fault: Option<&str>,
        folder: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let mut stage = Self::set_without_workers(programs, fault, folder, arguments).await?;
        for (kind, n) in KINDS.iter().flat_map(|kind| (0..WORKERS_OF_A_KIND).map(move |n| (*kind, n))) {
            let queue = stage.wires.workers_to_broker.through(&stage.queue);
            let programs = programs.clone();
            stage.workers.push(Process::keep(&format!("worker-{kind}-{n}"), folder, move || {
                let mut worker = programs.command("worker");
                worker.args(["--filler", kind, "--as", &performer(kind), "--queue", &queue, "--pace", "20ms"]);
                worker
            })?);
        }
        Ok(stage)
    }

    /// The same, and nobody does the work.
    pub(crate) async fn set_without_workers(
        programs: &Programs,
        fault: Option<&str>,
        folder: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let (postgres, rabbitmq) = tokio::try_join!(spawn_blocking(Postgres::start), spawn_blocking(RabbitMq::start))?;
        let (database, queue) = (postgres.url(), rabbitmq.url());
        let wires = Wires::lay(address(&database)?, address(&queue)?).await?;
        let (mut hubs, mut clients) = (Vec::new(), Vec::new());
        for n in 0..HUBS {
            let listen = free_address()?;
            let database = wires.hub_to_database[n].through(&database);
            let queue = wires.hub_to_broker[n].through(&queue);
            let (programs, fault) = (programs.clone(), fault.map(str::to_owned));
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            hubs.push(Process::keep(&format!("hub-{n}"), folder, move || {
                let mut hub = programs.command("hub");
                hub.args(["serve", "--listen", &listen.to_string(), "--log-format", "json"]);
                hub.args(["--database", &database, "--queue", &queue]);
                hub.args(["--set", &format!("lease=default={}s", LEASE.as_secs()), "--set", "offers_max=100"]);
                hub.args(["--set", &format!("performers={}", KINDS.map(performer).join(","))]);
                hub.args(&arguments).envs(fault.iter().map(|fault| ("HUB_FAULT", fault)));
                hub
            })?);
            clients.push(Client::new(format!("http://{listen}/fhir/R4")));
        }
        Ok(Self {
            database,
            queue,
            clients,
            wires,
            hubs,
            workers: Vec::new(),
            postgres: Server::of(postgres),
            rabbitmq: Server::of(rabbitmq),
            terminations: AtomicU32::new(0),
        })
    }

    /// Waits until every hub says that it is ready.
    pub(crate) async fn is_ready(&self) {
        for client in &self.clients {
            while client.get("/health/ready").attempt().await.is_none_or(|reply| reply.status != 200) {
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    pub(crate) fn kill_hub(&self, n: usize, down: Duration) {
        self.hubs[n].kill(down);
    }

    pub(crate) fn kill_worker(&self, n: usize, down: Duration) {
        self.workers[n].kill(down);
    }

    pub(crate) fn stall_worker(&self, n: usize, time: Duration) {
        self.workers[n].stall(time);
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    pub(crate) async fn kill_broker(&self, down: Duration) -> Result<()> {
        self.rabbitmq.kill(down, RabbitMq::kill, RabbitMq::restart).await
    }

    pub(crate) async fn kill_database(&self, down: Duration) -> Result<()> {
        self.postgres.kill(down, Postgres::kill, Postgres::restart).await
    }

    /// PostgreSQL ends every connection, several times in a row.
    pub(crate) async fn terminate_backends(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.database).await?;
        for _ in 0..5 {
            connection.execute(TERMINATE).await?;
            self.terminations.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Waits until nothing is down on purpose any more, and mends every wire.
    pub(crate) async fn heal(&self) {
        self.wires.all().for_each(|wire| wire.becomes(Wire::Whole));
        drop(self.postgres.server.lock().await);
        drop(self.rabbitmq.server.lock().await);
    }

    /// The process ids of the hubs and of the workers.
    pub(crate) fn processes(&self) -> (Vec<u32>, Vec<u32>) {
        let ids = |processes: &[Process]| processes.iter().filter_map(Process::id).collect();
        (ids(&self.hubs), ids(&self.workers))
    }

    pub(crate) fn kills(&self) -> Kills {
        let of = |processes: &[Process]| processes.iter().map(Process::kills).sum();
        Kills {
            hubs: of(&self.hubs),
            workers: of(&self.workers),
            broker: self.rabbitmq.kills.load(Ordering::SeqCst),
            database: self.postgres.kills.load(Ordering::SeqCst),
            terminations: self.terminations.load(Ordering::SeqCst),
        }
    }
}

impl Wires {
    async fn lay(database: SocketAddr, broker: SocketAddr) -> Result<Self> {
        let (mut hub_to_database, mut hub_to_broker) = (Vec::new(), Vec::new());
        for _ in 0..HUBS {
            hub_to_database.push(Proxy::to(database).await?);
            hub_to_broker.push(Proxy::to(broker).await?);
        }
        Ok(Self { hub_to_database, hub_to_broker, workers_to_broker: Proxy::to(broker).await? })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Proxy> {
        self.hub_to_database.iter().chain(&self.hub_to_broker).chain([&self.workers_to_broker])
    }
}

impl<S: Send + 'static> Server<S> {
    fn of(server: S) -> Self {
        Self { server: Mutex::new(Some(server)), kills: AtomicU32::new(0) }
    }

    async fn kill(&self, down: Duration, kill: fn(&mut S), restart: fn(&mut S)) -> Result<()> {
        let mut place = self.server.lock().await;
        let Some(mut server) = place.take() else { anyhow::bail!("a server did not start again") };
        let mut server = spawn_blocking(move || {
            kill(&mut server);
            server
        })
        .await?;
        self.kills.fetch_add(1, Ordering::SeqCst);
        sleep(down).await;
        *place = Some(
            spawn_blocking(move || {
                restart(&mut server);
                server
            })
            .await?,
        );
        Ok(())
    }
}

/// In whose name the workers of a kind claim.
fn performer(kind: &str) -> String {
    format!("Organization/chaos-{kind}")
}

fn address(url: &str) -> Result<SocketAddr> {
    let host = url.split(['/', '@']).find(|part| part.starts_with("127.0.0.1:")).unwrap_or_default();
    Ok(host.parse()?)
}

/// Free now, and ours as soon as the hub is up: on a machine of tests nobody else will have it.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Shared by the schedule and the clients.
pub(crate) type Shared = Arc<Stage>;
