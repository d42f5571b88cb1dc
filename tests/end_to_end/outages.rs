//! The broker or the database goes away and comes back. These stories kill servers, so each starts its own.

use serde_json::json;
use services::{Postgres, RabbitMq};
use tests::bodies::{laboratory, referral};
use tests::{Hub, Parts, World, tell_beside, until, with};
use tokio::task::spawn_blocking;

/// A new quorum queue that is killed in its first second never comes back.
const SETTLING: std::time::Duration = std::time::Duration::from_secs(2);

/// Waits until `/health/ready` says this of a part.
async fn ready_says(hub: &Hub, part: &str, what: &str) {
    let ask = async || hub.get("/health/ready").await;
    let reply = until(&format!("{part}: {what}"), ask, |reply| reply.body[part] == what).await;
    assert_eq!(reply.status, if what == "ready" { 200 } else { 503 });
}

#[test]
fn without_its_broker_the_hub_takes_orders_and_sends_them_later() {
    tell_beside(Parts::SQLITE_RABBITMQ, || async {
        let broker = spawn_blocking(RabbitMq::start).await.unwrap();
        let world = World::on_sqlite_and(&broker.url());
        let hub = world.hub().await;
        let earlier = hub.submits(laboratory()).await;
        tokio::time::sleep(SETTLING).await;
        let broker = with(broker, RabbitMq::kill).await;
        ready_says(&hub, "queue", "the broker is not available").await;
        assert_eq!(hub.get("/health/ready").await.body["database"], "ready");
        assert_eq!(hub.get("/health/live").await.status, 200);
        let meanwhile = hub.submits(referral()).await;

        let _broker = with(broker, RabbitMq::restart).await;
        ready_says(&hub, "queue", "ready").await;
        hub.has_fillers().await;
        for order in [earlier, meanwhile] {
            order.is("completed").await;
            order.walked_legally().await;
        }
        hub.closes().await;
    });
}

#[test]
fn a_broker_that_lost_everything_is_told_again_what_is_on_offer() {
    tell_beside(Parts::SQLITE_RABBITMQ, || async {
        let broker = spawn_blocking(RabbitMq::start).await.unwrap();
        let world = World::on_sqlite_and(&broker.url());
        let hub = world.hub().await;
        let order = hub.submits(laboratory()).await;
        tokio::time::sleep(SETTLING).await;
        let _broker = with(broker, RabbitMq::reset).await;
        ready_says(&hub, "queue", "ready").await;
        hub.has_fillers().await;
        order.is("completed").await;
        order.walked_legally().await;
        hub.closes().await;
    });
}

#[test]
fn without_its_database_the_hub_says_so_and_goes_on_when_it_is_back() {
    tell_beside(Parts::POSTGRES_EMBEDDED, || async {
        let postgres = spawn_blocking(Postgres::start).await.unwrap();
        let world = World::on_embedded_and(&postgres.url());
        let hub = world.hub().await;
        let order = hub.submits(laboratory()).await;
        let before = order.tasks().await;
        let postgres = with(postgres, Postgres::kill).await;
        ready_says(&hub, "database", "the database is not available").await;
        let refused = hub.post("ServiceRequest", &referral()).await.refuses(503, "transient", "");
        assert!(!refused.header("retry-after").is_empty());
        hub.get("Task").await.refuses(503, "transient", "");
        assert_eq!(hub.get("/health/live").await.body, json!({ "status": "live" }));

        let _postgres = with(postgres, Postgres::restart).await;
        ready_says(&hub, "database", "ready").await;
        assert_eq!(order.tasks().await, before, "what was answered was safe");
        hub.has_fillers().await;
        hub.submits(referral()).await.is("completed").await;
        order.is("completed").await;
        order.walked_legally().await;
        hub.closes().await;
    });
}
