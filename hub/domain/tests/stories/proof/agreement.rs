//! What must hold after every event: both say the same, and what holds whatever the reference thinks.

use hub_domain::plan::advance::Told;
use hub_domain::plan::run::Run;
use schemas::plan::ConditionKind;
use schemas::resource::Resource;
use schemas::task::TaskStatus;

use crate::proof::parts::{Event, Part, Wait};
use crate::proof::play::{Case, Held};
use crate::proof::reference::{End, Fate, Time, Urgency};
use crate::world::World;

/// The engine's clock goes on a little with every command.
const TOLERANCE_US: i64 = 60_000_000;

impl Case<'_> {
    pub(super) fn agrees(&mut self) -> Held {
        self.plan.steps().try_for_each(|part| self.step_agrees(part.number))?;
        let whole = self.status(0);
        let fits = match self.reference.end {
            None => !matches!(whole, Some("completed" | "failed" | "rejected" | "cancelled")),
            Some(End::Completed) => whole == Some("completed"),
            Some(End::Failed) => matches!(whole, Some("failed" | "rejected")),
            Some(End::Cancelled) => whole == Some("cancelled"),
        };
        if !fits {
            return Err(format!("the whole is {whole:?}, and should be {:?}", self.reference.end));
        }
        let told = self.world.all("Communication").len();
        if told != self.reference.told {
            return Err(format!("{told} were told of, and should be {}", self.reference.told));
        }
        self.is_settled()?;
        self.one_at_most()?;
        self.nothing_early()?;
        self.world.left_over().map_or(Ok(()), Err)?;
        self.waits_for_something()
    }

    fn status(&self, number: u32) -> Option<&str> {
        self.world.newest(&self.requests[0], number).and_then(|task| task.text("status"))
    }

    fn step_agrees(&mut self, number: u32) -> Held {
        let step = &self.reference.steps[&number];
        let status = self.status(number);
        let fits = match step.fate {
            Fate::Waiting => matches!(status, None | Some("draft")),
            Fate::Offered | Fate::Claimed if step.returned => status == Some("ready"),
            Fate::Offered => status == Some("requested"),
            Fate::Claimed => status == Some("accepted"),
            Fate::Started => status == Some("in-progress"),
            Fate::Done => status == Some("completed"),
            Fate::Failed => status == Some("failed"),
            Fate::Refused => status == Some("rejected"),
            Fate::Dropped => matches!(status, None | Some("cancelled")),
        };
        if !fits {
            return Err(format!("step {number} is {status:?}, and should be {:?}", step.fate));
        }
        let said = self.world.newest(&self.requests[0], number).and_then(business_status);
        let is_said = |code: &str| said == Some(code);
        if (step.is_live() && step.late != is_said("overdue"))
            || (step.fate == Fate::Done && step.early != is_said("early"))
        {
            return Err(format!("step {number} is {said:?}; late: {}, early: {}", step.late, step.early));
        }
        if !step.wanted || !step.is_live() {
            return Ok(());
        }
        let (until, wanted) = (self.world.newest(&self.requests[0], number).and_then(World::until_of), step.until);
        let near = until.zip(wanted).map(|(one, other)| (one - other).abs() < TOLERANCE_US);
        if near.unwrap_or(until == wanted) {
            Ok(())
        } else {
            Err(format!("step {number} is to be done by {until:?}, and should by {wanted:?}"))
        }
    }

    /// From what is kept of it alone, nothing more follows: whoever goes on from here goes on alike.
    fn is_settled(&self) -> Held {
        let left = self.world.left_to_do(&self.requests[0], &self.told());
        if left.is_empty() { Ok(()) } else { Err(format!("this was left undone: {left:?}")) }
    }

    /// What the conditions say.
    fn told(&self) -> Told {
        let is_open = |part: &&Part| self.reference.is_open(part.number);
        let of = |part: &Part| {
            let urgency = self.reference.urgency(part.number);
            let starts = (part.said.starts && urgency > Urgency::Routine).then_some(ConditionKind::Start);
            let stops = (part.said.stops && urgency == Urgency::Asap).then_some(ConditionKind::Stop);
            let number = part.number as usize;
            [starts, stops].into_iter().flatten().map(move |kind| (number, kind))
        };
        Told { holding: self.plan.parts.iter().filter(is_open).flat_map(of).collect() }
    }

    // ---- whatever the reference thinks

    /// Of an exclusive choice never more than one is under way, and where it is a race never more than one was begun.
    fn one_at_most(&self) -> Held {
        let is_exclusive = |behaviour| matches!(behaviour, Some("exactly-one" | "at-most-one"));
        for group in self.plan.parts.iter().filter(|part| is_exclusive(part.said.behaviour)) {
            let taken: &[&str] = match group.said.in_sequence {
                true => &["accepted", "in-progress"],
                false => &["accepted", "in-progress", "completed"],
            };
            let is_taken = |number: u32| {
                let steps = self.plan.steps().filter(|step| step.undoes.is_none());
                let mut steps = steps.filter(|step| self.plan.line(step.number).any(|n| n == number));
                steps.any(|step| self.status(step.number).is_some_and(|status| taken.contains(&status)))
            };
            let branches = self.plan.children(group.number);
            if branches.filter(|branch| is_taken(branch.number)).count() > 1 {
                return Err(format!("two of {} are taken", group.number));
            }
        }
        Ok(())
    }

    /// What was released for the first time had nothing to wait for any more.
    fn nothing_early(&mut self) -> Held {
        let (run, _) = self.world.run(&self.requests[0]);
        for part in self.plan.steps() {
            let released = run.tasks.get(part.number as usize).and_then(|task| task.released);
            let Some(now) = released.filter(|_| self.offered.insert(part.number)) else { continue };
            for above in self.plan.line(part.number) {
                let is_early = |wait: &&Wait| wait.who == above && !self.is_over(wait, run, now.0);
                if let Some(wait) = self.plan.waits.iter().find(is_early) {
                    return Err(format!("step {} did not wait as it should: {wait:?}", part.number));
                }
            }
        }
        Ok(())
    }

    /// Whether what is waited for can be over, as far as that shows on single steps: of a step by what it says itself, of a
    /// group when not all of it is still to come.
    fn is_over(&self, wait: &Wait, run: &Run, now: Time) -> bool {
        let is_over = |number: u32| {
            let Some(task) = run.tasks.get(number as usize) else { return false };
            let time = match wait.event {
                Event::Released => task.released,
                Event::Started => task.started.or(task.ended),
                Event::Ended => task.ended.filter(|_| task.status == Some(TaskStatus::Completed)),
            };
            // That an earlier offer was there, and had begun, is not kept; and nobody waits for what is not wanted any more.
            let is_again = task.withdrawn || (wait.event != Event::Ended && task.occurrence > 1);
            let is_ended = is_again || task.status.is_some_and(TaskStatus::is_terminal);
            time.filter(|_| !is_again)
                .map_or(is_ended, |time| time.0 + wait.low <= now || task.status != Some(TaskStatus::Completed))
        };
        let mut steps = self.plan.steps().filter(|step| self.plan.line(step.number).any(|n| n == wait.on));
        steps.any(|step| is_over(step.number))
    }

    /// What has not ended is on offer, or under way, or waits for a time or for a word of its placer.
    fn waits_for_something(&self) -> Held {
        let (run, is_timed) = self.world.run(&self.requests[0]);
        let is_open = |status: TaskStatus| !status.is_terminal() && status != TaskStatus::Draft;
        let is_at = |part: &Part| run.tasks.get(part.number as usize).and_then(|task| task.status).is_some_and(is_open);
        match self.reference.end.is_some() || is_timed || run.held || self.is_asking() || self.plan.steps().any(is_at) {
            true => Ok(()),
            false => Err("nobody can do anything about it".into()),
        }
    }

    /// Something does not begin before its placer says another word.
    pub(super) fn is_asking(&self) -> bool {
        let is_routine = |part: &Part| self.reference.urgency(part.number) == Urgency::Routine;
        self.plan.parts.iter().any(|part| part.said.starts && is_routine(part))
    }
}

/// Its code.
fn business_status(task: &Resource) -> Option<&str> {
    task.body.get("businessStatus")?["coding"][0]["code"].as_str()
}
