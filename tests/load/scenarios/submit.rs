//! Orders are submitted and nobody works: validated, their Tasks spawned, with history and search rows, committed
//! durably and answered, and their messages confirmed by the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::delivery::Delivery;
use super::{Settings, embedded, tidy};
use crate::drive::{Pace, quantile};
use crate::floor::Floor;
use crate::orders::Orders;
use crate::report::{Latency, Line, Point, Report};
use crate::specimen::{Specimen, Until};
use crate::stand::{Listening, Stand};

const CONNECTIONS: [usize; 5] = [1, 8, 32, 64, 256];
/// Where the baseline is measured beside the hub.
const COMPARED: [usize; 2] = [32, 64];
/// Where the load counts as full.
const FULL: usize = 64;
/// What the floor does where the hub does what its bars ask for: 3,000 orders a second, 0.4 of it.
const FLOOR: f64 = 7500.0;
const IDLE: Duration = Duration::from_secs(3);

/// Everything that is measured, side by side.
struct Contenders {
    stand: Stand,
    orders: Arc<Orders>,
    hub: Listening,
    hub_database: String,
    baseline: Listening,
    baseline_database: String,
    floor: Arc<Floor>,
    floor_database: String,
    embedded: Listening,
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new("submit");
    let contenders = Contenders::set(settings, &mut report).await?;
    for round in 1..=settings.rounds {
        if let Some(rate) = settings.beside {
            contenders.paced(settings, &format!("round {round}, given rate"), rate, None, &mut report).await?;
            continue;
        }
        let floor = contenders.floor(settings, round, &mut report).await?;
        let speed = floor / FLOOR;
        let at_full = contenders.closed(settings, round, speed, &mut report).await?;
        report.figure("submit over the floor", "x", at_full / floor, Line::at_least(0.4, 0.6));
        let load = format!("round {round}, half load");
        contenders.paced(settings, &load, at_full / 2.0, Some(speed), &mut report).await?;
        report.figure(
            "memory of the hub at full load",
            "MB",
            contenders.hub.memory_peak_mb()?,
            Line::at_most(200.0, 100.0),
        );
    }
    Ok(report)
}

impl Contenders {
    async fn set(settings: &Settings, report: &mut Report) -> Result<Self> {
        let stand = Stand::build(settings.programs.clone()).await?;
        let orders = Arc::new(Orders::new(settings.seed)?);
        let specimen = Specimen::record(&stand, &orders, Until::Submitted).await?;
        report.notes = settings.notes(&stand, Some(&specimen))?;
        let file = stand.folder().join("specimen.json");
        specimen.keep(&file)?;
        let hub_database = stand.database("hub").await?;
        let baseline_database = stand.database("baseline").await?;
        let floor_database = stand.database("floor").await?;
        let hub = stand.hub("hub", &hub_database, &stand.queue()).await?;
        sleep(IDLE).await;
        report.figure("memory of the hub, idle", "MB", hub.memory_mb()?, Line::at_most(80.0, 40.0));
        let baseline = stand.baseline(&baseline_database, &file).await?;
        let embedded = embedded::hub(&stand).await?;
        let floor = Floor::lay(specimen, floor_database.clone(), &stand.queue(), false).await?;
        report.notes.push(format!("floor: {} orders to a transaction, the best of a few", floor.group));
        Ok(Self { stand, orders, hub, hub_database, baseline, baseline_database, floor, floor_database, embedded })
    }

    /// As fast as each answers. The hub's rate at full load.
    async fn closed(&self, settings: &Settings, round: u32, speed: f64, report: &mut Report) -> Result<f64> {
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        for connections in CONNECTIONS {
            let load = format!("round {round}, {connections} connections");
            tidy(&self.stand, &self.hub_database).await?;
            let (tally, cost) = settings.drive(&self.hub, connections, Pace::Closed, self.orders.clone()).await?;
            ours.insert(connections, tally.rate());
            let point = Point::of("hub", load.clone(), "orders", &tally, cost).across(connections);
            if connections == FULL {
                let line = Line::at_most(0.5, 0.35);
                let what = "CPU of one submission, hub + PostgreSQL + RabbitMQ";
                report.scaled(what, "ms", point.cost_of_all(), speed, line);
            }
            report.point(point);
            if COMPARED.contains(&connections) {
                tidy(&self.stand, &self.baseline_database).await?;
                let (tally, cost) =
                    settings.drive(&self.baseline, connections, Pace::Closed, self.orders.clone()).await?;
                theirs.insert(connections, tally.rate());
                report.point(Point::of("baseline", load.clone(), "orders", &tally, cost).across(connections));
            }
        }
        let embedded = self.embedded(settings, round, report).await?;
        let over = |connections: usize| ours[&connections] / theirs[&connections];
        report.figure("submit over the baseline, 64 connections", "x", over(64), Line::at_least(2.0, 3.0));
        report.figure("submit over the baseline, 32 connections", "x", over(32), Line::at_least(1.6, 2.5));
        let line = Line::at_least(3000.0, 5000.0);
        report.scaled("submit, 64 connections", "orders/s", ours[&FULL], speed, line);
        report.figure("embedded over PostgreSQL", "x", embedded / ours[&FULL], Line::at_least(1.0, 2.0));
        Ok(ours[&FULL])
    }

    async fn floor(&self, settings: &Settings, round: u32, report: &mut Report) -> Result<f64> {
        tidy(&self.stand, &self.floor_database).await?;
        let found = self.floor.clone().measure(settings.warm, settings.measured).await?;
        let load = format!("round {round}, 2 connections");
        report.point(Point::new("floor", load, "orders", found.rate, found.cost.each(found.orders)));
        Ok(found.rate)
    }

    /// Beside servers that have sent and written down what was given to them before.
    async fn embedded(&self, settings: &Settings, round: u32, report: &mut Report) -> Result<f64> {
        tidy(&self.stand, &self.hub_database).await?;
        let (tally, cost) = settings.drive(&self.embedded, FULL, Pace::Closed, self.orders.clone()).await?;
        let load = format!("round {round}, {FULL} connections");
        report.point(Point::of(embedded::WHO, load, "orders", &tally, cost));
        Ok(tally.rate())
    }

    /// At so many orders a second: what a placer waits, and then what a filler waits. The bars are of half load.
    async fn paced(
        &self,
        settings: &Settings,
        load: &str,
        rate: f64,
        speed: Option<f64>,
        report: &mut Report,
    ) -> Result<()> {
        tidy(&self.stand, &self.hub_database).await?;
        let (tally, cost) = settings.drive(&self.hub, FULL, Pace::Open(rate), self.orders.clone()).await?;
        report.point(Point::of("hub", load, "orders", &tally, cost));
        let p99 = quantile(&tally.whole(), 0.99);
        match speed {
            Some(speed) => {
                report.scaled("p99 of a submission at half load", "ms", p99, speed, Line::at_most(25.0, 10.0));
            }
            None => report.figure("p99 of a submission", "ms", p99, None),
        }

        tidy(&self.stand, &self.hub_database).await?;
        let delivery = Delivery::watch(&self.stand).await?;
        let (tally, cost) = settings.drive(&self.hub, FULL, Pace::Open(rate), self.orders.clone()).await?;
        let delivered = Latency::of(&delivery.taken());
        let point = Point::of("hub", format!("{load}, queues read"), "orders", &tally, cost);
        report.point(point);
        match speed {
            Some(speed) => {
                let line = Line::at_most(20.0, 10.0);
                report.scaled("commit to delivery, p99 at half load", "ms", delivered.p99, speed, line);
            }
            None => report.figure("commit to delivery, p99", "ms", delivered.p99, None),
        }
        Ok(())
    }
}
