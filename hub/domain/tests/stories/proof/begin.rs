//! When a part may begin, and by when it is to be done.

use crate::proof::outcome::Outcome;
use crate::proof::parts::{Event, HOUR, Part, Wait};
use crate::proof::reference::{Fate, Reference, Time, Urgency};
use crate::proof::written::{From, Timing};

/// The world begins on 2026-09-21, at 14:13:20. That day is the birth date of all.
pub(super) const BIRTH_DATE: &str = "2026-09-21";
const BIRTH: Time = 1_790_000_000_000_000 - (14 * 3600 + 13 * 60 + 20) * 1_000_000;
pub(super) const WRITTEN_ON: &str = "2026-09-21T14:00:00Z";
const WRITTEN: Time = BIRTH + 14 * HOUR;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Begin {
    At(Time),
    NotYet,
    Never,
}

impl Reference<'_> {
    pub(super) fn begin(&self, number: u32) -> Begin {
        let part = self.plan.part(number);
        let above = if part.parent == 0 { Begin::At(self.begun) } else { self.begin(part.parent) };
        let mut all = vec![above, self.chosen(number)];
        all.extend(self.waits(number).map(|wait| self.after(&wait)));
        if part.said.starts && self.urgency(number) == Urgency::Routine {
            all.push(Begin::NotYet);
        }
        if let Some((timing, from)) =
            part.said.timing.and_then(|timing| Some((timing, self.counted_from(timing, above)?)))
        {
            all.push(Begin::At(from + Time::from(timing.low) * HOUR));
        }
        let latest = all.iter().filter_map(|begin| if let Begin::At(time) = begin { Some(*time) } else { None }).max();
        match () {
            () if all.contains(&Begin::Never) => Begin::Never,
            () if all.contains(&Begin::NotYet) => Begin::NotYet,
            () => Begin::At(latest.unwrap()),
        }
    }

    /// By the group that it stands in.
    pub(super) fn chosen(&self, number: u32) -> Begin {
        let part = self.plan.part(number);
        if part.parent == 0 {
            return Begin::At(0);
        }
        let group = self.plan.part(part.parent);
        let others = || self.plan.children(group.number).filter(|other| other.number != number);
        let is_unit = group.said.behaviour == Some("all-or-none");
        let is_exclusive = matches!(group.said.behaviour, Some("exactly-one" | "at-most-one"));
        let before = |other: &Part| (!other.said.usual, other.number) < (!part.said.usual, number);
        let is_open = |other: &Part| self.outcome(other.number) == Outcome::Open;
        let is_achieved = |other: &Part| self.outcome(other.number) == Outcome::Achieved;
        let is_unsettled = |other: &Part| is_open(other) || self.is_busy(other.number);
        let is_made = |by: u32| self.steps[&by].fate == Fate::Done;
        let is_picked = |by: u32| self.picks.get(&by).is_some_and(|picks| picks.contains(&number));
        match () {
            () if group.chosen_by.is_some_and(|by| is_made(by) && !is_picked(by)) => Begin::Never,
            () if group.said.in_sequence && self.outcome(number) == Outcome::Lost => Begin::Never,
            () if group.said.in_sequence && is_open(part) && others().any(is_achieved) => Begin::Never,
            () if group.said.in_sequence && others().any(|o| before(o) && is_unsettled(o)) => Begin::NotYet,
            () if group.said.in_sequence => Begin::At(0),
            () if is_exclusive && others().any(|other| self.is_taken(other.number)) => Begin::Never,
            () if is_unit && self.is_lost(group.number) => Begin::Never,
            () => Begin::At(0),
        }
    }

    /// What this one itself waits for.
    fn waits(&self, number: u32) -> impl Iterator<Item = Wait> {
        let parent = self.plan.part(number).parent;
        let by = if parent == 0 { None } else { self.plan.part(parent).chosen_by };
        let choice = by.map(|on| Wait { who: number, on, event: Event::Ended, low: 0, high: None });
        self.plan.waits.iter().copied().filter(move |wait| wait.who == number).chain(choice)
    }

    fn ends(&self, number: u32) -> impl Iterator<Item = Wait> {
        self.plan.ends.iter().copied().filter(move |wait| wait.who == number)
    }

    fn after(&self, wait: &Wait) -> Begin {
        let on = self.plan.part(wait.on);
        match (self.time(wait), self.outcome(wait.on)) {
            (Some(time), _) => Begin::At(time + wait.low),
            (None, Outcome::Open) => Begin::NotYet,
            (None, Outcome::Lost) if !self.is_optional(on) => Begin::Never,
            (None, _) => Begin::At(0),
        }
    }

    fn time(&self, wait: &Wait) -> Option<Time> {
        match wait.event {
            Event::Released => self.wanted_of(wait.on).filter_map(|step| step.released).min(),
            Event::Started => self
                .wanted_of(wait.on)
                .filter_map(|step| step.started.or(step.ended.filter(|_| step.fate == Fate::Done)))
                .min(),
            Event::Ended => self.ended(wait.on).filter(|_| self.outcome(wait.on) == Outcome::Achieved),
        }
    }

    /// What a time counts from, once that is known. `above`: when what it stands in may begin.
    fn counted_from(&self, timing: Timing, above: Begin) -> Option<Time> {
        match (timing.from, above) {
            (From::Group, Begin::At(time)) => Some(time),
            (From::Group, Begin::NotYet | Begin::Never) => None,
            (From::Birth, _) => Some(BIRTH),
            (From::Written, _) => Some(WRITTEN),
            (From::Start, _) => Some(self.begun),
        }
    }

    pub(crate) fn until(&self, number: u32) -> Option<Time> {
        let part = self.plan.part(number);
        if part.undoes.is_some() {
            return None;
        }
        let above = if part.parent == 0 { Begin::At(self.begun) } else { self.begin(part.parent) };
        let of = |wait: Wait| Some(self.time(&wait)? + wait.high?);
        let mut bounds: Vec<Time> = self.waits(number).chain(self.ends(number)).filter_map(of).collect();
        let of = |timing: Timing| Some(self.counted_from(timing, above)? + Time::from(timing.high?) * HOUR);
        bounds.extend(part.said.timing.and_then(of));
        if part.parent != 0 {
            bounds.extend(self.until(part.parent));
        }
        bounds.into_iter().min()
    }

    /// Of what ends now with a step: whether that should have come later, or has nothing yet to come after.
    pub(super) fn is_early(&self, number: u32, now: Time) -> bool {
        let ends_now = |n: &u32| self.outcome(*n) == Outcome::Achieved && self.ended(*n) == Some(now);
        let is_early = |wait: Wait| match self.time(&wait) {
            Some(time) => now < time + wait.low,
            None => self.outcome(wait.on) == Outcome::Open,
        };
        self.plan.line(number).filter(ends_now).any(|n| self.ends(n).any(is_early))
    }
}
