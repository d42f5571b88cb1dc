//! The hub by itself: SQLite with `synchronous=FULL`, and queues in the process.

use std::sync::Arc;

use anyhow::Result;

use super::Settings;
use crate::drive::Pace;
use crate::orders::Orders;
use crate::report::{Point, Report};
use crate::stand::{Listening, Stand};

pub(super) const WHO: &str = "hub, embedded";

/// A hub that needs nobody.
pub(super) async fn hub(stand: &Stand) -> Result<Listening> {
    stand.hub("embedded", &stand.file("embedded"), "embedded").await
}

pub(super) async fn submit(settings: &Settings) -> Result<Report> {
    let stand = Stand::bare(settings.programs.clone())?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let mut report = Report::new("submit-embedded");
    report.notes = settings.notes(&stand, None)?;
    let hub = hub(&stand).await?;
    for round in 1..=settings.rounds {
        for connections in settings.connections.iter().copied() {
            let (tally, cost) = settings.drive(&hub, connections, Pace::Closed, orders.clone()).await?;
            let load = format!("round {round}, {connections} connections");
            report.point(Point::of(WHO, load, "orders", &tally, cost).across(connections));
        }
        report.figure("memory of the hub at full load", "MB", hub.memory_peak_mb()?, None);
    }
    Ok(report)
}
