//! A plan bound to an order: its actions numbered in document order, each with what it waits for.
//!
//! An action that is done once per item stands here once for each request of the order. Node 0 is the whole; its Task
//! is the fulfilment Task. The number of a node is the `<step>` in its Task's id, so it must never change for a
//! running order: it depends on the plan and the number of items only.

use schemas::plan::{Action, Plan, Relationship, Required, Selection};

#[derive(Debug, Clone)]
pub struct Graph {
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub parent: usize,
    pub children: Vec<usize>,
    /// None for node 0.
    pub action: Option<Action>,
    /// Which request of the order it is for; None: for all of it.
    pub item: Option<usize>,
    pub selection: Selection,
    pub required: Required,
    pub waits: Vec<Wait>,
}

/// "Not before this has happened there."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub on: usize,
    pub event: Event,
    /// How long after it (microseconds).
    pub offset_us: i64,
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
        };
        let mut graph = Self { nodes: vec![whole] };
        for action in &plan.actions {
            graph.place(action, 0, None, items);
        }
        graph.tie();
        graph
    }

    fn place(&mut self, action: &Action, parent: usize, item: Option<usize>, items: usize) {
        let per_item = action.per_item && item.is_none();
        let copies: Vec<Option<usize>> = if per_item { (0..items).map(Some).collect() } else { vec![item] };
        for item in copies {
            let number = self.nodes.len();
            self.nodes[parent].children.push(number);
            self.nodes.push(Node {
                parent,
                children: Vec::new(),
                // The children are nodes of their own.
                action: Some(Action { actions: Vec::new(), ..action.clone() }),
                item,
                selection: action.selection,
                required: action.required,
                waits: Vec::new(),
            });
            for child in &action.actions {
                self.place(child, number, item, items);
            }
        }
    }

    /// Turns relations into waits.
    fn tie(&mut self) {
        for from in 1..self.nodes.len() {
            let related = self.nodes[from].action.as_ref().map(|action| action.related.clone()).unwrap_or_default();
            for relation in related {
                for target in self.targets(from, &relation.target) {
                    let (waiting, on, event) = match relation.relationship {
                        Relationship::Before | Relationship::BeforeStart => (target, from, Event::Ended),
                        // The end of a Task is its owner's to say: nothing waits to be released.
                        Relationship::BeforeEnd => continue,
                        Relationship::Concurrent | Relationship::ConcurrentWithStart => (from, target, Event::Released),
                        Relationship::AfterStart => (from, target, Event::Started),
                        Relationship::After | Relationship::AfterEnd | Relationship::ConcurrentWithEnd => {
                            (from, target, Event::Ended)
                        }
                    };
                    self.nodes[waiting].waits.push(Wait { on, event, offset_us: relation.offset_us });
                }
            }
        }
    }

    /// The nodes of the action `id`: of the same item where there is one, else of all items.
    fn targets(&self, from: usize, id: &str) -> Vec<usize> {
        let named = |n: &usize| self.nodes[*n].action.as_ref().is_some_and(|action| action.id == id);
        let all: Vec<usize> = (1..self.nodes.len()).filter(named).collect();
        let item = self.nodes[from].item;
        let same: Vec<usize> = all.iter().copied().filter(|n| item.is_some() && self.nodes[*n].item == item).collect();
        if same.is_empty() { all } else { same }
    }

    pub fn is_leaf(&self, node: usize) -> bool {
        node != 0 && self.nodes[node].children.is_empty()
    }

    pub fn leaves(&self) -> impl Iterator<Item = usize> + use<'_> {
        (1..self.nodes.len()).filter(|n| self.is_leaf(*n))
    }

    /// The node and everything above it, but not the whole.
    pub fn upwards(&self, node: usize) -> impl Iterator<Item = usize> + use<'_> {
        std::iter::successors(Some(node), |n| Some(self.nodes[*n].parent)).take_while(|n| *n != 0)
    }

    /// Whether every path to this node is certain: no choice stands above it.
    pub fn is_certain(&self, node: usize) -> bool {
        self.upwards(node)
            .all(|n| matches!(self.nodes[self.nodes[n].parent].selection, Selection::All | Selection::AllOrNone))
    }
}
