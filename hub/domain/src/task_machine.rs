//! The Task state machine. The matrix is data (`tables/task-transitions.json`); whoever checks a history reads the
//! same file.

use std::collections::VecDeque;
use std::sync::LazyLock;

use schemas::outcome::IssueType;
use schemas::task::TaskStatus;
use serde::Deserialize;

use crate::refusal::{Refusal, RefusalKind};

/// The matrix as it is published.
pub const TABLE: &str = include_str!("../tables/task-transitions.json");

/// In which capacity somebody moves a Task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    Requester,
    Owner,
    /// Entitled to claim a Task that has no owner.
    Candidate,
    Hub,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Transition {
    /// A status, `*none*` (creation) or `*any*`.
    pub from: String,
    pub to: String,
    pub actors: Vec<Actor>,
    /// Known, and not allowed here.
    #[serde(default)]
    pub off: bool,
}

#[derive(Debug, Deserialize)]
struct Table {
    transitions: Vec<Transition>,
    derived: Vec<Transition>,
}

/// Who may move a Task from where to where.
#[derive(Debug)]
pub struct Matrix {
    rows: Vec<Transition>,
}

#[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads it")]
static TABLES: LazyLock<(Matrix, Matrix)> = LazyLock::new(|| {
    let table: Table = serde_json::from_str(TABLE).expect("task-transitions.json is readable");
    (Matrix { rows: table.transitions }, Matrix { rows: table.derived })
});

impl Matrix {
    /// Of Tasks that somebody works on.
    pub fn of_work() -> &'static Self {
        &TABLES.0
    }

    /// Of fulfilment Tasks, which are derived from their children.
    pub fn of_fulfilment() -> &'static Self {
        &TABLES.1
    }

    /// Of a workflow that has its own.
    pub fn of_rows(rows: Vec<Transition>) -> Self {
        Self { rows }
    }

    fn rows(&self, from: Option<TaskStatus>, actors: &[Actor]) -> impl Iterator<Item = &Transition> {
        let name = from.map_or("*none*", TaskStatus::code);
        let any = from.is_some_and(|status| status != TaskStatus::EnteredInError);
        self.rows.iter().filter(move |row| {
            !row.off
                && (row.from == name || (any && row.from == "*any*"))
                && row.actors.iter().any(|a| actors.contains(a))
        })
    }

    pub fn allows(&self, from: Option<TaskStatus>, to: TaskStatus, actors: &[Actor]) -> bool {
        self.rows(from, actors).any(|row| row.to == to.code())
    }

    /// Where `actors` may move a Task that is at `from`.
    pub fn next(&self, from: Option<TaskStatus>, actors: &[Actor]) -> Vec<TaskStatus> {
        let mut next: Vec<_> = self.rows(from, actors).filter_map(|row| TaskStatus::parse(&row.to)).collect();
        next.sort();
        next.dedup();
        next
    }

    /// Ok, or a refusal that says which steps are open from here.
    pub fn check(&self, from: Option<TaskStatus>, to: TaskStatus, actors: &[Actor]) -> Result<(), Refusal> {
        if self.allows(from, to, actors) {
            return Ok(());
        }
        let open = self.next(from, actors);
        let open = if open.is_empty() {
            "nothing is allowed to you from here".to_owned()
        } else {
            format!("allowed to you now: {}", open.iter().map(|s| s.code()).collect::<Vec<_>>().join(", "))
        };
        let from = from.map_or("(new)", TaskStatus::code);
        let text = format!("a Task does not go from {from} to {to}; {open}");
        Err(Refusal::one(RefusalKind::Unprocessable, IssueType::BusinessRule, "Task.status", text))
    }

    /// The fewest legal steps from one state to another, without the start; none when there is no way, empty when
    /// it is there already. A report that overtook an earlier one takes the Task along this way.
    pub fn way(&self, from: TaskStatus, to: TaskStatus, actors: &[Actor]) -> Option<Vec<TaskStatus>> {
        let mut ways = VecDeque::from([vec![from]]);
        let mut seen = vec![from];
        while let Some(way) = ways.pop_front() {
            let here = *way.last()?;
            if here == to {
                return Some(way[1..].to_vec());
            }
            for next in self.next(Some(here), actors) {
                // Through terminal states and through "given back" there is no way.
                let passable = next == to || !(next.is_terminal() || next == TaskStatus::Ready);
                if passable && !seen.contains(&next) {
                    seen.push(next);
                    ways.push_back([way.as_slice(), &[next]].concat());
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskStatus::*;

    #[test]
    fn every_row_of_the_table_names_states_that_exist() {
        for row in TABLES.0.rows.iter().chain(&TABLES.1.rows) {
            assert!(row.from.starts_with('*') || TaskStatus::parse(&row.from).is_some(), "{}", row.from);
            assert!(TaskStatus::parse(&row.to).is_some(), "{}", row.to);
        }
    }

    #[test]
    fn nothing_leaves_a_terminal_state_but_as_an_error() {
        let everybody = [Actor::Requester, Actor::Owner, Actor::Candidate, Actor::Hub];
        for from in TaskStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            for matrix in [Matrix::of_work(), Matrix::of_fulfilment()] {
                assert!(matrix.next(Some(from), &everybody).iter().all(|to| *to == EnteredInError), "{from}");
            }
        }
    }

    #[test]
    fn only_the_hub_cancels_started_work() {
        for from in [InProgress, OnHold] {
            assert!(!Matrix::of_work().allows(Some(from), Cancelled, &[Actor::Requester, Actor::Owner]));
            assert!(Matrix::of_work().allows(Some(from), Cancelled, &[Actor::Hub]));
        }
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        let no = Matrix::of_work().check(Some(Accepted), Completed, &[Actor::Owner]).unwrap_err();
        assert!(no.text().contains("in-progress"), "{}", no.text());
    }

    #[test]
    fn the_way_goes_through_the_skipped_steps() {
        let way = |from, to| Matrix::of_work().way(from, to, &[Actor::Owner]);
        assert_eq!(way(Accepted, Completed), Some(vec![InProgress, Completed]));
        assert_eq!(way(InProgress, InProgress), Some(vec![]));
        assert_eq!(way(Completed, InProgress), None);
        assert_eq!(way(Accepted, Rejected), None);
    }
}
