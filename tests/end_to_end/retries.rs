//! What cannot be handled now is tried again, and not for ever; and nothing is held against it while a server is away.

use schemas::message::{Act, Answer, WorkOrder};
use serde_json::json;
use services::Postgres;
use tests::bodies::{With, laboratory, referral};
use tests::{Hub, Parts, Report, World, stories, tell_beside, until, with};
use tokio::task::spawn_blocking;
use workers::{Limits, Options};

stories![an_order_that_no_worker_takes_is_parked_and_found, what_is_parked_may_say_anything,];

async fn an_order_that_no_worker_takes_is_parked_and_found(world: World) {
    let hub = world.hub_with(&[("performers", "Organization/registered")]).await;
    let limits = Limits { attempts: 1, ..Limits::default() };
    let performer = Some("Organization/registered".to_owned());
    let options = Options { performer, limits, ..Options::default() };
    // A clinic's work, at a performer that has a laboratory's worker only.
    hub.has_filler("laboratory", std::time::Duration::ZERO, options).await;
    let directed = json!({ "performer": [{ "reference": "Organization/registered" }] });
    let order = hub.submits(referral().with(directed)).await;
    let parked = hub.finds_parked().await;
    assert_eq!(parked["why"], "no worker took it: its kind of work is clinic");
    assert_eq!(parked["attempts"], 1);
    assert_eq!(order.task("triage").await["status"], "requested", "it is on offer as before");
    hub.closes().await;
}

async fn what_is_parked_may_say_anything(world: World) {
    let hub = world.hub().await;
    let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
    worker.posts("a NUL \0 in its id", b"not \0 json".to_vec()).await;
    let parked = hub.finds_parked().await;
    assert_eq!(parked["message_id"], "a NUL \u{FFFD} in its id");
    hub.closes().await;
}

#[test]
fn reports_wait_for_the_database_and_are_not_put_off() {
    tell_beside(Parts::POSTGRES_EMBEDDED, || async {
        let postgres = spawn_blocking(Postgres::start).await.unwrap();
        let world = World::on_embedded_and(&postgres.url());
        let hub = world.hub().await;
        let order = hub.submits(laboratory()).await;
        let mut worker = hub.worker("laboratory", "Organization/lab-1").await;
        let job: WorkOrder = worker.claims_next().await;
        let postgres = with(postgres, Postgres::kill).await;
        let begun = worker.sends(Report::new(&job, Act::InProgress, 2)).await;
        until("it is taken off the queue", async || waiting(&hub).await, |waiting| *waiting == 0).await;
        let ended = worker.sends(Report::new(&job, Act::Completed, 3)).await;
        let ask = async || hub.get("/health/ready").await.body["database"].clone();
        until("the database is away", ask, |said| said == "the database is not available").await;

        let _postgres = with(postgres, Postgres::restart).await;
        for report in [begun, ended] {
            assert_eq!(worker.hears(&report).await.answer, Answer::Granted, "in the order in which they were sent");
        }
        order.task_is("collect", "completed").await;
        order.walked_legally().await;
        hub.closes().await;
    });
}

/// How many reports wait in their queue.
async fn waiting(hub: &Hub) -> u64 {
    let depths = hub.worker_transport().await.depths().await.unwrap();
    depths.iter().find(|depth| depth.queue == "reports").unwrap().ready
}
