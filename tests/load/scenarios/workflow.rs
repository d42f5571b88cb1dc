//! From the submission until the whole is completed: work orders published, claimed, granted, reported on and ended by
//! workers that need no time for their work, every step committed.

use std::sync::Arc;

use anyhow::Result;
use sqlx::{Connection, PgConnection};

use super::floored::Floored;
use super::in_flight::{IN_FLIGHT, InFlight, throughput, workers};
use super::{Settings, tidy};
use crate::drive::{Pace, histogram, quantile};
use crate::orders::Orders;
use crate::report::{Latency, Line, Point, Report};
use crate::specimen::{Specimen, Until};
use crate::stand::{Listening, Process, Stand};

const CONNECTIONS: usize = 64;

/// By the database's own clock, from the first version of the Task of the whole to the last.
const SPANS: &str = "SELECT max(updated) - min(updated) FROM version WHERE kind = 'Task' AND id = $1";
/// Work items that the floor does where the hub does what its bar asks for: 1,500 a second, 0.4 of it.
const FLOOR: f64 = 3750.0;

struct Place {
    stand: Stand,
    orders: Arc<Orders>,
    hub: Listening,
    hub_database: String,
    floor: Floored,
    work_items_each: f64,
    _workers: Vec<Process>,
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new("workflow");
    let place = Place::set(settings, &mut report).await?;
    for round in 1..=settings.rounds {
        let first = place.floor.measure(settings, &place.stand).await?;
        let rate = place.full(settings, round, &mut report).await?;
        let floor = first.and(place.floor.measure(settings, &place.stand).await?);
        report.point(floor.point(round, "workflows"));
        let floor = floor.rate();
        report.figure("workflows completed", "orders/s", rate, None);
        let line = Line::at_least(1500.0, 3000.0);
        let (items, speed) = (rate * place.work_items_each, floor * place.work_items_each / FLOOR);
        report.scaled("work items completed, end to end", "Tasks/s", items, speed, line);
        report.figure("workflow over the floor", "x", rate / floor, Line::at_least(0.4, 0.6));
        place.half(settings, round, rate / 2.0, &mut report).await?;
    }
    Ok(report)
}

impl Place {
    async fn set(settings: &Settings, report: &mut Report) -> Result<Self> {
        let stand = Stand::build(settings.programs.clone()).await?;
        let orders = Arc::new(Orders::new(settings.seed)?);
        let specimen = Specimen::record(&stand, &orders, Until::Completed).await?;
        report.notes = settings.notes(&stand, Some(&specimen))?;
        let work_items_each = specimen.work_items();
        let hub_database = stand.database("hub").await?;
        let floor = Floored::of_workflows(&stand, specimen).await?;
        report.notes.push(format!(
            "{}; {work_items_each} work items to an order; at most {IN_FLIGHT} orders under way at full load",
            floor.note()
        ));
        let hub = stand.hub("hub", &hub_database, &stand.queue()).await?;
        let workers = workers(&stand)?;
        Ok(Self { stand, orders, hub, hub_database, floor, work_items_each, _workers: workers })
    }

    /// As many orders as are completed. The rate of completion.
    async fn full(&self, settings: &Settings, round: u32, report: &mut Report) -> Result<f64> {
        tidy(&self.stand, &self.hub_database).await?;
        let completed = throughput(settings, &self.hub, &self.hub_database, self.orders.clone()).await?;
        let load = format!("round {round}, full load");
        let point = completed.point(load);
        let rate = point.rate;
        report.figure("CPU of one workflow, over everything", "ms", point.cost_of_all(), None);
        report.point(point);
        Ok(rate)
    }

    /// How long an order takes when there is room: what the placer waited for its answer, and by the database's clock
    /// from the first version of the Task of the whole to its last.
    async fn half(&self, settings: &Settings, round: u32, rate: f64, report: &mut Report) -> Result<()> {
        tidy(&self.stand, &self.hub_database).await?;
        let in_flight = Arc::new(InFlight::new(self.orders.clone(), None));
        let (tally, cost) = settings.drive(&self.hub, CONNECTIONS, Pace::Open(rate), in_flight.clone()).await?;
        let submitted = in_flight.all();
        in_flight.until_completed(&self.hub_database).await?;
        let mut connection = PgConnection::connect(&self.hub_database).await?;
        let mut whole = histogram();
        let warm = (rate * settings.warm.as_secs_f64()) as usize;
        // The first ones were submitted while it warmed up: they are not measured.
        for (task, answered_us) in submitted.into_iter().skip(warm) {
            let span: i64 = sqlx::query_scalar(SPANS).bind(task).fetch_one(&mut connection).await?;
            whole.saturating_record(answered_us + u64::try_from(span).unwrap_or(0));
        }
        let load = format!("round {round}, half load");
        let point = Point::of("hub and workers", load, "workflows", &tally, cost);
        report.point(Point { latency: Some(Latency::of(&whole)), ..point });
        report.figure("submission to completion at half load, p50", "ms", quantile(&whole, 0.5), None);
        report.figure("submission to completion at half load, p99", "ms", quantile(&whole, 0.99), None);
        Ok(())
    }
}
