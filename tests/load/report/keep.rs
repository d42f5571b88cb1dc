//! The report for a program, and a picture.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tests::{Panel, plot};

use super::{Point, Report};

impl Report {
    /// Beside each other: `<scenario>.json` and, when something runs across, `<scenario>.svg`.
    pub(crate) fn keep(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        fs::write(folder.join(format!("{}.json", self.scenario)), serde_json::to_vec_pretty(self)?)?;
        let panels = panels(&self.points);
        if !panels.is_empty() {
            fs::write(folder.join(format!("{}.svg", self.scenario)), plot(&panels, "connections"))?;
        }
        Ok(())
    }
}

/// For each of whom there are points: the rate, and the latency; the mean where there were rounds.
fn panels(points: &[Point]) -> Vec<Panel> {
    let mut panels = Vec::new();
    let mut whose: Vec<&str> = Vec::new();
    for point in points.iter().filter(|point| point.across.is_some()) {
        if !whose.contains(&point.who) {
            whose.push(point.who);
        }
    }
    for who in whose {
        let its = || points.iter().filter(move |point| point.who == who);
        let unit = its().next().map_or("", |point| point.unit);
        panels
            .push(Panel { title: format!("{who}: {unit} per second"), points: line(its(), |point| Some(point.rate)) });
        let p99 = |point: &Point| point.latency.map(|latency| latency.p99);
        panels.push(Panel { title: format!("{who}: p99 in ms"), points: line(its(), p99) });
    }
    panels
}

fn line<'a>(points: impl Iterator<Item = &'a Point>, of: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in points {
        if let (Some(across), Some(value)) = (point.across, of(point)) {
            values.entry(across as u64).or_default().push(value);
        }
    }
    let mean = |(across, all): (u64, Vec<f64>)| (across as f64, all.iter().sum::<f64>() / all.len() as f64);
    values.into_iter().map(mean).collect()
}
