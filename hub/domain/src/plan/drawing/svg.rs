//! As a picture: a line for each action, indented by what it is a part of, and an arrow for each wait.

use std::collections::HashMap;
use std::fmt::Write;

use super::{Arrow, Box, Drawing};

/// Pixels.
const ROW: usize = 34;
const INDENT: usize = 24;
const MARGIN: usize = 16;
const LETTER: usize = 7;
/// Between two arrows beside each other.
const LANE: usize = 18;

pub(super) fn draw(drawing: &Drawing) -> String {
    let rows: HashMap<usize, usize> = drawing.boxes.iter().enumerate().map(|(row, it)| (it.number, row)).collect();
    let right = drawing.boxes.iter().map(|it| left(it) + width(it)).max().unwrap_or(0);
    let longest = drawing.arrows.iter().map(|arrow| arrow.label().chars().count()).max().unwrap_or(0);
    let wide = right + MARGIN * 2 + LANE * drawing.arrows.len() + longest * LETTER;
    let high = MARGIN * 2 + ROW * drawing.boxes.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"tip\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" orient=\"auto\">\
         <path d=\"M0,0 L8,4 L0,8 z\" fill=\"#345\"/></marker></defs>\n"
    );
    drawing.boxes.iter().enumerate().for_each(|(row, it)| boxed(&mut svg, row, it));
    for (lane, arrow) in drawing.arrows.iter().enumerate() {
        let ends = rows.get(&arrow.from).zip(rows.get(&arrow.to));
        if let Some((from, to)) = ends {
            let edge = |number: usize| left(&drawing.boxes[number]) + width(&drawing.boxes[number]);
            curved(&mut svg, arrow, (edge(*from), middle(*from)), (edge(*to), middle(*to)), right + LANE * (lane + 1));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn left(it: &Box) -> usize {
    MARGIN + it.depth * INDENT
}

fn width(it: &Box) -> usize {
    (text(it).chars().count() + 3) * LETTER
}

fn middle(row: usize) -> usize {
    MARGIN + row * ROW + (ROW - 8) / 2
}

fn text(it: &Box) -> String {
    if it.says.is_empty() { it.label() } else { format!("{}  ({})", it.label(), it.says.join(", ")) }
}

fn boxed(svg: &mut String, row: usize, it: &Box) {
    let (x, y, width, height) = (left(it), MARGIN + row * ROW, width(it), ROW - 8);
    let fill = if it.is_group { "#eef2f7" } else { "#ffffff" };
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\" fill=\"{fill}\" stroke=\"#345\"/>\
         <text x=\"{}\" y=\"{}\">{}</text>",
        x + LETTER,
        y + 17,
        escaped(&text(it)),
    );
}

/// Out of one box, down a lane of its own, into the other.
fn curved(svg: &mut String, arrow: &Arrow, from: (usize, usize), to: (usize, usize), lane: usize) {
    let dash = if arrow.of_end { " stroke-dasharray=\"4 3\"" } else { "" };
    let (from_y, to_y) = (from.1 + 4, to.1.saturating_sub(4));
    let _ = writeln!(
        svg,
        "<path d=\"M{},{from_y} L{lane},{from_y} L{lane},{to_y} L{},{to_y}\" fill=\"none\" stroke=\"#345\"{dash} \
         marker-end=\"url(#tip)\"/><text x=\"{}\" y=\"{}\" fill=\"#345\">{}</text>",
        from.0,
        to.0,
        lane + 4,
        (from_y + to_y) / 2 + 4,
        escaped(&arrow.label()),
    );
}

fn escaped(text: &str) -> String {
    let sign = |c: char| match c {
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(sign).collect()
}
