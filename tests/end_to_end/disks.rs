//! The disk under SQLite is full, or says that it could not keep what it was given. What was answered is kept all the
//! same; what cannot be kept is not answered for.

use std::fs;

use futures_util::future::join_all;
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query_scalar};
use tests::bodies::laboratory;
use tests::{Client, Order, Parts, Program, Reply, Shim, World, tell, until};

/// Room for some orders, and not for many.
const ROOM_BYTES: u64 = 300_000;

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
    is_refused_for_now(hub.takes(&accepted[0].step(2), "Organization/lab-1").await);
    let tasks = all_tasks(&accepted).await;
    holds(&hub, &accepted, &tasks).await;
    assert_eq!(hub.finds("ServiceRequest").await.len(), accepted.len(), "what was refused is not there");

    shim.files_end_at(None);
    let reply = until("it goes on where there is room", || submits(&hub, &refused), |reply| reply.status == 201).await;
    accepted.push(hub.order_of(&reply));
    hub.takes(&accepted[0].step(2), "Organization/lab-1").await.is(200);
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
        let reply = until("it goes on when the disk does", || submits(&hub, key), |reply| reply.status < 300).await;
        accepted.push(hub.order_of(&reply));
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
