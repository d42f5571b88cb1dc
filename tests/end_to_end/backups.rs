//! A copy that is taken while orders flow, and a hub that begins with nothing else.

use std::cell::{Cell, RefCell};
use std::process::{Command, Output};

use serde_json::Value;
use services::postgres_program;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::bodies::{laboratory, prescription, referral};
use tests::{Hub, Order, Parts, World, eventually, tell, until};

/// Who had claimed something is gone with the hub that is gone: soon it is offered again.
const FIELDS: [(&str, &str); 2] = [("lease", "default=2s"), ("offers_max", "20")];
/// So many are finished or under way before the copy begins.
const BEFORE: usize = 6;

/// Takes a copy while orders come and are worked on; the orders that were acknowledged before it began. One of them was
/// on offer then and one was claimed, since nobody but a worker who goes away with his claim does a clinic's work here.
async fn copied(world: &World, take: impl AsyncFnOnce()) -> Vec<Order> {
    let hub = world.hub_with(&FIELDS).await;
    hub.has_filler("laboratory", std::time::Duration::from_millis(5), workers::Options::default()).await;
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    let (claimed, offered) = (hub.submits(referral()).await, hub.submits(prescription()).await);
    clinic.claims_next().await;
    drop(clinic);

    let (orders, is_taken) = (RefCell::new(vec![claimed, offered]), Cell::new(false));
    let placing = async {
        while !is_taken.get() {
            let order = hub.submits(laboratory()).await;
            orders.borrow_mut().push(order);
        }
    };
    let copying = async {
        let enough = async || (orders.borrow().len() >= BEFORE).then(|| orders.borrow().clone());
        let before = eventually("orders flow", enough).await;
        take().await;
        is_taken.set(true);
        before
    };
    let ((), before) = tokio::join!(placing, copying);
    hub.closes().await;
    before
}

/// A hub on the copy, whose broker is empty, ends every story that had begun.
async fn all_ends_well(hub: &Hub, before: &[Order]) {
    hub.has_fillers().await;
    for order in before {
        let order = order.at(hub);
        order.is("completed").await;
        order.walked_legally().await;
    }
    let unfinished = async || {
        let mut requests = hub.finds("ServiceRequest").await;
        requests.extend(hub.finds("MedicationRequest").await);
        requests.into_iter().filter(|request| request["status"] != "completed").collect::<Vec<Value>>()
    };
    until("what came while the copy was taken is whole as well", unfinished, Vec::is_empty).await;
    assert!(hub.finds("ServiceRequest").await.len() >= before.len() - 1, "all but the prescription are such");
}

#[test]
fn a_copy_of_sqlite_is_whole() {
    tell(Parts::SQLITE_EMBEDDED, |world| async move {
        let copy = world.folder().join("copy.db");
        let before = copied(&world, async || {
            let mut other = SqliteConnection::connect(&world.database).await.unwrap();
            let statement = format!("VACUUM INTO '{}'", copy.display());
            other.execute(AssertSqlSafe(statement)).await.unwrap();
        })
        .await;
        let restored = on(&world, format!("sqlite:{}", copy.display()));
        let hub = restored.hub_with(&FIELDS).await;
        all_ends_well(&hub, &before).await;
        hub.closes().await;
    });
}

#[test]
fn a_dump_of_postgres_is_whole() {
    tell(Parts::POSTGRES_EMBEDDED, |world| async move {
        let dump = world.folder().join("hub.dump");
        let before = copied(&world, async || {
            let mut pg_dump = postgres_program("pg_dump");
            pg_dump.args(["--format=custom", "--file"]).arg(&dump).arg(&world.database);
            succeeds(pg_dump).await;
        })
        .await;
        let (original, name) = (world.database.clone(), format!("{}_copy", world.database.rsplit('/').next().unwrap()));
        run(&original, format!("CREATE DATABASE {name}")).await;
        let copy = format!("{original}_copy");
        let mut pg_restore = postgres_program("pg_restore");
        pg_restore.args(["--exit-on-error", "--dbname", &copy]).arg(&dump);
        succeeds(pg_restore).await;

        let restored = on(&world, copy);
        let hub = restored.hub_with(&FIELDS).await;
        all_ends_well(&hub, &before).await;
        hub.closes().await;
        run(&original, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    });
}

/// The same world with another database in it.
fn on(world: &World, database: String) -> World {
    let mut other = world.clone();
    other.database = database;
    other
}

async fn succeeds(command: Command) {
    let Output { status, stderr, .. } = tokio::process::Command::from(command).output().await.unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
}

async fn run(database: &str, statement: String) {
    PgConnection::connect(database).await.unwrap().execute(AssertSqlSafe(statement)).await.unwrap();
}
