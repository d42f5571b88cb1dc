//! A plan bound to an order: its actions numbered in document order, each with what it waits for.
//!
//! An action that is done once per item stands here once for each request of the order, and one that is repeated once for
//! each time. Node 0 is the whole; its Task is the fulfilment Task. The number of a node is the `<step>` in its Task's id,
//! so it must never change for a running order: it depends on the plan and the number of items only. What is above has a
//! smaller number than what is below it. How it is made is told in [`bind`](super::bind).

use std::sync::Arc;

use hub_fhirpath::Expression;
use schemas::plan::{Action, Condition, ConditionKind, Point, Required, Selection, When, Window};

#[derive(Debug, Clone)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// Some action has a condition.
    pub is_conditional: bool,
    /// Those that begin or stop by a condition.
    pub(crate) asking: Vec<usize>,
    /// Some time is counted from the start of the order.
    pub is_timed: bool,
    /// Some action has a time by which it is to be done.
    pub is_bounded: bool,
    /// Some step undoes another.
    pub is_undoing: bool,
    /// Some step asks for a request that the plan itself has.
    pub(crate) is_asking: bool,
    /// Some end is counted from what happens elsewhere.
    pub(crate) has_ends: bool,
    /// The points in time outside of the plan that some time is counted from, each once.
    pub points: Vec<Point>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub parent: usize,
    pub children: Vec<usize>,
    /// None for node 0.
    pub action: Option<Arc<Action>>,
    /// Which request of the order it is for; None: for all of it.
    pub item: Option<usize>,
    /// Which of several it is, of each action above it, itself included, that stands here several times.
    pub copies: Vec<Copied>,
    /// Nothing above it, nor itself, has stood here before.
    pub is_first: bool,
    /// It stands for all times that its action is done: they are its children.
    pub is_repeated: bool,
    /// One of the times that come only when somebody asks for them.
    pub(crate) is_spare: bool,
    /// Its branches are offered one after another.
    pub in_sequence: bool,
    /// The step that it undoes: it comes only when that is to be undone.
    pub undoes: Option<usize>,
    /// The step that chooses among its branches.
    pub chooser: Option<usize>,
    /// When it may begin by itself.
    pub when: Option<When>,
    /// What that is counted from, among the points of the graph.
    pub(crate) point: Option<usize>,
    pub selection: Selection,
    pub required: Required,
    pub waits: Vec<Wait>,
    /// What its end is counted from: it is to come so long after that, and not much later.
    pub ends: Vec<Wait>,
    /// Whose beginning depends on what becomes of this one: those that wait for it, and the branches of a choice.
    pub(crate) followers: Vec<usize>,
    /// The number behind the last one that is below it.
    pub(super) end: usize,
    /// Of its action.
    pub(crate) conditions: Arc<[Asking]>,
}

/// For what an action stands here several times, and which of them it is. Counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    Item(u32),
    Cycle(u32),
    /// Of the cycle.
    Day(u32),
    /// Of those that somebody may ask for.
    Time(u32),
}

impl Copied {
    fn number(self) -> u32 {
        match self {
            Self::Item(number) | Self::Cycle(number) | Self::Day(number) | Self::Time(number) => number,
        }
    }
}

/// A condition, ready to be asked.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) kind: ConditionKind,
    /// None: it is no expression, and so never holds.
    pub(crate) expression: Option<Expression>,
}

impl Asking {
    pub(super) fn new(condition: &Condition) -> Self {
        Self { kind: condition.kind, expression: Expression::parse(&condition.expression).ok() }
    }
}

/// "Not before this has happened there", and not long after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub on: usize,
    pub event: Event,
    pub offset: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Released,
    Started,
    Ended,
}

impl Graph {
    pub fn is_leaf(&self, node: usize) -> bool {
        node != 0 && self.nodes[node].children.is_empty()
    }

    pub fn leaves(&self) -> impl Iterator<Item = usize> + use<'_> {
        (1..self.nodes.len()).filter(|n| self.is_leaf(*n))
    }

    /// The leaves of a node: itself, when it is one.
    pub fn leaves_of(&self, node: usize) -> impl Iterator<Item = usize> + use<'_> {
        (node..self.nodes[node].end).filter(|n| self.is_leaf(*n))
    }

    /// The node and everything above it, but not the whole.
    pub fn upwards(&self, node: usize) -> impl Iterator<Item = usize> + use<'_> {
        std::iter::successors(Some(node), |n| Some(self.nodes[*n].parent)).take_while(|n| *n != 0)
    }

    /// Of branches in sequence: what is usually chosen comes first, then they come in the order of the document.
    pub fn turn(&self, node: usize) -> (bool, usize) {
        (!self.nodes[node].action.as_ref().is_some_and(|action| action.precheck), node)
    }

    /// The branches that are offered before this one.
    pub fn turns_before(&self, node: usize) -> impl Iterator<Item = usize> + use<'_> {
        let parent = self.nodes[node].parent;
        let siblings = if self.nodes[parent].in_sequence { self.nodes[parent].children.as_slice() } else { &[] };
        siblings.iter().copied().filter(move |other| self.turn(*other) < self.turn(node))
    }

    /// The lowest node that both are a part of.
    pub fn meeting(&self, one: usize, other: usize) -> usize {
        let above: Vec<usize> = self.upwards(one).collect();
        self.upwards(other).find(|n| above.contains(n)).unwrap_or(0)
    }

    /// The steps that come only when somebody asks for them.
    pub(crate) fn spares(&self) -> impl Iterator<Item = usize> + use<'_> {
        (1..self.nodes.len()).filter(|n| self.nodes[*n].is_spare).flat_map(|n| self.leaves_of(n))
    }

    /// Of an action that may be done several times, each time that it may be, by what stands for all of them.
    pub(crate) fn times_of(&self, node: usize) -> Option<&[usize]> {
        let times = self.nodes[node].children.as_slice();
        times.last().filter(|last| self.nodes[**last].is_spare).map(|_| times)
    }

    /// Whether every path to this node is certain: no choice stands above it, and it undoes nothing.
    pub fn is_certain(&self, node: usize) -> bool {
        let is_certain = |n: usize| self.nodes[self.nodes[n].parent].selection.is_certain();
        self.nodes[node].undoes.is_none() && self.upwards(node).all(is_certain)
    }

    /// The name of its action, and which of several it is: `give [2.8]`. Of the whole none.
    pub fn name(&self, node: usize) -> Option<String> {
        let (node, copies) = (&self.nodes[node], self.nodes[node].copies.iter());
        let name = &node.action.as_ref()?.id;
        let copies: Vec<String> = copies.map(|copy| copy.number().to_string()).collect();
        Some(if copies.is_empty() { name.clone() } else { format!("{name} [{}]", copies.join(".")) })
    }
}
