//! Deadlines that cannot be kept: a step is to come within some time of what is elsewhere, and what it waits for takes longer.

use std::collections::BTreeMap;

use schemas::plan::{Required, When};

use super::graph::{Event, Graph};

/// A step that is late whatever anybody does.
pub(super) struct Late {
    pub(super) node: usize,
    /// From whose event its deadline is counted.
    pub(super) on: usize,
    /// So long after that it comes at the earliest.
    pub(super) least_us: i64,
}

/// Each at most once. The graph has no cycle.
pub(super) fn late(graph: &Graph) -> Vec<Late> {
    let mut deadlines: BTreeMap<usize, Vec<Deadline>> = BTreeMap::new();
    for node in 1..graph.nodes.len() {
        let this = &graph.nodes[node];
        let begins = this.waits.iter().map(|wait| (wait, moment(node, At::Begin)));
        let ends = this.ends.iter().map(|end| (end, moment(node, At::End)));
        for (wait, of) in begins.chain(ends) {
            let deadline = wait.offset.high_us.map(|high_us| Deadline { node, on: wait.on, of, high_us });
            deadlines.entry(moment(wait.on, wait.event.into())).or_default().extend(deadline);
        }
    }
    deadlines.retain(|_, all| !all.is_empty());
    if deadlines.is_empty() {
        return Vec::new();
    }
    let order = Order::of(graph);
    let mut late: Vec<Late> = Vec::new();
    for (from, all) in deadlines {
        let since = order.since(from);
        for Deadline { node, on, of, high_us } in all {
            let least_us = since[of].filter(|least| *least > high_us);
            late.extend(least_us.map(|least_us| Late { node, on, least_us }));
        }
    }
    late.sort_by_key(|late| late.node);
    late.dedup_by_key(|late| late.node);
    late
}

struct Deadline {
    node: usize,
    on: usize,
    /// What is to come in time.
    of: usize,
    high_us: i64,
}

/// Of a node, each not before the one above it here.
#[derive(Clone, Copy)]
enum At {
    Begin,
    Released,
    Started,
    End,
}

impl From<Event> for At {
    fn from(event: Event) -> Self {
        match event {
            Event::Released => Self::Released,
            Event::Started => Self::Started,
            Event::Ended => Self::End,
        }
    }
}

fn moment(node: usize, at: At) -> usize {
    4 * node + at as usize
}

/// "So long after that one at least."
struct Edge {
    after: usize,
    low_us: i64,
    /// Whatever becomes of other parts of the plan.
    is_sure: bool,
}

impl Edge {
    fn sure(after: usize, low_us: i64) -> Self {
        Self { after, low_us, is_sure: true }
    }
}

/// All moments, each behind those that it comes after.
struct Order {
    edges: Vec<Vec<Edge>>,
    numbers: Vec<usize>,
}

impl Order {
    fn of(graph: &Graph) -> Self {
        let mut edges: Vec<Vec<Edge>> = (0..4 * graph.nodes.len()).map(|_| Vec::new()).collect();
        for node in 1..graph.nodes.len() {
            let this = &graph.nodes[node];
            let within_us = match this.when {
                Some(When::After(window)) => window.low_us,
                _ => 0,
            };
            let begin = &mut edges[moment(node, At::Begin)];
            begin.push(Edge::sure(moment(this.parent, At::Begin), within_us));
            begin.extend(this.waits.iter().map(|wait| Edge {
                after: moment(wait.on, wait.event.into()),
                low_us: wait.offset.low_us,
                is_sure: is_sure(graph, wait.on),
            }));
            for (one, before) in [(At::Released, At::Begin), (At::Started, At::Released), (At::End, At::Started)] {
                edges[moment(node, one)].push(Edge::sure(moment(node, before), 0));
            }
            if is_sure(graph, node) {
                edges[moment(this.parent, At::End)].push(Edge::sure(moment(node, At::End), 0));
            }
        }
        let numbers = sorted(&edges);
        Self { edges, numbers }
    }

    /// How long after one moment each comes at least, as far as it depends on it. That moment itself has come: who waits for
    /// it waits.
    fn since(&self, from: usize) -> Vec<Option<i64>> {
        let mut since = vec![None; self.edges.len()];
        for number in &self.numbers {
            let counts = |edge: &&Edge| edge.is_sure || edge.after == from;
            let least = |edge: &Edge| since[edge.after].map(|us: i64| us.saturating_add(edge.low_us));
            let itself = (*number == from).then_some(0);
            since[*number] = self.edges[*number].iter().filter(counts).filter_map(least).chain(itself).max();
        }
        since
    }
}

/// It is done in any case, or what waits for it is not.
fn is_sure(graph: &Graph, node: usize) -> bool {
    let mut above = graph.upwards(node).map(|n| &graph.nodes[n]);
    above.all(|this| {
        let is_chosen = !graph.nodes[this.parent].selection.is_certain();
        let is_open = this.item.is_some() || this.is_spare || this.undoes.is_some() || !this.conditions.is_empty();
        this.required == Required::Must && !is_chosen && !is_open
    })
}

/// Without recursion: a plan may be one long chain.
fn sorted(edges: &[Vec<Edge>]) -> Vec<usize> {
    let mut left: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (number, after) in edges.iter().enumerate() {
        after.iter().for_each(|edge| followers[edge.after].push(number));
    }
    let mut numbers: Vec<usize> = (0..edges.len()).filter(|number| left[*number] == 0).collect();
    let mut next = 0;
    while let Some(number) = numbers.get(next).copied() {
        next += 1;
        for follower in &followers[number] {
            left[*follower] -= 1;
            if left[*follower] == 0 {
                numbers.push(*follower);
            }
        }
    }
    numbers
}
