//! The disk under the database is full, or says that it could not keep what it was given. What was answered is kept all the
//! same; what cannot be kept is not answered for.

use std::fs;

use futures_util::future::join_all;
use serde_json::Value;
use services::Postgres;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor as _, query_scalar};
use tests::bodies::laboratory;
use tests::{Client, Hub, Order, Parts, Program, Reply, Shim, World, tell, tell_beside, until};
use tokio::task::spawn_blocking;

/// Room for some orders, and not for many.
const ROOM_BYTES: u64 = 300_000;
/// PostgreSQL spreads orders over many files: with so much in one of them there are some orders, and not many.
const TABLE_BYTES: u64 = 150_000;
/// Room for any table, and not for a file of PostgreSQL's log, which has 16 MiB from the start.
const LOG_BYTES: u64 = 8_000_000;

/// Submits this order, which may come more than once.
async fn submits(hub: &Client, key: &str) -> Reply {
    hub.post("ServiceRequest", &laboratory()).header("idempotency-key", key).await
}

/// Submits until there is no room: what was accepted, and the key of what was not.
async fn submits_until_refused(hub: &Client) -> (Vec<Order>, String) {
    let mut accepted = Vec::new();
    for n in 0..1000 {
        let key = format!("order {n}");
        let reply = submits(hub, &key).await;
        if reply.status != 201 {
            is_refused_for_now(reply);
            return (accepted, key);
        }
        accepted.push(hub.order_of(&reply));
    }
    panic!("the disk never was full");
}

/// Claims work until there is no room for a change as small as that either: what was not claimed.
async fn claims_until_refused(hub: &Client, orders: &[Order]) -> String {
    for order in orders {
        let reply = hub.takes(&order.step(2), "Organization/lab-1").await;
        if reply.status != 200 {
            is_refused_for_now(reply);
            return order.step(2);
        }
    }
    panic!("the disk never was full");
}

/// Submits until it is taken, as it is when the disk is well again.
async fn goes_on(hub: &Client, key: &str) -> Order {
    let reply = until("it goes on when the disk does", || submits(hub, key), |reply| reply.status < 300).await;
    hub.order_of(&reply)
}

#[track_caller]
fn is_refused_for_now(reply: Reply) {
    assert!(!reply.refuses(503, "transient", "").header("retry-after").is_empty());
}

/// A file of the database: itself, or with `-wal` its log.
fn file(world: &World, suffix: &str) -> String {
    format!("{}{suffix}", world.database.strip_prefix("sqlite:").unwrap())
}

fn size(world: &World, suffix: &str) -> u64 {
    fs::metadata(file(world, suffix)).unwrap().len()
}

async fn is_sound(world: &World) {
    let mut database = SqliteConnection::connect(&world.database).await.unwrap();
    let said: String = query_scalar("PRAGMA integrity_check").fetch_one(&mut database).await.unwrap();
    assert_eq!(said, "ok");
}

async fn all_tasks(orders: &[Order]) -> Vec<Vec<Value>> {
    join_all(orders.iter().map(Order::tasks)).await
}

/// Whether the hub holds each of these, whole, as it was told.
async fn holds(hub: &Client, orders: &[Order], tasks: &[Vec<Value>]) {
    let orders: Vec<Order> = orders.iter().map(|order| order.at(hub)).collect();
    assert_eq!(all_tasks(&orders).await, tasks);
    for order in &orders {
        assert_eq!(hub.reads(order.request()).await["status"], "active");
        order.walked_legally().await;
    }
}

async fn on_a_full_disk_the_hub_reads_and_promises_nothing(world: World) {
    let Some(shim) = Shim::of(&world).filter(|_| Program::are_built()) else { return };
    let hub = shim.hub_program(&world, &[]).await;
    shim.files_end_at(Some(size(&world, "").max(size(&world, "-wal")) + ROOM_BYTES));
    let (mut accepted, refused) = submits_until_refused(&hub).await;
    for reply in join_all((0..8).map(|n| submits(&hub, if n % 2 == 0 { "another" } else { &refused }))).await {
        is_refused_for_now(reply);
    }
    let unclaimed = claims_until_refused(&hub, &accepted).await;
    let tasks = all_tasks(&accepted).await;
    holds(&hub, &accepted, &tasks).await;
    assert_eq!(hub.finds("ServiceRequest").await.len(), accepted.len(), "what was refused is not there");

    shim.files_end_at(None);
    let reply = until("it goes on where there is room", || submits(&hub, &refused), |reply| reply.status == 201).await;
    accepted.push(hub.order_of(&reply));
    hub.takes(&unclaimed, "Organization/lab-1").await.is(200);
    let tasks = all_tasks(&accepted).await;
    hub.killed().await;

    let hub = world.hub_program(&[]).await;
    holds(&hub, &accepted, &tasks).await;
    submits(&hub, "another").await.is(201);
    assert_eq!(hub.finds("ServiceRequest").await.len(), accepted.len() + 1);
    assert!(hub.ends().await);
    is_sound(&world).await;
}

#[test]
fn on_a_full_disk() {
    tell(Parts::SQLITE_EMBEDDED, on_a_full_disk_the_hub_reads_and_promises_nothing);
}

/// What the disk refused may be there after a crash or may not, as nobody can know; never in part, and never twice.
async fn what_the_disk_does_not_keep_is_not_promised(world: World) {
    let Some(shim) = Shim::of(&world).filter(|_| Program::are_built()) else { return };
    let mut hub = shim.hub_program(&world, &[]).await;
    let mut accepted = vec![hub.order_of(&submits(&hub, "first").await.is(201))];
    for key in ["second", "third"] {
        let tasks = all_tasks(&accepted).await;
        shim.disk_syncs(false);
        for reply in join_all((0..4).map(|_| submits(&hub, key))).await {
            is_refused_for_now(reply);
        }
        holds(&hub, &accepted, &tasks).await;
        if key == "third" {
            hub.killed().await;
            hub = world.hub_program(&[]).await;
            let accepted: Vec<Order> = accepted.iter().map(|order| order.at(&hub)).collect();
            holds(&hub, &accepted, &tasks).await;
        }
        shim.disk_syncs(true);
        accepted.push(goes_on(&hub, key).await);
    }
    let tasks = all_tasks(&accepted.iter().map(|order| order.at(&hub)).collect::<Vec<_>>()).await;
    holds(&hub, &accepted, &tasks).await;
    assert_eq!(hub.finds("ServiceRequest").await.len(), 3);
    assert!(hub.ends().await);
    is_sound(&world).await;
}

#[test]
fn on_a_disk_that_does_not_sync() {
    tell(Parts::SQLITE_EMBEDDED, what_the_disk_does_not_keep_is_not_promised);
}

/// No table can grow. That is no reason for PostgreSQL to end, so it goes on reading. What still finds room in a page
/// may be taken: only the first that finds none has to be refused.
async fn on_a_full_disk_postgres_reads_and_promises_nothing(shim: Shim) {
    let postgres = shim.postgres().await;
    let world = World::on_embedded_and(&postgres.url());
    let hub = world.hub().await;
    shim.files_end_at(Some(TABLE_BYTES));
    let (mut accepted, refused) = submits_until_refused(&hub).await;
    let tasks = all_tasks(&accepted).await;
    holds(&hub, &accepted, &tasks).await;
    assert_eq!(hub.finds("ServiceRequest").await.len(), accepted.len(), "what was refused is not there");

    shim.files_end_at(None);
    accepted.push(goes_on(&hub, &refused).await);
    let tasks = all_tasks(&accepted).await;
    let _postgres = restarted(postgres).await;
    let another = goes_on(&hub, "another").await;
    holds(&hub, &accepted, &tasks).await;
    accepted.push(another);
    assert_eq!(hub.finds("ServiceRequest").await.len(), accepted.len());
    all_are_fulfilled(hub, &accepted).await;
}

#[test]
fn on_a_full_disk_under_postgres() {
    tell_beside(Parts::POSTGRES_EMBEDDED, || async {
        let Some(shim) = Shim::of_a_server() else { return };
        on_a_full_disk_postgres_reads_and_promises_nothing(shim).await;
    });
}

/// Where it cannot keep its log PostgreSQL ends, since nobody knows what then lies on the disk. What was refused may be
/// there when it comes back or may not; never in part, and never twice.
async fn postgres_ends_and_keeps_what_was_answered(
    shim: Shim,
    breaks: impl AsyncFn(&Shim, &World),
    mends: impl Fn(&Shim),
) {
    let postgres = shim.postgres().await;
    let world = World::on_embedded_and(&postgres.url());
    let hub = world.hub().await;
    let replies = join_all(["first", "second", "third"].map(|key| submits(&hub, key))).await;
    let mut accepted: Vec<Order> = replies.into_iter().map(|reply| hub.order_of(&reply.is(201))).collect();
    let begun = accepted[0].step(2);
    hub.takes(&begun, "Organization/lab-1").await.is(200);
    hub.sets(&begun, "status", "in-progress").await.is(200);
    let tasks = all_tasks(&accepted).await;

    breaks(&shim, &world).await;
    for reply in join_all(["one", "another", "one", "another"].map(|key| submits(&hub, key))).await {
        is_refused_for_now(reply);
    }
    until("it has ended", async || hub.get("Task").await, |reply| reply.status == 503).await;
    is_refused_for_now(submits(&hub, "one").await);
    is_refused_for_now(hub.sets(&begun, "status", "completed").await);

    mends(&shim);
    let _postgres = restarted(postgres).await;
    let refused = [goes_on(&hub, "one").await, goes_on(&hub, "another").await];
    holds(&hub, &accepted, &tasks).await;
    accepted.extend(refused);
    assert_eq!(hub.finds("ServiceRequest").await.len(), accepted.len(), "each once");
    hub.sets(&begun, "status", "completed").await.is(200);
    all_are_fulfilled(hub, &accepted).await;
}

#[test]
fn under_a_log_of_postgres_that_does_not_sync() {
    tell_beside(Parts::POSTGRES_EMBEDDED, || async {
        let Some(shim) = Shim::of_a_server() else { return };
        let breaks = async |shim: &Shim, _: &World| shim.disk_syncs(false);
        postgres_ends_and_keeps_what_was_answered(shim, breaks, |shim| shim.disk_syncs(true)).await;
    });
}

#[test]
fn under_a_log_of_postgres_that_has_no_room() {
    tell_beside(Parts::POSTGRES_EMBEDDED, || async {
        let Some(shim) = Shim::of_a_server() else { return };
        let breaks = async |shim: &Shim, world: &World| {
            shim.files_end_at(Some(LOG_BYTES));
            wants_the_next_file_of_its_log(world).await;
        };
        postgres_ends_and_keeps_what_was_answered(shim, breaks, |shim| shim.files_end_at(None)).await;
    });
}

/// The file that PostgreSQL writes its log to is closed: what is committed next needs another one.
async fn wants_the_next_file_of_its_log(world: &World) {
    let mut database = PgConnection::connect(&world.database).await.unwrap();
    // Whether this itself wants it already depends on the moment: then the server ends over it.
    let _ = database.execute("SELECT pg_switch_wal()").await;
}

async fn restarted(mut postgres: Postgres) -> Postgres {
    let acting = move || {
        postgres.restart();
        postgres
    };
    spawn_blocking(acting).await.unwrap()
}

/// Every order comes to its end, and then the hub.
async fn all_are_fulfilled(hub: Hub, orders: &[Order]) {
    hub.has_fillers().await;
    for order in orders {
        order.is("completed").await;
        order.walked_legally().await;
    }
    hub.closes().await;
}
