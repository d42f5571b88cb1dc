//! As text that many places show as a picture (mermaid.js.org).

use std::fmt::Write;

use super::{Box, Drawing};

pub(super) fn draw(drawing: &Drawing) -> String {
    let mut text = "flowchart TD\n".to_owned();
    within(drawing, 0, &mut text);
    for arrow in &drawing.arrows {
        let line = if arrow.of_end { "-.->" } else { "-->" };
        let _ = writeln!(text, "  a{} {line}|{}| a{}", arrow.from, quoted(&arrow.label()), arrow.to);
    }
    text
}

/// The boxes within one.
fn within(drawing: &Drawing, parent: usize, text: &mut String) {
    for it in drawing.boxes.iter().filter(|it| it.parent == parent) {
        let indent = "  ".repeat(it.depth + 1);
        if it.is_group {
            let _ = writeln!(text, "{indent}subgraph a{}[{}]", it.number, quoted(&said(it)));
            within(drawing, it.number, text);
            let _ = writeln!(text, "{indent}end");
        } else {
            let _ = writeln!(text, "{indent}a{}[{}]", it.number, quoted(&said(it)));
        }
    }
}

fn said(it: &Box) -> String {
    if it.says.is_empty() { it.label() } else { format!("{} ({})", it.label(), it.says.join(", ")) }
}

/// Signs that Mermaid would take for its own are written by their numbers.
fn quoted(text: &str) -> String {
    let sign = |c: char| match c {
        '"' | '#' | ';' | '<' | '>' | '&' | '`' | '\\' => format!("#{};", u32::from(c)),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(sign).collect::<String>())
}
