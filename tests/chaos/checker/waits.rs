//! Whether each step of an order came in its time: not before what it waits for, and what undoes another only when that
//! was to be undone.

use std::ops::RangeInclusive;

use uuid::Uuid;

use super::ledger::Task;
use super::plan::{Step, Wait};
use super::verdict::{Fact, Fault, Verdict};

/// States in which a Task ends and nothing of it was done.
const LOST: [&str; 3] = ["cancelled", "failed", "rejected"];

/// An order, its steps, and all Tasks of it.
pub(super) struct Order<'a> {
    pub(super) root: Uuid,
    pub(super) steps: &'a [Step],
    pub(super) tasks: &'a [Task],
    pub(super) is_revoked: bool,
}

impl Order<'_> {
    pub(super) fn judge(&self, verdict: &mut Verdict) {
        for step in self.steps {
            self.is_in_time(step, verdict);
            self.is_undone(step, verdict);
        }
    }

    fn is_in_time(&self, step: &Step, verdict: &mut Verdict) {
        let Some(offered_us) = self.of(step.number).filter_map(|task| task.offered_us).min() else { return };
        let begun_us = self.of(0).map(|task| task.created_us).min().unwrap_or_default();
        let ends = step.waits.iter().filter_map(|wait| self.ended_us(wait));
        let from = ends.chain([begun_us + step.since_us]).max().unwrap_or_default();
        if offered_us < from {
            let early_ms = (from - offered_us) / 1000;
            verdict.blame(Fault::TooEarly, || format!("{} was on offer {early_ms} ms too early", self.name(step)));
        }
        let open = step.waits.iter().find(|wait| !self.is_over(&wait.on));
        if let Some(wait) = open {
            verdict.blame(Fault::TooEarly, || format!("{} was on offer before {:?} came", self.name(step), wait.on));
        }
    }

    /// When that which it waits for is over. What was not done nobody waits for.
    fn ended_us(&self, wait: &Wait) -> Option<i64> {
        let ended = self.steps_in(&wait.on).filter_map(|step| self.completed_us(step));
        ended.max().map(|ended_us| ended_us + wait.low_us)
    }

    fn is_over(&self, range: &RangeInclusive<u32>) -> bool {
        let mut must = self.steps_in(range).filter(|step| step.is_must);
        self.is_revoked || must.all(|step| self.completed_us(step).is_some())
    }

    fn is_undone(&self, step: &Step, verdict: &mut Verdict) {
        let Some((undoing, unit)) = step.undone_by.zip(step.unit.as_ref()) else { return };
        let is_lost = self.steps_in(unit).any(|other| self.is_lost(other));
        let is_wanted = is_lost && self.completed_us(step).is_some();
        let is_offered = self.of(undoing).any(|task| task.offered_us.is_some());
        let is_undone = self.of(undoing).any(|task| task.status == "completed");
        verdict.saw(Fact::Undone, usize::from(is_wanted && is_undone));
        if is_offered && !is_wanted {
            verdict.blame(Fault::Undone, || format!("{} was to be undone for nothing", self.name(step)));
        } else if is_wanted && !is_undone && !self.is_revoked {
            verdict.blame(Fault::Undone, || format!("{} was not undone, though its unit is lost", self.name(step)));
        }
    }

    fn is_lost(&self, step: &Step) -> bool {
        let newest = self.of(step.number).max_by_key(|task| task.offer);
        newest.is_some_and(|task| LOST.contains(&task.status.as_str()))
    }

    fn of(&self, step: u32) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |task| task.step == step)
    }

    fn steps_in<'s>(&'s self, range: &'s RangeInclusive<u32>) -> impl Iterator<Item = &'s Step> {
        self.steps.iter().filter(|step| range.contains(&step.number))
    }

    fn completed_us(&self, step: &Step) -> Option<i64> {
        self.of(step.number).filter(|task| task.status == "completed").map(|task| task.ended_us).max()
    }

    fn name(&self, step: &Step) -> String {
        format!("order {} step {} ({})", self.root, step.number, step.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(step: u32, status: &str, offered_us: Option<i64>, ended_us: i64) -> Task {
        let (created_us, taken_us, based_on) = (0, None, Vec::new());
        Task {
            step,
            offer: 1,
            status: status.into(),
            based_on,
            created_us,
            offered_us,
            taken_us,
            ended_us,
            asks: false,
        }
    }

    /// Of three steps, the second of which waits for the first, and the third undoes that.
    fn faults(tasks: Vec<Task>, is_revoked: bool) -> Vec<Fault> {
        let step = |number: u32| Step {
            number,
            action: String::new(),
            is_must: number < 3,
            is_offered: false,
            since_us: 0,
            waits: Vec::new(),
            unit: None,
            undone_by: None,
        };
        let first = Step { unit: Some(1..=2), undone_by: Some(3), ..step(1) };
        let second = Step { unit: Some(1..=2), waits: vec![Wait { on: 1..=1, low_us: 5 }], ..step(2) };
        let mut verdict = Verdict::default();
        let steps = [first, second, Step { since_us: 1, ..step(3) }];
        Order { root: Uuid::nil(), steps: &steps, tasks: &tasks, is_revoked }.judge(&mut verdict);
        verdict.faults()
    }

    #[test]
    fn a_step_that_came_too_early_is_found() {
        let of = |offered_us| {
            let second = task(2, "completed", Some(offered_us), 30);
            faults(vec![task(1, "completed", Some(0), 10), second, task(3, "cancelled", None, 30)], false)
        };
        assert_eq!(of(15), []);
        assert_eq!(of(14), [Fault::TooEarly]);
        let alone = vec![task(1, "failed", Some(0), 10), task(2, "completed", Some(20), 30)];
        assert_eq!(faults(alone, false), [Fault::TooEarly], "what it waits for never came");
    }

    #[test]
    fn what_is_undone_was_to_be() {
        let of = |second: &str, third: Task, is_revoked: bool| {
            let second = task(2, second, Some(15), 20);
            faults(vec![task(1, "completed", Some(0), 10), second, third], is_revoked)
        };
        let done = || task(3, "completed", Some(20), 25);
        let none = || task(3, "cancelled", None, 25);
        assert_eq!(of("rejected", done(), false), []);
        assert_eq!(of("completed", none(), false), []);
        assert_eq!(of("rejected", none(), false), [Fault::Undone]);
        assert_eq!(of("rejected", none(), true), []);
        assert_eq!(of("completed", done(), false), [Fault::Undone]);
    }
}
