//! A picture of a few lines: small panels above each other, each from nought to its highest value.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 84.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 22.0;

/// One line, and what it shows.
pub struct Panel {
    pub title: String,
    /// Across and up.
    pub points: Vec<(f64, f64)>,
}

/// As SVG. `unit` is that of what runs across.
pub fn plot(panels: &[Panel], unit: &str) -> String {
    let height = PANEL * panels.len() as f64 + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (n, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, PANEL * n as f64);
    }
    let end = panels.first().and_then(|panel| panel.points.last()).map_or(0.0, |point| point.0);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#555\">0</text>", height - 12.0);
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\" fill=\"#555\">{end:.0} {unit}</text>\n</svg>",
        WIDTH - 10.0,
        height - 12.0
    );
    svg
}

fn draw(svg: &mut String, panel: &Panel, top: f64) {
    let highest = panel.points.iter().map(|point| point.1).fold(0.0, f64::max);
    let end = panel.points.last().map_or(1.0, |point| point.0).max(f64::MIN_POSITIVE);
    let (floor, room) = (top + PANEL - 8.0, PANEL - TOP - 8.0);
    let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - 10.0);
    let y = |value: f64| floor - value / highest.max(f64::MIN_POSITIVE) * room;
    let line: Vec<String> = panel.points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#111\">{}</text>", top + 14.0, panel.title);
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\" fill=\"#555\">{highest:.0}</text>",
        LEFT - 6.0,
        y(highest) + 4.0
    );
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {floor:.1}H{:.1}\" stroke=\"#ccc\"/>\n<polyline points=\"{}\" fill=\"none\" \
         stroke=\"#1f6f8b\" stroke-width=\"1.4\"/>",
        WIDTH - 10.0,
        line.join(" ")
    );
}
