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
            let node = &graph.nodes[n];
            known[n] = match run.tasks.get(n) {
                // What undoes another is no part of what is to be achieved.
                Some(_) if node.undoes.is_some() => Self { achieved: Some(true), is_idle: true, ..Self::default() },
                Some(task) if graph.is_leaf(n) => Self::leaf(node, task),
                _ => Self::group(graph, node, &known),
            };
        }
        known
    }

    fn leaf(node: &Node, task: &TaskState) -> Self {
        let is_done = task.status == Some(TaskStatus::Completed);
        // Only what somebody had taken fails.
        let is_failed = task.status == Some(TaskStatus::Failed);
        let ended = task.status.filter(|status| status.is_terminal());
        Self {
            achieved: if task.withdrawn { Some(true) } else { ended.map(|_| is_done) },
            is_idle: task.withdrawn,
            is_optional: task.withdrawn || node.required != Required::Must,
            is_skippable: is_skippable(node, task.documented),
            is_busy: task.is_engaged(),
            taken: usize::from(is_done || task.is_engaged()),
            has_begun: is_done || is_failed || task.is_engaged() || task.started.is_some(),
            released: task.released,
            started: task.started.or(task.ended.filter(|_| is_done)),
            // What was cancelled did not come to its end.
            ended: task.ended.filter(|_| task.status != Some(TaskStatus::Cancelled)),
            ..Self::default()
        }
    }

    fn group(graph: &Graph, node: &Node, known: &[Self]) -> Self {
        // What is idle is no part of it any more.
        let children = || node.children.iter().map(|child| &known[*child]).filter(|child| !child.is_idle);
        let is_idle = !node.children.is_empty() && children().next().is_none();
        let in_sequence = node.in_sequence;
        let has_begun = children().any(|child| child.has_begun);
        let is_lost_unit = node.selection == Selection::AllOrNone && is_lost(children());
        // Only what was chosen counts.
        let is_race = node.selection.is_exclusive() && !in_sequence && children().any(|child| child.taken > 0);
        // None of a unit was done: that is allowed, and nobody waits for it.
        let is_none = is_lost_unit && !has_begun;
        Self {
            achieved: match () {
                () if is_idle || is_none => Some(true),
                () if is_race => achieved(node.selection, children().filter(|child| child.taken > 0)),
                () => achieved(node.selection, children()),
            },
            is_idle,
            is_optional: is_idle || node.required != Required::Must,
            is_skippable: is_skippable(node, false),
            taken: children().filter(|child| child.taken > 0).count(),
            is_busy: children().any(|child| child.is_busy),
            has_begun,
            is_lost_unit,
            in_sequence,
            turn: if in_sequence { turn(graph, node, known) } else { None },
            released: children().filter_map(|child| child.released).min(),
            started: children().filter_map(|child| child.started).min(),
            ended: if is_none { None } else { ended(node.selection, children()) },
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

/// With the last that it needs: of a choice, the first that was achieved.
fn ended<'a>(selection: Selection, children: impl Iterator<Item = &'a Known> + Clone) -> Option<Timestamp> {
    let is_choice = selection.is_exclusive() || selection == Selection::OneOrMore;
    let achieved = children.clone().filter(|child| is_choice && child.achieved == Some(true));
    achieved.filter_map(|child| child.ended).min().or_else(|| children.filter_map(|child| child.ended).max())
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

/// The next one when nobody is at the last.
fn turn(graph: &Graph, node: &Node, known: &[Known]) -> Option<usize> {
    let is_left = |child: &usize| known[*child].achieved.is_none() || known[*child].is_busy;
    node.children.iter().copied().filter(is_left).min_by_key(|child| graph.turn(*child))
}
