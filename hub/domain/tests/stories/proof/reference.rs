//! What the page about plans says (`docs/plans.md`), done as slowly and as plainly as can be: nothing is kept but what
//! happened to each step and what was said of each request, and every question is answered from the beginning each time.

use std::collections::{BTreeMap, BTreeSet};

use crate::proof::begin::Begin;
use crate::proof::outcome::Outcome;
use crate::proof::parts::{Part, Parts};

/// Microseconds.
pub(crate) type Time = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Waiting,
    Offered,
    Claimed,
    Started,
    Done,
    /// By somebody who had taken it.
    Failed,
    /// By somebody who had not.
    Refused,
    /// Its plan does without it.
    Dropped,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) fate: Fate,
    /// It applied, and was not stopped. Whoever is at it all the same was asked to leave.
    pub(crate) wanted: bool,
    /// How often it was on offer, and refused or failed.
    pub(crate) offers: u32,
    refused: u32,
    /// Somebody had taken an earlier offer.
    begun: bool,
    /// Whoever had started it gave it back.
    pub(crate) returned: bool,
    /// Whoever ended it gave a reason.
    pub(super) documented: bool,
    /// Of the newest offer.
    pub(super) released: Option<Time>,
    pub(super) started: Option<Time>,
    pub(super) ended: Option<Time>,
    /// By when it is to be done.
    pub(crate) until: Option<Time>,
    /// That passed while it was on offer or under way.
    pub(crate) late: bool,
    /// It was done sooner than its plan says, or something ended with it that was.
    pub(crate) early: bool,
    /// When that lapses.
    lease: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    Cancelled,
}

/// Of a request: what the conditions ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Urgency {
    Routine,
    Urgent,
    Asap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    OnHold,
    Revoked,
    Completed,
}

/// What the site says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct House {
    pub(crate) offers_max: u32,
    /// How long a claim holds without a report.
    pub(crate) lease: Option<Time>,
}

#[derive(Clone, Copy)]
enum Next {
    Offer,
    Drop,
}

pub(crate) struct Reference<'a> {
    pub(super) plan: &'a Parts,
    pub(crate) house: House,
    pub(crate) steps: BTreeMap<u32, Step>,
    pub(super) begun: Time,
    /// What each step chose.
    pub(crate) picks: BTreeMap<u32, Vec<u32>>,
    pub(crate) requests: Vec<(Standing, Urgency)>,
    /// What was to be done again, and is.
    again: BTreeSet<u32>,
    pub(crate) end: Option<End>,
    /// How often somebody was told that a step is late, or was early.
    pub(crate) told: usize,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(plan: &'a Parts, house: House, now: Time) -> Self {
        let blank = |part: &Part| {
            let wanted = !plan.line(part.number).any(|n| plan.part(n).said.is_void || plan.part(n).is_spare);
            let fate = if wanted { Fate::Waiting } else { Fate::Dropped };
            let (released, started, ended, lease) = (None, None, None, None);
            let until = None;
            let (begun, returned, documented, late, early) = (false, false, false, false, false);
            let (offers, refused) = (0, 0);
            let step = Step {
                fate,
                wanted,
                offers,
                refused,
                begun,
                returned,
                documented,
                released,
                started,
                ended,
                until,
                late,
                early,
                lease,
            };
            (part.number, step)
        };
        let steps = plan.steps().map(blank).collect();
        let requests = vec![(Standing::Active, Urgency::Routine); plan.items];
        let (picks, again) = (BTreeMap::new(), BTreeSet::new());
        let mut new = Self { plan, house, steps, begun: now, picks, requests, again, end: None, told: 0 };
        new.settle(now);
        new
    }

    fn step(&mut self, number: u32) -> &mut Step {
        self.steps.get_mut(&number).unwrap()
    }

    // ---- what happens

    /// Somebody reports.
    pub(crate) fn happens(&mut self, number: u32, fate: Fate, documented: bool, now: Time) {
        let lease = self.house.lease.map(|lease| now + lease);
        let is_open = !self.plan.part(number).said.is_named;
        let step = self.step(number);
        (step.fate, step.lease) = (fate, lease);
        match fate {
            Fate::Started => step.started = step.started.or(Some(now)),
            Fate::Done => {
                step.ended = Some(now);
                let early = self.is_early(number, now);
                self.step(number).early = early;
                self.told += usize::from(early);
            }
            Fate::Offered => {
                step.returned = true;
                if !step.wanted || self.is_given_up() {
                    self.step(number).fate = Fate::Dropped;
                }
            }
            Fate::Failed | Fate::Refused => {
                step.ended = Some(now);
                step.refused += 1;
                step.begun |= fate == Fate::Failed;
                step.documented = documented;
                if is_open && step.refused < self.house.offers_max {
                    self.offer_again(number, now);
                }
            }
            _ => {}
        }
        self.settle(now);
    }

    /// Somebody asks for something to be done so often in all. `all`: what stands for all of its times.
    pub(crate) fn asks(&mut self, all: u32, times: usize, now: Time) {
        self.does_again(all, times);
        self.settle(now);
    }

    /// What was asked for and not done since is not asked for once more.
    pub(crate) fn does_again(&mut self, all: u32, times: usize) {
        let spares = self.plan.children(all).take(times).filter(|part| part.is_spare).map(|part| part.number);
        for spare in spares.collect::<Vec<_>>() {
            if self.end.is_some() || self.is_given_up() || !self.again.insert(spare) {
                continue;
            }
            for part in self.plan.steps().filter(|part| self.plan.line(part.number).any(|n| n == spare)) {
                let is_part = |n: u32| {
                    let part = self.plan.part(n);
                    !part.said.is_void && (!part.is_spare || self.again.contains(&n))
                };
                let is_revoked = part.item.is_some_and(|item| self.requests[item].0 == Standing::Revoked);
                if !is_revoked && self.plan.line(part.number).all(is_part) {
                    let step = self.steps.get_mut(&part.number).unwrap();
                    (step.fate, step.wanted) = (Fate::Waiting, true);
                }
            }
        }
    }

    /// Time goes by: claims lapse, one after another, and what waited for a time begins.
    pub(crate) fn go_by(&mut self, from: Time, to: Time) {
        let mut now = from;
        loop {
            for number in self.plan.steps().map(|part| part.number) {
                let step = self.step(number);
                if matches!(step.fate, Fate::Claimed | Fate::Started) && step.lease.is_some_and(|lease| lease <= now) {
                    (step.fate, step.ended, step.begun) = (Fate::Failed, Some(now), true);
                    self.offer_again(number, now);
                    self.settle(now);
                }
            }
            self.settle(now);
            self.told += self.steps.values_mut().filter_map(|step| step.passes(now).then_some(())).count();
            let later = self.plan.steps().flat_map(|part| self.looked_at(part.number)).filter(|time| *time > now);
            match later.min() {
                Some(time) if time <= to => now = time,
                _ if now < to => now = to,
                _ => return,
            }
        }
    }

    /// When something may become of a step by itself.
    fn looked_at(&self, number: u32) -> Vec<Time> {
        let step = &self.steps[&number];
        let times = match (step.fate, self.begin(number)) {
            (Fate::Waiting, Begin::At(time)) => [Some(time), None],
            (Fate::Claimed | Fate::Started, _) => [step.lease, step.until],
            (Fate::Offered, _) => [step.until, None],
            _ => [None, None],
        };
        times.into_iter().flatten().collect()
    }

    /// What is still wanted is offered to whoever is next.
    fn offer_again(&mut self, number: u32, now: Time) {
        if !self.step(number).wanted || self.end.is_some() || self.is_given_up() {
            return;
        }
        let step = self.step(number);
        (step.fate, step.offers, step.released) = (Fate::Offered, step.offers + 1, Some(now));
        (step.started, step.ended, step.returned, step.documented) = (None, None, false, false);
    }

    /// The placer says something else of a request.
    pub(crate) fn says(&mut self, item: usize, standing: Standing, urgency: Urgency, now: Time) {
        self.requests[item] = (standing, urgency);
        let all_are_revoked = self.is_revoked();
        for part in self.plan.steps() {
            let step = self.steps.get_mut(&part.number).unwrap();
            if standing == Standing::Revoked && (all_are_revoked || part.item == Some(item)) {
                step.leave();
            }
        }
        if self.is_given_up() {
            self.drop_all(|fate| matches!(fate, Fate::Waiting | Fate::Offered | Fate::Claimed), true);
        }
        self.settle(now);
    }

    fn is_revoked(&self) -> bool {
        self.requests.iter().all(|(standing, _)| *standing == Standing::Revoked)
    }

    /// By all requests: nothing is begun any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.requests.iter().all(|(standing, _)| matches!(standing, Standing::Revoked | Standing::Completed))
    }

    /// All requests that still stand are on hold.
    pub(crate) fn is_held(&self) -> bool {
        let standing = |one: &&(Standing, Urgency)| matches!(one.0, Standing::Active | Standing::OnHold);
        let mut standing = self.requests.iter().filter(standing).peekable();
        standing.peek().is_some() && standing.all(|(standing, _)| *standing == Standing::OnHold)
    }

    /// Lets follow what follows, and what follows from that: all that does so from one state does so at once.
    fn settle(&mut self, now: Time) {
        while self.end.is_none() {
            let is_any = |which: fn(&Step) -> bool| self.steps.values().any(which);
            if self.is_given_up() {
                let is_begun = is_any(|step| step.started.is_some() || step.fate == Fate::Done);
                let end = if is_begun && !self.is_revoked() { End::Completed } else { End::Cancelled };
                self.end = Some(end).filter(|_| !is_any(|step| step.fate == Fate::Started));
                return;
            }
            let stopped = self.stopped();
            if !stopped.is_empty() {
                stopped.into_iter().for_each(|number| self.step(number).leave());
                continue;
            }
            match self.outcome(1) {
                Outcome::Open => {}
                _ if self.is_owing() => {}
                Outcome::Achieved | Outcome::Absent => {
                    let is_at_it = |step: &Step| step.wanted && matches!(step.fate, Fate::Claimed | Fate::Started);
                    self.end = Some(End::Completed).filter(|_| !self.steps.values().any(is_at_it));
                    return self.bound(now);
                }
                Outcome::Lost => {
                    self.drop_all(|fate| fate == Fate::Claimed, false);
                    self.end = Some(End::Failed);
                    return;
                }
            }
            let next = self.plan.steps().filter_map(|part| Some((part.number, self.next(part.number, now)?)));
            let mut next: Vec<(u32, Next)> = next.collect();
            if next.is_empty() {
                return self.bound(now);
            }
            // What is dropped goes first: what that brings to its end is not offered.
            let is_drop = |(_, next): &(u32, Next)| matches!(next, Next::Drop);
            if next.iter().any(is_drop) {
                next.retain(is_drop);
            }
            for (number, next) in next {
                let step = self.step(number);
                match next {
                    Next::Offer => (step.fate, step.offers, step.released) = (Fate::Offered, 1, Some(now)),
                    Next::Drop => step.fate = Fate::Dropped,
                }
            }
        }
    }

    /// Says of all that is on offer or under way by when it is to be done, where that is known. What was said stands.
    fn bound(&mut self, now: Time) {
        for number in self.plan.steps().map(|part| part.number) {
            let until = self.until(number);
            let step = self.step(number);
            if step.wanted && step.is_live() {
                let until = until.or(step.until);
                if std::mem::replace(&mut step.until, until) != until || step.released == Some(now) {
                    self.told += usize::from(self.step(number).passes(now));
                }
            }
        }
    }

    fn drop_all(&mut self, which: fn(Fate) -> bool, is_all: bool) {
        for part in self.plan.steps().filter(|part| is_all || part.undoes.is_none()) {
            let step = self.steps.get_mut(&part.number).unwrap();
            if which(step.fate) {
                step.fate = Fate::Dropped;
            }
        }
    }

    fn next(&self, number: u32, now: Time) -> Option<Next> {
        let is_held = self.is_held();
        if self.plan.part(number).undoes.is_some() {
            return (self.undone_next() == Some(number) && !is_held).then_some(Next::Offer);
        }
        let step = &self.steps[&number];
        if self.outcome(1) != Outcome::Open || !step.wanted {
            return None;
        }
        match step.fate {
            Fate::Waiting => match self.begin(number) {
                Begin::Never => Some(Next::Drop),
                Begin::At(time) if time <= now && !is_held => Some(Next::Offer),
                _ => None,
            },
            Fate::Offered if self.plan.line(number).any(|n| self.chosen(n) == Begin::Never) => Some(Next::Drop),
            _ => None,
        }
    }

    /// How urgent the request of a part is; what is for all of them asks the first that has not ended.
    pub(super) fn urgency(&self, number: u32) -> Urgency {
        let stands = |one: &(Standing, Urgency)| matches!(one.0, Standing::Active | Standing::OnHold);
        let first = || self.requests.iter().position(stands).unwrap_or(0);
        self.requests[self.plan.part(number).item.unwrap_or_else(first)].1
    }

    /// Steps of which nothing is wanted any more, as long as what stops has not come to its end. When the whole has, only
    /// who is at one is told. What was done is undone all the same.
    fn stopped(&self) -> Vec<u32> {
        let is_stopped = |part: &Part| part.said.stops && self.urgency(part.number) == Urgency::Asap;
        let stops = |n: u32| is_stopped(self.plan.part(n)) && self.is_open(n);
        let is_ending = self.outcome(1) != Outcome::Open;
        let is_missed = |step: &Step| match step.fate {
            Fate::Done => false,
            Fate::Claimed | Fate::Started => step.wanted,
            _ => step.wanted && !is_ending,
        };
        let steps = self.steps.iter().filter(|(_, step)| is_missed(step)).map(|(number, _)| *number);
        let steps = steps.filter(|number| self.plan.part(*number).undoes.is_none());
        steps.filter(|number| self.plan.line(*number).any(stops)).collect()
    }

    /// Something of it has not come to its end.
    pub(super) fn is_open(&self, number: u32) -> bool {
        let is_open = |fate| matches!(fate, Fate::Waiting | Fate::Offered | Fate::Claimed | Fate::Started);
        self.steps_of(number).any(|step| is_open(step.fate))
    }

    // ---- undoing

    /// At the end nothing more is begun; by that a unit may be lost, of which something was done.
    fn is_owing(&mut self) -> bool {
        self.drop_all(|fate| matches!(fate, Fate::Waiting | Fate::Offered), false);
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
        let is_unit = |n: &u32| self.plan.part(*n).said.behaviour == Some("all-or-none");
        self.plan.line(number).filter(is_unit).filter(|n| self.outcome(*n) == Outcome::Lost)
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
}

impl Step {
    /// Nothing is wanted of it any more. Whoever has started it has to come to an end.
    fn leave(&mut self) {
        self.wanted &= self.fate == Fate::Done;
        if matches!(self.fate, Fate::Waiting | Fate::Offered | Fate::Claimed) {
            self.fate = Fate::Dropped;
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.fate, Fate::Offered | Fate::Claimed | Fate::Started)
    }

    /// Nothing fails by being late: it is said, once, unless it is put off.
    fn passes(&mut self, now: Time) -> bool {
        let is_late = self.until.is_some_and(|until| until <= now);
        self.is_live() && !std::mem::replace(&mut self.late, is_late) && is_late
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun || self.started.is_some() || matches!(self.fate, Fate::Claimed | Fate::Done)
    }
}
