//! The broker was away while orders were taken. It is back: how fast does the outbox drain?

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::{OUTBOX, Settings, tidy};
use crate::drive::Pace;
use crate::floor::Posts;
use crate::meter::Reading;
use crate::orders::Orders;
use crate::report::{Line, Point, Report};
use crate::specimen::{Specimen, Until};
use crate::stand::Stand;

const ORDERS: u64 = 20_000;
const CONNECTIONS: usize = 64;
/// A queue that was just declared does not outlive its broker.
const DECLARED: Duration = Duration::from_secs(3);
/// For so long a message is left to the lane that committed it (`outbox_lease_ms`), and a little more.
const LEFT_ALONE: Duration = Duration::from_secs(11);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const ANY: &str = "SELECT EXISTS (SELECT FROM outbox)";
/// What plain lapin publishes where the hub does what its bar asks for: 10,000 messages a second, 0.4 of it.
const FLOOR: f64 = 25_000.0;
const LIMIT: Duration = Duration::from_secs(300);

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let mut stand = Stand::build(settings.programs.clone()).await?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let mut report = Report::new("relay");
    let specimen = Specimen::record(&stand, &orders, Until::Submitted).await?;
    report.notes = settings.notes(&stand, Some(&specimen))?;
    let database = stand.database("hub").await?;
    let hub = stand.hub("hub", &database, &stand.queue()).await?;
    let floor = Posts::lay(specimen, stand.queue()).await?;
    sleep(DECLARED).await;
    let mut connection = PgConnection::connect(&database).await?;
    for round in 1..=settings.rounds {
        let messages = settings.orders.unwrap_or(ORDERS);
        // Before and after, so that whatever the machine does meanwhile meets both alike.
        tidy(&stand, &database).await?;
        let first = floor.measure(messages).await?;
        stand.stop_broker();
        while depth(&mut connection).await? < messages {
            let (tally, _) = settings.drive(&hub, CONNECTIONS, Pace::Closed, orders.clone()).await?;
            ensure!(tally.faults.is_empty(), "orders were not taken without the broker: {:?}", tally.faults);
        }
        sleep(LEFT_ALONE).await;
        let full = depth(&mut connection).await?;
        crate::say(&format!("{full} messages wait for the broker"));
        stand.start_broker();
        let (seconds, before, after) = drained(&mut connection, full).await?;
        let rate = full as f64 / seconds;
        let cost = after.since(&before).each(full);
        report.point(Point::new("hub", format!("round {round}, {full} messages"), "messages", rate, cost));
        tidy(&stand, &database).await?;
        let plain = first.and(floor.measure(messages).await?);
        report.point(plain.point(round, "messages"));
        let line = Line::at_least(10_000.0, 15_000.0);
        report.scaled("outbox to quorum queue, confirmed", "messages/s", rate, plain.rate() / FLOOR, line);
    }
    Ok(report)
}

/// From the first message that leaves to the last. Once they leave, they are no longer counted: that would be a part of the
/// work that is measured.
async fn drained(connection: &mut PgConnection, full: u64) -> Result<(f64, Reading, Reading)> {
    let limit = Instant::now() + LIMIT;
    let (mut begun, mut before) = (Instant::now(), Reading::take()?);
    while depth(connection).await? >= full {
        ensure!(Instant::now() < limit, "the outbox does not begin to drain");
        (begun, before) = (Instant::now(), Reading::take()?);
        sleep(LOOK_EVERY).await;
    }
    while sqlx::query_scalar(ANY).fetch_one(&mut *connection).await? {
        ensure!(Instant::now() < limit, "{} messages are still in the outbox", depth(connection).await?);
        sleep(LOOK_EVERY).await;
    }
    Ok((begun.elapsed().as_secs_f64(), before, Reading::take()?))
}

async fn depth(connection: &mut PgConnection) -> Result<u64> {
    let depth: i64 = sqlx::query_scalar(OUTBOX).fetch_one(connection).await?;
    Ok(u64::try_from(depth).unwrap_or(0))
}
