//! A plan bound to an order: its actions numbered in document order, each with what it waits for.
//!
//! An action that is done once per item stands here once for each request of the order. Node 0 is the whole; its Task
//! is the fulfilment Task. The number of a node is the `<step>` in its Task's id, so it must never change for a
//! running order: it depends on the plan and the number of items only. What is above has a smaller number than what is
//! below it.

use std::collections::HashMap;
use std::sync::Arc;

use schemas::plan::{Action, Condition, Plan, Related, Relationship, Required, Selection, When, Window};

#[derive(Debug, Clone)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// Some action has a condition.
    pub is_conditional: bool,
    /// Some time is counted from the start of the order.
    pub is_timed: bool,
    /// Some action has a time by which it is to be done.
    pub is_bounded: bool,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub parent: usize,
    pub children: Vec<usize>,
    /// None for node 0.
    pub action: Option<Arc<Action>>,
    /// Which request of the order it is for; None: for all of it.
    pub item: Option<usize>,
    pub selection: Selection,
    pub required: Required,
    pub waits: Vec<Wait>,
    /// What its end is counted from, where it has to come in time.
    pub ends: Vec<Wait>,
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
    pub fn bind(plan: &Plan, items: usize) -> Self {
        let whole = Node {
            parent: 0,
            children: Vec::new(),
            action: None,
            item: None,
            selection: Selection::All,
            required: Required::Must,
            waits: Vec::new(),
            ends: Vec::new(),
        };
        let mut graph = Self { nodes: vec![whole], is_conditional: false, is_timed: false, is_bounded: false };
        for action in &plan.actions {
            graph.place(action, 0, None, items);
        }
        graph.tie();
        graph
    }

    fn place(&mut self, action: &Arc<Action>, parent: usize, item: Option<usize>, items: usize) {
        let per_item = action.per_item && item.is_none();
        let copies = if per_item { items } else { 1 };
        for copy in 0..copies {
            let item = if per_item { Some(copy) } else { item };
            let number = self.nodes.len();
            self.nodes[parent].children.push(number);
            self.nodes.push(Node {
                parent,
                children: Vec::new(),
                action: Some(action.clone()),
                item,
                selection: action.selection,
                required: action.required,
                waits: Vec::new(),
                ends: Vec::new(),
            });
            self.is_conditional |= !action.conditions.is_empty();
            self.is_timed |= matches!(action.when, Some(When::After(_)));
            self.is_bounded |= action.when.is_some_and(has_end);
            for child in &action.actions {
                self.place(child, number, item, items);
            }
        }
    }

    /// Turns relations into waits.
    fn tie(&mut self) {
        let actions: Vec<Option<Arc<Action>>> = self.nodes.iter().map(|node| node.action.clone()).collect();
        let mut called: HashMap<&str, Vec<usize>> = HashMap::new();
        if actions.iter().flatten().any(|action| !action.related.is_empty()) {
            for (n, action) in actions.iter().enumerate() {
                for name in action.iter().flat_map(|action| &action.names) {
                    called.entry(name).or_default().push(n);
                }
            }
        }
        for (from, action) in actions.iter().enumerate() {
            for related in action.iter().flat_map(|action| &action.related) {
                let all = called.get(related.target.as_str()).map(Vec::as_slice).unwrap_or_default();
                for target in self.same_item(from, all) {
                    self.relate(from, target, related);
                }
            }
        }
    }

    /// Of the same item where there is one, else of all items.
    fn same_item(&self, from: usize, all: &[usize]) -> Vec<usize> {
        let item = self.nodes[from].item;
        let same: Vec<usize> = all.iter().copied().filter(|n| item.is_some() && self.nodes[*n].item == item).collect();
        if same.is_empty() { all.to_vec() } else { same }
    }

    fn relate(&mut self, from: usize, target: usize, related: &Related) {
        let offset = related.offset;
        self.is_bounded |= offset.high_us.is_some();
        match related.relationship {
            Relationship::Before | Relationship::BeforeStart => self.wait(target, from, Event::Ended, offset),
            Relationship::BeforeEnd => self.end(target, from, Event::Ended, offset),
            Relationship::Concurrent | Relationship::ConcurrentWithStart => {
                self.wait(from, target, Event::Released, offset);
            }
            Relationship::AfterStart => self.wait(from, target, Event::Started, offset),
            Relationship::After | Relationship::AfterEnd | Relationship::ConcurrentWithEnd => {
                self.wait(from, target, Event::Ended, offset);
            }
        }
        match related.end_relationship {
            None => {}
            Some(Relationship::Before | Relationship::BeforeStart) => self.wait(target, from, Event::Ended, offset),
            Some(Relationship::BeforeEnd) => self.end(target, from, Event::Ended, offset),
            Some(Relationship::Concurrent | Relationship::ConcurrentWithStart | Relationship::AfterStart) => {
                self.end(from, target, Event::Started, offset);
            }
            Some(Relationship::After | Relationship::AfterEnd | Relationship::ConcurrentWithEnd) => {
                self.end(from, target, Event::Ended, offset);
            }
        }
    }

    fn wait(&mut self, node: usize, on: usize, event: Event, offset: Window) {
        self.nodes[node].waits.push(Wait { on, event, offset });
    }

    /// The end of a Task is its owner's to say: nothing holds it back, but it may come too late.
    fn end(&mut self, node: usize, on: usize, event: Event, offset: Window) {
        if offset.high_us.is_some() {
            self.nodes[node].ends.push(Wait { on, event, offset });
        }
    }

    pub fn is_leaf(&self, node: usize) -> bool {
        node != 0 && self.nodes[node].children.is_empty()
    }

    pub fn leaves(&self) -> impl Iterator<Item = usize> + use<'_> {
        (1..self.nodes.len()).filter(|n| self.is_leaf(*n))
    }

    /// The leaves of a node: itself, when it is one.
    pub fn leaves_of(&self, node: usize) -> Vec<usize> {
        match self.is_leaf(node) {
            true => vec![node],
            false => self.nodes[node].children.iter().flat_map(|child| self.leaves_of(*child)).collect(),
        }
    }

    /// The node and everything above it, but not the whole.
    pub fn upwards(&self, node: usize) -> impl Iterator<Item = usize> + use<'_> {
        std::iter::successors(Some(node), |n| Some(self.nodes[*n].parent)).take_while(|n| *n != 0)
    }

    /// Whether its branches are offered one after another.
    pub fn is_in_sequence(&self, node: usize) -> bool {
        self.nodes[node].action.as_ref().is_some_and(|action| action.in_sequence)
    }

    /// Of branches in sequence: what is usually chosen comes first, then they come in the order of the document.
    pub fn turn(&self, node: usize) -> (bool, usize) {
        (!self.nodes[node].action.as_ref().is_some_and(|action| action.precheck), node)
    }

    /// The branches that are offered before this one.
    pub fn turns_before(&self, node: usize) -> impl Iterator<Item = usize> + use<'_> {
        let parent = self.nodes[node].parent;
        let siblings = if self.is_in_sequence(parent) { self.nodes[parent].children.as_slice() } else { &[] };
        siblings.iter().copied().filter(move |other| self.turn(*other) < self.turn(node))
    }

    /// The lowest node that both are a part of.
    pub fn meeting(&self, one: usize, other: usize) -> usize {
        let above: Vec<usize> = self.upwards(one).collect();
        self.upwards(other).find(|n| above.contains(n)).unwrap_or(0)
    }

    /// Whether every path to this node is certain: no choice stands above it.
    pub fn is_certain(&self, node: usize) -> bool {
        self.upwards(node).all(|n| self.nodes[self.nodes[n].parent].selection.is_certain())
    }

    pub fn conditions(&self, node: usize) -> &[Condition] {
        self.nodes[node].action.as_ref().map(|action| action.conditions.as_slice()).unwrap_or_default()
    }
}

fn has_end(when: When) -> bool {
    match when {
        When::Between { high, .. } => high.is_some(),
        When::After(window) => window.high_us.is_some(),
    }
}
