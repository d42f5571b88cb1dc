//! A plan by chance, as whoever writes it thinks of it.

use hub_domain::workflow::Offered;

use crate::proof::parts::Parts;

/// Bytes that decide; when they are used up, the smallest is chosen.
pub(crate) struct Chance<'a>(pub(crate) std::slice::Iter<'a, u8>);

impl Chance<'_> {
    /// Less than `most`.
    pub(crate) fn of(&mut self, most: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % most
    }

    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.of(many) + 1 == many
    }

    pub(crate) fn is_left(&self) -> bool {
        !self.0.as_slice().is_empty()
    }
}

/// The behaviours of groups, by their codes.
const BEHAVIOURS: [&str; 6] = ["all", "all-or-none", "exactly-one", "at-most-one", "one-or-more", "any"];
const RELATIONSHIPS: [&str; 7] =
    ["after-end", "after-start", "concurrent-with-start", "concurrent-with-end", "before-start", "before-end", "after"];

/// More parts than this one order does not come to, each counted as often as it is done.
const PARTS_LIMIT: usize = 40;

/// When an action may begin by itself, in hours, and by when it is to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) from: From,
    pub(crate) low: u32,
    pub(crate) high: Option<u32>,
}

/// What that counts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum From {
    /// When what it stands in may begin.
    Group,
    Birth,
    /// When the first request was written.
    Written,
    /// When the order started.
    Start,
}

impl Timing {
    fn by(chance: &mut Chance) -> Self {
        let from = [From::Group, From::Group, From::Birth, From::Written, From::Start][chance.of(5)];
        let low = chance.of(3) as u32;
        let high = chance.one_in(2).then_some(5);
        match from {
            // The world begins at 14:13 of that day, and an age has no upper bound.
            From::Birth => Self { from, low: 14 + low, high: None },
            From::Group | From::Written | From::Start => Self { from, low, high },
        }
    }
}

/// What is said of an action.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) id: u32,
    /// The group that it stands in; 0: none.
    pub(crate) within: u32,
    /// Of a group.
    pub(crate) behaviour: Option<&'static str>,
    pub(crate) in_sequence: bool,
    pub(crate) usual: bool,
    pub(crate) optional: bool,
    /// It must be done, unless whoever ended it gave a reason.
    pub(crate) unless_documented: bool,
    /// Somebody is named for it.
    pub(crate) is_named: bool,
    pub(crate) is_void: bool,
    pub(crate) timing: Option<Timing>,
    /// Done so often, every so many hours.
    pub(crate) times: Option<(u32, u32)>,
    /// It is done again when somebody asks for that.
    pub(crate) multiple: bool,
    pub(crate) per_item: bool,
    /// The step that it undoes.
    pub(crate) undoes: Option<u32>,
    /// It begins only while its request is not routine.
    pub(crate) starts: bool,
    /// It stops once its request is wanted as soon as possible.
    pub(crate) stops: bool,
    /// Of a choice, the step that chooses.
    pub(crate) chosen_by: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tie {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) relationship: &'static str,
    pub(crate) end: Option<&'static str>,
    /// Hours.
    pub(crate) low: u32,
    pub(crate) high: Option<u32>,
    /// It is said as a time relative to the other action.
    pub(crate) is_time: bool,
}

/// What would make it no plan is left out.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// The first one is a group of all.
    pub(crate) said: Vec<Said>,
    pub(crate) ties: Vec<Tie>,
    /// Units of steps, and little else: what becomes of several that were done together is rare otherwise.
    is_plain: bool,
}

impl Written {
    pub(crate) fn by(chance: &mut Chance) -> Self {
        let is_plain = chance.one_in(3);
        let mut plan = Self { said: Vec::new(), ties: Vec::new(), is_plain };
        plan.grow(chance, 0, 0, Some("all"));
        if !is_plain {
            plan.repeat(chance);
        }
        plan.undo(chance);
        if !is_plain {
            plan.ask(chance);
        }
        plan.choose(chance);
        for _ in 0..chance.of(6) {
            let any = |chance: &mut Chance| chance.of(plan.said.len()) as u32 + 1;
            let mut tie = Tie {
                from: any(chance),
                to: any(chance),
                relationship: RELATIONSHIPS[chance.of(RELATIONSHIPS.len())],
                end: chance.one_in(3).then(|| RELATIONSHIPS[chance.of(RELATIONSHIPS.len())]),
                low: chance.of(4) as u32,
                high: chance.one_in(2).then(|| 4 + chance.of(4) as u32),
                is_time: false,
            };
            tie.is_time = plan.may_be_time(&tie) && chance.one_in(3);
            plan.tries(|plan| plan.ties.push(tie));
        }
        plan
    }

    fn grow(&mut self, chance: &mut Chance, within: u32, depth: usize, behaviour: Option<&'static str>) {
        let id = self.said.len() as u32 + 1;
        // Of a choice of one, nothing is said to be more optional than the rest.
        let is_branch = within > 0 && matches!(self.action(within).behaviour, Some("exactly-one" | "at-most-one"));
        self.said.push(Said {
            id,
            within,
            behaviour,
            in_sequence: behaviour.is_some_and(|b| b.contains("one")) && !is_unit(behaviour) && chance.one_in(3),
            usual: chance.one_in(4),
            optional: id > 1 && !is_branch && chance.one_in(4),
            unless_documented: id > 1 && !is_branch && chance.one_in(6),
            is_named: behaviour.is_none() && chance.one_in(6),
            is_void: id > 1 && !self.is_plain && chance.one_in(8),
            timing: (!self.is_plain && chance.one_in(6)).then(|| Timing::by(chance)),
            ..Said::default()
        });
        if behaviour.is_some() {
            for _ in 0..1 + chance.of(3) {
                let is_group = if self.is_plain { depth < 1 } else { depth < 2 && chance.one_in(3) };
                let behaviours = if self.is_plain { &BEHAVIOURS[1..2] } else { &BEHAVIOURS[..] };
                let behaviour = is_group.then(|| behaviours[chance.of(behaviours.len())]);
                self.grow(chance, id, depth + 1, behaviour);
            }
        }
    }

    /// Some of it is done several times, or for each request.
    fn repeat(&mut self, chance: &mut Chance) {
        let is_again = chance.one_in(3);
        for n in 1..self.said.len() {
            let times = chance.one_in(6).then(|| (2 + chance.of(2) as u32, 1 + chance.of(3) as u32));
            let (per_item, multiple) = (chance.one_in(6), is_again && times.is_none() && chance.one_in(2));
            if times.is_none() && !per_item && !multiple {
                continue;
            }
            self.tries(|plan| {
                let said = &mut plan.said[n];
                (said.times, said.per_item, said.multiple) = (times, per_item, multiple);
                said.timing = said.timing.filter(|_| times.is_none());
            });
        }
    }

    /// Some steps of units have another one that undoes them: beside the unit, or beside the step.
    fn undo(&mut self, chance: &mut Chance) {
        for id in 1..=self.said.len() as u32 {
            let is_step = self.action(id).behaviour.is_none();
            let Some(unit) = self.line(id).filter(|above| is_unit(self.action(*above).behaviour)).last() else {
                continue;
            };
            if !is_step || chance.one_in(3) {
                continue;
            }
            let within = if chance.one_in(3) { self.action(id).within } else { self.action(unit).within };
            let by = self.said.len() as u32 + 1;
            self.tries(|plan| plan.said.push(Said { id: by, within, undoes: Some(id), ..Said::default() }));
        }
    }

    /// Some parts begin, or stop, by a condition.
    fn ask(&mut self, chance: &mut Chance) {
        for id in 2..=self.said.len() as u32 {
            let (starts, stops) = (chance.one_in(6), chance.one_in(8));
            let said = &mut self.said[id as usize - 1];
            if said.undoes.is_none() {
                (said.starts, said.stops) = (starts, stops);
            }
        }
    }

    /// Among the branches of some choices a step chooses.
    fn choose(&mut self, chance: &mut Chance) {
        let steps: Vec<u32> = self.said.iter().filter(|said| said.behaviour.is_none()).map(|said| said.id).collect();
        for n in 0..self.said.len() {
            let said = &self.said[n];
            let is_choice = !said.in_sequence && !matches!(said.behaviour, None | Some("all" | "all-or-none"));
            if is_choice && chance.one_in(3) {
                let by = steps[chance.of(steps.len())];
                self.tries(|plan| plan.said[n].chosen_by = Some(by));
            }
        }
    }

    /// An action has one time, and of a wait only the beginning is one.
    fn may_be_time(&self, tie: &Tie) -> bool {
        let said = self.action(tie.from);
        let has_time = said.timing.is_some()
            || said.times.is_some()
            || self.ties.iter().any(|other| other.is_time && other.from == tie.from);
        !has_time && tie.end.is_none() && matches!(tie.relationship, "after-end" | "after-start")
    }

    /// A change that leaves it a plan, and no larger than it may be.
    fn tries(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.clone();
        change(self);
        let is_plan = || Offered::read(&self.json().to_string()).is_ok();
        if Parts::count(self, 1, true) > PARTS_LIMIT || !is_plan() {
            *self = before;
        }
    }

    pub(crate) fn action(&self, id: u32) -> &Said {
        &self.said[id as usize - 1]
    }

    pub(crate) fn within(&self, id: u32) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(move |said| said.within == id)
    }

    /// The action and all that it stands in.
    fn line(&self, id: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(id), |n| Some(self.action(*n).within).filter(|above| *above != 0))
    }
}

fn is_unit(behaviour: Option<&str>) -> bool {
    behaviour == Some("all-or-none")
}
