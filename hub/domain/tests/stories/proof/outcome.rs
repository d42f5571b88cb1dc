//! What has become of a part.

use crate::proof::parts::Part;
use crate::proof::reference::{Fate, Reference, Step, Time};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It never applied, or is not wanted any more.
    Absent,
    Open,
    Achieved,
    Lost,
}

impl<'a> Reference<'a> {
    pub(crate) fn outcome(&self, number: u32) -> Outcome {
        if self.plan.part(number).undoes.is_some() {
            return Outcome::Absent;
        }
        let Some(behaviour) = self.plan.part(number).said.behaviour else {
            return match &self.steps[&number] {
                step if !step.wanted => Outcome::Absent,
                step if step.fate == Fate::Done => Outcome::Achieved,
                step if matches!(step.fate, Fate::Failed | Fate::Refused | Fate::Dropped) => Outcome::Lost,
                _ => Outcome::Open,
            };
        };
        let children: Vec<(&Part, Outcome)> = self
            .plan
            .children(number)
            .map(|child| (child, self.outcome(child.number)))
            .filter(|(_, outcome)| *outcome != Outcome::Absent)
            .collect();
        let is_exclusive = matches!(behaviour, "exactly-one" | "at-most-one");
        let is_race = is_exclusive
            && !self.plan.part(number).said.in_sequence
            && children.iter().any(|(child, _)| self.is_taken(child.number));
        // Of a race that was decided only the winner counts.
        let counts = |child: &Part| !is_race || self.is_taken(child.number);
        let children: Vec<(&Part, Outcome)> = children.into_iter().filter(|(child, _)| counts(child)).collect();
        let chosen = |(child, outcome): (&'a Part, Outcome)| match outcome {
            Outcome::Achieved if self.is_left(child) => (child, Outcome::Lost),
            _ => (child, outcome),
        };
        let children: Vec<(&Part, Outcome)> = children.into_iter().map(chosen).collect();
        let any = |wanted: Outcome| children.iter().any(|(_, outcome)| *outcome == wanted);
        let is_lost = self.is_lost(number);
        match behaviour {
            _ if children.is_empty() => Outcome::Absent,
            "all-or-none" if self.is_none_of_a_unit(number) => Outcome::Achieved,
            "all" | "all-or-none" if is_lost => Outcome::Lost,
            "exactly-one" | "at-most-one" | "one-or-more" if any(Outcome::Achieved) => Outcome::Achieved,
            _ if any(Outcome::Open) => Outcome::Open,
            "exactly-one" | "one-or-more" => Outcome::Lost,
            _ => Outcome::Achieved,
        }
    }

    /// Of a race, a branch that nobody took was not chosen.
    fn is_left(&self, branch: &Part) -> bool {
        let group = &self.plan.part(branch.parent).said;
        let is_exclusive = matches!(group.behaviour, Some("exactly-one" | "at-most-one"));
        is_exclusive && !group.in_sequence && !self.is_taken(branch.number)
    }

    /// A child that must be done was not.
    pub(super) fn is_lost(&self, number: u32) -> bool {
        self.plan.children(number).any(|child| self.outcome(child.number) == Outcome::Lost && !self.is_optional(child))
    }

    pub(super) fn is_optional(&self, part: &Part) -> bool {
        let is_documented = self.steps.get(&part.number).is_some_and(|step| step.documented);
        part.said.optional || (part.said.unless_documented && is_documented)
    }

    fn is_none_of_a_unit(&self, number: u32) -> bool {
        self.plan.part(number).said.behaviour == Some("all-or-none") && self.is_lost(number) && !self.has_begun(number)
    }

    /// What undoes another is no part of anything.
    pub(super) fn steps_of(&self, number: u32) -> impl Iterator<Item = &Step> {
        let is_of = move |n: u32| self.plan.part(n).undoes.is_none() && self.plan.line(n).any(|above| above == number);
        self.steps.iter().filter(move |(n, _)| is_of(**n)).map(|(_, step)| step)
    }

    /// What was stopped is no part of its group any more.
    pub(super) fn wanted_of(&self, number: u32) -> impl Iterator<Item = &Step> {
        let is_step = self.plan.part(number).said.behaviour.is_none();
        self.steps_of(number).filter(move |step| is_step || step.wanted)
    }

    fn has_begun(&self, number: u32) -> bool {
        self.steps_of(number).any(Step::is_begun)
    }

    pub(super) fn is_taken(&self, number: u32) -> bool {
        let is_taken = |step: &Step| matches!(step.fate, Fate::Claimed | Fate::Started | Fate::Done);
        self.steps_of(number).any(|step| step.wanted && is_taken(step))
    }

    pub(super) fn is_busy(&self, number: u32) -> bool {
        self.steps_of(number).any(|step| matches!(step.fate, Fate::Claimed | Fate::Started))
    }

    /// With the last that it needs.
    pub(super) fn ended(&self, number: u32) -> Option<Time> {
        let Some(behaviour) = self.plan.part(number).said.behaviour else { return self.steps[&number].ended };
        let of = |child: &Part| self.ended(child.number);
        if self.is_none_of_a_unit(number) {
            return None;
        }
        let children = || self.plan.children(number).filter(|child| self.outcome(child.number) != Outcome::Absent);
        let achieved = |child: &&Part| self.outcome(child.number) == Outcome::Achieved && !self.is_left(child);
        let first = children().filter(achieved).filter_map(of).min();
        let last = children().filter_map(of).max();
        if behaviour.contains("one") && behaviour != "all-or-none" { first.or(last) } else { last }
    }
}
