//! What follows, now that something has happened: the rules by which a plan moves on.
//!
//! Nothing is remembered but the [`Run`]; from it and the graph every answer is worked out: from the leaves up, what is
//! known of each node ([`known`](super::known)); from the whole down, when a step may begin. Where all that could follow
//! before did, only those steps are looked at for which something is new ([`Progress`]).

use std::collections::{BTreeSet, HashSet};

use schemas::plan::{ConditionKind, When};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;

use super::graph::{Event, Graph, Wait};
use super::known::{Known, earlier};
use super::run::{Run, TaskState};
use super::undo::Owed;

/// What is to be done next. The steps of one answer are independent of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Offer this step; by when it is to be done, where there is such a time.
    Release(usize, Option<Timestamp>),
    /// This step will not be done; why, as a code of ours.
    Cancel(usize, &'static str),
    /// Its stop condition holds: nothing is wanted of it any more.
    Stop(usize),
    /// It is on offer or under way, and is to be done by another time than was said.
    Bound(usize, Timestamp),
    /// Look again at this time: a step waits for it.
    LookAgain(usize, Timestamp),
    /// All that is required is done.
    Complete,
    /// It cannot be completed any more.
    Fail,
}

impl Move {
    /// Something will not be done, or is not wanted any more.
    pub(crate) fn takes_away(&self) -> bool {
        matches!(self, Self::Cancel(..) | Self::Stop(_))
    }
}

/// What is stopped goes before all else, then what is cancelled: what that brings to its end is not offered first.
fn first(mut moves: Vec<Move>) -> Vec<Move> {
    let is_stop = |step: &Move| matches!(step, Move::Stop(_));
    if moves.iter().any(is_stop) {
        moves.retain(is_stop);
    } else if moves.iter().any(Move::takes_away) {
        moves.retain(Move::takes_away);
    }
    moves
}

/// Why a step is cancelled by its plan.
pub const NOT_SELECTED: &str = "not-selected";
pub const PREDECESSOR: &str = "predecessor-not-achieved";
pub const UNIT_LOST: &str = "unit-not-achieved";
pub const NOT_NEEDED: &str = "not-needed";
pub const PLAN_FAILED: &str = "plan-failed";
pub const STOPPED: &str = "stop-condition";

/// What was found of the conditions of an order, asked just now.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Node and kind of those that hold.
    pub holding: HashSet<(usize, ConditionKind)>,
}

impl Told {
    fn holds(&self, node: usize, kind: ConditionKind) -> bool {
        self.holding.contains(&(node, kind))
    }
}

/// What is known of an order while it moves on, and what is new since all that followed was done.
pub(crate) struct Progress {
    known: Vec<Known>,
    /// The steps that moved. None: anything may be new.
    moved: Option<Vec<usize>>,
}

impl Progress {
    pub(crate) fn new(graph: &Graph, run: &Run, moved: Option<Vec<usize>>) -> Self {
        Self { known: Known::of_all(graph, run), moved }
    }

    /// What followed was done, and these steps have moved by that. When something was taken away, that was not all.
    pub(crate) fn goes_on(&mut self, graph: &Graph, run: &Run, moved: Vec<usize>, is_all: bool) {
        moved.iter().for_each(|step| Known::renew(&mut self.known, graph, run, *step));
        match &mut self.moved {
            Some(before) if !is_all => before.extend(moved),
            None if !is_all => {}
            before => *before = Some(moved),
        }
    }
}

/// A plan as it stands.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    graph: &'a Graph,
    run: &'a Run,
    told: Option<&'a Told>,
    now: Timestamp,
}

/// When a node may begin, and by when it is to be done.
#[derive(Clone, Copy)]
struct Opening {
    when: Opens,
    until: Option<Timestamp>,
}

#[derive(Clone, Copy)]
enum Opens {
    From(Timestamp),
    NotYet,
    Never(&'static str),
}

impl Opens {
    /// Both must allow it.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never(why), _) | (_, Self::Never(why)) => Self::Never(why),
            (Self::NotYet, _) | (_, Self::NotYet) => Self::NotYet,
            (Self::From(one), Self::From(other)) => Self::From(one.max(other)),
        }
    }
}

impl<'a> Standing<'a> {
    pub fn new(graph: &'a Graph, run: &'a Run, now: Timestamp) -> Self {
        Self { graph, run, told: None, now }
    }

    /// With what its conditions say.
    pub fn told(self, told: &'a Told) -> Self {
        Self { told: Some(told), ..self }
    }

    /// Everything that follows from what is. Empty when all there is to do is wait.
    pub fn moves(&self) -> Vec<Move> {
        self.after(&Progress::new(self.graph, self.run, None))
    }

    /// The same, where less may be new.
    pub(crate) fn after(&self, progress: &Progress) -> Vec<Move> {
        let known = progress.known.as_slice();
        let owed = Owed::of(self.graph, self.run, known);
        let stops = if known[0].achieved.is_some() { self.stops(known) } else { Vec::new() };
        let mut moves = match known[0].achieved {
            _ if !stops.is_empty() => stops,
            Some(true) => self.finish(Move::Complete, NOT_NEEDED, owed.is_any, known),
            Some(false) => self.finish(Move::Fail, PLAN_FAILED, owed.is_any, known),
            None => {
                let mut openings = Openings::new(self, known);
                let mut next = |leaf: usize| self.next(leaf, &known[leaf], openings.of(leaf));
                first(match &progress.moved {
                    None => self.graph.leaves().filter_map(next).collect(),
                    Some(moved) => self.concerned(moved).into_iter().filter_map(&mut next).collect(),
                })
            }
        };
        // What the end takes away may make another unit one that is lost: what was done last of both is undone first.
        let is_ending = known[0].achieved.is_some() && !moves.is_empty();
        let undone = owed.next.filter(|_| !self.run.held && !is_ending && !moves.iter().any(Move::takes_away));
        moves.extend(undone.map(|step| Move::Release(step, None)));
        moves
    }

    /// The steps for which something is new: those that moved, what follows them or what they are a part of, those whose
    /// time has come, and those that begin or stop by a condition.
    fn concerned(&self, moved: &[usize]) -> BTreeSet<usize> {
        let mut above = BTreeSet::from([0]);
        moved.iter().for_each(|step| above.extend(self.graph.upwards(*step)));
        let followers = above.iter().flat_map(|node| &self.graph.nodes[*node].followers).chain(&self.graph.asking);
        let mut concerned: BTreeSet<usize> = followers.flat_map(|node| self.graph.leaves_of(*node)).collect();
        concerned.extend(moved.iter().filter(|step| self.graph.is_leaf(**step)));
        let is_due = |task: &TaskState| task.due.is_some_and(|due| due <= self.now);
        let due = self.run.tasks.iter().enumerate().filter(|(_, task)| is_due(task)).map(|(step, _)| step);
        concerned.extend(due.filter(|step| *step < self.graph.nodes.len() && self.graph.is_leaf(*step)));
        concerned
    }

    /// The end: what nobody has begun is cancelled; what has begun is let run to its end before the whole completes,
    /// and does not keep it from failing. Before either, what is owed is undone. Whoever is let run keeps to its time.
    fn finish(&self, end: Move, why: &'static str, is_owing: bool, known: &[Known]) -> Vec<Move> {
        let is_left = |leaf: &usize| {
            let is_open = |task: &TaskState| !task.withdrawn && task.status.is_none_or(|status| !status.is_terminal());
            self.graph.nodes[*leaf].undoes.is_none() && self.task(*leaf).is_some_and(is_open)
        };
        let (begun, unbegun): (Vec<usize>, Vec<usize>) =
            self.graph.leaves().filter(is_left).partition(|leaf| self.task(*leaf).is_some_and(TaskState::is_engaged));
        let mut moves: Vec<Move> = unbegun.into_iter().map(|leaf| Move::Cancel(leaf, why)).collect();
        // A unit of which something was done is lost by that.
        let is_owing = is_owing || (self.graph.is_undoing && !moves.is_empty());
        if !is_owing && (end == Move::Fail || begun.is_empty()) {
            moves.extend(begun.into_iter().map(|leaf| Move::Cancel(leaf, why)));
            moves.push(end);
            return moves;
        }
        // What is known of times is looked at when nothing is on offer any more.
        if moves.is_empty() {
            let mut openings = Openings::new(self, known);
            let next = begun.into_iter().filter_map(|leaf| self.next(leaf, &known[leaf], openings.of(leaf)));
            moves.extend(next.filter(|next| matches!(next, Move::Bound(..))));
        }
        moves
    }

    /// Whoever is still at something at the end may be stopped all the same.
    fn stops(&self, known: &[Known]) -> Vec<Move> {
        let mut openings = Openings::new(self, known);
        let busy = self.graph.asking.iter().flat_map(|node| self.graph.leaves_of(*node));
        let busy: BTreeSet<usize> = busy.filter(|leaf| known[*leaf].is_busy && !known[*leaf].is_idle).collect();
        let mut is_stopped = |leaf: &usize| matches!(openings.of(*leaf).when, Opens::Never(STOPPED));
        busy.into_iter().filter(|leaf| is_stopped(leaf)).map(Move::Stop).collect()
    }

    fn task(&self, node: usize) -> Option<&'a TaskState> {
        self.run.tasks.get(node)
    }

    /// What becomes of a step.
    fn next(&self, leaf: usize, known: &Known, opening: Opening) -> Option<Move> {
        if known.is_idle {
            return None;
        }
        let task = self.task(leaf)?;
        match (task.status, opening.when) {
            (Some(TaskStatus::Completed), _) => None,
            // Also what was cancelled or failed before: it is not missed any more.
            (_, Opens::Never(STOPPED)) => Some(Move::Stop(leaf)),
            (Some(status), _) if status.is_terminal() => None,
            (None | Some(TaskStatus::Draft), Opens::Never(why)) => Some(Move::Cancel(leaf, why)),
            // What was offered and not taken goes when another was chosen; not when what it waited for changes.
            (Some(status), Opens::Never(why @ (NOT_SELECTED | UNIT_LOST))) if status.is_offered() && !known.is_busy => {
                Some(Move::Cancel(leaf, why))
            }
            (None | Some(TaskStatus::Draft), Opens::From(_)) if self.run.held => None,
            (None | Some(TaskStatus::Draft), Opens::From(due)) if due > self.now => {
                (task.due != Some(due)).then_some(Move::LookAgain(leaf, due))
            }
            (None | Some(TaskStatus::Draft), Opens::From(_)) => Some(Move::Release(leaf, opening.until)),
            (None | Some(TaskStatus::Draft), Opens::NotYet) => None,
            (Some(_), _) => opening.until.filter(|until| task.until != Some(*until)).map(|due| Move::Bound(leaf, due)),
        }
    }

    fn opening(&self, node: usize, above: Opening, known: &[Known]) -> Opening {
        let mut opening = Opening { when: above.when.and(self.choice(node, known)), until: above.until };
        let this = &self.graph.nodes[node];
        for wait in &this.waits {
            opening.when = opening.when.and(match self.happened(wait, known) {
                Happened::At(time) => {
                    opening.until = earlier(opening.until, wait.offset.high_us.map(|high| after(time, high)));
                    Opens::From(after(time, wait.offset.low_us))
                }
                Happened::Never => Opens::Never(PREDECESSOR),
                Happened::NotYet => Opens::NotYet,
                Happened::Waived => continue,
            });
        }
        for end in &this.ends {
            if let Happened::At(time) = self.happened(end, known) {
                opening.until = earlier(opening.until, end.offset.high_us.map(|high| after(time, high)));
            }
        }
        self.at_its_time(node, above, self.as_told(node, opening))
    }

    /// Whether a step, or what ended with it just now, ended sooner than it should.
    pub(crate) fn is_early(&self, step: usize) -> bool {
        let known = Known::of_all(self.graph, self.run);
        let ends_now = |node: &usize| known[*node].achieved == Some(true) && known[*node].ended == Some(self.now);
        let mut ends = self.graph.upwards(step).filter(ends_now).flat_map(|node| &self.graph.nodes[node].ends);
        ends.any(|end| match self.happened(end, &known) {
            Happened::At(time) => self.now < after(time, end.offset.low_us),
            Happened::NotYet => true,
            Happened::Never | Happened::Waived => false,
        })
    }

    /// By its own timing.
    fn at_its_time(&self, node: usize, above: Opening, mut opening: Opening) -> Opening {
        let (low, high) = match (self.graph.nodes[node].when, above.when) {
            (Some(When::Between { low, high }), _) => (low, high),
            (Some(When::After(window)), Opens::From(from)) => {
                (Some(after(from, window.low_us)), window.high_us.map(|high| after(from, high)))
            }
            (Some(When::On(time)), Opens::From(from)) => (Some(time.after(from)), None),
            (Some(When::Since(since)), _) => match self.point(node) {
                Some(point) => (Some(since.after(point).0), since.after(point).1),
                None => return Opening { when: opening.when.and(Opens::NotYet), ..opening },
            },
            _ => return opening,
        };
        opening.when = opening.when.and(Opens::From(low.unwrap_or_default()));
        opening.until = earlier(opening.until, high);
        opening
    }

    /// What its time is counted from, as it was found when the order started.
    fn point(&self, node: usize) -> Option<Timestamp> {
        self.run.points.get(self.graph.nodes[node].point?).copied().flatten()
    }

    /// By its conditions.
    fn as_told(&self, node: usize, mut opening: Opening) -> Opening {
        let Some(told) = self.told else { return opening };
        let has = |kind| self.graph.nodes[node].conditions.iter().any(|asking| asking.kind == kind);
        if has(ConditionKind::Stop) && told.holds(node, ConditionKind::Stop) {
            opening.when = Opens::Never(STOPPED);
        } else if has(ConditionKind::Start) && !told.holds(node, ConditionKind::Start) {
            opening.when = opening.when.and(Opens::NotYet);
        }
        opening
    }

    /// By the choice, or the unit, that it is part of.
    fn choice(&self, node: usize, known: &[Known]) -> Opens {
        let parent = self.graph.nodes[node].parent;
        let (group, this) = (&known[parent], &known[node]);
        let is_exclusive = self.graph.nodes[parent].selection.is_exclusive();
        let is_over = match group.in_sequence {
            // The others may still come to their turn, but nothing more of what came to nothing.
            true => this.achieved == Some(false) || (group.achieved == Some(true) && this.achieved.is_none()),
            false => is_exclusive && group.taken > usize::from(this.taken > 0),
        };
        let chooser = self.graph.nodes[parent].chooser.and_then(|chooser| self.task(chooser));
        let chosen = chooser.filter(|task| task.status == Some(TaskStatus::Completed)).map(|task| &task.rare.chosen);
        let is_left_out = chosen.is_some_and(|chosen| !chosen.contains(&(node as u32)));
        match () {
            () if is_over || is_left_out => Opens::Never(NOT_SELECTED),
            () if group.is_lost_unit => Opens::Never(UNIT_LOST),
            () if group.turn.is_some_and(|turn| turn != node) => Opens::NotYet,
            () => Opens::From(Timestamp::default()),
        }
    }

    fn happened(&self, wait: &Wait, known: &[Known]) -> Happened {
        let on = &known[wait.on];
        let time = match wait.event {
            Event::Released => on.released,
            Event::Started => on.started,
            Event::Ended if on.achieved == Some(true) => on.ended,
            Event::Ended => None,
        };
        match (time, on.achieved) {
            (Some(time), _) => Happened::At(time),
            (None, Some(true)) => Happened::Waived,
            (None, Some(false)) if on.is_optional => Happened::Waived,
            (None, Some(false)) => Happened::Never,
            (None, None) => Happened::NotYet,
        }
    }
}

/// What was worked out so far: what may begin only within what has begun.
struct Openings<'s, 'a> {
    standing: &'s Standing<'a>,
    known: &'s [Known],
    of: Vec<Option<Opening>>,
}

impl<'s, 'a> Openings<'s, 'a> {
    fn new(standing: &'s Standing<'a>, known: &'s [Known]) -> Self {
        let start = standing.task(0).and_then(|whole| whole.released).unwrap_or_default();
        let mut of = vec![None; known.len()];
        of[0] = Some(Opening { when: Opens::From(start), until: None });
        Self { standing, known, of }
    }

    /// As deep as plans are nested.
    fn of(&mut self, node: usize) -> Opening {
        if let Some(opening) = self.of[node] {
            return opening;
        }
        let above = self.of(self.standing.graph.nodes[node].parent);
        let opening = self.standing.opening(node, above, self.known);
        self.of[node] = Some(opening);
        opening
    }
}

enum Happened {
    At(Timestamp),
    NotYet,
    Never,
    Waived,
}

fn after(time: Timestamp, offset_us: i64) -> Timestamp {
    Timestamp(time.0.saturating_add(offset_us))
}
