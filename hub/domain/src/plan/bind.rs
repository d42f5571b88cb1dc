//! Binds a plan to an order: its actions become nodes, in the order of the document, and their relations become waits.

use std::collections::HashMap;
use std::sync::Arc;

use schemas::plan::{
    Action, ConditionKind, MULTIPLE_LIMIT, Plan, Related, Relationship, Repeat, Required, Selection, Since, When,
    Window,
};
use schemas::time::Timestamp;

use super::graph::{Asking, Copied, Event, Graph, Node, Wait};

const DAY_US: i64 = 86_400_000_000;

impl Graph {
    pub fn bind(plan: &Plan, items: usize) -> Self {
        let whole = Node {
            parent: 0,
            children: Vec::new(),
            action: None,
            item: None,
            copies: Vec::new(),
            is_first: true,
            is_repeated: false,
            is_spare: false,
            in_sequence: false,
            undoes: None,
            chooser: None,
            when: None,
            point: None,
            selection: Selection::All,
            required: Required::Must,
            waits: Vec::new(),
            ends: Vec::new(),
            followers: Vec::new(),
            end: 1,
            conditions: Arc::default(),
        };
        let mut graph = Self {
            nodes: vec![whole],
            is_conditional: false,
            asking: Vec::new(),
            is_timed: false,
            is_bounded: false,
            is_undoing: false,
            is_asking: false,
            has_ends: false,
            points: Vec::new(),
        };
        for action in &plan.actions {
            graph.place(action, 0, items);
        }
        graph.tie();
        graph.index();
        graph
    }

    fn place(&mut self, action: &Arc<Action>, parent: usize, items: usize) {
        for node in self.of_items(action, parent, items) {
            if action.repeat.is_none() && action.days.is_empty() && !action.multiple {
                self.put(node, items);
                continue;
            }
            let times = times(&node, action);
            // Each time is asked by itself.
            let conditions = Arc::default();
            let (is_repeated, in_sequence, selection) = (true, false, Selection::All);
            let all = Node { is_repeated, in_sequence, when: None, selection, conditions, ..node };
            let number = self.add(all);
            for one in times {
                self.put(Node { parent: number, ..one }, items);
            }
        }
    }

    /// An action once for each item, where it is done for each.
    fn of_items(&self, action: &Arc<Action>, parent: usize, items: usize) -> Vec<Node> {
        let above = &self.nodes[parent];
        let node = Node {
            parent,
            children: Vec::new(),
            action: Some(action.clone()),
            item: above.item,
            copies: above.copies.clone(),
            is_first: above.is_first,
            is_repeated: false,
            is_spare: false,
            in_sequence: action.in_sequence,
            undoes: None,
            chooser: None,
            when: action.when,
            point: None,
            selection: action.selection,
            required: action.required,
            waits: Vec::new(),
            ends: Vec::new(),
            followers: Vec::new(),
            end: 0,
            conditions: action.conditions.iter().map(Asking::new).collect(),
        };
        match action.per_item && above.item.is_none() {
            true => {
                (0..items).map(|n| Node { item: Some(n), ..copy(&node, Copied::Item(n as u32 + 1), n == 0) }).collect()
            }
            false => vec![node],
        }
    }

    fn put(&mut self, node: Node, items: usize) {
        let action = node.action.clone();
        let number = self.add(node);
        for child in action.iter().flat_map(|action| &action.actions) {
            self.place(child, number, items);
        }
    }

    fn add(&mut self, mut node: Node) -> usize {
        let number = self.nodes.len();
        node.point = self.point_of(&node);
        self.is_asking |= node.action.as_ref().is_some_and(|action| action.option.is_some());
        self.is_conditional |= !node.conditions.is_empty();
        self.is_timed |= matches!(node.when, Some(When::After(_) | When::On(_)));
        self.is_bounded |= node.when.is_some_and(has_end);
        self.nodes[node.parent].children.push(number);
        self.nodes.push(node);
        number
    }

    fn point_of(&mut self, node: &Node) -> Option<usize> {
        node.when.filter(|when| matches!(when, When::Since(_)))?;
        let point = node.action.as_ref()?.point.as_ref()?;
        let known = self.points.iter().position(|other| other.is_as(point));
        Some(known.unwrap_or_else(|| {
            self.points.push(point.clone());
            self.points.len() - 1
        }))
    }

    /// Turns relations into waits.
    fn tie(&mut self) {
        let actions: Vec<Option<Arc<Action>>> = self.nodes.iter().map(|node| node.action.clone()).collect();
        let mut called: HashMap<&str, Vec<usize>> = HashMap::new();
        let is_named = |action: &Arc<Action>| action.undone_by.is_some() || action.chosen_by.is_some();
        if actions.iter().flatten().any(|action| !action.related.is_empty() || is_named(action)) {
            for (n, action) in actions.iter().enumerate() {
                for name in action.iter().flat_map(|action| &action.names) {
                    called.entry(name).or_default().push(n);
                }
            }
        }
        for (from, action) in actions.iter().enumerate() {
            for related in action.iter().flat_map(|action| &action.related) {
                let all = called.get(related.target.as_str()).map(Vec::as_slice).unwrap_or_default();
                for from in self.related(from, all) {
                    for target in self.nearest(from, all) {
                        self.relate(from, target, related);
                    }
                }
            }
            if self.nodes[from].is_repeated {
                continue;
            }
            let undoing = action.iter().filter_map(|action| called.get(action.undone_by.as_deref()?));
            for target in undoing.flat_map(|all| self.nearest(from, all)).collect::<Vec<_>>() {
                self.nodes[target].undoes = Some(from);
                self.is_undoing = true;
            }
            let choosing = action.iter().filter_map(|action| called.get(action.chosen_by.as_deref()?));
            for target in choosing.flat_map(|all| self.nearest(from, all)).collect::<Vec<_>>() {
                self.nodes[from].chooser = Some(target);
                for branch in self.nodes[from].children.clone() {
                    self.wait(branch, target, Event::Ended, Window::default());
                }
            }
        }
    }

    /// Of what is repeated, either all of it together is related to another, or each time to what is near to it: when all
    /// times wait for the same, the first comes after that, and the others so long after the first as they should.
    fn related(&self, from: usize, all: &[usize]) -> Vec<usize> {
        let (node, parent) = (&self.nodes[from], &self.nodes[self.nodes[from].parent]);
        let action = |node: &Node| node.action.as_ref().map(Arc::as_ptr);
        if !node.is_repeated {
            let is_time = parent.is_repeated && action(parent) == action(node);
            return if is_time { Vec::new() } else { vec![from] };
        }
        let together = self.nearest(from, all);
        let is_together = node.children.iter().all(|time| self.nearest(*time, all) == together);
        if is_together { vec![from] } else { node.children.clone() }
    }

    /// Of the same item; of the same cycle and day as far as both have such; else what stands for all of them.
    fn nearest(&self, from: usize, all: &[usize]) -> Vec<usize> {
        let times = |n: usize| self.nodes[n].copies.iter().filter(|copied| !matches!(copied, Copied::Item(_)));
        let is_own =
            |n: &usize| self.nodes[*n].item.zip(self.nodes[from].item).is_some_and(|(one, other)| one == other);
        let shared = |n: usize| times(n).zip(times(from)).take_while(|(one, other)| one == other).count();
        let rank = |n: &usize| (is_own(n), shared(*n), std::cmp::Reverse(self.nodes[*n].copies.len()));
        let most = all.iter().map(rank).max();
        all.iter().copied().filter(|n| Some(rank(n)) == most).collect()
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

    /// The ways back: whom an event concerns.
    fn index(&mut self) {
        for n in (1..self.nodes.len()).rev() {
            let (parent, end) = (self.nodes[n].parent, self.nodes[n].end.max(n + 1));
            self.nodes[n].end = end;
            self.nodes[parent].end = self.nodes[parent].end.max(end);
        }
        for n in 1..self.nodes.len() {
            let node = &self.nodes[n];
            let parent = &self.nodes[node.parent];
            let is_branch =
                parent.selection.is_exclusive() || parent.selection == Selection::AllOrNone || parent.in_sequence;
            let waits = node.waits.iter().chain(&node.ends).map(|wait| wait.on);
            let mut on: Vec<usize> = waits.chain(is_branch.then_some(node.parent)).collect();
            on.sort_unstable();
            on.dedup();
            on.into_iter().for_each(|on| self.nodes[on].followers.push(n));
            let moves = |asking: &Asking| asking.kind != ConditionKind::Applicability;
            if self.nodes[n].conditions.iter().any(moves) {
                self.asking.push(n);
            }
        }
    }

    fn wait(&mut self, node: usize, on: usize, event: Event, offset: Window) {
        self.nodes[node].waits.push(Wait { on, event, offset });
    }

    /// The end of a Task is its owner's to say: nothing holds it back, but it may come too soon or too late.
    fn end(&mut self, node: usize, on: usize, event: Event, offset: Window) {
        self.nodes[node].ends.push(Wait { on, event, offset });
        self.has_ends = true;
    }
}

/// A node once for each cycle, and for each day of it; or as often as somebody may ask for it.
fn times(node: &Node, action: &Action) -> Vec<Node> {
    let cycles: Vec<Node> = match &action.repeat {
        None if action.multiple => {
            let nth = |n: usize| Node { is_spare: n > 0, ..copy(node, Copied::Time(n as u32 + 1), n == 0) };
            return (0..MULTIPLE_LIMIT).map(nth).collect();
        }
        None => vec![node.clone()],
        Some(Repeat::Every { count, us }) => {
            let nth = |n: u32| Node {
                when: Some(later(node.when, us.saturating_mul(n.into()))),
                ..copy(node, Copied::Cycle(n + 1), n == 0)
            };
            (0..*count).map(nth).collect()
        }
        Some(Repeat::At(events)) => {
            let at = |low: &Timestamp| Some(When::Between { low: Some(*low), high: None });
            let events = (1..).zip(events);
            events.map(|(n, low)| Node { when: at(low), ..copy(node, Copied::Cycle(n), n == 1) }).collect()
        }
        Some(Repeat::Days { count, days, minutes }) => {
            let nth = |n: u32| Node {
                when: Some(When::On(days.time(n, minutes))),
                ..copy(node, Copied::Cycle(n + 1), n == 0)
            };
            (0..*count).map(nth).collect()
        }
    };
    if action.days.is_empty() {
        return cycles;
    }
    let days = |cycle: &Node| -> Vec<Node> {
        let of_day = |(n, day): (usize, &u32)| {
            let when = Some(later(cycle.when, (i64::from(*day) - 1).saturating_mul(DAY_US)));
            Node { when, ..copy(cycle, Copied::Day(*day), n == 0) }
        };
        action.days.iter().enumerate().map(of_day).collect()
    };
    cycles.iter().flat_map(days).collect()
}

fn copy(node: &Node, which: Copied, is_first: bool) -> Node {
    let mut copy = node.clone();
    copy.copies.push(which);
    copy.is_first &= is_first;
    copy
}

/// So long after the time that is there, or after what it stands in may begin.
fn later(when: Option<When>, us: i64) -> When {
    let shift = |time: Timestamp| Timestamp(time.0.saturating_add(us));
    match when {
        None => When::After(Window { low_us: us, high_us: None }),
        Some(When::Between { low, high }) => When::Between { low: low.map(shift), high: high.map(shift) },
        Some(When::After(Window { low_us, high_us })) => {
            let high_us = high_us.map(|high| high.saturating_add(us));
            When::After(Window { low_us: low_us.saturating_add(us), high_us })
        }
        Some(When::Since(Since { months, window })) => {
            let high_us = window.high_us.map(|high| high.saturating_add(us));
            let low_us = window.low_us.saturating_add(us);
            When::Since(Since { months, window: Window { low_us, high_us } })
        }
        // It has no days of a cycle.
        Some(time @ When::On(_)) => time,
    }
}

fn has_end(when: When) -> bool {
    match when {
        When::Between { high, .. } => high.is_some(),
        When::After(window) | When::Since(Since { window, .. }) => window.high_us.is_some(),
        When::On(_) => false,
    }
}
