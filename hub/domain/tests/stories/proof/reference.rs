//! What the page about plans says (`docs/plans.md`), done as slowly and as plainly as can be: nothing is kept but what
//! happened to each step, and every question is answered from the beginning each time.

use std::collections::BTreeMap;

use crate::proof::parts::{Part, Parts, Tie};

/// Microseconds.
pub(crate) type Time = i64;
const HOUR: Time = 3_600_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Waiting,
    Offered,
    Claimed,
    Started,
    Done,
    Failed,
    /// Its plan does without it.
    Dropped,
    /// By its condition nothing is wanted of it any more, but somebody is still there, who was asked to leave; and then not.
    Left,
    Stopped,
    /// It never applied.
    Absent,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) fate: Fate,
    released: Option<Time>,
    started: Option<Time>,
    ended: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Absent,
    Open,
    Achieved,
    Lost,
}

#[derive(Clone, Copy, PartialEq)]
enum Begin {
    At(Time),
    NotYet,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    Cancelled,
}

/// Of the request: what the conditions ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Urgency {
    Routine,
    Urgent,
    Asap,
}

pub(crate) struct Reference<'a> {
    plan: &'a Parts,
    pub(crate) steps: BTreeMap<u32, Step>,
    begun: Time,
    /// What each step chose.
    pub(crate) picks: BTreeMap<u32, Vec<u32>>,
    pub(crate) held: bool,
    pub(crate) urgency: Urgency,
    pub(crate) end: Option<End>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(plan: &'a Parts, now: Time) -> Self {
        let blank = |part: &Part| {
            let fate = if applies(plan, part.number) { Fate::Waiting } else { Fate::Absent };
            (part.number, Step { fate, released: None, started: None, ended: None })
        };
        let steps = plan.steps().map(blank).collect();
        let mut new =
            Self { plan, steps, begun: now, picks: BTreeMap::new(), held: false, urgency: Urgency::Routine, end: None };
        new.settle(now);
        new
    }

    pub(crate) fn happens(&mut self, number: u32, fate: Fate, now: Time) {
        let step = self.steps.get_mut(&number).unwrap();
        step.fate = fate;
        match fate {
            Fate::Started => step.started = Some(now),
            Fate::Done | Fate::Failed => step.ended = Some(now),
            _ => {}
        }
        self.settle(now);
    }

    /// The placer revokes the order, or declares it complete: what is not started is done without.
    pub(crate) fn withdrawn(&mut self, end: End) {
        let is_begun = |step: &Step| step.started.is_some() || step.fate == Fate::Done;
        let end = if end == End::Completed && !self.steps.values().any(is_begun) { End::Cancelled } else { end };
        for step in self.steps.values_mut() {
            if matches!(step.fate, Fate::Waiting | Fate::Offered | Fate::Claimed) {
                step.fate = Fate::Dropped;
            }
        }
        if !self.steps.values().any(|step| matches!(step.fate, Fate::Started | Fate::Left)) {
            self.end = Some(end);
        }
    }

    /// Lets follow what follows, one thing after another.
    pub(crate) fn settle(&mut self, now: Time) {
        while self.end.is_none() {
            match self.outcome(1) {
                Outcome::Open => {}
                _ if self.is_owing() => {}
                Outcome::Achieved | Outcome::Absent => {
                    if !self.steps.values().any(|step| matches!(step.fate, Fate::Claimed | Fate::Started)) {
                        self.end = Some(End::Completed);
                    }
                    return;
                }
                Outcome::Lost => {
                    self.drop_all(|fate| fate == Fate::Claimed);
                    self.end = Some(End::Failed);
                    return;
                }
            }
            let next = self.plan.steps().find_map(|part| Some((part.number, self.next(part.number, now)?)));
            let Some((number, fate)) = next else { return };
            let step = self.steps.get_mut(&number).unwrap();
            if fate == Fate::Offered {
                step.released = Some(now);
            }
            step.fate = fate;
        }
    }

    fn drop_all(&mut self, which: fn(Fate) -> bool) {
        let undoing: Vec<u32> = self.plan.steps().filter(|p| p.undoes.is_some()).map(|part| part.number).collect();
        for (number, step) in &mut self.steps {
            if which(step.fate) && !undoing.contains(number) {
                step.fate = Fate::Dropped;
            }
        }
    }

    // ---- undoing

    /// At the end nothing more is begun; by that a unit may be lost, of which something was done.
    fn is_owing(&mut self) -> bool {
        self.drop_all(|fate| matches!(fate, Fate::Waiting | Fate::Offered));
        !self.owed().is_empty()
    }

    /// Steps that undo what was done of a unit that failed, or what somebody may still end of it.
    fn owed(&self) -> Vec<&Part> {
        let is_owed = |part: &&Part| {
            let Some(undone) = part.undoes else { return false };
            let fate = self.steps[&undone].fate;
            matches!(self.steps[&part.number].fate, Fate::Waiting | Fate::Offered | Fate::Claimed | Fate::Started)
                && matches!(fate, Fate::Done | Fate::Claimed | Fate::Started)
                && self.lost_units(undone).next().is_some()
        };
        self.plan.steps().filter(is_owed).collect()
    }

    fn lost_units(&self, number: u32) -> impl Iterator<Item = u32> {
        let is_unit = |n: &u32| self.plan.part(*n).behaviour == Some("all-or-none");
        self.line(number).filter(is_unit).filter(|n| self.outcome(*n) == Outcome::Lost)
    }

    /// What was done last is undone first, and one after another.
    fn undone_next(&self) -> Option<u32> {
        let owed = self.owed();
        if owed.iter().any(|part| self.steps[&part.number].fate != Fate::Waiting) {
            return None;
        }
        let is_ready = |part: &&&Part| {
            let undone = part.undoes.unwrap();
            self.steps[&undone].fate == Fate::Done && self.lost_units(undone).all(|unit| !self.is_busy(unit))
        };
        let ended = |part: &&&Part| (self.steps[&part.undoes.unwrap()].ended, part.undoes);
        owed.iter().filter(is_ready).max_by_key(ended).map(|part| part.number)
    }

    fn next(&self, number: u32, now: Time) -> Option<Fate> {
        if self.plan.part(number).undoes.is_some() {
            return (self.undone_next() == Some(number) && !self.held).then_some(Fate::Offered);
        }
        if self.outcome(1) != Outcome::Open {
            return None;
        }
        let is_stopped = self.urgency == Urgency::Asap && self.line(number).any(|n| self.plan.part(n).stops);
        match self.steps[&number].fate {
            Fate::Waiting | Fate::Offered | Fate::Claimed if is_stopped => Some(Fate::Stopped),
            Fate::Started if is_stopped => Some(Fate::Left),
            Fate::Waiting => match self.begin(number) {
                Begin::Never => Some(Fate::Dropped),
                Begin::At(time) if time <= now && !self.held => Some(Fate::Offered),
                _ => None,
            },
            Fate::Offered if self.line(number).any(|n| self.chosen(n) == Begin::Never) => Some(Fate::Dropped),
            _ => None,
        }
    }

    /// The part and all that it stands in.
    fn line(&self, number: u32) -> impl Iterator<Item = u32> {
        let above = |n: &u32| Some(self.plan.part(*n).parent).filter(|parent| *parent != 0);
        std::iter::successors(Some(number), above)
    }

    // ---- what has become of a part

    pub(crate) fn outcome(&self, number: u32) -> Outcome {
        if self.plan.part(number).undoes.is_some() {
            return Outcome::Absent;
        }
        let Some(behaviour) = self.plan.part(number).behaviour else {
            return match self.steps[&number].fate {
                Fate::Absent | Fate::Stopped | Fate::Left => Outcome::Absent,
                Fate::Done => Outcome::Achieved,
                Fate::Failed | Fate::Dropped => Outcome::Lost,
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
            && !self.plan.part(number).in_sequence
            && children.iter().any(|(child, _)| self.is_taken(child.number));
        // Of a race that was decided only the winner counts.
        let counts = |child: &Part| !is_race || self.is_taken(child.number);
        let children: Vec<(&Part, Outcome)> = children.into_iter().filter(|(child, _)| counts(child)).collect();
        // A branch that nobody took was not chosen.
        let is_left =
            |child: &Part| is_exclusive && !self.plan.part(number).in_sequence && !self.is_taken(child.number);
        let chosen = |(child, outcome): (&'a Part, Outcome)| match outcome {
            Outcome::Achieved if is_left(child) => (child, Outcome::Lost),
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

    /// A child that must be done was not.
    fn is_lost(&self, number: u32) -> bool {
        self.plan.children(number).any(|child| self.outcome(child.number) == Outcome::Lost && !child.optional)
    }

    fn is_none_of_a_unit(&self, number: u32) -> bool {
        self.plan.part(number).behaviour == Some("all-or-none") && self.is_lost(number) && !self.has_begun(number)
    }

    fn steps_of(&self, number: u32) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |(n, _)| self.line(**n).any(|above| above == number)).map(|(_, step)| step)
    }

    /// What was stopped is no part of its group any more.
    fn wanted_of(&self, number: u32) -> impl Iterator<Item = &Step> {
        let is_step = self.plan.part(number).behaviour.is_none();
        self.steps_of(number).filter(move |step| is_step || !matches!(step.fate, Fate::Stopped | Fate::Left))
    }

    fn has_begun(&self, number: u32) -> bool {
        self.steps_of(number).any(|step| matches!(step.fate, Fate::Claimed | Fate::Started | Fate::Done | Fate::Failed))
    }

    pub(crate) fn is_taken(&self, number: u32) -> bool {
        self.steps_of(number).any(|step| matches!(step.fate, Fate::Claimed | Fate::Started | Fate::Done))
    }

    fn is_busy(&self, number: u32) -> bool {
        self.steps_of(number).any(|step| matches!(step.fate, Fate::Claimed | Fate::Started | Fate::Left))
    }

    // ---- when a part may begin

    fn begin(&self, number: u32) -> Begin {
        let part = self.plan.part(number);
        let above = if part.parent == 0 { Begin::At(self.begun) } else { self.begin(part.parent) };
        let mut all = vec![above, self.chosen(number)];
        all.extend(self.waits(number).map(|wait| self.after(&wait)));
        if part.starts && self.urgency == Urgency::Routine {
            all.push(Begin::NotYet);
        }
        if let (Some((low, _)), Begin::At(from)) = (part.timing, above) {
            all.push(Begin::At(from + Time::from(low) * HOUR));
        }
        let latest = all.iter().filter_map(|begin| if let Begin::At(time) = begin { Some(*time) } else { None }).max();
        match () {
            () if all.contains(&Begin::Never) => Begin::Never,
            () if all.contains(&Begin::NotYet) => Begin::NotYet,
            () => Begin::At(latest.unwrap()),
        }
    }

    /// By the group that it stands in.
    fn chosen(&self, number: u32) -> Begin {
        let part = self.plan.part(number);
        if part.parent == 0 {
            return Begin::At(0);
        }
        let group = self.plan.part(part.parent);
        let others = || self.plan.children(group.number).filter(|other| other.number != number);
        let is_unit = group.behaviour == Some("all-or-none");
        let is_exclusive = matches!(group.behaviour, Some("exactly-one" | "at-most-one"));
        let before = |other: &Part| (!other.usual, other.number) < (!part.usual, number);
        let is_open = |other: &Part| self.outcome(other.number) == Outcome::Open;
        let is_achieved = |other: &Part| self.outcome(other.number) == Outcome::Achieved;
        let is_unsettled = |other: &Part| is_open(other) || self.is_busy(other.number);
        let is_made = |by: u32| self.steps[&by].fate == Fate::Done;
        let is_picked = |by: u32| self.picks.get(&by).is_some_and(|picks| picks.contains(&number));
        match () {
            () if group.chosen_by.is_some_and(|by| is_made(by) && !is_picked(by)) => Begin::Never,
            () if group.in_sequence && self.outcome(number) == Outcome::Lost => Begin::Never,
            () if group.in_sequence && is_open(part) && others().any(is_achieved) => Begin::Never,
            () if group.in_sequence && others().any(|o| before(o) && is_unsettled(o)) => Begin::NotYet,
            () if group.in_sequence => Begin::At(0),
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
        self.plan.ties.iter().flat_map(|tie| tie.starts()).filter(move |wait| wait.who == number).chain(choice)
    }

    fn ends(&self, number: u32) -> impl Iterator<Item = Wait> {
        self.plan.ties.iter().flat_map(|tie| tie.ends()).filter(move |wait| wait.who == number)
    }

    fn after(&self, wait: &Wait) -> Begin {
        let on = self.plan.part(wait.on);
        match (self.time(wait), self.outcome(wait.on)) {
            (Some(time), _) => Begin::At(time + wait.low),
            (None, Outcome::Open) => Begin::NotYet,
            (None, Outcome::Lost) if !on.optional => Begin::Never,
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

    /// With the last that it needs.
    fn ended(&self, number: u32) -> Option<Time> {
        let Some(behaviour) = self.plan.part(number).behaviour else { return self.steps[&number].ended };
        let of = |child: &Part| self.ended(child.number);
        if self.is_none_of_a_unit(number) {
            return None;
        }
        let achieved = |child: &&Part| self.outcome(child.number) == Outcome::Achieved;
        let first = self.plan.children(number).filter(achieved).filter_map(of).min();
        let last = self.plan.children(number).filter_map(of).max();
        if behaviour.contains("one") && behaviour != "all-or-none" { first.or(last) } else { last }
    }

    // ---- by when it is to be done

    pub(crate) fn until(&self, number: u32) -> Option<Time> {
        let part = self.plan.part(number);
        if part.undoes.is_some() {
            return None;
        }
        let above = if part.parent == 0 { Begin::At(self.begun) } else { self.begin(part.parent) };
        let of = |wait: Wait| Some(self.time(&wait)? + wait.high?);
        let mut bounds: Vec<Time> = self.waits(number).chain(self.ends(number)).filter_map(of).collect();
        if let (Some((_, Some(high))), Begin::At(from)) = (part.timing, above) {
            bounds.push(from + Time::from(high) * HOUR);
        }
        if part.parent != 0 {
            bounds.extend(self.until(part.parent));
        }
        bounds.into_iter().min()
    }
}

fn applies(plan: &Parts, number: u32) -> bool {
    let part = plan.part(number);
    part.applies && (part.parent == 0 || applies(plan, part.parent))
}

#[derive(Clone, Copy)]
enum Event {
    Released,
    Started,
    Ended,
}

/// `who` comes after what happened to `on`.
struct Wait {
    who: u32,
    on: u32,
    event: Event,
    low: Time,
    high: Option<Time>,
}

impl Tie {
    fn wait(&self, who: u32, on: u32, event: Event) -> Option<Wait> {
        let hours = |hours: u32| Time::from(hours) * HOUR;
        Some(Wait { who, on, event, low: hours(self.low), high: self.high.map(hours) })
    }

    /// The waits for a start.
    fn starts(&self) -> Vec<Wait> {
        let of_start = match self.relationship {
            "after-end" | "after" | "concurrent-with-end" => self.wait(self.from, self.to, Event::Ended),
            "after-start" => self.wait(self.from, self.to, Event::Started),
            "concurrent-with-start" => self.wait(self.from, self.to, Event::Released),
            "before-start" => self.wait(self.to, self.from, Event::Ended),
            _ => None,
        };
        let of_end = (self.end == Some("before-start")).then(|| self.wait(self.to, self.from, Event::Ended));
        of_start.into_iter().chain(of_end.flatten()).collect()
    }

    /// What an end is counted from.
    fn ends(&self) -> Vec<Wait> {
        let of_start = (self.relationship == "before-end").then(|| self.wait(self.to, self.from, Event::Ended));
        let of_end = match self.end {
            Some("after-end" | "after" | "concurrent-with-end") => self.wait(self.from, self.to, Event::Ended),
            Some("after-start" | "concurrent-with-start") => self.wait(self.from, self.to, Event::Started),
            Some("before-end") => self.wait(self.to, self.from, Event::Ended),
            _ => None,
        };
        of_start.flatten().into_iter().chain(of_end).collect()
    }
}
