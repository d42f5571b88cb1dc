//! Where it is measured: throw-away servers, and the programs that stand on them.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use services::{Postgres, RabbitMq};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::TempDir;
use tests::{Client, Programs};
use tokio::process::{Child, Command};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::{machine, meter};

const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// As in docker-compose.yml.
const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgres/hub.conf");
/// So that the database can be asked when an order was committed.
const TIMES_OF_COMMITS: &str = "track_commit_timestamp=on";
const DATABASES: &str = "SELECT datname FROM pg_database WHERE NOT datistemplate";

/// The servers, with fsync on and otherwise as docker-compose.yml has them.
pub(crate) struct Stand {
    programs: Programs,
    folder: TempDir,
    /// None where the hub stands by itself.
    servers: Option<(Postgres, RabbitMq)>,
}

/// A program that is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
}

/// A server of HTTP.
pub(crate) struct Listening {
    process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) started: Instant,
}

impl Stand {
    pub(crate) async fn build(programs: Programs) -> Result<Self> {
        Self::build_with(programs, Vec::new()).await
    }

    /// For large registries: PostgreSQL has a quarter of the memory, as operations.md says of a machine of its own.
    pub(crate) async fn build_large(programs: Programs) -> Result<Self> {
        let memory = machine::memory_mb().context("the system does not tell its memory")?;
        Self::build_with(programs, vec![format!("shared_buffers={}MB", memory / 4)]).await
    }

    async fn build_with(programs: Programs, mut settings: Vec<String>) -> Result<Self> {
        settings.push(TIMES_OF_COMMITS.to_owned());
        let folder = tempfile::Builder::new().prefix("hub-load-").tempdir()?;
        let rabbitmq = spawn_blocking(|| RabbitMq::launch_with(""));
        let postgres = spawn_blocking(move || Postgres::launch_with(Path::new(SETTINGS), settings));
        let (postgres, rabbitmq) = (postgres.await?, rabbitmq.await?);
        Ok(Self { programs, folder, servers: Some((postgres?, rabbitmq?)) })
    }

    /// Without servers.
    pub(crate) fn bare(programs: Programs) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hub-load-").tempdir()?;
        Ok(Self { programs, folder, servers: None })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn queue(&self) -> String {
        self.servers.as_ref().map_or_else(|| "embedded".to_owned(), |(_, rabbitmq)| rabbitmq.url())
    }

    /// Sweeps all databases, and puts what waits to be written to the disk there, in the databases and in the broker, so that
    /// nobody pays for somebody else's pages. Left to itself, autovacuum sweeps what one has written while another is measured.
    pub(crate) async fn settle(&self, database: &str) -> Result<()> {
        if let Some((_, rabbitmq)) = &self.servers {
            block_in_place(|| rabbitmq.roll_over())?;
        }
        let options: PgConnectOptions = database.parse()?;
        let mut connection = options.connect().await?;
        let names: Vec<String> = sqlx::query_scalar(DATABASES).fetch_all(&mut connection).await?;
        for name in names {
            let mut swept = options.clone().database(&name).connect().await?;
            swept.execute("VACUUM ANALYZE").await?;
            swept.close().await?;
        }
        connection.execute("CHECKPOINT").await?;
        Ok(connection.close().await?)
    }

    /// The broker is gone, as after a power cut.
    pub(crate) fn stop_broker(&mut self) {
        if let Some((_, rabbitmq)) = &mut self.servers {
            block_in_place(|| rabbitmq.kill());
        }
    }

    pub(crate) fn start_broker(&mut self) {
        if let Some((_, rabbitmq)) = &mut self.servers {
            block_in_place(|| rabbitmq.restart());
        }
    }

    /// A new database with the hub's schema, made by the hub itself.
    pub(crate) async fn database(&self, name: &str) -> Result<String> {
        let (postgres, _) = self.servers.as_ref().context("there is no PostgreSQL here")?;
        let url = block_in_place(|| postgres.create_database(name));
        self.hub(&format!("{name}-schema"), &url, "embedded").await?;
        Ok(url)
    }

    /// A file for SQLite, which the hub makes.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("sqlite:{}", self.folder().join(name).with_extension("db").display())
    }

    /// A hub that is ready.
    pub(crate) async fn hub(&self, name: &str, database: &str, queue: &str) -> Result<Listening> {
        self.hub_soon(name, database, queue)?.ready().await
    }

    /// A hub that was just started.
    pub(crate) fn hub_soon(&self, name: &str, database: &str, queue: &str) -> Result<Listening> {
        let address = free_address()?;
        let mut hub = self.programs.command("hub");
        hub.args(["serve", "--listen", &address.to_string(), "--database", database, "--queue", queue]);
        let started = Instant::now();
        Ok(Listening { process: self.start(name, hub)?, address, started })
    }

    /// Works as fast as it can.
    pub(crate) fn worker(&self, kind: &str, concurrency: u16) -> Result<Process> {
        let mut worker = self.programs.command("worker");
        worker.args(["--filler", kind, "--queue", &self.queue(), "--pace", "0"]);
        worker.args(["--concurrency", &concurrency.to_string()]);
        self.start(&format!("worker-{kind}"), worker)
    }

    /// The hand-written program, which is this one by another name.
    pub(crate) async fn baseline(&self, database: &str, specimen: &Path) -> Result<Listening> {
        let address = free_address()?;
        let mut baseline = Command::new(std::env::current_exe()?);
        baseline.args(["baseline-server", "--listen", &address.to_string(), "--database", database]);
        baseline.args(["--queue", &self.queue(), "--specimen"]).arg(specimen);
        let process = self.start("baseline", baseline)?;
        Listening { process, address, started: Instant::now() }.ready().await
    }

    fn start(&self, name: &str, mut command: Command) -> Result<Process> {
        let log = File::create(self.folder().join(format!("{name}.log")))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        Ok(Process { child: command.spawn().with_context(|| format!("{name} cannot be started"))? })
    }
}

impl Process {
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.id().context("a program has ended")
    }
}

impl Listening {
    pub(crate) async fn ready(mut self) -> Result<Self> {
        let client = Client::new(format!("http://{}/fhir/R4", self.address));
        let begun = Instant::now();
        while client.get("/health/ready").attempt().await.is_none_or(|reply| reply.status != 200) {
            ensure!(self.process.child.try_wait()?.is_none(), "a program ended before it was ready");
            ensure!(begun.elapsed() < START_LIMIT, "a program is not ready after {} s", START_LIMIT.as_secs());
            sleep(LOOK_EVERY).await;
        }
        Ok(self)
    }

    pub(crate) fn memory_mb(&self) -> Result<f64> {
        meter::memory_mb(self.process.id()?)
    }

    pub(crate) fn memory_peak_mb(&self) -> Result<f64> {
        meter::memory_peak_mb(self.process.id()?)
    }
}

/// Free now, and ours as soon as the program is up: on a machine of measurements nobody else will have it.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
