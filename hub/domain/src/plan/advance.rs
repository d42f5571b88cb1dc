//! What follows, now that something has happened: the rules by which a plan moves on.
//!
//! Nothing is remembered but the [`Run`]; from it and the graph every answer is worked out anew.

use schemas::plan::{Required, Selection};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;

use super::graph::{Event, Graph, Wait};
use super::run::{Run, TaskState};

/// What is to be done next. The steps of one answer are independent of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Offer this step.
    Release(usize),
    /// This step will not be done; why, as a code of ours.
    Cancel(usize, &'static str),
    /// Look again at this time: a step waits for it.
    LookAgain(usize, Timestamp),
    /// All that is required is done.
    Complete,
    /// It cannot be completed any more.
    Fail,
}

/// Why a step is cancelled by its plan.
pub const NOT_SELECTED: &str = "not-selected";
pub const PREDECESSOR: &str = "predecessor-not-achieved";
pub const NOT_NEEDED: &str = "not-needed";
pub const PLAN_FAILED: &str = "plan-failed";

/// A plan as it stands.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    pub graph: &'a Graph,
    pub run: &'a Run,
    pub now: Timestamp,
}

impl<'a> Standing<'a> {
    pub fn new(graph: &'a Graph, run: &'a Run, now: Timestamp) -> Self {
        Self { graph, run, now }
    }

    fn task(&self, node: usize) -> Option<&'a TaskState> {
        self.run.tasks.get(node)
    }

    fn status(&self, node: usize) -> Option<TaskStatus> {
        self.task(node)?.status
    }

    /// Everything that follows from what is. Empty when all there is to do is wait.
    pub fn moves(&self) -> Vec<Move> {
        match self.achieved(0) {
            Some(true) => return self.finish(Move::Complete, NOT_NEEDED),
            Some(false) => return self.finish(Move::Fail, PLAN_FAILED),
            None => {}
        }
        self.graph.leaves().filter(|leaf| self.is_waiting(*leaf)).filter_map(|leaf| self.next(leaf)).collect()
    }

    /// The end: what nobody has begun is cancelled; what has begun is let run to its end before the whole completes,
    /// and does not keep it from failing.
    fn finish(&self, end: Move, why: &'static str) -> Vec<Move> {
        let open: Vec<usize> = self.graph.leaves().filter(|leaf| self.is_open(*leaf)).collect();
        let (begun, unbegun): (Vec<usize>, Vec<usize>) = open.into_iter().partition(|leaf| self.is_engaged(*leaf));
        let mut moves: Vec<Move> = unbegun.into_iter().map(|leaf| Move::Cancel(leaf, why)).collect();
        match end {
            Move::Fail => moves.extend(begun.into_iter().map(|leaf| Move::Cancel(leaf, why))),
            _ if !begun.is_empty() => return moves,
            _ => {}
        }
        moves.push(end);
        moves
    }

    /// What becomes of a step that is not released yet.
    fn next(&self, leaf: usize) -> Option<Move> {
        let mut due = Timestamp::default();
        for node in self.graph.upwards(leaf) {
            if self.is_excluded(node) {
                return Some(Move::Cancel(leaf, NOT_SELECTED));
            }
            for wait in &self.graph.nodes[node].waits {
                match self.happened(wait) {
                    Wanted::At(time) => due = due.max(time),
                    Wanted::Never => return Some(Move::Cancel(leaf, PREDECESSOR)),
                    Wanted::NotYet => return None,
                    Wanted::Waived => {}
                }
            }
        }
        if self.run.held {
            return None;
        }
        Some(if due <= self.now { Move::Release(leaf) } else { Move::LookAgain(leaf, due) })
    }

    /// Another branch of an exclusive choice has been taken.
    fn is_excluded(&self, node: usize) -> bool {
        let parent = self.graph.nodes[node].parent;
        let group = &self.graph.nodes[parent];
        matches!(group.selection, Selection::ExactlyOne | Selection::AtMostOne)
            && group.children.iter().any(|other| *other != node && self.is_taken(*other))
    }

    /// Whether the branch has been chosen by someone: a Task in it is claimed or done.
    fn is_taken(&self, node: usize) -> bool {
        let done = self.status(node) == Some(TaskStatus::Completed);
        done || self.is_engaged(node) || self.graph.nodes[node].children.iter().any(|child| self.is_taken(*child))
    }

    fn happened(&self, wait: &Wait) -> Wanted {
        let optional = self.graph.nodes[wait.on].required != Required::Must;
        let time = match wait.event {
            Event::Released => self.released(wait.on),
            Event::Started => self.started(wait.on),
            Event::Ended if self.achieved(wait.on) == Some(true) => self.ended(wait.on),
            Event::Ended => None,
        };
        match (time, self.achieved(wait.on)) {
            (Some(time), _) => Wanted::At(Timestamp(time.0.saturating_add(wait.offset_us))),
            (None, Some(true)) => Wanted::Waived,
            (None, Some(false)) if optional || self.is_not_applicable(wait.on) => Wanted::Waived,
            (None, Some(false)) => Wanted::Never,
            (None, None) => Wanted::NotYet,
        }
    }

    /// Some(true): achieved, or not needed. Some(false): cannot be achieved any more. None: open.
    pub fn achieved(&self, node: usize) -> Option<bool> {
        if self.is_not_applicable(node) {
            return Some(true);
        }
        if self.graph.is_leaf(node) {
            let status = self.status(node)?;
            return status.is_terminal().then_some(status == TaskStatus::Completed);
        }
        let children = &self.graph.nodes[node].children;
        let results: Vec<Option<bool>> = children.iter().map(|child| self.achieved(*child)).collect();
        let any = |wanted| results.contains(&wanted);
        match self.graph.nodes[node].selection {
            Selection::All | Selection::AllOrNone => {
                let lost =
                    |(child, result): (&usize, &Option<bool>)| *result == Some(false) && !self.is_skippable(*child);
                match children.iter().zip(&results).any(lost) {
                    true => Some(false),
                    false => (!any(None)).then_some(true),
                }
            }
            Selection::ExactlyOne | Selection::OneOrMore => match any(Some(true)) {
                true => Some(true),
                false => (!any(None)).then_some(false),
            },
            Selection::AtMostOne if any(Some(true)) => Some(true),
            Selection::AtMostOne | Selection::Any => (!any(None)).then_some(true),
        }
    }

    fn is_skippable(&self, node: usize) -> bool {
        match self.graph.nodes[node].required {
            Required::Must => false,
            Required::Could => true,
            Required::MustUnlessDocumented => self.task(node).is_some_and(|task| task.documented),
        }
    }

    /// Its request was withdrawn: nothing is wanted of it any more.
    fn is_not_applicable(&self, node: usize) -> bool {
        match self.graph.is_leaf(node) {
            true => self.task(node).is_some_and(|task| task.withdrawn),
            false => {
                let children = &self.graph.nodes[node].children;
                !children.is_empty() && children.iter().all(|child| self.is_not_applicable(*child))
            }
        }
    }

    /// Not offered yet.
    fn is_waiting(&self, leaf: usize) -> bool {
        !self.is_not_applicable(leaf) && matches!(self.status(leaf), None | Some(TaskStatus::Draft))
    }

    fn is_open(&self, leaf: usize) -> bool {
        self.status(leaf).is_some_and(|status| !status.is_terminal())
    }

    /// Somebody has claimed it and has not ended it.
    fn is_engaged(&self, leaf: usize) -> bool {
        self.status(leaf).is_some_and(|s| s.is_started() || matches!(s, TaskStatus::Received | TaskStatus::Accepted))
    }

    fn released(&self, node: usize) -> Option<Timestamp> {
        self.earliest(node, &|task| task.released)
    }

    fn started(&self, node: usize) -> Option<Timestamp> {
        self.earliest(node, &|task| task.started.or(task.ended))
    }

    fn earliest(&self, node: usize, of: &dyn Fn(&TaskState) -> Option<Timestamp>) -> Option<Timestamp> {
        match self.graph.is_leaf(node) {
            true => self.task(node).and_then(of),
            false => self.graph.nodes[node].children.iter().filter_map(|child| self.earliest(*child, of)).min(),
        }
    }

    fn ended(&self, node: usize) -> Option<Timestamp> {
        match self.graph.is_leaf(node) {
            true => self.task(node)?.ended,
            false => self.graph.nodes[node].children.iter().filter_map(|child| self.ended(*child)).max(),
        }
    }
}

enum Wanted {
    At(Timestamp),
    NotYet,
    Never,
    Waived,
}
