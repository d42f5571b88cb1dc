//! A plan to look at: its actions and what waits for what, as JSON, as Mermaid, as SVG.

mod mermaid;
mod svg;

use schemas::plan::{Action, Required, Window};
use serde_json::{Value, json};

use super::graph::{Event, Graph};

/// In a picture a longer title is cut.
const TITLE_LIMIT_LETTERS: usize = 60;

/// What is drawn. Both lists are in the order of the document.
#[derive(Debug)]
pub struct Drawing<'a> {
    boxes: Vec<Box<'a>>,
    arrows: Vec<Arrow>,
}

#[derive(Debug)]
struct Box<'a> {
    number: usize,
    parent: usize,
    depth: usize,
    name: &'a str,
    title: &'a str,
    /// What is said of how it is chosen and done.
    says: Vec<String>,
    is_group: bool,
}

impl Box<'_> {
    /// Its title, as far as a picture has room for it.
    fn label(&self) -> String {
        match self.title.char_indices().nth(TITLE_LIMIT_LETTERS) {
            Some((end, _)) => format!("{}…", self.title[..end].trim_end()),
            None => self.title.to_owned(),
        }
    }
}

/// From what is waited for to what waits.
#[derive(Debug)]
struct Arrow {
    from: usize,
    to: usize,
    event: Event,
    offset: Window,
    /// It holds nothing back, but by it one may be late.
    of_end: bool,
}

impl<'a> Drawing<'a> {
    pub fn of(graph: &'a Graph) -> Self {
        // What is done several times is drawn once.
        let drawn = || (1..graph.nodes.len()).filter(|n| graph.nodes[*n].is_first && !graph.nodes[*n].is_repeated);
        let boxes = drawn().filter_map(|n| Some(boxed(graph, n, graph.nodes[n].action.as_ref()?)));
        let arrows = drawn().flat_map(|to| {
            let arrow = move |wait: &super::graph::Wait, of_end| Arrow {
                from: one_of(graph, wait.on),
                to,
                event: wait.event,
                offset: wait.offset,
                of_end,
            };
            let node = &graph.nodes[to];
            let starts = node.waits.iter().map(move |wait| arrow(wait, false));
            starts.chain(node.ends.iter().map(move |wait| arrow(wait, true)))
        });
        let arrows = arrows.filter(|arrow: &Arrow| graph.nodes[arrow.from].is_first);
        Self { boxes: boxes.collect(), arrows: arrows.collect() }
    }

    pub fn json(&self) -> Value {
        let boxed = |it: &Box| {
            let mut told = json!({ "number": it.number, "id": it.name, "title": it.title });
            if it.parent != 0 {
                told["partOf"] = it.parent.into();
            }
            if !it.says.is_empty() {
                told["behaviour"] = json!(it.says);
            }
            told
        };
        let arrow = |it: &Arrow| {
            let mut told = json!({ "from": it.from, "to": it.to, "after": it.event.name() });
            if it.of_end {
                told["ofItsEnd"] = true.into();
            }
            if it.offset.low_us > 0 {
                told["notBeforeSeconds"] = (it.offset.low_us / 1_000_000).into();
            }
            if let Some(high) = it.offset.high_us {
                told["notLaterSeconds"] = (high / 1_000_000).into();
            }
            told
        };
        let (actions, waits): (Vec<Value>, Vec<Value>) =
            (self.boxes.iter().map(boxed).collect(), self.arrows.iter().map(arrow).collect());
        json!({ "actions": actions, "waits": waits })
    }

    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    pub fn svg(&self) -> String {
        svg::draw(self)
    }
}

fn boxed<'a>(graph: &Graph, number: usize, action: &'a Action) -> Box<'a> {
    let is_group = !graph.is_leaf(number);
    let above: Vec<usize> = graph.upwards(number).filter(|n| !graph.nodes[*n].is_repeated).collect();
    let mut says: Vec<String> = Vec::new();
    says.extend(is_group.then(|| action.selection.code().to_owned()));
    says.extend(action.in_sequence.then(|| "in sequence".to_owned()));
    says.extend(match action.required {
        Required::Must => None,
        Required::Could => Some("could".to_owned()),
        Required::MustUnlessDocumented => Some("must unless documented".to_owned()),
    });
    says.extend(graph.nodes[number].undoes.and_then(|n| graph.name(n)).map(|name| format!("undoes {name}")));
    says.extend(graph.nodes[number].chooser.and_then(|n| graph.name(n)).map(|name| format!("chosen by {name}")));
    says.extend(action.per_item.then(|| "per item".to_owned()));
    says.extend(action.repeat.as_ref().map(|repeat| format!("{} times", repeat.times())));
    says.extend(action.multiple.then(|| "as often as asked for".to_owned()));
    let days = || action.days.iter().map(u32::to_string).collect::<Vec<_>>().join(" and ");
    says.extend((!action.days.is_empty()).then(|| format!("on days {}", days())));
    says.extend((!action.conditions.is_empty()).then(|| "on condition".to_owned()));
    Box {
        number,
        parent: above.get(1).copied().unwrap_or(0),
        depth: above.len() - 1,
        name: &action.id,
        title: action.title.as_deref().unwrap_or(&action.id),
        says,
        is_group,
    }
}

/// The first time, for all of them.
fn one_of(graph: &Graph, node: usize) -> usize {
    let this = &graph.nodes[node];
    this.children.first().copied().filter(|_| this.is_repeated).unwrap_or(node)
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Released => "offer",
            Self::Started => "start",
            Self::Ended => "end",
        }
    }
}

impl Arrow {
    /// `end + 2 h, at most 3 d`
    fn label(&self) -> String {
        let mut label = self.event.name().to_owned();
        if self.offset.low_us > 0 {
            label = format!("{label} + {}", span(self.offset.low_us));
        }
        match self.offset.high_us {
            Some(high) => format!("{label}, at most {}", span(high)),
            None => label,
        }
    }
}

/// `2 d 90 min` is `2 d 1 h 30 min`; months and years are days here.
pub fn span(us: i64) -> String {
    let mut left = us / 1_000_000;
    let mut parts = Vec::new();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
        if left / unit != 0 || (parts.is_empty() && unit == 1) {
            parts.push(format!("{} {name}", left / unit));
        }
        left %= unit;
    }
    parts.join(" ")
}
