//! What is known of each node of a plan, worked out from the leaves up.

use schemas::plan::{Required, Selection};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;

use super::graph::{Graph, Node};
use super::run::{Run, TaskState};

#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Some(true): achieved, or not needed. Some(false): cannot be achieved any more. None: open.
    pub(crate) achieved: Option<bool>,
    /// Its request was withdrawn, or it never applied: nothing is wanted of it.
    pub(crate) is_idle: bool,
    /// Its failure does not hurt: what waits for it need not, and it does not take its group along.
    pub(crate) is_optional: bool,
    /// Of a leaf 1, when somebody has claimed or done it; of a group, how many of its children are taken.
    pub(crate) taken: usize,
    /// Somebody is at it.
    pub(crate) is_busy: bool,
    /// Somebody has taken a part of it, whatever came of that.
    has_begun: bool,
    /// All or none of it, and it will not be all.
    pub(crate) is_lost_unit: bool,
    /// A choice in sequence, and whose turn it is.
    pub(crate) in_sequence: bool,
    pub(crate) turn: Option<usize>,
    pub(crate) released: Option<Timestamp>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

impl Known {
    /// What is below has a higher number: so each group comes after all of its children.
    pub(crate) fn of_all(graph: &Graph, run: &Run) -> Vec<Self> {
        let mut known: Vec<Self> = vec![Self::default(); graph.nodes.len()];
        for n in (0..graph.nodes.len()).rev() {
            known[n] = Self::of(graph, run, n, &known);
        }
        known
    }

    /// After a step has moved: of what is above it.
    pub(super) fn renew(known: &mut [Self], graph: &Graph, run: &Run, step: usize) {
        for n in graph.upwards(step).chain([0]) {
            known[n] = Self::of(graph, run, n, known);
        }
    }

    fn of(graph: &Graph, run: &Run, n: usize, known: &[Self]) -> Self {
        let node = &graph.nodes[n];
        match run.tasks.get(n) {
            // What undoes another is no part of what is to be achieved.
            Some(_) if node.undoes.is_some() => Self { achieved: Some(true), is_idle: true, ..Self::default() },
            Some(task) if graph.is_leaf(n) => Self::leaf(node, task),
            _ => Self::group(graph, node, known),
        }
    }

    fn leaf(node: &Node, task: &TaskState) -> Self {
        let is_optional = task.withdrawn || is_optional(node, task.documented);
        if task.is_untouched() {
            return Self { is_optional, ..Self::default() };
        }
        let is_busy = task.is_engaged();
        let is_done = task.status == Some(TaskStatus::Completed);
        // Only what somebody had taken fails.
        let is_failed = task.status == Some(TaskStatus::Failed);
        let is_over = is_done || task.status.is_some_and(TaskStatus::is_terminal);
        Self {
            achieved: if task.withdrawn { Some(true) } else { is_over.then_some(is_done) },
            is_idle: task.withdrawn,
            is_optional,
            is_busy,
            taken: usize::from(is_done || is_busy),
            has_begun: is_done || is_failed || is_busy || task.started.is_some() || task.begun,
            released: task.released,
            started: task.started.or(task.ended.filter(|_| is_done)),
            // What was cancelled did not come to its end, and nobody waits for that of what is not wanted any more.
            ended: task.ended.filter(|_| task.status != Some(TaskStatus::Cancelled) && !task.withdrawn),
            ..Self::default()
        }
    }

    /// Nothing of it was ever on offer.
    fn is_still(&self) -> bool {
        self.achieved.is_none() && !self.has_begun && self.released.is_none()
    }

    fn group(graph: &Graph, node: &Node, known: &[Self]) -> Self {
        let mut group = Self { in_sequence: node.in_sequence, ..Self::default() };
        let (mut all, mut of_taken) = (Counts::default(), Counts::default());
        let mut first = None;
        let is_race = node.selection.is_exclusive() && !node.in_sequence;
        // Whoever was asked to leave may still be there, and has taken what was wanted then.
        group.is_busy = node.children.iter().any(|child| known[*child].is_busy);
        group.has_begun = node.children.iter().any(|child| known[*child].has_begun);
        // What is idle is no part of it any more.
        for child in node.children.iter().map(|child| &known[*child]).filter(|child| !child.is_idle) {
            // A branch of a race that nobody took was not chosen, whatever else may be said of it.
            let is_left = is_race && child.taken == 0;
            all.count(child, is_left);
            if child.is_still() {
                continue;
            }
            if child.taken > 0 {
                of_taken.count(child, false);
                group.taken += 1;
            }
            group.released = earlier(group.released, child.released);
            group.started = earlier(group.started, child.started);
            group.ended = group.ended.max(child.ended);
            if child.achieved == Some(true) && !is_left {
                first = earlier(first, child.ended);
            }
        }
        group.is_idle = !node.children.is_empty() && all == Counts::default();
        group.is_optional = group.is_idle || is_optional(node, false);
        group.is_lost_unit = node.selection == Selection::AllOrNone && all.lost > 0;
        // None of a unit was done: that is allowed, and nobody waits for it.
        let is_none = group.is_lost_unit && !group.has_begun;
        // Of a race that was decided only what was chosen counts.
        let is_decided = is_race && group.taken > 0;
        group.achieved = match () {
            () if group.is_idle || is_none => Some(true),
            () if is_decided => of_taken.achieved(node.selection),
            () => all.achieved(node.selection),
        };
        // With the last that it needs: of a choice, the first that was achieved.
        let is_choice = node.selection.is_exclusive() || node.selection == Selection::OneOrMore;
        group.ended = match () {
            () if is_none => None,
            () if is_choice => first.or(group.ended),
            () => group.ended,
        };
        group.turn = if node.in_sequence { turn(graph, node, known) } else { None };
        group
    }
}

/// How many children are where.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    achieved: usize,
    open: usize,
    /// Those that take their group along.
    lost: usize,
    /// Those that do not.
    skipped: usize,
}

impl Counts {
    fn count(&mut self, child: &Known, is_left: bool) {
        match child.achieved {
            None => self.open += 1,
            Some(true) if is_left => self.skipped += 1,
            Some(true) => self.achieved += 1,
            Some(false) if child.is_optional => self.skipped += 1,
            Some(false) => self.lost += 1,
        }
    }

    /// Whether a group has what its behaviour asks of its children.
    fn achieved(&self, selection: Selection) -> Option<bool> {
        match selection {
            Selection::All | Selection::AllOrNone if self.lost > 0 => Some(false),
            Selection::ExactlyOne | Selection::OneOrMore | Selection::AtMostOne if self.achieved > 0 => Some(true),
            _ if self.open > 0 => None,
            Selection::ExactlyOne | Selection::OneOrMore => Some(false),
            _ => Some(true),
        }
    }
}

/// The earlier one of those that are known.
pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

fn is_optional(node: &Node, documented: bool) -> bool {
    match node.required {
        Required::Must => false,
        Required::Could => true,
        Required::MustUnlessDocumented => documented,
    }
}

/// The next one when nobody is at the last.
fn turn(graph: &Graph, node: &Node, known: &[Known]) -> Option<usize> {
    let is_left = |child: &usize| known[*child].achieved.is_none() || known[*child].is_busy;
    node.children.iter().copied().filter(is_left).min_by_key(|child| graph.turn(*child))
}
