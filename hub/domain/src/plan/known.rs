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
    /// Its failure does not hurt: what waits for it need not.
    pub(crate) is_optional: bool,
    /// It can fail without taking its group along.
    is_skippable: bool,
    /// Of a leaf 1, when somebody has claimed or done it; of a group, how many of its children are taken.
    pub(crate) taken: usize,
    /// Somebody has begun, or done, a part of it.
    has_begun: bool,
    /// All or none of it, and it will not be all.
    pub(crate) is_lost_unit: bool,
    /// Of a choice in sequence: whose turn it is.
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
            let node = &graph.nodes[n];
            known[n] = match run.tasks.get(n) {
                Some(task) if graph.is_leaf(n) => Self::leaf(node, task),
                _ => Self::group(graph, node, &known),
            };
        }
        known
    }

    fn leaf(node: &Node, task: &TaskState) -> Self {
        let is_done = task.status == Some(TaskStatus::Completed);
        let ended = task.status.filter(|status| status.is_terminal());
        Self {
            achieved: if task.withdrawn { Some(true) } else { ended.map(|_| is_done) },
            is_idle: task.withdrawn,
            is_optional: task.withdrawn || node.required != Required::Must,
            is_skippable: is_skippable(node, task.documented),
            taken: usize::from(is_done || task.is_engaged()),
            has_begun: is_done || task.is_engaged() || task.started.is_some(),
            released: task.released,
            started: task.started.or(task.ended),
            ended: task.ended,
            ..Self::default()
        }
    }

    fn group(graph: &Graph, node: &Node, known: &[Self]) -> Self {
        // What is idle is no part of it any more.
        let children = || node.children.iter().map(|child| &known[*child]).filter(|child| !child.is_idle);
        let is_idle = !node.children.is_empty() && children().next().is_none();
        let has_begun = children().any(|child| child.has_begun);
        let is_lost_unit = node.selection == Selection::AllOrNone && is_lost(children());
        Self {
            achieved: match () {
                () if is_idle => Some(true),
                // None of it was: that is allowed.
                () if is_lost_unit && !has_begun => Some(true),
                () => achieved(node.selection, children()),
            },
            is_idle,
            is_optional: is_idle || node.required != Required::Must,
            is_skippable: is_skippable(node, false),
            taken: children().filter(|child| child.taken > 0).count(),
            has_begun,
            is_lost_unit,
            turn: turn(graph, node, known),
            released: children().filter_map(|child| child.released).min(),
            started: children().filter_map(|child| child.started).min(),
            ended: children().filter_map(|child| child.ended).max(),
        }
    }
}

/// Whether a group has what its behaviour asks of its children.
fn achieved<'a>(selection: Selection, children: impl Iterator<Item = &'a Known> + Clone) -> Option<bool> {
    let any = |wanted: Option<bool>| children.clone().any(|child| child.achieved == wanted);
    match selection {
        Selection::All | Selection::AllOrNone if is_lost(children.clone()) => Some(false),
        Selection::ExactlyOne | Selection::OneOrMore | Selection::AtMostOne if any(Some(true)) => Some(true),
        _ if any(None) => None,
        Selection::ExactlyOne | Selection::OneOrMore => Some(false),
        _ => Some(true),
    }
}

fn is_lost<'a>(mut children: impl Iterator<Item = &'a Known>) -> bool {
    children.any(|child| child.achieved == Some(false) && !child.is_skippable)
}

fn is_skippable(node: &Node, documented: bool) -> bool {
    match node.required {
        Required::Must => false,
        Required::Could => true,
        Required::MustUnlessDocumented => documented,
    }
}

/// What is usually chosen is offered first, then in the order of the document.
fn turn(graph: &Graph, node: &Node, known: &[Known]) -> Option<usize> {
    if !node.action.as_ref().is_some_and(|action| action.in_sequence) {
        return None;
    }
    let is_usual = |n: usize| graph.nodes[n].action.as_ref().is_some_and(|action| action.precheck);
    let waiting = node.children.iter().copied().filter(|child| known[*child].achieved.is_none());
    waiting.min_by_key(|child| (!is_usual(*child), *child))
}
