//! The broker is gone for a minute. Orders are accepted as before; when it is back, what waited is sent at twice the
//! rate at which new orders come.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, PgConnection};
use tests::Programs;
use tokio::time::{Instant, sleep};

use super::load::Load;
use super::passes;
use crate::stage::Stage;

const AWAY: Duration = Duration::from_secs(60);
const NORMAL: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const DRAIN_LIMIT: Duration = Duration::from_secs(300);

pub(super) async fn measure(programs: &Programs) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("hub-figure-").tempdir()?;
    let stage = Stage::set_without_workers(programs, None, folder.path(), &[]).await?;
    stage.is_ready().await;
    let normal = {
        let load = Load::closed(&stage.clients);
        load.rate_of(Duration::from_secs(5)).await;
        load.rate_of(NORMAL).await
    };
    println!("normal: {normal:.0} orders/s accepted with 32 clients");
    let (kept, refused) = {
        let load = Load::closed(&stage.clients);
        let (away, kept) = tokio::join!(stage.kill_broker(AWAY), load.rate_of(AWAY));
        away?;
        (kept, load.refused())
    };
    println!("without the broker: {kept:.0} orders/s accepted, {refused} refused");
    let share = kept / normal * 100.0;
    let accepts = passes("orders accepted without the broker", share, "% of the normal rate", share >= 80.0, ">= 80 %");
    is_empty(&stage).await?;

    let load = Load::open(&stage.clients, normal / 2.0);
    sleep(Duration::from_secs(5)).await;
    stage.kill_broker(AWAY).await?;
    let back = Instant::now();
    let backlog = depth(&stage).await?;
    let before = load.accepted();
    let drained = is_empty(&stage).await?;
    let arrived = (load.accepted() - before) as f64;
    let seconds = drained.duration_since(back).as_secs_f64();
    let (arrival, drain) = (arrived / seconds, (backlog as f64 + arrived) / seconds);
    println!("{backlog} messages waited; {seconds:.1} s later none did, while {arrival:.0} orders/s came");
    let ratio = drain / arrival;
    let drains = passes("the backlog drains at", ratio, "times the rate of arrival", ratio >= 2.0, ">= 2");
    Ok(accepts && drains)
}

/// When the outbox holds no more than what is just on its way.
async fn is_empty(stage: &Stage) -> Result<Instant> {
    let limit = Instant::now() + DRAIN_LIMIT;
    while depth(stage).await? > 500 {
        anyhow::ensure!(Instant::now() < limit, "the outbox does not drain");
        sleep(LOOK_EVERY).await;
    }
    Ok(Instant::now())
}

async fn depth(stage: &Stage) -> Result<i64> {
    let mut connection = PgConnection::connect(&stage.database).await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&mut connection).await?)
}
