//! The report for a person.

use std::fmt;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use super::{Figure, Point, Report};
use crate::meter::PARTS;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.scenario)?;
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        if !self.points.is_empty() {
            writeln!(f, "{}", points(&self.points))?;
        }
        writeln!(f, "{}", figures(&self.figures))?;
        for point in self.points.iter().filter(|point| !point.faults.is_empty()) {
            writeln!(f, "FAIL {}, {}: {:?}", point.who, point.load, point.faults)?;
        }
        Ok(())
    }
}

fn points(points: &[Point]) -> Table {
    let parts = || PARTS.iter().map(|(name, _)| *name).chain(["driver"]);
    let is_used = |part: &&str| points.iter().any(|point| point.cost.contains_key(*part));
    let parts: Vec<&str> = parts().filter(is_used).collect();
    let head = ["who", "load", "per second", "p50 ms", "p99 ms", "p99.9 ms", "CPU-ms each"].into_iter();
    let mut table = table(head.chain(parts.iter().copied()).map(str::to_owned).collect());
    for point in points {
        let latency = |of: fn(&super::Latency) -> f64| point.latency.as_ref().map_or(String::new(), |l| number(of(l)));
        let cost = |part: &&str| point.cost.get(*part).map_or(String::new(), |spent| number(*spent));
        let row = [
            point.who.to_owned(),
            point.load.clone(),
            format!("{:.0} {}", point.rate, point.unit),
            latency(|l| l.p50),
            latency(|l| l.p99),
            latency(|l| l.p999),
            number(point.cost_of_all()),
        ];
        table.add_row(row.into_iter().chain(parts.iter().map(cost)));
    }
    for n in 2..7 + parts.len() {
        if let Some(column) = table.column_mut(n) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn figures(figures: &[Figure]) -> Table {
    let head = ["figure", "measured", "scaled by the floor", "bar", "aim", ""];
    let mut table = table(head.map(str::to_owned).to_vec());
    for figure in figures {
        let listed = |values: &[f64]| values.iter().map(|value| number(*value)).collect::<Vec<_>>().join("  ");
        let judged = if figure.is_scaled() { listed(&figure.judged) } else { String::new() };
        let (mut bar, mut aim, mut verdict) = (String::new(), String::new(), "");
        if let Some(line) = figure.line {
            let sign = if line.is_limit { "<=" } else { ">=" };
            (bar, aim) = (format!("{sign} {}", number(line.bar)), format!("{sign} {}", number(line.aim)));
            verdict = match (figure.holds(), line.passes(figure.worst(), line.aim)) {
                (true, true) => "pass, and the aim",
                (true, false) => "pass",
                (false, _) => "FAIL",
            };
        }
        table.add_row([
            figure.what.clone(),
            format!("{} {}", listed(&figure.values), figure.unit),
            judged,
            bar,
            aim,
            verdict.to_owned(),
        ]);
    }
    table
}

fn table(head: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(head);
    table
}

/// With as many digits as say something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
