//! The report for a program, and a picture.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tests::{Across, Line, Panel, plot};

use super::{Point, Report};

impl Report {
    /// Beside each other: `<scenario>.json` and, when something runs across, `<scenario>.svg`.
    pub(crate) fn keep(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        fs::write(folder.join(format!("{}.json", self.scenario)), serde_json::to_vec_pretty(self)?)?;
        let panels = panels(&self.points);
        if !panels.is_empty() {
            fs::write(folder.join(format!("{}.svg", self.scenario)), plot(&panels, &Across::Doubling("connections")))?;
        }
        Ok(())
    }
}

/// The rate, and the latency, of each of whom there are points; the mean where there were rounds.
fn panels(points: &[Point]) -> Vec<Panel> {
    let mut whose: Vec<&str> = Vec::new();
    for point in points.iter().filter(|point| point.across.is_some()) {
        if !whose.contains(&point.who) {
            whose.push(point.who);
        }
    }
    if whose.is_empty() {
        return Vec::new();
    }
    let unit = points.first().map_or("", |point| point.unit);
    let panel = |title: String, of: &dyn Fn(&Point) -> Option<f64>| {
        let its = |who: &&str| points.iter().filter(|point| point.who == *who).collect::<Vec<_>>();
        let lines = whose.iter().map(|who| Line { name: (*who).to_owned(), points: line(&its(who), of) });
        Panel { title, lines: lines.collect() }
    };
    let p99 = |point: &Point| point.latency.map(|latency| latency.p99);
    vec![
        panel(format!("{unit} a second"), &|point| Some(point.rate)),
        panel("p99, in ms".to_owned(), &p99),
        panel("CPU for each, in µs".to_owned(), &|point| Some(1000.0 * point.cost_of_all())),
    ]
}

fn line(points: &[&Point], of: &dyn Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in points {
        if let (Some(across), Some(value)) = (point.across, of(point)) {
            values.entry(across as u64).or_default().push(value);
        }
    }
    let mean = |(across, all): (u64, Vec<f64>)| (across as f64, all.iter().sum::<f64>() / all.len() as f64);
    values.into_iter().map(mean).collect()
}
