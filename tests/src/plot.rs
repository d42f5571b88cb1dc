//! A picture of a few lines: panels above each other, each from nought to its highest value, all over the same range.

use std::collections::BTreeSet;
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 120.0;
const LEFT: f64 = 64.0;
/// With room for the names of lines.
const RIGHT: f64 = 96.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 10.0;
const FOOT: f64 = 30.0;
const COLOURS: [&str; 4] = ["#1f6f8b", "#c2571a", "#5b7f2b", "#7a4b94"];

pub struct Panel {
    pub title: String,
    pub lines: Vec<Line>,
}

/// One line, and what it shows; no name where there is but one.
pub struct Line {
    pub name: String,
    /// Across and up.
    pub points: Vec<(f64, f64)>,
}

/// What runs across, and how.
pub enum Across {
    /// From nought on, in this unit.
    Even(&'static str),
    /// Each doubling as far as the one before; every value is written.
    Doubling(&'static str),
}

impl Across {
    fn unit(&self) -> &'static str {
        match self {
            Self::Even(unit) | Self::Doubling(unit) => unit,
        }
    }

    fn place(&self, value: f64) -> f64 {
        match self {
            Self::Even(_) => value,
            Self::Doubling(_) => value.max(f64::MIN_POSITIVE).log2(),
        }
    }
}

/// As SVG.
pub fn plot(panels: &[Panel], across: &Across) -> String {
    let values = || panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points).map(|point| point.0);
    let places = || values().map(|value| across.place(value));
    let start = if matches!(across, Across::Even(_)) { 0.0 } else { places().fold(f64::INFINITY, f64::min) };
    let end = places().fold(start + f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + (across.place(value) - start) / (end - start) * (WIDTH - LEFT - RIGHT);
    let height = PANEL * panels.len() as f64 + FOOT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (n, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, PANEL * n as f64, &x);
    }
    let ticks: BTreeSet<u64> = match across {
        Across::Even(_) => [0.0, values().fold(0.0, f64::max)].map(|value| value as u64).into(),
        Across::Doubling(_) => values().map(|value| value as u64).collect(),
    };
    for tick in ticks {
        text(&mut svg, x(tick as f64), height - 12.0, "middle", "#555", &tick.to_string());
    }
    text(&mut svg, WIDTH - RIGHT + 18.0, height - 12.0, "start", "#555", across.unit());
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel, top: f64, x: &impl Fn(f64) -> f64) {
    let highest = panel.lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let (floor, room) = (top + PANEL - BOTTOM, PANEL - TOP - BOTTOM);
    let y = |value: f64| floor - value / highest.max(f64::MIN_POSITIVE) * room;
    text(svg, LEFT, top + 15.0, "start", "#111", &panel.title);
    for level in [0.0, highest / 2.0, highest] {
        let _ = writeln!(svg, "<path d=\"M{LEFT} {:.1}H{:.1}\" stroke=\"#ddd\"/>", y(level), WIDTH - RIGHT);
        text(svg, LEFT - 6.0, y(level) + 4.0, "end", "#555", &format!("{level:.0}"));
    }
    for (line, colour) in panel.lines.iter().zip(COLOURS.iter().cycle()) {
        let places: Vec<String> = line.points.iter().map(|(at, up)| format!("{:.1},{:.1}", x(*at), y(*up))).collect();
        let places = places.join(" ");
        let _ = writeln!(svg, "<polyline points=\"{places}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.4\"/>");
        // A line of one point is none.
        if let [(at, up)] = line.points[..] {
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{colour}\"/>", x(at), y(up));
        }
        if let Some((at, up)) = line.points.last() {
            text(svg, x(*at) + 6.0, y(*up) + 4.0, "start", colour, &line.name);
        }
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>");
}
