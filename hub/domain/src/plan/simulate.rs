//! What would run when: a plan lived through without an order, each step as a script says.

use std::collections::{BTreeMap, BTreeSet};

use schemas::task::TaskStatus;
use schemas::time::Timestamp;

use super::advance::{Move, Standing};
use super::graph::Graph;
use super::run::Run;

/// What becomes of a step that is on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Somebody takes it at once, and has done it after so long (microseconds).
    Done(i64),
    /// Somebody takes it at once, and it fails after so long (microseconds).
    Fails(i64),
    /// Nobody takes it.
    Ignored,
}

/// By the name of a step; what is not named is done at once.
pub type Script = BTreeMap<String, Deed>;

/// Something that happens, to the whole (0) or to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub at: Timestamp,
    pub node: usize,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// By when it is to be done.
    Offered(Option<Timestamp>),
    Begun,
    Done,
    Failed,
    Overdue,
    /// It ended sooner than it should.
    Early,
    /// Why, as a code of ours.
    Cancelled(&'static str),
    /// Nothing that could still happen is left, and it has not ended.
    Waiting,
}

/// Reads a script: on each line the name of a step, `done`, `fails` or `ignored`, and how long that takes (`90min`, `2d`).
/// What follows a `#` is for people. The numbers of the lines that are none.
pub fn script(text: &str) -> Result<Script, Vec<usize>> {
    let mut script = Script::new();
    let mut faulty = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let read = match words.as_slice() {
            [] => continue,
            [name, "ignored"] => Some((name, Deed::Ignored)),
            [name, "done"] => Some((name, Deed::Done(0))),
            [name, "fails"] => Some((name, Deed::Fails(0))),
            [name, "done", time] => span(time).map(|us| (name, Deed::Done(us))),
            [name, "fails", time] => span(time).map(|us| (name, Deed::Fails(us))),
            _ => None,
        };
        match read {
            Some((name, deed)) => drop(script.insert((*name).to_owned(), deed)),
            None => faulty.push(number),
        }
    }
    if faulty.is_empty() { Ok(script) } else { Err(faulty) }
}

fn span(text: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let unit = match &text[at..] {
        "s" => SECOND,
        "min" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        "wk" => 604_800 * SECOND,
        _ => return None,
    };
    text[..at].parse::<i64>().ok()?.checked_mul(unit)
}

/// Everything that happens, in the order in which it does. Conditions are taken to hold, those that stop a step not to;
/// nobody asks for anything again; what a time is counted from outside of the plan is taken to be the start.
pub fn simulate(graph: &Graph, script: &Script, start: Timestamp) -> Vec<Happening> {
    let mut run = Run::default();
    run.tasks.grow(graph.nodes.len());
    run.tasks[0].released = Some(start);
    graph.spares().for_each(|spare| run.tasks[spare].withdrawn = true);
    run.points = vec![Some(start); graph.points.len()];
    let mut stage = Stage { graph, script, run, now: start, to_come: BTreeSet::new(), told: Vec::new() };
    while !stage.settle() && stage.goes_on() {}
    stage.told
}

struct Stage<'a> {
    graph: &'a Graph,
    script: &'a Script,
    run: Run,
    now: Timestamp,
    /// What is going to happen, and to which step.
    to_come: BTreeSet<(Timestamp, usize, Coming)>,
    told: Vec<Happening>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    Begins,
    Ends,
    /// By then it is to be done.
    Due,
    /// The time that it waited for.
    Wakes,
}

impl Stage<'_> {
    /// Lets follow what follows now. True at the end of the whole.
    fn settle(&mut self) -> bool {
        loop {
            let run = self.run.clone();
            let moves = Standing::new(self.graph, &run, self.now).moves();
            let mut has_moved = false;
            for next in moves {
                match next {
                    Move::LookAgain(leaf, due) => drop(self.to_come.insert((due, leaf, Coming::Wakes))),
                    Move::Complete => return self.ends(What::Done),
                    Move::Fail => return self.ends(What::Failed),
                    Move::Release(leaf, until) => self.offered(leaf, until),
                    Move::Bound(leaf, until) => self.bound(leaf, until),
                    Move::Cancel(leaf, why) => {
                        self.set(leaf, TaskStatus::Cancelled, What::Cancelled(why));
                    }
                    Move::Stop(leaf) => self.run.tasks[leaf].withdrawn = true,
                }
                has_moved |= !matches!(next, Move::LookAgain(..));
            }
            if !has_moved {
                return false;
            }
        }
    }

    /// The next thing that was to come. False when nothing is.
    fn goes_on(&mut self) -> bool {
        let Some((at, node, coming)) = self.to_come.pop_first() else {
            let is_open = |leaf: &usize| self.run.tasks[*leaf].status.is_none_or(|status| !status.is_terminal());
            let is_wanted = |leaf: &usize| !self.run.tasks[*leaf].withdrawn;
            for node in self.graph.leaves().filter(is_open).filter(is_wanted) {
                self.told.push(Happening { at: self.now, node, what: What::Waiting });
            }
            return false;
        };
        self.now = self.now.max(at);
        let status = self.run.tasks[node].status;
        match coming {
            Coming::Begins if status == Some(TaskStatus::Requested) => {
                self.set(node, TaskStatus::InProgress, What::Begun);
            }
            Coming::Ends if status == Some(TaskStatus::InProgress) => match self.deed(node) {
                Deed::Fails(_) => self.set(node, TaskStatus::Failed, What::Failed),
                _ => {
                    self.set(node, TaskStatus::Completed, What::Done);
                    if Standing::new(self.graph, &self.run, self.now).is_early(node) {
                        self.told.push(Happening { at: self.now, node, what: What::Early });
                    }
                }
            },
            Coming::Due if status.is_some_and(|status| !status.is_terminal()) && !self.run.tasks[node].late => {
                self.run.tasks[node].late = true;
                self.told.push(Happening { at: self.now, node, what: What::Overdue });
            }
            _ => {}
        }
        true
    }

    fn deed(&self, node: usize) -> Deed {
        let name = self.graph.nodes[node].action.as_ref().map(|action| action.id.as_str());
        name.and_then(|name| self.script.get(name)).copied().unwrap_or(Deed::Done(0))
    }

    fn offered(&mut self, leaf: usize, until: Option<Timestamp>) {
        self.set(leaf, TaskStatus::Requested, What::Offered(until));
        if let Deed::Done(us) | Deed::Fails(us) = self.deed(leaf) {
            self.to_come.insert((self.now, leaf, Coming::Begins));
            self.to_come.insert((Timestamp(self.now.0.saturating_add(us)), leaf, Coming::Ends));
        }
        until.into_iter().for_each(|until| self.bound(leaf, until));
    }

    fn bound(&mut self, leaf: usize, until: Timestamp) {
        self.run.tasks[leaf].until = Some(until);
        self.to_come.insert((until, leaf, Coming::Due));
    }

    fn set(&mut self, node: usize, status: TaskStatus, what: What) {
        let task = &mut self.run.tasks[node];
        task.status = Some(status);
        // Whoever chooses is taken to name all.
        let branches = self.graph.nodes.iter().filter(|group| group.chooser == Some(node));
        task.rare.chosen = branches.flat_map(|group| &group.children).map(|branch| *branch as u32).collect();
        match what {
            What::Offered(_) => task.released = Some(self.now),
            What::Begun => task.started = Some(self.now),
            _ => task.ended = Some(self.now),
        }
        self.told.push(Happening { at: self.now, node, what });
    }

    fn ends(&mut self, what: What) -> bool {
        self.told.push(Happening { at: self.now, node: 0, what });
        true
    }
}
