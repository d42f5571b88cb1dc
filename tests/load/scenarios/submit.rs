//! Orders are submitted and nobody works: validated, their Tasks spawned, with history and search rows, committed
//! durably and answered, and their messages confirmed by the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::delivery::Delivery;
use super::floored::{Floored, speed};
use super::{Settings, embedded, tidy};
use crate::drive::{Pace, Tally, quantile};
use crate::floor::Found;
use crate::meter::Cost;
use crate::orders::Orders;
use crate::report::{Line, Point, Report};
use crate::specimen::{Specimen, Until};
use crate::stand::{Listening, Stand};

const CONNECTIONS: [usize; 5] = [1, 8, 32, 64, 256];
/// Where the baseline is measured beside the hub.
const COMPARED: usize = 32;
/// Where the load counts as full: here all are measured beside each other.
const FULL: usize = 64;
const IDLE: Duration = Duration::from_secs(3);

/// Everything that is measured, side by side.
struct Contenders {
    stand: Stand,
    orders: Arc<Orders>,
    hub: Listening,
    hub_database: String,
    baseline: Listening,
    baseline_database: String,
    floor: Floored,
    embedded: Listening,
}

/// One of those who are measured beside each other.
struct Contender<'c> {
    who: &'static str,
    server: &'c Listening,
    /// What is tidied before it is measured.
    database: &'c str,
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new("submit");
    for round in 1..=settings.rounds {
        // A run of its own: the hub is asked more than the others, and its registry would be the largest in the next one.
        let contenders = Contenders::set(settings, &mut report).await?;
        match settings.beside {
            Some(rate) => {
                contenders.paced(settings, &format!("round {round}, given rate"), rate, None, &mut report).await?;
            }
            None => contenders.round(settings, round, &mut report).await?,
        }
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
        let hub = stand.hub("hub", &hub_database, &stand.queue()).await?;
        sleep(IDLE).await;
        report.figure("memory of the hub, idle", "MB", hub.memory_mb()?, Line::at_most(80.0, 40.0));
        let baseline = stand.baseline(&baseline_database, &file).await?;
        let embedded = embedded::hub(&stand).await?;
        let floor = Floored::of_orders(&stand, specimen).await?;
        report.notes.push(floor.note());
        Ok(Self { stand, orders, hub, hub_database, baseline, baseline_database, floor, embedded })
    }

    async fn round(&self, settings: &Settings, round: u32, report: &mut Report) -> Result<()> {
        let (hub, baseline, embedded) = (self.hub(), self.baseline(), self.embedded());
        let mut at_full = (0.0, 1.0);
        for connections in CONNECTIONS {
            let load = format!("round {round}, {connections} connections");
            match connections {
                FULL => {
                    let first = self.floor.measure(settings, &self.stand).await?;
                    let points = self.closed(settings, &load, connections, &[&hub, &baseline, &embedded]).await?;
                    let floor = first.and(self.floor.measure(settings, &self.stand).await?);
                    report.point(floor.point(round, "orders"));
                    at_full = (points[0].rate, speed(&floor));
                    self.judge_full(&points, &floor, report);
                    points.into_iter().for_each(|point| report.point(point));
                }
                COMPARED => {
                    let points = self.closed(settings, &load, connections, &[&hub, &baseline]).await?;
                    let (over, line) = (points[0].rate / points[1].rate, Line::at_least(1.6, 2.5));
                    report.figure("submit over the baseline, 32 connections", "x", over, line);
                    points.into_iter().for_each(|point| report.point(point));
                }
                _ => {
                    let points = self.closed(settings, &load, connections, &[&hub]).await?;
                    points.into_iter().for_each(|point| report.point(point));
                }
            }
        }
        let (rate, speed) = at_full;
        let load = format!("round {round}, half load");
        self.paced(settings, &load, rate / 2.0, Some(speed), report).await?;
        let memory = self.hub.memory_peak_mb()?;
        report.figure("memory of the hub at full load", "MB", memory, Line::at_most(200.0, 100.0));
        Ok(())
    }

    fn hub(&self) -> Contender<'_> {
        Contender { who: "hub", server: &self.hub, database: &self.hub_database }
    }

    fn baseline(&self) -> Contender<'_> {
        Contender { who: "baseline", server: &self.baseline, database: &self.baseline_database }
    }

    /// Beside servers that have sent and written down what was given to them before.
    fn embedded(&self) -> Contender<'_> {
        Contender { who: embedded::WHO, server: &self.embedded, database: &self.hub_database }
    }

    /// As fast as each answers: there and back, so that whatever the machine does meanwhile meets all of them alike.
    async fn closed(
        &self,
        settings: &Settings,
        load: &str,
        connections: usize,
        contenders: &[&Contender<'_>],
    ) -> Result<Vec<Point>> {
        let back = contenders.iter().rev().filter(|_| contenders.len() > 1);
        let mut seen: BTreeMap<&str, (Tally, Cost)> = BTreeMap::new();
        for contender in contenders.iter().chain(back) {
            tidy(&self.stand, contender.database).await?;
            let found = settings.drive(contender.server, connections, Pace::Closed, self.orders.clone()).await?;
            let found = match seen.remove(contender.who) {
                Some((tally, cost)) => (tally.and(found.0), cost.and(found.1)),
                None => found,
            };
            seen.insert(contender.who, found);
        }
        let point = |contender: &&Contender<'_>| {
            let (tally, cost) = &seen[contender.who];
            Point::of(contender.who, load, "orders", tally, *cost).across(connections)
        };
        Ok(contenders.iter().map(point).collect())
    }

    /// Of the hub, the baseline and the embedded hub at full load.
    fn judge_full(&self, points: &[Point], floor: &Found, report: &mut Report) {
        let [hub, baseline, embedded] = points else { unreachable!("three are measured at full load") };
        let speed = speed(floor);
        let over = |other: f64| hub.rate / other;
        report.figure("submit over the baseline, 64 connections", "x", over(baseline.rate), Line::at_least(2.0, 3.0));
        report.figure("submit over the floor", "x", over(floor.rate()), Line::at_least(0.4, 0.6));
        report.scaled("submit, 64 connections", "orders/s", hub.rate, speed, Line::at_least(3000.0, 5000.0));
        let what = "CPU of one submission, hub + PostgreSQL + RabbitMQ";
        report.scaled(what, "ms", hub.cost_of_all(), speed, Line::at_most(0.5, 0.35));
        let line = Line::at_least(1.0, 2.0);
        report.figure("embedded over PostgreSQL", "x", embedded.rate / hub.rate, line);
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
        let mut delivery = Delivery::watch(&self.stand).await?;
        let (tally, cost) = settings.drive(&self.hub, FULL, Pace::Open(rate), self.orders.clone()).await?;
        let taken = delivery.taken(&self.hub_database).await?;
        let point = Point::of("hub", format!("{load}, queues read"), "orders", &tally, cost);
        report.point(point);
        let (decided, committed) = (quantile(&taken.from_decision, 0.99), quantile(&taken.from_commit, 0.99));
        match speed {
            Some(speed) => {
                let line = Line::at_most(20.0, 10.0);
                report.scaled("commit to delivery, p99 at half load", "ms", committed, speed, line);
            }
            None => report.figure("commit to delivery, p99", "ms", committed, None),
        }
        report.figure("decision to delivery, p99", "ms", decided, None);
        Ok(())
    }
}
