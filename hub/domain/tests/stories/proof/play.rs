//! One case: a plan, and what happens to an order by it, in the engine and in the reference.

use std::collections::BTreeMap;

use hub_domain::decide::Policy;
use hub_domain::plan::advance::Told;
use hub_domain::workflow::{Catalogue, Offered};
use schemas::message::Act;
use schemas::plan::ConditionKind;
use serde_json::json;

use crate::proof::parts::{Chance, Part, Parts};
use crate::proof::reference::{End, Fate, Outcome, Reference, Urgency};
use crate::world::{World, referral};

/// Between two events, so that no sum of them is a sum of hours.
const STEP_S: u64 = 61 * 60;
const WHO: &str = "Organization/x";
/// More events than this no plan of this size needs to come to its end.
const DILIGENT_LIMIT: usize = 400;
/// The engine's clock goes on a little with every command.
const TOLERANCE_US: i64 = 60_000_000;

type Held = Result<(), String>;

struct Case<'a> {
    plan: &'a Parts,
    reference: Reference<'a>,
    world: World,
    order: String,
    story: &'a mut Vec<String>,
    withdrawn: bool,
    /// By when each step was last said to be done: that stands, also when its branch came to nothing meanwhile.
    bounds: BTreeMap<u32, i64>,
}

pub(crate) fn play(plan: &[u8], events: &[u8], story: &mut Vec<String>) -> Held {
    let plan = Parts::by(&mut Chance(plan.iter()));
    let offered = Offered::read(&plan.json().to_string()).map_err(|faults| format!("no plan: {faults:?}"))?;
    let catalogue = Catalogue::new(vec![offered]).map_err(|faults| format!("{faults:?}"))?;
    let mut world = World::with(Policy { catalogue, offers_max: 1, ..Policy::default() });
    let order = world.submit(referral());
    let reference = Reference::new(&plan, world.now());
    let mut case = Case { plan: &plan, reference, world, order, story, withdrawn: false, bounds: BTreeMap::new() };
    case.agrees()?;
    let mut chance = Chance(events.iter());
    while chance.is_left() && case.reference.end.is_none() && !case.withdrawn {
        case.event(&mut chance)?;
    }
    case.comes_to_its_end()
}

impl Case<'_> {
    /// Something happens by chance.
    fn event(&mut self, chance: &mut Chance) -> Held {
        match chance.of(40) {
            0 => self.withdraw(End::Cancelled)?,
            1 => self.withdraw(End::Completed)?,
            2..=4 => self.hold()?,
            5 | 6 => self.is_wanted([Urgency::Routine, Urgency::Urgent, Urgency::Asap][chance.of(3)])?,
            7..=13 => self.time_passes(1 + chance.of(3) as u64)?,
            _ => {
                let able: Vec<u32> = self.able();
                if able.is_empty() {
                    self.time_passes(1)?;
                } else {
                    let number = able[chance.of(able.len())];
                    let badly = chance.one_in(4);
                    self.acts(number, badly, if self.chooses(number) { chance.of(16) } else { 0 })?;
                }
            }
        }
        self.agrees()
    }

    /// Steps that somebody can do something about.
    fn able(&self) -> Vec<u32> {
        let held = self.reference.held;
        let able = |fate: Fate| match fate {
            Fate::Offered | Fate::Claimed => !held,
            Fate::Started | Fate::Left => true,
            _ => false,
        };
        self.reference.steps.iter().filter(|(_, step)| able(step.fate)).map(|(number, _)| *number).collect()
    }

    fn chooses(&self, number: u32) -> bool {
        self.plan.parts.iter().any(|group| group.chosen_by == Some(number))
    }

    /// Of the branches of all choices that a step makes, those of which the bit is set; of a choice of one the first.
    fn picks(&self, number: u32, bits: usize) -> Vec<u32> {
        let groups = self.plan.parts.iter().filter(|group| group.chosen_by == Some(number));
        let of = |group: &Part| {
            let most = if matches!(group.behaviour, Some("exactly-one" | "at-most-one")) { 1 } else { usize::MAX };
            let branches = self.plan.children(group.number).map(|child| child.number).enumerate();
            branches.filter(|(n, _)| bits >> n & 1 == 1).map(|(_, branch)| branch).take(most).collect::<Vec<_>>()
        };
        groups.flat_map(of).collect()
    }

    fn acts(&mut self, number: u32, badly: bool, bits: usize) -> Held {
        let (act, fate) = match (self.reference.steps[&number].fate, badly) {
            (Fate::Offered, _) => (Act::Claim, Fate::Claimed),
            (Fate::Claimed, false) => (Act::InProgress, Fate::Started),
            (Fate::Left, _) => (Act::Failed, Fate::Stopped),
            (Fate::Started, false) => (Act::Completed, Fate::Done),
            _ => (Act::Failed, Fate::Failed),
        };
        self.story.push(format!("{number}: {act:?}"));
        let sequence = self.story.len() as u32;
        let picks = if act == Act::Completed { self.picks(number, bits) } else { Vec::new() };
        let names: Vec<String> = picks.iter().map(|pick| format!("p{pick}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let reported = match names.is_empty() {
            true => self.world.report(&self.order, number, WHO, act, sequence),
            false => self.world.completes_with(&self.order, number, WHO, &names, sequence),
        };
        self.reference.picks.insert(number, picks);
        reported.map_err(|refusal| format!("step {number} refuses {act:?}: {refusal:?}"))?;
        self.reference.happens(number, fate, self.world.now());
        Ok(())
    }

    fn time_passes(&mut self, steps: u64) -> Held {
        self.story.push(format!("{steps} hours pass"));
        self.world.passes(steps * STEP_S);
        self.reference.settle(self.world.now());
        Ok(())
    }

    fn hold(&mut self) -> Held {
        self.reference.held = !self.reference.held;
        let status = if self.reference.held { "on-hold" } else { "active" };
        self.story.push(status.to_owned());
        let set = self.world.set_status(&self.order, status);
        set.map_err(|refusal| format!("{status} is refused: {refusal:?}"))?;
        self.reference.settle(self.world.now());
        Ok(())
    }

    /// The placer says how urgent it is.
    fn is_wanted(&mut self, urgency: Urgency) -> Held {
        let code = match urgency {
            Urgency::Routine => "routine",
            Urgency::Urgent => "urgent",
            Urgency::Asap => "asap",
        };
        self.reference.urgency = urgency;
        self.story.push(code.to_owned());
        let set = self.world.set(&self.order, json!({ "priority": code }));
        set.map_err(|refusal| format!("{code} is refused: {refusal:?}"))?;
        self.reference.settle(self.world.now());
        Ok(())
    }

    /// What the conditions say.
    fn told(&self) -> Told {
        let urgency = self.reference.urgency;
        let of = |part: &Part| {
            let starts = (part.starts && urgency > Urgency::Routine).then_some(ConditionKind::Start);
            let stops = (part.stops && urgency == Urgency::Asap).then_some(ConditionKind::Stop);
            let number = part.number as usize;
            [starts, stops].into_iter().flatten().map(move |kind| (number, kind))
        };
        Told { holding: self.plan.parts.iter().flat_map(of).collect() }
    }

    fn withdraw(&mut self, end: End) -> Held {
        let status = if end == End::Completed { "completed" } else { "revoked" };
        self.story.push(status.to_owned());
        let set = self.world.set_status(&self.order, status);
        set.map_err(|refusal| format!("{status} is refused: {refusal:?}"))?;
        self.reference.withdrawn(end);
        self.withdrawn = true;
        Ok(())
    }

    /// Everybody does what is on offer, and time passes: then every order ends.
    fn comes_to_its_end(mut self) -> Held {
        if self.reference.held && self.reference.end.is_none() && !self.withdrawn {
            self.hold()?;
            self.agrees()?;
        }
        if self.reference.end.is_none() && !self.withdrawn {
            self.is_wanted(Urgency::Urgent)?;
            self.agrees()?;
        }
        for _ in 0..DILIGENT_LIMIT {
            if self.reference.end.is_some() || self.withdrawn {
                return Ok(());
            }
            match self.able().first() {
                Some(number) => self.acts(*number, false, 1)?,
                None => self.time_passes(4)?,
            }
            self.agrees()?;
        }
        Err("it does not come to its end".into())
    }

    // ---- both say the same

    fn agrees(&mut self) -> Held {
        self.plan.steps().try_for_each(|part| self.step_agrees(part.number))?;
        let whole = self.world.newest(&self.order, 0).and_then(|task| task.text("status").map(str::to_owned));
        let fits = match self.reference.end {
            None => !matches!(whole.as_deref(), Some("completed" | "failed" | "rejected" | "cancelled")),
            Some(End::Completed) => whole.as_deref() == Some("completed"),
            Some(End::Failed) => matches!(whole.as_deref(), Some("failed" | "rejected")),
            Some(End::Cancelled) => whole.as_deref() == Some("cancelled"),
        };
        if !fits {
            return Err(format!("the whole is {whole:?}, and should be {:?}", self.reference.end));
        }
        self.is_settled()?;
        self.one_at_most()
    }

    fn step_agrees(&mut self, number: u32) -> Held {
        let step = &self.reference.steps[&number];
        let task = self.world.newest(&self.order, number);
        let status = task.and_then(|task| task.text("status"));
        let fits = match step.fate {
            Fate::Waiting => matches!(status, None | Some("draft")),
            Fate::Offered => status == Some("requested"),
            Fate::Claimed => status == Some("accepted"),
            Fate::Started => status == Some("in-progress"),
            Fate::Done => status == Some("completed"),
            Fate::Failed => matches!(status, Some("failed" | "rejected")),
            Fate::Dropped => matches!(status, None | Some("cancelled")),
            Fate::Stopped => matches!(status, None | Some("cancelled" | "failed")),
            Fate::Left => status == Some("in-progress"),
            Fate::Absent => status.is_none(),
        };
        if !fits {
            return Err(format!("step {number} is {status:?}, and should be {:?}", step.fate));
        }
        let is_live = matches!(step.fate, Fate::Offered | Fate::Claimed | Fate::Started);
        if !is_live || self.reference.end.is_some() || self.withdrawn || self.is_draining() {
            return Ok(());
        }
        let until = task.and_then(World::until_of);
        let wanted = self.reference.until(number).or(self.bounds.get(&number).copied());
        self.bounds.extend(wanted.map(|wanted| (number, wanted)));
        let near = until.zip(wanted).map(|(one, other)| (one - other).abs() < TOLERANCE_US);
        if near.unwrap_or(until == wanted) {
            Ok(())
        } else {
            Err(format!("step {number} is to be done by {until:?}, and should by {wanted:?}"))
        }
    }

    /// All is done, and what somebody has begun is still let run.
    fn is_draining(&self) -> bool {
        self.reference.outcome(1) != Outcome::Open
    }

    /// From what is kept of it alone, nothing more follows: whoever goes on from here goes on alike.
    fn is_settled(&self) -> Held {
        let left = self.world.left_to_do(&self.order, &self.told());
        if left.is_empty() { Ok(()) } else { Err(format!("this was left undone: {left:?}")) }
    }

    /// Of an exclusive choice never more than one is under way, and where it is a race never more than one was begun:
    /// whatever the reference thinks.
    fn one_at_most(&self) -> Held {
        let is_exclusive = |behaviour| matches!(behaviour, Some("exactly-one" | "at-most-one"));
        for group in self.plan.parts.iter().filter(|part| is_exclusive(part.behaviour)) {
            let taken: &[&str] = match group.in_sequence {
                true => &["accepted", "in-progress"],
                false => &["accepted", "in-progress", "completed"],
            };
            let is_taken = |number: u32| {
                let steps = self.plan.steps().filter(|step| self.stands_in(step.number, number));
                let status = |step: u32| self.world.newest(&self.order, step).and_then(|task| task.text("status"));
                steps.map(|step| status(step.number)).any(|status| status.is_some_and(|s| taken.contains(&s)))
            };
            if self.plan.children(group.number).filter(|child| is_taken(child.number)).count() > 1 {
                return Err(format!("two of {} are taken", group.number));
            }
        }
        Ok(())
    }

    fn stands_in(&self, number: u32, above: u32) -> bool {
        number == above || (number != 0 && self.stands_in(self.plan.part(number).parent, above))
    }
}
