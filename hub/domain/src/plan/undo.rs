//! What was done of a unit that failed is undone, in the reverse order, one step after another.

use std::cmp::Reverse;

use schemas::plan::Selection;
use schemas::task::TaskStatus;

use super::graph::Graph;
use super::known::Known;
use super::run::{Run, TaskState};

/// What is still to be undone.
pub(super) struct Owed {
    /// Something is, or may have to be: the whole does not end before.
    pub(super) is_any: bool,
    /// The step that undoes what was done last, unless another is on offer or under way.
    pub(super) next: Option<usize>,
}

impl Owed {
    pub(super) fn of(graph: &Graph, run: &Run, known: &[Known]) -> Self {
        if !graph.is_undoing {
            return Self { is_any: false, next: None };
        }
        let task = |node: usize| run.tasks.get(node);
        let is_over = |task: &TaskState| task.status.is_some_and(TaskStatus::is_terminal);
        let mut owed = Self { is_any: false, next: None };
        let (mut ready, mut is_undoing) = (Vec::new(), false);
        for (step, node) in graph.nodes.iter().enumerate() {
            let Some((undone, own, other)) = node.undoes.and_then(|n| Some((n, task(step)?, task(n)?))) else {
                continue;
            };
            let lost =
                |n: &usize| graph.nodes[*n].selection == Selection::AllOrNone && known[*n].achieved == Some(false);
            let mut lost = graph.upwards(undone).filter(lost).peekable();
            let is_done = other.status == Some(TaskStatus::Completed);
            if is_over(own) || lost.peek().is_none() || !(is_done || other.is_engaged()) {
                continue;
            }
            owed.is_any = true;
            is_undoing |= own.status.is_some_and(|status| status != TaskStatus::Draft);
            // Whoever is still at a part of the unit may end it yet, and that is undone first.
            if is_done && lost.all(|unit| !known[unit].is_busy) {
                ready.push((Reverse(other.ended), Reverse(undone), step));
            }
        }
        owed.next = ready.into_iter().min().map(|(.., step)| step).filter(|_| !is_undoing);
        owed
    }
}
