//! A registry that has grown: rows of as many orders as one likes, which look as the hub's own do, since they are
//! copies of those, with ids and patients of their own in rows and bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tests::Client;
use tokio::task::JoinSet;

use crate::orders::Orders;
use crate::rows::{self, Rows};
use crate::specimen::{Copies, Specimen};
use crate::stand::Listening;

/// More than there are processors, so that these have something to do while one waits for the database.
const LANES: usize = 4;
/// Orders of one transaction.
const GROUP: u64 = 1024;
/// So many orders are faster in without indexes, which are then made anew.
const MANY: u64 = 20_000;
/// The tables whose rows these are. The hub looks at the others all the time.
const TABLES: [&str; 6] = ["head", "version", "task", "resource", "search_token", "search_date"];
const INDEXES: &str = "
    SELECT t.relname, i.relname, pg_get_indexdef(x.indexrelid), c.conname, pg_get_constraintdef(c.oid)
      FROM pg_index AS x
      JOIN pg_class AS t ON t.oid = x.indrelid
      JOIN pg_class AS i ON i.oid = x.indexrelid
      LEFT JOIN pg_constraint AS c ON c.conindid = x.indexrelid
     WHERE t.relname = ANY ($1)
       AND t.relnamespace = 'public'::regnamespace";
const AT_WORK: &str = "SET maintenance_work_mem = '1GB'; SET max_parallel_maintenance_workers = 2";
/// What an order is found by goes to places of its own in these, all over a large registry.
const SCATTERED: [&str; 3] = ["search_token_pkey", "task_requester", "task_subject"];
const WARM: &str = "SELECT sum(pg_prewarm(name::regclass))::bigint FROM unnest($1::text[]) AS name";
/// It is told how far it is.
const TOLD: u64 = GROUP * 100;

pub(crate) struct Loader {
    rows: Rows,
    copies: Copies,
    tasks_each: f64,
}

impl Loader {
    pub(crate) fn new(specimen: Specimen) -> Arc<Self> {
        let specimen = specimen.settled();
        let tasks_each = specimen.rows_of("task");
        Arc::new(Self { rows: Rows::new(specimen), copies: Copies::new(1, true), tasks_each })
    }

    /// So many Tasks more; how many orders that made. They are orders of the built-in plans, which `hub` writes down with its first orders.
    pub(crate) async fn load(
        self: &Arc<Self>,
        hub: &Listening,
        orders: &Orders,
        database: &str,
        tasks: u64,
    ) -> Result<u64> {
        let client = Client::new(format!("http://{}/fhir/R4", hub.address));
        for _ in 0..2 {
            let order = orders.next();
            client.post_text(order.kind, String::from_utf8(order.body.to_vec())?).await;
        }
        let wanted = (tasks as f64 / self.tasks_each) as u64;
        let begun = Arc::new(AtomicU64::new(0));
        let mut connection = rows::options(database)?.connect().await?;
        // They are swept once, at the end: else autovacuum begins by itself, and goes on while it is measured.
        each_table(&mut connection, "SET (autovacuum_enabled = off)").await?;
        let indexes = if wanted < MANY { Indexes::default() } else { Indexes::drop(&mut connection).await? };
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            lanes.spawn(self.clone().lane(database.to_owned(), begun.clone(), wanted));
        }
        while let Some(ended) = lanes.join_next().await {
            ended??;
        }
        indexes.create(&mut connection).await?;
        connection.execute("VACUUM ANALYZE").await?;
        each_table(&mut connection, "RESET (autovacuum_enabled)").await?;
        connection.execute("CHECKPOINT").await?;
        // Where orders have come all day, PostgreSQL has these in its memory. Here they were written past it.
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm").await?;
        sqlx::query(WARM).bind(SCATTERED).execute(&mut connection).await?;
        connection.close().await?;
        Ok(wanted)
    }

    async fn lane(self: Arc<Self>, database: String, begun: Arc<AtomicU64>, wanted: u64) -> Result<()> {
        // What is lost with the machine is loaded again.
        let options = rows::options(&database)?.options([("synchronous_commit", "off")]);
        let mut connection = options.connect().await?;
        loop {
            let before = begun.fetch_add(GROUP, Ordering::Relaxed);
            if before >= wanted {
                return Ok(());
            }
            let group = self.rows.group(&self.copies, GROUP.min(wanted - before) as usize);
            self.rows.copy(&mut connection, &group).await?;
            if before.is_multiple_of(TOLD) {
                crate::say(&format!("loaded: {before} orders of {wanted}"));
            }
        }
    }
}

async fn each_table(connection: &mut PgConnection, what: &str) -> Result<()> {
    for table in TABLES {
        connection.execute(AssertSqlSafe(format!("ALTER TABLE {table} {what}"))).await?;
    }
    Ok(())
}

/// The statements that bring indexes back, in the order of their names.
#[derive(Default)]
struct Indexes(Vec<String>);

impl Indexes {
    async fn drop(connection: &mut PgConnection) -> Result<Self> {
        type Index = (String, String, String, Option<String>, Option<String>);
        let mut found: Vec<Index> = sqlx::query_as(INDEXES).bind(TABLES).fetch_all(&mut *connection).await?;
        found.sort();
        let mut back = Vec::new();
        for (table, index, definition, constraint, rule) in found {
            let gone = if let Some((constraint, rule)) = constraint.zip(rule) {
                back.push(format!("ALTER TABLE {table} ADD CONSTRAINT {constraint} {rule}"));
                format!("ALTER TABLE {table} DROP CONSTRAINT {constraint}")
            } else {
                back.push(definition);
                format!("DROP INDEX {index}")
            };
            connection.execute(AssertSqlSafe(gone)).await?;
        }
        Ok(Self(back))
    }

    async fn create(self, connection: &mut PgConnection) -> Result<()> {
        connection.execute(AT_WORK).await?;
        for (n, statement) in self.0.iter().enumerate() {
            crate::say(&format!("index {} of {}", n + 1, self.0.len()));
            connection.execute(AssertSqlSafe(statement.as_str())).await?;
        }
        Ok(())
    }
}
