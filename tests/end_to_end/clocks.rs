//! Somebody sets the clock of the machine that a hub runs on, while work is under way.

use schemas::message::{Act, Answer};
use tests::bodies::{laboratory, referral};
use tests::{Client, Order, Parts, Program, Report, Shim, World, tell, until};

const HOUR: i64 = 3600;

/// A clinic that claims and is not heard of again: its lease of a second ends. Who sees that knows that the hub has
/// looked for what is due since this was called.
async fn a_clinic_falls_silent(hub: &Client, world: &World) -> Order {
    let order = hub.submits(referral()).await;
    let mut clinic = world.worker("clinic", "Organization/silent").await;
    // What was offered anew after those before it lies there too.
    let job = loop {
        let job = clinic.takes().await;
        if job.task() == order.step(2) {
            break job;
        }
        job.acknowledged().await;
    };
    assert_eq!(clinic.claims(&job.order).await.answer, Answer::Granted);
    job.acknowledged().await;
    until("a second offer", async || order.offers("triage").await, |offers| offers.len() == 2).await;
    order
}

/// When each version of a Task was written, the newest first.
async fn times(hub: &Client) -> Vec<String> {
    let feed = hub.finds("Task/_history?_count=50").await;
    feed.iter().map(|task| task["meta"]["lastUpdated"].as_str().unwrap().to_owned()).collect()
}

/// As a poller needs it, who asks for what is later than the last it saw.
fn in_order(earlier: &[String], later: &[String]) {
    assert!(later.is_sorted_by(|one, next| one >= next), "newest first: {later:?}");
    assert!(later.ends_with(earlier), "what is new comes after what was there");
}

async fn leases_and_history_do_not_follow_a_clock_that_is_set(world: World) {
    let Some(shim) = Shim::of(&world).filter(|_| Program::are_built()) else { return };
    let hub = shim.hub_program(&world, &["--set", "lease=laboratory=10m", "--set", "lease=clinic=1s"]).await;
    let order = hub.submits(laboratory()).await;
    let mut laboratory = world.worker("laboratory", "Organization/lab-1").await;
    let work = laboratory.claims_next().await;
    laboratory.reports(Report::new(&work, Act::InProgress, 2)).await;
    let mut before = times(&hub).await;

    for off in [HOUR, -HOUR, 0] {
        shim.clock_is_off_by(off);
        a_clinic_falls_silent(&hub, &world).await.walked_legally().await;
        assert_eq!(order.task("collect").await["status"], "in-progress", "ten minutes are not over");
        let now = times(&hub).await;
        in_order(&before, &now);
        before = now;
    }
    laboratory.reports(Report::new(&work, Act::Completed, 3)).await;
    order.task_is("collect", "completed").await;
    order.walked_legally().await;
    assert!(hub.ends().await);
}

#[test]
fn a_clock_is_set_beside_sqlite() {
    tell(Parts::SQLITE_RABBITMQ, leases_and_history_do_not_follow_a_clock_that_is_set);
}

/// There it is the database's clock that counts: that of the hub may say what it likes.
#[test]
fn a_clock_is_set_before_postgres() {
    tell(Parts::POSTGRES_RABBITMQ, leases_and_history_do_not_follow_a_clock_that_is_set);
}
