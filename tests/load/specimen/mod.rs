//! What one order leaves behind: every row that is written for it, and every message that is sent about it, as the hub
//! itself did it at the beginning of the run. What the hub is compared with writes copies of that, so it writes the
//! same by construction, whatever the schema comes to be.

mod cell;
mod copy;
mod journal;
mod letters;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use tests::Client;
use tokio::time::sleep;

pub(crate) use cell::{Cell, Value};
pub(crate) use copy::{Copies, Copy, OWNERS, patient_of};
use journal::Journal;
pub(crate) use letters::Letter;
use letters::Tap;

use crate::orders::{Order, Orders, digits};
use crate::stand::Stand;

/// Numbers that no measured order has.
const FIRST_NUMBER: u64 = 900_000_000_000;
/// Who claims, where somebody does.
const OWNER: u64 = 700_000_000_001;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// All is written when nothing was for so long.
const STILL: Duration = Duration::from_millis(1500);

/// How far an order is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nobody works.
    Submitted,
    /// An organisation has accepted the first work item, over REST.
    Accepted,
    /// Workers do it all.
    Completed,
}

/// The orders of which copies are made, one of each kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Specimen {
    pub(crate) tables: Vec<Table>,
    pub(crate) orders: Vec<Trace>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Its unique columns, by which a row is found again.
    pub(crate) key: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As PostgreSQL calls it: `int8`, `text`.
    pub(crate) kind: String,
    /// Numbered by the database.
    pub(crate) is_identity: bool,
}

/// What one order left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trace {
    /// The type of the request.
    pub(crate) kind: String,
    /// In the order in which they were done.
    pub(crate) writes: Vec<Write>,
    pub(crate) letters: Vec<Letter>,
    /// How many ids it has that a copy must have anew.
    pub(crate) ids: usize,
    pub(crate) recorded_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Act {
    Insert,
    Update,
    Delete,
}

/// One row, written once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) table: usize,
    pub(crate) act: Act,
    /// How often the same row was written before.
    pub(crate) wave: u32,
    /// The whole row; of a deleted one, as it was.
    pub(crate) cells: Vec<Cell>,
}

impl Specimen {
    /// Lets a hub take an order of each kind, and looks on.
    pub(crate) async fn record(stand: &Stand, orders: &Orders, until: Until) -> Result<Self> {
        let database = stand.database(&format!("specimen_{until:?}").to_lowercase()).await?;
        let hub = stand.hub("specimen", &database, &stand.queue()).await?;
        let client = Client::new(format!("http://{}/fhir/R4", hub.address));
        let kinds: &[&str] = if until == Until::Completed { &["laboratory", "pharmacy"] } else { &[] };
        let _workers = kinds.iter().map(|kind| stand.worker(kind, 8)).collect::<Result<Vec<_>>>()?;
        let mut connection = PgConnection::connect(&database).await?;
        let journal = Journal::open(&mut connection).await?;
        let tap = Tap::open(&stand.queue()).await?;
        let mut traces: BTreeMap<String, Trace> = BTreeMap::new();
        // The first order of a kind also leaves what is written once for all: its plan, its queues.
        for turn in 0..4 {
            let order = orders.numbered(FIRST_NUMBER + turn);
            journal.clear(&mut connection).await?;
            let root = submit(&client, &order).await?;
            if until == Until::Accepted {
                accept(&client, &format!("{}/{root}", order.kind)).await?;
            }
            until_still(&journal, &mut connection).await?;
            let letters = tap.taken().await?;
            let trace = journal.read(&mut connection, &order, letters).await?;
            traces.insert(order.kind.to_owned(), trace);
        }
        ensure!(traces.len() == 2, "orders of both kinds are recorded");
        tap.close().await?;
        connection.close().await?;
        Ok(Self { tables: journal.tables, orders: traces.into_values().collect() })
    }

    /// Only what is there in the end: each row once, as it was left, and none that went again.
    pub(crate) fn settled(self) -> Self {
        let Self { tables, orders } = self;
        let settled = |trace: Trace| Trace { writes: left(&tables, trace.writes), ..trace };
        let orders = orders.into_iter().map(settled).collect();
        Self { tables, orders }
    }

    /// Of a mean order: as many as there are messages that bring work.
    pub(crate) fn work_items(&self) -> f64 {
        let letters = self.orders.iter().flat_map(|trace| &trace.letters);
        letters.filter(|letter| letter.place.starts_with("work.")).count() as f64 / self.orders.len() as f64
    }

    /// How many rows of a table a mean order has.
    pub(crate) fn rows_of(&self, table: &str) -> f64 {
        let writes = self.orders.iter().flat_map(|trace| &trace.writes);
        let rows = writes.filter(|write| write.act == Act::Insert && self.tables[write.table].name == table);
        rows.count() as f64 / self.orders.len() as f64
    }

    /// For another process.
    pub(crate) fn keep(&self, path: &Path) -> Result<()> {
        Ok(fs::write(path, serde_json::to_vec(self)?)?)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("no specimen in {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Rows, messages and bytes of bodies of a mean order, for whoever reads the table.
    pub(crate) fn line(&self) -> String {
        let mean =
            |of: fn(&Trace) -> usize| self.orders.iter().map(of).sum::<usize>() as f64 / self.orders.len() as f64;
        let acts = [Act::Insert, Act::Update, Act::Delete]
            .map(|act| self.orders.iter().flat_map(|trace| &trace.writes).filter(|write| write.act == act).count());
        let [inserts, updates, deletes] = acts.map(|number| number as f64 / self.orders.len() as f64);
        let mut tables = BTreeMap::<&str, usize>::new();
        for write in self.orders.iter().flat_map(|trace| &trace.writes).filter(|write| write.act == Act::Insert) {
            *tables.entry(&self.tables[write.table].name).or_default() += 1;
        }
        let each = |(name, rows): (&str, usize)| format!("{name} {:.1}", rows as f64 / self.orders.len() as f64);
        let tables: Vec<String> = tables.into_iter().map(each).collect();
        format!(
            "one order: {inserts:.1} rows inserted ({}), {updates:.1} updated, {deletes:.1} deleted; {:.1} messages of {:.1} kB together",
            tables.join(", "),
            mean(|trace| trace.letters.len()),
            mean(|trace| trace.letters.iter().map(|letter| letter.body.len()).sum()) / 1000.0
        )
    }
}

fn left(tables: &[Table], writes: Vec<Write>) -> Vec<Write> {
    let mut left: Vec<Write> = Vec::new();
    for write in writes {
        let key =
            |one: &Write| tables[one.table].key.iter().map(|column| one.cells[*column].clone()).collect::<Vec<_>>();
        let place = left.iter().position(|one| one.table == write.table && key(one) == key(&write));
        match (place, write.act) {
            (Some(place), Act::Delete) => drop(left.remove(place)),
            (Some(place), _) => left[place].cells = write.cells,
            (None, Act::Insert) => left.push(write),
            // Of a row that was there before the order.
            (None, _) => {}
        }
    }
    left
}

/// The id of the request, with which those of its Tasks begin.
async fn submit(client: &Client, order: &Order) -> Result<String> {
    let body = String::from_utf8(order.body.to_vec())?;
    let reply = client.post_text(order.kind, body).await;
    ensure!(reply.status == 201, "an order was answered {}: {}", reply.status, reply.body);
    Ok(reply.body["id"].as_str().unwrap_or_default().to_owned())
}

/// The work item that is on offer.
async fn accept(client: &Client, request: &str) -> Result<()> {
    let offered = client.get(&format!("Task?focus={request}&status=requested")).await;
    let items = offered.body["entry"].as_array().into_iter().flatten();
    let mut ids = items.filter_map(|entry| entry["resource"]["id"].as_str()).filter(|id| !id.ends_with(".0"));
    let task = ids.next().context("an order has work on offer")?;
    let reply = client.takes(&format!("Task/{task}"), &owner(OWNER)).await;
    ensure!(reply.status == 200, "a claim was answered {}: {}", reply.status, reply.body);
    Ok(())
}

/// The reference of the n-th organisation that takes work.
pub(crate) fn owner(number: u64) -> String {
    format!("Organization/{}", String::from_utf8_lossy(&digits(number)))
}

async fn until_still(journal: &Journal, connection: &mut PgConnection) -> Result<()> {
    let (mut seen, mut still) = (0, Duration::ZERO);
    while still < STILL {
        sleep(LOOK_EVERY).await;
        let length = journal.length(connection).await?;
        still = if length == seen { still + LOOK_EVERY } else { Duration::ZERO };
        seen = length;
    }
    Ok(())
}
