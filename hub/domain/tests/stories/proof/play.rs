//! One case: a plan, and what happens to an order by it, in the engine and in the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat_n;
use std::time::Duration;

use hub_domain::command::Caller;
use hub_domain::decide::Policy;
use hub_domain::workflow::{Catalogue, Offered};
use schemas::message::Act;
use schemas::task::TaskStatus;
use serde_json::json;

use crate::proof::begin::{BIRTH_DATE, WRITTEN_ON};
use crate::proof::json::name;
use crate::proof::parts::{Part, Parts};
use crate::proof::reference::{Fate, House, Reference, Standing, Time, Urgency};
use crate::proof::written::{Chance, Written};
use crate::world::{World, prescription};

/// Between two events, so that no sum of them is a sum of hours.
const STEP_S: u64 = 61 * 61;
/// Who is named for what is not open, and who comes as well.
const WHO: [&str; 2] = ["Organization/x", "Organization/y"];
/// Two and a half hours.
const LEASE_US: i64 = 9_000_000_000;
/// What anybody does who means well.
const WELL: usize = 19;
/// More events than this no plan of this size needs to come to its end.
const DILIGENT_LIMIT: usize = 400;
/// After at most so many events it is left to somebody else.
const MANY: usize = 40;

pub(super) type Held = Result<(), String>;

pub(super) struct Case<'a> {
    pub(super) plan: &'a Parts,
    pub(super) reference: Reference<'a>,
    pub(super) world: World,
    /// Its requests; the first one stands for all.
    pub(super) requests: Vec<String>,
    pub(super) story: &'a mut Vec<String>,
    /// The steps that were on offer.
    pub(super) offered: BTreeSet<u32>,
    /// Who has each step.
    owners: BTreeMap<u32, &'static str>,
}

/// How many commands that took.
pub(crate) fn play(plan: &[u8], events: &[u8], story: &mut Vec<String>) -> Result<usize, String> {
    let written = Written::by(&mut Chance(plan.iter()));
    let offered = Offered::read(&written.json().to_string()).map_err(|faults| format!("no plan: {faults:?}"))?;
    let catalogue = Catalogue::new(vec![offered]).map_err(|faults| format!("{faults:?}"))?;
    let mut chance = Chance(events.iter());
    let house = House { offers_max: 1 + chance.of(3) as u32, lease: chance.one_in(2).then_some(LEASE_US) };
    let plan = Parts::of(&written, 1 + chance.of(2));
    let mut policy = Policy { catalogue, offers_max: house.offers_max, ..Policy::default() };
    policy.leases.1 = house.lease.map(|lease| Duration::from_micros(lease as u64));
    let mut world = World::with(policy);
    let born = json!({ "resourceType": "Patient", "birthDate": BIRTH_DATE });
    let patient = world.create(born, Caller::Local).map_err(|refusal| format!("no patient: {refusal:?}"))?;
    let mut prescriptions = prescription(plan.items);
    for request in &mut prescriptions {
        (request["subject"], request["authoredOn"]) = (json!({ "reference": patient }), WRITTEN_ON.into());
    }
    let order = world.submit(prescriptions);
    let requests = world.requests(&order);
    let reference = Reference::new(&plan, house, world.now());
    let (offered, owners) = (BTreeSet::new(), BTreeMap::new());
    let mut case = Case { plan: &plan, reference, world, requests, story, offered, owners };
    case.agrees()?;
    let (mut before, mut left) = (case.world.read_again(), 1 + chance.of(MANY));
    while chance.is_left() && case.reference.end.is_none() {
        case.event(&mut chance)?;
        left = left.wrapping_sub(1);
        if left == 0 {
            before = case.world.read_again();
        }
    }
    case.comes_to_its_end()?;
    before.follow(&case.world);
    if before.is_like(&case.world) {
        Ok(case.world.commands_count())
    } else {
        Err("whoever goes on from the middle comes to another end".into())
    }
}

impl Case<'_> {
    /// Something happens by chance.
    fn event(&mut self, chance: &mut Chance) -> Held {
        let item = if self.plan.items > 1 { chance.of(self.plan.items) } else { 0 };
        let (standing, urgency) = self.reference.requests[item];
        let stands = matches!(standing, Standing::Active | Standing::OnHold);
        match chance.of(40) {
            0 if stands => self.says(item, Standing::Revoked, urgency)?,
            1 if stands => self.says(item, Standing::Completed, urgency)?,
            2..=4 if standing == Standing::Active => self.says(item, Standing::OnHold, urgency)?,
            2..=4 if standing == Standing::OnHold => self.says(item, Standing::Active, urgency)?,
            5 | 6 if stands => {
                let urgency = [Urgency::Routine, Urgency::Urgent, Urgency::Asap][chance.of(3)];
                self.says(item, standing, urgency)?;
            }
            7..=12 => self.time_passes(1 + chance.of(3) as u64)?,
            13 => self.clock_jumps(chance.of(3))?,
            15 => self.is_slow(chance)?,
            16..=22 if self.plan.parts.iter().any(|part| part.is_spare) => self.asks_again(chance)?,
            14 => {
                self.story.push("a timer fires again".to_owned());
                self.world.fires_again(chance.of(usize::from(u8::MAX)));
                self.reference.go_by(self.now(), self.now());
            }
            _ => {
                let able: Vec<u32> = self.able();
                if able.is_empty() {
                    self.time_passes(1)?;
                } else {
                    let number = able[chance.of(able.len())];
                    let deed = chance.of(WELL + 1);
                    self.acts(number, deed, if self.chooses(number) { chance.of(16) } else { 0 })?;
                }
            }
        }
        self.agrees()
    }

    /// Whoever has a step, or asked for it, wants what it is a part of to be done so often.
    fn asks_again(&mut self, chance: &mut Chance) -> Held {
        let is_open = |number: &u32| {
            let task = self.world.newest(&self.requests[0], *number);
            task.and_then(|task| TaskStatus::of(&task.body)).is_some_and(|status| !status.is_terminal())
        };
        let open = self.plan.steps().map(|part| part.number).filter(is_open);
        let able: Vec<u32> = open.filter(|number| self.plan.again(*number).is_some()).collect();
        if able.is_empty() {
            return self.time_passes(1);
        }
        let number = able[chance.of(able.len())];
        let (times, all) = (1 + chance.of(4), self.plan.again(number).unwrap());
        let is_last = self.reference.steps[&number].fate == Fate::Started && chance.one_in(2) && !self.chooses(number);
        let ends = is_last.then_some("completed");
        self.story.push(format!("{number}: {times} times {}", ends.unwrap_or("")));
        let asked = self.world.asks_again(&self.requests[0], number, times, ends);
        asked.map_err(|refusal| format!("step {number} is not done again: {refusal:?}"))?;
        let now = self.now();
        if ends.is_some() {
            self.reference.does_again(all, times);
            self.reference.happens(number, Fate::Done, false, now);
        } else {
            self.reference.asks(all, times, now);
        }
        Ok(())
    }

    /// Steps that somebody can do something about.
    fn able(&self) -> Vec<u32> {
        let is_held = self.reference.is_held();
        let able = |fate: Fate| match fate {
            Fate::Offered | Fate::Claimed => !is_held,
            Fate::Started => true,
            _ => false,
        };
        self.reference.steps.iter().filter(|(_, step)| able(step.fate)).map(|(number, _)| *number).collect()
    }

    fn chooses(&self, number: u32) -> bool {
        self.plan.parts.iter().any(|group| group.chosen_by == Some(number))
    }

    /// Of the branches of all choices that a step makes, those whose name has its bit set; of a choice of one the first.
    fn picks(&self, number: u32, bits: usize) -> Vec<u32> {
        let groups = self.plan.parts.iter().filter(|group| group.chosen_by == Some(number));
        let of = |group: &Part| {
            let most = if matches!(group.said.behaviour, Some("exactly-one" | "at-most-one")) { 1 } else { usize::MAX };
            let branches: Vec<&Part> =
                self.plan.children(group.number).filter(|child| child.undoes.is_none()).collect();
            let named: BTreeSet<u32> = branches.iter().map(|branch| branch.said.id).collect();
            let named = named.into_iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, id)| id);
            let of = |id: u32| branches.iter().filter(move |branch| branch.said.id == id).map(|branch| branch.number);
            named.flat_map(of).take(most).collect::<Vec<_>>()
        };
        groups.flat_map(of).collect()
    }

    /// Whoever is there does something by chance: `WELL`, what goes on with it.
    fn acts(&mut self, number: u32, deed: usize, bits: usize) -> Held {
        let step = &self.reference.steps[&number];
        match (step.fate, deed) {
            (Fate::Offered, 0) if !step.returned => self.moves(number, "rejected", Fate::Refused),
            (Fate::Offered | Fate::Claimed, 1) => self.moves(number, "cancelled", Fate::Dropped),
            (Fate::Offered, _) => {
                let is_named = self.plan.part(number).said.is_named;
                self.owners.insert(number, WHO[if is_named { 0 } else { deed % WHO.len() }]);
                self.reports(number, Act::Claim, Fate::Claimed, &[], 1)
            }
            (Fate::Claimed | Fate::Started, 2..=5) => self.reports(number, Act::Failed, Fate::Failed, &[], 1),
            (Fate::Claimed | Fate::Started, 6) => self.fails_for_a_reason(number),
            (Fate::Started, 7) => self.moves(number, "ready", Fate::Offered),
            (Fate::Claimed, _) | (Fate::Started, 8 | 9) => self.reports(number, Act::InProgress, Fate::Started, &[], 1),
            _ => {
                let picks = self.picks(number, bits);
                self.reference.picks.insert(number, picks.clone());
                // The higher the bits are, the more often what may be done again is named.
                let often = 1 + bits / 6;
                for pick in &picks {
                    self.reference.does_again(*pick, often);
                }
                self.reports(number, Act::Completed, Fate::Done, &picks, often)
            }
        }
    }

    /// `often`: how often each pick is named.
    fn reports(&mut self, number: u32, act: Act, fate: Fate, picks: &[u32], often: usize) -> Held {
        self.story.push(format!("{number}: {act:?}"));
        let (sequence, offer, who) =
            (self.story.len() as u32, self.reference.steps[&number].offers, self.owners[&number]);
        let named: BTreeSet<u32> = picks.iter().map(|pick| self.plan.part(*pick).said.id).collect();
        let named: Vec<String> = named.into_iter().map(name).collect();
        let names: Vec<&str> = named.iter().flat_map(|name| repeat_n(name.as_str(), often)).collect();
        let reported = match names.is_empty() {
            true => self.world.report_offer(&self.requests[0], number, offer, who, act, sequence),
            false => self.world.completes_with(&self.requests[0], number, offer, who, &names, sequence),
        };
        reported.map_err(|refusal| format!("step {number} refuses {act:?}: {refusal:?}"))?;
        self.reference.happens(number, fate, false, self.now());
        Ok(())
    }

    fn fails_for_a_reason(&mut self, number: u32) -> Held {
        self.story.push(format!("{number}: Failed for a reason"));
        let (sequence, offer, who) =
            (self.story.len() as u32, self.reference.steps[&number].offers, self.owners[&number]);
        let failed = self.world.fails_because(&self.requests[0], number, offer, who, "the machine broke", sequence);
        failed.map_err(|refusal| format!("step {number} does not fail: {refusal:?}"))?;
        self.reference.happens(number, Fate::Failed, true, self.now());
        Ok(())
    }

    /// Over REST: its owner gives it back, whoever it is offered to refuses it, or its requester withdraws it.
    fn moves(&mut self, number: u32, status: &str, fate: Fate) -> Held {
        self.story.push(format!("{number}: {status}"));
        let task = self.world.newest(&self.requests[0], number).map(|task| task.key.to_string()).unwrap_or_default();
        let set = self.world.set_status(&task, status);
        set.map_err(|refusal| format!("step {number} does not become {status}: {refusal:?}"))?;
        self.reference.happens(number, fate, false, self.now());
        Ok(())
    }

    /// What the engine takes for now: its clock is never behind what has happened to the order.
    fn now(&self) -> Time {
        self.world.now().max(self.world.last(&self.requests[0]))
    }

    fn time_passes(&mut self, steps: u64) -> Held {
        self.story.push(format!("{steps} hours pass"));
        let from = self.now();
        self.world.go_by(steps * STEP_S);
        self.reference.go_by(from, self.now());
        Ok(())
    }

    /// Timers fire late: what somebody does meanwhile finds that their times have come.
    fn is_slow(&mut self, chance: &mut Chance) -> Held {
        let able = self.able();
        // Whose claim lapses is said by its timer alone.
        if able.is_empty() || self.reference.house.lease.is_some() {
            return self.time_passes(1);
        }
        self.story.push("two hours pass, and no timer fires".to_owned());
        self.world.is_slow(2 * STEP_S);
        let number = able[chance.of(able.len())];
        self.acts(number, WELL, 1)?;
        self.agrees()?;
        self.time_passes(1)
    }

    /// It is set back, or a day later nobody has looked at it in between.
    fn clock_jumps(&mut self, how: usize) -> Held {
        match how {
            0 => {
                self.story.push("the clock is set back by two hours".to_owned());
                self.world.clock_goes_back(2 * STEP_S);
            }
            // What happens first, when several times have passed meanwhile, is another question.
            1 if self.reference.house.lease.is_none() => {
                self.story.push("a day later".to_owned());
                self.world.passes(24 * STEP_S);
                self.reference.go_by(self.now(), self.now());
            }
            _ => self.time_passes(24)?,
        }
        Ok(())
    }

    /// The placer says something else of a request.
    fn says(&mut self, item: usize, standing: Standing, urgency: Urgency) -> Held {
        let status = match standing {
            Standing::Active => "active",
            Standing::OnHold => "on-hold",
            Standing::Revoked => "cancelled",
            Standing::Completed => "completed",
        };
        let priority = match urgency {
            Urgency::Routine => "routine",
            Urgency::Urgent => "urgent",
            Urgency::Asap => "asap",
        };
        self.story.push(format!("request {item}: {status}, {priority}"));
        let set = self.world.set(&self.requests[item], json!({ "status": status, "priority": priority }));
        set.map_err(|refusal| format!("{status}, {priority} is refused: {refusal:?}"))?;
        self.reference.says(item, standing, urgency, self.now());
        Ok(())
    }

    /// Nothing is on hold any more, everybody does what is on offer, and time passes: then every order ends.
    fn comes_to_its_end(&mut self) -> Held {
        for item in 0..self.plan.items {
            let standing = self.reference.requests[item].0;
            if self.reference.end.is_none() && matches!(standing, Standing::Active | Standing::OnHold) {
                self.says(item, Standing::Active, Urgency::Urgent)?;
                self.agrees()?;
            }
        }
        for _ in 0..DILIGENT_LIMIT {
            if self.reference.end.is_some() {
                return Ok(());
            }
            match self.able().first() {
                Some(number) => self.acts(*number, WELL, 1)?,
                None if self.is_asking() && !self.world.run(&self.requests[0]).1 => return Ok(()),
                None => self.time_passes(4)?,
            }
            self.agrees()?;
        }
        Err("it does not come to its end".into())
    }
}
