//! The prescriptions of the prescription service: whether each is whole and went only ways that the service's table has,
//! and whether what prescribers and pharmacies were told holds. Of the hub it reads that table, as data.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use serde::Deserialize;
use uuid::Uuid;

use super::ledger::{Ledger, Turn};
use super::promises::is_no;
use super::verdict::{Fault, Verdict};
use crate::diary::Entry;

/// What wakes a prescription when time does something to it.
pub(super) const TIMER: &str = "wake";

const TABLE: &str = include_str!("../../../hub/domain/tables/eps.json");
const TAKEN: [&str; 2] = ["accepted", "in-progress"];
const GIVEN_BACK: &str = "0001";
const WITH_DISPENSER: &str = "0002";
const CANCELLED: &str = "0005";

#[derive(Deserialize)]
struct Table {
    prescription: Vec<State>,
    item: Vec<State>,
    events: Vec<Rule>,
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct State {
    code: String,
    /// Task.status, as the service shows it, and as the hub keeps it where that is another.
    task: String,
    kept: Option<String>,
    #[serde(default)]
    items: Vec<String>,
}

#[derive(Deserialize)]
struct Rule {
    from: Vec<String>,
    to: Vec<String>,
}

#[derive(Deserialize)]
struct Transition {
    from: String,
    to: String,
}

impl Table {
    fn read() -> Result<Self> {
        serde_json::from_str(TABLE).context("the table of the prescription service cannot be read")
    }

    fn allows(&self, from: &str, to: &str) -> bool {
        self.transitions.iter().any(|row| row.from == from && row.to == to)
    }

    /// Whether a prescription may go so; `from` nowhere it begins.
    fn goes(&self, from: &str, to: &str) -> bool {
        let has = |codes: &[String], code: &str| codes.iter().any(|other| other == code);
        let comes = |rule: &&Rule| if from.is_empty() { rule.from.is_empty() } else { has(&rule.from, from) };
        self.events.iter().filter(comes).any(|rule| has(&rule.to, to))
    }
}

fn status_of<'t>(states: &'t [State], code: &str) -> &'t str {
    let state = states.iter().find(|state| state.code == code);
    state.map_or("", |state| state.kept.as_ref().unwrap_or(&state.task))
}

/// The Tasks of one prescription of one issue, step by step.
struct Prescription<'l> {
    /// Those that stood for the whole, and then for each item, in their turn.
    steps: Vec<Vec<&'l Turn>>,
}

impl<'l> Prescription<'l> {
    /// None when no Task of it is there.
    fn of(root: Uuid, items: usize, ledger: &'l Ledger) -> Option<Self> {
        let turns = ledger.prescriptions.get(&root)?;
        let turns_of = |step: usize| {
            let mut turns: Vec<&Turn> = turns.iter().filter(|turn| turn.step as usize == step).collect();
            turns.sort_by_key(|turn| turn.offer);
            turns
        };
        Some(Self { steps: (0..=items).map(turns_of).collect() })
    }

    /// The service's code at the end.
    fn code(&self, step: usize) -> &str {
        self.steps.get(step).and_then(|turns| turns.last()?.codes.last()).map_or("", String::as_str)
    }

    fn status(&self, step: usize) -> &str {
        let last = self.steps.get(step).and_then(|turns| turns.last()?.steps.last());
        last.map_or("", |step| &step.status)
    }

    fn items(&self) -> impl Iterator<Item = usize> {
        1..self.steps.len()
    }

    /// Who had it, each time that it was taken.
    fn holders(&self) -> Vec<&str> {
        let mut holders = Vec::new();
        for turn in &self.steps[0] {
            let mut before = "";
            for step in &turn.steps {
                if TAKEN.contains(&step.status.as_str()) && !TAKEN.contains(&before) {
                    holders.push(step.owner.as_str());
                }
                before = &step.status;
            }
        }
        holders
    }
}

// ---- whether it is whole

/// Judges the prescription with these requests.
pub(super) fn is_whole(root: Uuid, requests: &[String], ledger: &Ledger, verdict: &mut Verdict) -> Result<()> {
    let table = Table::read()?;
    let Some(prescription) = Prescription::of(root, requests.len(), ledger) else {
        verdict.blame(Fault::Lost, || format!("prescription {root} has no Task"));
        return Ok(());
    };
    for (step, turns) in prescription.steps.iter().enumerate() {
        if turns.is_empty() || turns.iter().zip(1..).any(|(turn, n)| turn.offer != n) {
            verdict.blame(Fault::Lost, || format!("prescription {root} misses a Task of step {step}"));
        }
        turns.iter().for_each(|turn| is_legal(root, turn, &table, verdict));
    }
    goes_legally(root, &prescription, &table, verdict);
    fits(root, &prescription, &table, verdict);
    let statuses = requests.iter().map(|name| ledger.requests.get(name).map_or("", |request| &request.status));
    for (item, status) in prescription.items().zip(statuses) {
        let code = prescription.code(item);
        let should_be = match code {
            "0001" => "completed",
            CANCELLED => "cancelled",
            _ => "stopped",
        };
        if status != should_be {
            verdict.blame(Fault::Unfit, || format!("prescription {root} item {item} is {code}, its request {status}"));
        }
    }
    Ok(())
}

fn is_legal(root: Uuid, turn: &Turn, table: &Table, verdict: &mut Verdict) {
    let (step, offer) = (turn.step, turn.offer);
    let mut before = ("*none*", "");
    for version in &turn.steps {
        let (from, owner) = before;
        let to = version.status.as_str();
        if from != to && !table.allows(from, to) {
            verdict
                .blame(Fault::Illegal, || format!("prescription {root} step {step}.{offer} goes from {from} to {to}"));
        }
        if TAKEN.contains(&from) && TAKEN.contains(&to) && owner != version.owner {
            let by = &version.owner;
            verdict
                .blame(Fault::DoneTwice, || format!("prescription {root} step {step} is taken from {owner} by {by}"));
        }
        before = (to, &version.owner);
    }
}

/// One Task after the other tells how the prescription went.
fn goes_legally(root: Uuid, prescription: &Prescription, table: &Table, verdict: &mut Verdict) {
    let mut from = "";
    for to in prescription.steps[0].iter().flat_map(|turn| &turn.codes) {
        if from != to && !table.goes(from, to) {
            verdict.blame(Fault::Illegal, || format!("prescription {root} goes from {from} to {to}"));
        }
        from = to;
    }
}

/// Each state of the whole admits some of the items, and each Task shows its state.
fn fits(root: Uuid, prescription: &Prescription, table: &Table, verdict: &mut Verdict) {
    let code = prescription.code(0);
    let admitted = table.prescription.iter().find(|state| state.code == code).map(|state| &state.items);
    for item in prescription.items() {
        let of_item = prescription.code(item);
        if !admitted.is_some_and(|admitted| admitted.iter().any(|admitted| admitted == of_item)) {
            verdict.blame(Fault::Unfit, || format!("prescription {root} is {code}, and its item {item} {of_item}"));
        }
        if prescription.status(item) != status_of(&table.item, of_item) {
            let status = prescription.status(item);
            verdict.blame(Fault::Unfit, || format!("prescription {root} item {item} is {of_item}, its Task {status}"));
        }
    }
    let status = prescription.status(0);
    if status != status_of(&table.prescription, code) {
        verdict.blame(Fault::Unfit, || format!("prescription {root} is {code}, its Task {status}"));
    }
}

// ---- whether what was told holds

/// What the diary tells of one prescription.
#[derive(Default)]
struct Story<'d> {
    items: &'d [String],
    is_acknowledged: bool,
    /// Pharmacies that were given it, and whether as one of those that nominate them.
    released: Vec<(&'d str, bool)>,
    /// The last word that was taken: the state and the items.
    last: Option<(&'d str, &'d [String])>,
    /// What was cancelled for good: the whole, or an item.
    cancelled: Vec<Option<usize>>,
}

pub(super) fn judge(diary: &[Entry], ledger: &Ledger, verdict: &mut Verdict) {
    let mut stories: HashMap<&str, Story> = HashMap::new();
    for entry in diary {
        match entry {
            Entry::Prescribed { number, items, answers, done, .. } => {
                let story = stories.entry(number).or_default();
                (story.items, story.is_acknowledged) = (items, *done);
                is_taken(number, answers.iter().map(|answer| answer.0), verdict);
                let said: BTreeSet<&str> =
                    answers.iter().filter(|answer| answer.0 == 200).map(|answer| answer.2.as_str()).collect();
                if said.len() > 1 {
                    verdict.blame(Fault::Doubled, || format!("prescription {number} was answered differently"));
                }
            }
            Entry::Unprescribed { number, item, response, .. } => match response.as_str() {
                // At once, before it arrived, or before.
                "R-0001" | "R-0006" | "R-0008" => stories.entry(number).or_default().cancelled.push(*item),
                "R-0002" | "R-0003" | "R-0004" | "R-0010" | "" => {}
                other => verdict.blame(Fault::Refused, || format!("to cancel {number} was answered {other}")),
            },
            Entry::Released { pharmacy, is_nominated, numbers, answers } => {
                if *is_nominated {
                    is_taken(pharmacy, answers.iter().copied(), verdict);
                }
                for number in numbers {
                    stories.entry(number).or_default().released.push((pharmacy, *is_nominated));
                }
            }
            Entry::Told { number, dispenses, state, items, answers, done, .. } => {
                is_taken(number, answers.iter().copied(), verdict);
                if *done {
                    stories.entry(number).or_default().last = Some((state, items));
                }
                are_kept(number, dispenses, *done, ledger, verdict);
            }
            _ => {}
        }
    }
    for (number, story) in stories {
        story.holds(number, ledger, verdict);
    }
}

/// All messages were good.
fn is_taken(what: &str, answers: impl IntoIterator<Item = u16>, verdict: &mut Verdict) {
    if let Some(status) = answers.into_iter().find(|status| is_no(*status)) {
        verdict.blame(Fault::Refused, || format!("a message on {what} was answered {status}"));
    }
}

/// What was handed over is there once, if its message was taken.
fn are_kept(number: &str, dispenses: &[String], done: bool, ledger: &Ledger, verdict: &mut Verdict) {
    for identifier in dispenses {
        match ledger.dispenses.get(identifier).copied().unwrap_or_default() {
            0 if done => verdict.blame(Fault::Lost, || format!("dispense {identifier} of {number} is not there")),
            0 | 1 => {}
            times => {
                verdict.blame(Fault::Doubled, || format!("dispense {identifier} of {number} is there {times} times"));
            }
        }
    }
}

impl Story<'_> {
    fn holds(&self, number: &str, ledger: &Ledger, verdict: &mut Verdict) {
        let there = |item: &String| ledger.identified.get(item).map(Vec::as_slice).unwrap_or_default();
        let counts: BTreeSet<usize> = self.items.iter().map(|item| there(item).len()).collect();
        match counts.last() {
            Some(0) | None if self.is_acknowledged => {
                return verdict.blame(Fault::Lost, || format!("prescription {number} was taken, and is not there"));
            }
            Some(1) if counts.len() == 1 => {}
            Some(1) => return verdict.blame(Fault::Lost, || format!("prescription {number} is there in part")),
            Some(0) | None => return,
            Some(_) => return verdict.blame(Fault::Doubled, || format!("prescription {number} is there twice")),
        }
        let request = self.items.first().and_then(|item| ledger.requests.get(there(item).first()?));
        let prescription = request.and_then(|request| Prescription::of(request.root, self.items.len(), ledger));
        // Without Tasks it is blamed already.
        let Some(prescription) = prescription else { return };
        self.was_released(number, &prescription.holders(), verdict);
        self.ended_as_told(number, &prescription, verdict);
    }

    /// Who was given it had it; and nobody is given what nominates him a second time, unless it was given back.
    fn was_released(&self, number: &str, holders: &[&str], verdict: &mut Verdict) {
        let times = |pharmacy: &str| holders.iter().filter(|holder| holder.ends_with(&format!("/{pharmacy}"))).count();
        let pharmacies: BTreeSet<&str> = self.released.iter().map(|(pharmacy, _)| *pharmacy).collect();
        for pharmacy in pharmacies {
            let nominated = self.released.iter().filter(|released| **released == (pharmacy, true)).count();
            match times(pharmacy) {
                0 => verdict.blame(Fault::Broken, || format!("{number} was given to {pharmacy}, which never had it")),
                had if nominated > had => {
                    verdict.blame(Fault::DoneTwice, || format!("{number} was given to {pharmacy} {nominated} times"));
                }
                _ => {}
            }
        }
    }

    fn ended_as_told(&self, number: &str, prescription: &Prescription, verdict: &mut Verdict) {
        let code = prescription.code(0);
        match self.last {
            // Nobody has had it since: it was cancelled while somebody had it.
            Some((GIVEN_BACK, _)) if code != CANCELLED => {
                verdict.blame(Fault::Broken, || format!("{number} was given back, and is {code}"));
            }
            Some((GIVEN_BACK | WITH_DISPENSER, _)) | None => {}
            Some((state, items)) => {
                let ended: Vec<&str> = prescription.items().map(|item| prescription.code(item)).collect();
                if code != state || ended != items.iter().map(String::as_str).collect::<Vec<_>>() {
                    let (ended, items) = (ended.join(" "), items.join(" "));
                    verdict.blame(Fault::Broken, || {
                        format!("{number} is {code} with items {ended}; its pharmacy said {state} with {items}")
                    });
                }
            }
        }
        for step in self.cancelled.iter().map(|item| item.map_or(0, |item| item + 1)) {
            if prescription.code(step) != CANCELLED {
                let code = prescription.code(step);
                verdict.blame(Fault::Broken, || format!("step {step} of {number} was cancelled, and is {code}"));
            }
        }
    }
}
