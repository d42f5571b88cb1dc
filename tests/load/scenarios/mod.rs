//! What is measured. Each scenario sets up what it needs, and reports.

mod claim;
mod delivery;
mod embedded;
mod floored;
mod growth;
mod in_flight;
mod national;
mod orchestration;
mod prescription;
mod registry;
mod relay;
mod scale;
mod start;
mod submit;
mod workflow;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use sqlx::{Connection, PgConnection};
use tests::Programs;
use tokio::time::{Instant, sleep};

use crate::drive::{Caller, Drive, Pace, Tally};
use crate::machine::Machine;
use crate::meter::Cost;
use crate::post;
use crate::report::Report;
use crate::specimen::Specimen;
use crate::stand::{Listening, Stand};

const SENT_LIMIT: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many messages are still to be sent.
const OUTBOX: &str = "SELECT count(*) FROM outbox";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Orders are submitted, and nobody works: the hub beside the baseline, the floor, and itself on SQLite
    Submit,
    /// Orders are submitted, and workers do all the work: the hub beside the floor
    Workflow,
    /// The broker was away, and the outbox drains
    Relay,
    /// Start to first answer, and start with a million open Tasks
    Start,
    /// Reads and searches over a million Tasks, alone and while orders come
    Registry,
    /// 200 fillers race for open Tasks
    Claim,
    /// 2,390 calls a second of a mix, for minutes
    National,
    /// Prescriptions are sent, released by 500 pharmacies, told of and asked for
    Prescription,
    /// 10,000 orchestrations of 50 actions are under way at once; fewer with `--orders 300`
    Orchestration,
    /// An event of a plan of 1,000 actions beside one of a plan of 10
    Growth,
    /// The same work over ten thousand and a million Tasks; over ten million with `--orders 10000000`
    Scale,
}

/// For how long, how often, with what.
pub(crate) struct Settings {
    pub(crate) programs: Programs,
    /// SQLite and queues in the process.
    pub(crate) is_embedded: bool,
    pub(crate) rounds: u32,
    pub(crate) measured: Duration,
    pub(crate) warm: Duration,
    pub(crate) orders: Option<u64>,
    pub(crate) beside: Option<f64>,
    pub(crate) connections: Vec<usize>,
    pub(crate) minutes: Duration,
    pub(crate) seed: u64,
}

impl Scenario {
    pub(crate) async fn run(self, settings: &Settings) -> Result<Report> {
        match (self, settings.is_embedded) {
            (Self::Submit, false) => submit::run(settings).await,
            (Self::Submit, true) => embedded::submit(settings).await,
            (Self::Workflow, false) => workflow::run(settings).await,
            (Self::Relay, false) => relay::run(settings).await,
            (Self::Start, false) => start::run(settings).await,
            (Self::Registry, false) => registry::run(settings).await,
            (Self::Claim, false) => claim::run(settings).await,
            (Self::National, false) => national::run(settings).await,
            (Self::Prescription, false) => prescription::run(settings).await,
            (Self::Orchestration, false) => orchestration::run(settings).await,
            (Self::Growth, false) => growth::on_postgres(settings).await,
            (Self::Growth, true) => growth::on_sqlite(settings).await,
            (Self::Scale, false) => scale::run(settings).await,
            (Self::Scale, true) => scale::on_sqlite(settings).await,
            (other, true) => bail!("{other:?} is measured on PostgreSQL and RabbitMQ"),
        }
    }
}

impl Settings {
    /// Asks a server in one way.
    async fn drive(
        &self,
        server: &Listening,
        connections: usize,
        pace: Pace,
        caller: Arc<dyn Caller>,
    ) -> Result<(Tally, Cost)> {
        let drive = Drive { to: server.address, connections, pace, warm: self.warm, measured: self.measured };
        drive.run(caller).await
    }

    /// What stands above every table.
    fn notes(&self, stand: &Stand, specimen: Option<&Specimen>) -> Result<Vec<String>> {
        let machine = Machine::here(stand.folder())?.line();
        let times = format!(
            "each point measured for {} s after {} s of warming up; rounds: {}; everything on this machine, the driver too",
            self.measured.as_secs_f64(),
            self.warm.as_secs_f64(),
            self.rounds
        );
        Ok([machine, times].into_iter().chain(specimen.map(Specimen::line)).collect())
    }
}

/// Waits until all that was committed is sent, empties the hub's queues of work, which nobody reads, and writes down
/// what the database and the broker have in memory.
async fn tidy(stand: &Stand, database: &str) -> Result<()> {
    let mut registry = PgConnection::connect(database).await?;
    let limit = Instant::now() + SENT_LIMIT;
    while sqlx::query_scalar::<_, i64>(OUTBOX).fetch_one(&mut registry).await? > 0 {
        ensure!(Instant::now() < limit, "the outbox does not drain");
        sleep(LOOK_EVERY).await;
    }
    let connection = post::connect(&stand.queue()).await?;
    post::purge(&connection, &work_queues()).await?;
    stand.settle(database).await
}

/// Of the kinds of work that the orders lead to.
fn work_queues() -> Vec<String> {
    ["laboratory", "pharmacy"].map(|kind| format!("hub.v1.work.open.{kind}.routine")).to_vec()
}
