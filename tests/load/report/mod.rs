//! What is told at the end: every point that was measured, every figure with its bar and its aim, and whether it held.

mod keep;
mod table;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::drive::{Tally, quantile};
use crate::meter::{Cost, PARTS};

/// Of one scenario.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    /// On what, with what, for how long.
    pub(crate) notes: Vec<String>,
    pub(crate) points: Vec<Point>,
    pub(crate) figures: Vec<Figure>,
}

/// Something that ran for a while under some load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Point {
    pub(crate) who: &'static str,
    pub(crate) load: String,
    /// How many connections, when the plot shall show it.
    pub(crate) across: Option<f64>,
    /// What of, in a second.
    pub(crate) unit: &'static str,
    pub(crate) rate: f64,
    pub(crate) latency: Option<Latency>,
    /// Milliseconds of a processor for each.
    pub(crate) cost: BTreeMap<&'static str, f64>,
    pub(crate) faults: BTreeMap<String, u64>,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// One line of what has to be reached.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// Of each round.
    pub(crate) values: Vec<f64>,
    /// The same on a machine of the speed that the bar was set for.
    pub(crate) judged: Vec<f64>,
    /// None: only shown.
    pub(crate) line: Option<Line>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Line {
    /// What it has to be, in every round.
    pub(crate) bar: f64,
    pub(crate) aim: f64,
    pub(crate) is_limit: bool,
}

impl Line {
    pub(crate) const fn at_least(bar: f64, aim: f64) -> Option<Self> {
        Some(Self { bar, aim, is_limit: false })
    }

    pub(crate) const fn at_most(bar: f64, aim: f64) -> Option<Self> {
        Some(Self { bar, aim, is_limit: true })
    }

    fn passes(self, value: f64, line: f64) -> bool {
        // What was divided by nothing is no figure.
        value.is_finite() && if self.is_limit { value <= line } else { value >= line }
    }
}

impl Latency {
    pub(crate) fn of(latencies: &Histogram<u64>) -> Self {
        let at = |share| quantile(latencies, share);
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

impl Point {
    pub(crate) fn new(who: &'static str, load: impl Into<String>, unit: &'static str, rate: f64, each: Cost) -> Self {
        let parts = PARTS.iter().zip(each.parts).map(|((name, _), spent)| (*name, spent));
        let cost = parts.chain([("driver", each.driver)]).filter(|(_, spent)| *spent > 0.0).collect();
        let (load, faults) = (load.into(), BTreeMap::new());
        Self { who, load, across: None, unit, rate, latency: None, cost, faults }
    }

    pub(crate) fn of(
        who: &'static str,
        load: impl Into<String>,
        unit: &'static str,
        tally: &Tally,
        cost: Cost,
    ) -> Self {
        let all = tally.whole();
        let point = Self::new(who, load, unit, tally.rate(), cost.each(all.len()));
        Self { latency: Some(Latency::of(&all)), faults: tally.faults.clone(), ..point }
    }

    pub(crate) fn across(self, connections: usize) -> Self {
        Self { across: Some(connections as f64), ..self }
    }

    /// Of the hub and what it stands on; not of the driver, whom nobody has in earnest.
    pub(crate) fn cost_of_all(&self) -> f64 {
        self.cost.iter().filter(|(name, _)| **name != "driver").fold(0.0, |sum, (_, spent)| sum + spent)
    }
}

impl Figure {
    fn is_scaled(&self) -> bool {
        self.values != self.judged
    }

    /// The worst round.
    fn worst(&self) -> f64 {
        let is_limit = self.line.is_some_and(|line| line.is_limit);
        let worse = |a: f64, b: f64| if is_limit { a.max(b) } else { a.min(b) };
        self.judged.iter().copied().reduce(worse).unwrap_or(f64::NAN)
    }

    fn holds(&self) -> bool {
        self.line.is_none_or(|line| line.passes(self.worst(), line.bar))
    }
}

impl Report {
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self { scenario, notes: Vec::new(), points: Vec::new(), figures: Vec::new() }
    }

    /// One more round of a figure.
    pub(crate) fn figure(&mut self, what: &str, unit: &'static str, value: f64, line: Option<Line>) {
        self.scaled(what, unit, value, 1.0, line);
    }

    /// The same of one that moves with the machine, which is so many times as fast as the one that the bar is meant for:
    /// a rate is divided by that, a time is multiplied.
    pub(crate) fn scaled(&mut self, what: &str, unit: &'static str, value: f64, speed: f64, line: Option<Line>) {
        let is_limit = line.is_some_and(|line| line.is_limit);
        let judged = if is_limit { value * speed } else { value / speed };
        let place = self.figures.iter().position(|figure| figure.what == what).unwrap_or_else(|| {
            self.figures.push(Figure { what: what.to_owned(), unit, values: Vec::new(), judged: Vec::new(), line });
            self.figures.len() - 1
        });
        self.figures[place].values.push(value);
        self.figures[place].judged.push(judged);
    }

    /// A point that was just measured. What was answered amiss is a fault of the whole.
    pub(crate) fn point(&mut self, point: Point) {
        let latency = point.latency.map(|l| format!(", p99 {:.2} ms", l.p99)).unwrap_or_default();
        let cpu = point.cost_of_all();
        let faults = if point.faults.is_empty() { String::new() } else { format!(", FAULTS {:?}", point.faults) };
        let (who, load, unit, rate) = (point.who, &point.load, point.unit, point.rate);
        crate::say(&format!("{who}, {load}: {rate:.0} {unit}/s{latency}, {cpu:.3} CPU-ms each{faults}"));
        self.points.push(point);
    }

    /// Whether every bar held, and nothing was answered amiss.
    pub(crate) fn holds(&self) -> bool {
        self.figures.iter().all(Figure::holds) && self.points.iter().all(|point| point.faults.is_empty())
    }
}
